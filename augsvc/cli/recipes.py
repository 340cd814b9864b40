"""`augsvc recipes`: published pipelines."""

import typer
from rich.console import Console

from augsvc.cli.common import fail, name_table, print_table
from augsvc.ops.recipes import IMAGE_RECIPES, RECIPES
from augsvc.validation import nearest


def recipes(name: str | None) -> None:
    """Lists the recipes, or prints one."""
    console = Console(emoji=False)
    if name is None:
        table = name_table("recipe", "pipeline", "source")
        for key, recipe in RECIPES.items():
            table.add_row(key, recipe.title, recipe.source)
        print_table(table)
        console.print("\n`augsvc recipes NAME` prints one as JSON, with what differs from its source")
    elif name in RECIPES:
        recipe = RECIPES[name]
        console.print_json(data=recipe.fields())
        typer.echo(f"source: {recipe.source}", err=True)
        if name in IMAGE_RECIPES:
            typer.echo("output: (v / 255 - mean) / std; without it bytes travel, and the trainer normalises", err=True)
        for difference in recipe.differences:
            typer.echo(f"differs: {difference}", err=True)
    else:
        fail(f"unknown recipe: {name}{nearest(name, RECIPES) or '; `augsvc recipes` lists them'}")
