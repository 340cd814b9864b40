"""The command line: `augsvc serve`, `preview`, `explain`, `ops`, `datasets`, `fit`, `check`."""

import signal
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress, track
from rich.table import Table

from augsvc.cli.explain import explain as explain_sample
from augsvc.data.catalog import open_catalog
from augsvc.data.fit import fit as fit_statistics
from augsvc.engine.engine import Engine
from augsvc.errors import AugsvcError
from augsvc.executors.factory import open_executor
from augsvc.http import create_app
from augsvc.http.server.sockets import open_listener
from augsvc.http.server.uvicorn_server import Server
from augsvc.logs import set_up
from augsvc.ops.pipeline import parse_pipeline
from augsvc.ops.presets import PRESETS
from augsvc.ops.registry import registry
from augsvc.planning.spec import StreamSpec, parse_json, validate_spec
from augsvc.settings import Settings, load_settings
from augsvc.streams.preview import COLUMNS, MOST
from augsvc.streams.stream import Range, Stream
from augsvc.validation import nearest

app = typer.Typer(no_args_is_help=True, add_completion=False, help="A data-augmentation service.")
_TRIED: dict[str, dict[str, object]] = {  # what `check` makes of samples
    "image": {"pipeline": "strong", "size": [64, 64]},
    "audio": {"pipeline": "sound", "seconds": 1.0, "sample_rate": 16000},
}
Config = Annotated[Path | None, typer.Option(help="A YAML file with settings.", exists=True, dir_okay=False)]
Pipeline = Annotated[
    str | None, typer.Option(help="A preset's name, or a list of operations as JSON (standard; for sound: sound).")
]
Size = Annotated[tuple[int, int] | None, typer.Option(help="Height and width of the canvas.")]
Seconds = Annotated[float | None, typer.Option(help="Length of the clips.")]
Rate = Annotated[int | None, typer.Option(help="Rate of the clips, in Hz.")]


def _refuse_renamed(given: bool) -> None:
    if given:
        raise typer.BadParameter("this option is now --allow-unauthenticated")


@app.command()
def serve(
    config: Config = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on (default 127.0.0.1).")] = None,
    port: Annotated[int | None, typer.Option(help="Port; 0 takes any free one (default 8000).")] = None,
    uds: Annotated[Path | None, typer.Option(help="A Unix socket, instead of host and port.")] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda or cuda:N.")] = None,
    tokens_file: Annotated[Path | None, typer.Option(help="YAML: client name → token.")] = None,
    allow_unauthenticated: Annotated[
        bool | None, typer.Option(help="Allow unauthenticated access on non-loopback interfaces.")
    ] = None,
    allow_plain: Annotated[bool, typer.Option("--allow-plain", hidden=True, callback=_refuse_renamed)] = False,
) -> None:
    """Serve until SIGTERM or Ctrl-C."""
    flags = {"host": host, "port": port, "uds": uds, "device": device}
    settings = _settings(config, flags | {"tokens_file": tokens_file, "allow_unauthenticated": allow_unauthenticated})
    set_up(settings.log_format)
    with ExitStack() as stack:
        try:
            application = create_app(settings)
            listener, url = stack.enter_context(open_listener(settings))
        except (ValueError, OSError) as err:
            _fail(str(err))
        typer.echo(f"augsvc listens on {url}")
        if settings.tokens_file:  # without one, SIGHUP ends the process, as it does when its terminal is closed
            signal.signal(signal.SIGHUP, lambda *_: application.state.tokens.invalidate())
        Server(application, settings.shutdown_timeout_s, settings.min_client_bytes_per_s).run(sockets=[listener])
    if application.state.lifecycle.failed:
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
    pipeline: Pipeline = None,
    size: Size = None,
    seconds: Seconds = None,
    sample_rate: Rate = None,
    epoch: int = 0,
    start: int = 0,
    count: Annotated[int, typer.Option(min=1, max=MOST)] = COLUMNS,
    config: Config = None,
) -> None:
    """Draw samples before and after: originals above, augmented below."""
    settings = _settings(config, {})
    try:
        engine = _engine(settings)
        spec = _spec(engine, dataset, pipeline, size=size, seconds=seconds, sample_rate=sample_rate)
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
def explain(
    dataset: Annotated[str, typer.Option(help="For instance photos/train.")],
    epoch: Annotated[int, typer.Option(help="Of the training run, from 0 on.")],
    position: Annotated[int, typer.Option(help="In the epoch's order, from 0 on.", min=0)],
    pipeline: Pipeline = None,
    size: Size = None,
    seconds: Seconds = None,
    sample_rate: Rate = None,
    view: int = 0,
    aug_seed: int = 0,
    order_seed: int = 0,
    config: Config = None,
) -> None:
    """Say of one sample which it is and what is drawn for it: a server's receipt, as a table."""
    settings = _settings(config, {})
    try:
        engine = _engine(settings)
        seeds = {"aug_seed": aug_seed, "order_seed": order_seed}
        spec = _spec(engine, dataset, pipeline, size=size, seconds=seconds, sample_rate=sample_rate, **seeds)
        stream = Stream.open(spec, engine.catalog.get(dataset), engine.executor)
        explain_sample(stream, epoch, position, view, Console())
    except AugsvcError as err:
        _fail(err.message)
    except ValueError as err:
        _fail(str(err))


