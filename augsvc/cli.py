"""The command line: `augsvc serve`, `preview`, `ops`, `datasets`, `check`."""

import logging
import socket
import sys
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.logging import RichHandler
from rich.markup import escape
from rich.progress import track
from rich.table import Table

from augsvc.engine import Engine, Range
from augsvc.errors import AugsvcError
from augsvc.executors.choice import open_executor
from augsvc.http import create_app
from augsvc.http.server import Server
from augsvc.ops.registry import registry
from augsvc.pipeline import PRESETS, parse_pipeline
from augsvc.preview import COLUMNS, MOST
from augsvc.settings import Settings, load_settings
from augsvc.sources.catalogue import open_catalogue
from augsvc.spec import parse_json, validate_spec
from augsvc.validation import nearest

app = typer.Typer(no_args_is_help=True, add_completion=False, help="A data-augmentation service.")
Config = Annotated[Path | None, typer.Option(help="A YAML file with settings.", exists=True, dir_okay=False)]


@app.command()
def serve(
    config: Config = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on (default 127.0.0.1).")] = None,
    port: Annotated[int | None, typer.Option(help="Port; 0 takes any free one (default 8000).")] = None,
    uds: Annotated[Path | None, typer.Option(help="A Unix socket, instead of host and port.")] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda or cuda:N.")] = None,
    tokens_file: Annotated[Path | None, typer.Option(help="YAML: client name → token.")] = None,
    allow_plain: Annotated[bool | None, typer.Option(help="Listen beyond loopback without tokens.")] = None,
) -> None:
    """Serve until SIGTERM or Ctrl-C."""
    flags = {"host": host, "port": port, "uds": uds, "device": device}
    settings = _settings(config, flags | {"tokens_file": tokens_file, "allow_plain": allow_plain})
    _log()
    try:
        application = create_app(settings)
        listener = _listen(settings)
    except (ValueError, OSError) as err:
        _fail(str(err))
    where = f"unix:{settings.uds}" if settings.uds else _url(listener)
    typer.echo(f"augsvc listens on {where}")
    Server(application, settings.stop_grace_s).run(sockets=[listener])
    if application.state.life.failed:
        raise typer.Exit(1)


@app.command()
def ops(
    name: Annotated[str | None, typer.Argument(help="An operation or a preset, in detail.")] = None,
    config: Config = None,
) -> None:
    """List the operations and presets, or show one of them."""
    console = Console()
    try:
        known = registry(_settings(config, {}).operations)
    except ValueError as err:
        _fail(str(err))
    if name is None:
        table = Table("operation", "kind", "what it does", box=None)
        for each, operation in known.items():
            table.add_row(each, operation.kind.value, operation.summary())
        console.print(table)
        console.print(f"\npresets: {', '.join(PRESETS)}; `augsvc ops NAME` shows one in detail")
    elif name in PRESETS:
        for step in parse_pipeline(name):
            console.print_json(step.model_dump_json(exclude={"id"}), indent=None)
    elif name in known:
        console.print(known[name].summary())
        table = Table("field", "default", "takes", box=None)
        for field, schema in known[name].model_json_schema()["properties"].items():
            table.add_row(field, escape(str(schema.get("default", ""))), escape(_takes(schema)))
        console.print(table)
    else:
        _fail(f"there is no operation or preset {name}{nearest(name, [*known, *PRESETS])}")


@app.command()
def preview(
    dataset: Annotated[str, typer.Option(help="For instance photos/train.")],
    out: Annotated[Path, typer.Option(help="The PNG to write.", dir_okay=False)],
    pipeline: Annotated[str, typer.Option(help="A preset's name, or a list of operations as JSON.")] = "standard",
    size: Annotated[tuple[int, int] | None, typer.Option(help="Height and width of the canvas.")] = None,
    epoch: int = 0,
    start: int = 0,
    count: Annotated[int, typer.Option(min=1, max=MOST)] = COLUMNS,
    config: Config = None,
) -> None:
    """Draw samples before and after: originals above, augmented below."""
    settings = _settings(config, {})
    try:
        steps = parse_json(pipeline.encode()) if pipeline.lstrip().startswith("[") else pipeline
        engine = _engine(settings)
        fields = {"dataset": dataset, "pipeline": steps, "size": list(size) if size else None}
        spec = validate_spec(fields, engine.operations)
        engine.start()
        stream = engine.open(spec)
        part = Range(epoch, start, count, 0)
        engine.check(stream, part)
        out.write_bytes(engine.preview(stream, part).future.result().buffer.tobytes())
        engine.stop()
    except AugsvcError as err:
        _fail(err.message)
    except (ValueError, OSError) as err:
        _fail(str(err))
    typer.echo(f"{out}: originals above, augmented below")


