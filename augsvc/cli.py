"""The command line: `augsvc serve`, `ops`, `datasets`, `check`."""

import logging
import socket
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.logging import RichHandler
from rich.table import Table

from augsvc.engine import Engine, Range
from augsvc.errors import AugsvcError
from augsvc.executors.kornia import KorniaExecutor
from augsvc.http import create_app
from augsvc.http.server import Server
from augsvc.ops.registry import registry
from augsvc.settings import Settings, load_settings
from augsvc.sources.catalogue import open_catalogue
from augsvc.spec import validate_spec

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
    logging.basicConfig(level=logging.INFO, format="%(message)s", handlers=[RichHandler(show_path=False)])
    try:
        application = create_app(settings)
        listener = _listen(settings)
    except (ValueError, OSError) as err:
        _fail(str(err))
    where = f"unix:{settings.uds}" if settings.uds else "http://{}:{}".format(*listener.getsockname()[:2])
    typer.echo(f"augsvc listens on {where}")
    Server(application, settings.stop_grace_s).run(sockets=[listener])
    if application.state.life.failed:
        raise typer.Exit(1)


@app.command()
def ops() -> None:
    """List the operations."""
    table = Table("operation", "kind", "parameters", "what it does", box=None)
    for name, operation in registry().items():
        drawn = ", ".join(f"{n} {list(operation.model_fields[n].default)}" for n in operation.parameters())
        table.add_row(name, operation.kind.value, drawn, operation.summary())
    Console().print(table)


@app.command()
def datasets(config: Config = None) -> None:
    """List what would be served."""
    table = Table("dataset", "samples", "classes", "version", box=None)
    for name, source in _sources(_settings(config, {})).items():
        table.add_row(name, f"{len(source):,}", str(len(source.info.classes)), source.info.version[:12])
    Console().print(table)


@app.command()
def check(config: Config = None) -> None:
    """Validate the settings, run the self-test, and push one batch of every dataset through."""
    settings = _settings(config, {})
    console = Console()
    try:
        settings.tokens()
        engine = Engine(
            open_catalogue(settings.datasets, settings.cache_bytes),
            KorniaExecutor.on(settings.torch_device()),
            settings.max_batch_bytes,
        )
    except ValueError as err:
        _fail(str(err))
    console.print(f"arithmetic {engine.start().whole}")
    failed = False
    for name in engine.catalogue.names():
        try:
            stream = engine.open(validate_spec({"dataset": name, "pipeline": "strong", "size": [64, 64]}))
            body = engine.produce(stream, Range(0, 0, min(8, stream.samples), 0)).future.result()
            console.print(f"[green]ok[/green] {name}: {body.samples} samples, {body.replaced} replaced")
        except AugsvcError as err:
            failed = True
            console.print(f"[red]failed[/red] {name}: {err.message}")
    engine.stop()
    if failed:
        raise typer.Exit(1)


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
        settings.uds.unlink(missing_ok=True)
        listener.bind(str(settings.uds))
        listener.listen(128)
        return listener
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    return socket.create_server((settings.host, settings.port), family=family, backlog=2048)


def _fail(message: str) -> NoReturn:
    typer.secho(message, err=True, fg="red")
    raise typer.Exit(2)