@app.command()
def datasets(config: Config = None) -> None:
    """List what would be served."""
    table = Table("dataset", "samples", "classes", "version", "statistics", box=None)
    for name, source in _sources(_settings(config, {})).items():
        info = source.info
        fitted = info.colors.digest[:12] if info.colors else "-"
        table.add_row(name, f"{len(source):,}", str(len(info.classes)), info.version[:12], fitted)
    Console().print(table)


@app.command()
def fit(
    dataset: Annotated[str, typer.Argument(help="For instance photos/train.")],
    out: Annotated[
        Path | None, typer.Option(help="The file to write (default NAME.json, here).", dir_okay=False)
    ] = None,
    config: Config = None,
) -> None:
    """Fit the statistics that whitening by colour needs: reads every sample once."""
    given = _settings(config, {}).datasets
    path = out or Path(dataset.replace("/", "-") + ".json")
    console = Console(stderr=True)
    try:
        # without the statistics that the settings name: they are what is being made
        catalog = open_catalog({n: s.model_copy(update={"statistics": None}) for n, s in given.items()}, 0)
        source = catalog.get(dataset)
        with Progress(console=console, disable=not console.is_terminal) as progress:
            task = progress.add_task(f"fitting {dataset}", total=len(source))
            found = fit_statistics(source, lambda done: progress.advance(task, done))
        path.write_text(found.text(), encoding="utf-8")
    except AugsvcError as err:
        _fail(err.message)
    except (ValueError, OSError) as err:
        _fail(str(err))
    left_out = f", {found.left_out:,} left out (they cannot be decoded)" if found.left_out else ""
    typer.echo(f"{path}: {found.count:,} pixels of {found.samples:,} samples{left_out}; digest {found.digest[:12]}")
    if any(dataset in (name, f"{name}/train", f"{name}/test") for name in given):
        typer.echo("name it in the dataset's settings (relative to the settings file): `statistics: …`")


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
    arithmetic = engine.start().result()
    console.print(f"arithmetic {arithmetic or '[red]none[/red]: the self-test fails, see the log'}")
    sound = [_check_dataset(engine, name, every, console) for name in engine.catalog.names()]
    engine.stop()
    if not (arithmetic and all(sound)):
        raise typer.Exit(1)


def _check_dataset(engine: Engine, name: str, every: bool, console: Console) -> bool:
    """Whether a dataset can be served; undecodable samples are named, and are no failure."""
    spec = validate_spec({"dataset": name, "shuffle": False, **_TRIED[engine.catalog.get(name).info.media]})
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
    damaged = f", {len(replaced)} of them not to be decoded and replaced" if replaced else ""
    console.print(f"[green]ok[/green] {name}: {samples} of {stream.samples} samples tried{damaged}")
    if others := stream.source.left_out():
        called = ", ".join(f"{count:,} {suffix or 'without an ending'}" for suffix, count in others.items())
        console.print(f"   [yellow]left out[/yellow] by their names: {escape(called)}", highlight=False)
    info = stream.source.info
    if info.colors and info.colors.dataset == name and info.colors.dataset_version != info.data_version:
        console.print("   [yellow]statistics[/yellow] were fitted on another version of it: fit anew for new runs")
    for index in replaced:
        console.print(f"   [yellow]cannot be decoded[/yellow] {escape(stream.source.describe(index))}", highlight=False)
    return True


def _spec(engine: Engine, dataset: str, pipeline: str | None, **fields: object) -> StreamSpec:
    """From flags; the pipeline is a preset's name, or JSON, or what suits the dataset."""
    pipeline = pipeline or {"image": "standard", "audio": "sound"}[engine.catalog.get(dataset).info.media]
    steps = parse_json(pipeline.encode()) if pipeline.lstrip().startswith("[") else pipeline
    if isinstance(size := fields.get("size"), tuple):
        fields["size"] = list(size)
    return validate_spec({"dataset": dataset, "pipeline": steps, **fields}, engine.operations)


def _engine(settings: Settings) -> Engine:
    catalog = open_catalog(settings.datasets, settings.cache_bytes)
    executor = open_executor(
        settings.executor, settings.torch_device(), settings.kernel_cache, settings.device_cache_bytes
    )
    return Engine(catalog, executor, registry(settings.operations), settings.max_batch_bytes)


def _settings(config: Path | None, flags: dict[str, Any]) -> Settings:
    try:
        return load_settings(config, flags)
    except ValueError as err:
        _fail(str(err))


def _sources(settings: Settings) -> dict[str, Any]:
    try:
        catalog = open_catalog(settings.datasets, 0)
    except ValueError as err:
        _fail(str(err))
    return {name: catalog.get(name) for name in catalog.names()}


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