@app.command()
def datasets(config: Config = None) -> None:
    """List what would be served."""
    table = Table("dataset", "samples", "classes", "version", box=None)
    for name, source in _sources(_settings(config, {})).items():
        table.add_row(name, f"{len(source):,}", str(len(source.info.classes)), source.info.version[:12])
    Console().print(table)


@app.command()
def check(
    config: Config = None,
    every: Annotated[bool, typer.Option("--all", help="Read every sample, not only the first 64.")] = False,
) -> None:
    """Validate the settings, run the self-test, and push a batch of every dataset through."""
    settings = _settings(config, {})
    console = Console()
    try:
        settings.tokens()
        engine = _engine(settings)
    except ValueError as err:
        _fail(str(err))
    console.print(f"arithmetic {engine.start().whole}")
    sound = [_check_dataset(engine, name, every, console) for name in engine.catalogue.names()]
    engine.stop()
    if not all(sound):
        raise typer.Exit(1)


def _check_dataset(engine: Engine, name: str, every: bool, console: Console) -> bool:
    """Whether a dataset can be served; undecodable samples are named, and are no failure."""
    spec = validate_spec({"dataset": name, "pipeline": "strong", "size": [64, 64], "shuffle": False})
    try:
        stream = engine.open(spec)
        samples = stream.samples if every else min(64, stream.samples)
        replaced: list[int] = []
        for start in track(range(0, samples, 64), f"{name:20}", console=console, disable=not console.is_terminal):
            part = Range(0, start, min(64, samples - start), 0)
            replaced += engine.produce(stream, part).future.result().replaced
    except AugsvcError as err:
        console.print(f"[red]failed[/red] {name}: {err.message}")
        return False
    console.print(f"[green]ok[/green] {name}: {samples} of {stream.samples} samples read")
    for index in replaced:
        console.print(f"   [yellow]cannot be decoded[/yellow] {escape(stream.source.describe(index))}", highlight=False)
    return True


def _engine(settings: Settings) -> Engine:
    catalogue = open_catalogue(settings.datasets, settings.cache_bytes)
    executor = open_executor(settings.executor, settings.torch_device(), settings.kernel_cache)
    return Engine(catalogue, executor, registry(settings.operations), settings.max_batch_bytes)


def _settings(config: Path | None, flags: dict[str, Any]) -> Settings:
    try:
        return load_settings(config, flags)
    except ValueError as err:
        _fail(str(err))


def _sources(settings: Settings) -> dict[str, Any]:
    try:
        catalogue = open_catalogue(settings.datasets, 0)
    except ValueError as err:
        _fail(str(err))
    return {name: catalogue.get(name) for name in catalogue.names()}


def _listen(settings: Settings) -> socket.socket:
    if settings.uds:
        listener = socket.socket(socket.AF_UNIX)
        if settings.uds.is_socket():  # left behind by a server that was killed
            settings.uds.unlink()
        listener.bind(str(settings.uds))
        listener.listen(128)
        return listener
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    return socket.create_server((settings.host, settings.port), family=family, backlog=2048)


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _log() -> None:
    """Readable in a terminal, a line each elsewhere."""
    if sys.stderr.isatty():
        logging.basicConfig(
            level=logging.INFO,
            format="%(message)s",
            handlers=[RichHandler(console=Console(stderr=True), show_path=False)],
        )
    else:
        logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")


def _takes(schema: dict[str, Any]) -> str:
    """A JSON schema in a few words."""
    if "enum" in schema:
        return " | ".join(map(str, schema["enum"]))
    number = next((s for s in schema.get("anyOf", [schema]) if "minimum" in s), None)
    if number is None:
        return str(schema.get("const", "text"))
    interval = ", or [low, high] to draw from" if "anyOf" in schema else ""
    return f"{number['minimum']:g} … {number['maximum']:g}{interval}"


def _fail(message: str) -> NoReturn:
    typer.secho(message, err=True, fg="red")
    raise typer.Exit(2)
