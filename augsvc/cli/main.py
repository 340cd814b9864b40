"""The `augsvc` command, built from the commands of the other modules."""

import typer

from augsvc.cli import data, inspect
from augsvc.cli.convert import import_file
from augsvc.cli.datasets import datasets
from augsvc.cli.push import push
from augsvc.cli.serve import serve

app = typer.Typer(no_args_is_help=True, add_completion=False, help="A data-augmentation service.")
for command in (
    serve,
    inspect.ops,
    inspect.recipes,
    inspect.preview,
    inspect.explain,
    data.fit,
    data.check,
    push,
):
    app.command()(command)
app.command("import")(import_file)
app.add_typer(datasets, name="datasets")
