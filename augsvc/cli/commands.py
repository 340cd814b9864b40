"""The commands, with their options and help. What a command does is imported when it runs: importing all of it takes 4 s of CPU
time, most of it torch's, and help and completion need none of it. Those that need torch first read what the user may have
mistyped: settings, addresses, datasets."""

from pathlib import Path
from typing import Annotated

import typer

Config = Annotated[Path | None, typer.Option(help="YAML settings file.", exists=True, dir_okay=False)]
Dataset = Annotated[str, typer.Option(help="Dataset, e.g. photos/train.")]
Pipeline = Annotated[
    str | None,
    typer.Option(
        help="Preset, a JSON list of operations, or a YAML or JSON file of them (default: standard for images, sound for audio)."
    ),
]
Size = Annotated[str | None, typer.Option(help="Canvas in pixels: SIDE or HEIGHTxWIDTH.")]
Width = Annotated[
    int | None, typer.Argument(help="Width, where the size is given as --size HEIGHT WIDTH.", show_default=False)
]
Seconds = Annotated[float | None, typer.Option(help="Length of the clips, in seconds.")]
SampleRate = Annotated[int | None, typer.Option(help="Sample rate of the clips, in Hz.")]

CHECK_SAMPLES = 64  # of a dataset
COLUMNS, MAX_PREVIEW_SAMPLES = 8, 64  # of streams/preview.py (a test compares them)

app = typer.Typer(no_args_is_help=True)
datasets_app = typer.Typer(invoke_without_command=True, add_completion=False)


def refuse_former_name(given: bool) -> None:
    """Names the present option to users of the former one."""
    if given:
        raise typer.BadParameter("this option is now --allow-unauthenticated")


@app.command()
def serve(
    config: Config = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on (default 127.0.0.1).")] = None,
    port: Annotated[int | None, typer.Option(help="Port; 0 takes any free one (default 8000).")] = None,
    uds: Annotated[Path | None, typer.Option(help="Unix socket to listen on, instead of host and port.")] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda or cuda:N.")] = None,
    tokens_file: Annotated[Path | None, typer.Option(help="YAML file: client name → token.")] = None,
    allow_unauthenticated: Annotated[
        bool | None, typer.Option(help="Allow unauthenticated access on non-loopback interfaces.")
    ] = None,
    allow_plain: Annotated[bool, typer.Option("--allow-plain", hidden=True, callback=refuse_former_name)] = False,
) -> None:
    """Serve batches until SIGTERM or Ctrl-C."""
    from augsvc.cli.serve import serve

    flags = {"host": host, "port": port, "uds": uds, "device": device}
    serve(config, flags | {"tokens_file": tokens_file, "allow_unauthenticated": allow_unauthenticated})


@app.command()
def ops(
    name: Annotated[str | None, typer.Argument(help="An operation or a preset, to show in detail.")] = None,
    config: Config = None,
) -> None:
    """List the operations, containers and presets, or show one of them."""
    from augsvc.cli.common import read_settings

    settings = read_settings(config, {})
    from augsvc.cli.operations import ops

    ops(name, settings)


@app.command()
def recipes(
    name: Annotated[str | None, typer.Argument(help="A recipe, to print as JSON.")] = None,
) -> None:
    """List published pipelines, or print one of them as fields of a specification."""
    from augsvc.cli.recipes import recipes

    recipes(name)


@app.command()
def preview(
    dataset: Dataset,
    out: Annotated[Path, typer.Option(help="PNG file to write.", dir_okay=False)],
    pipeline: Pipeline = None,
    size: Size = None,
    width: Width = None,
    seconds: Seconds = None,
    sample_rate: SampleRate = None,
    epoch: Annotated[int, typer.Option(help="Epoch index (0-based).")] = 0,
    start: Annotated[int, typer.Option(help="First position in the epoch's order (0-based).")] = 0,
    count: Annotated[int, typer.Option(help="Number of samples.", min=1, max=MAX_PREVIEW_SAMPLES)] = COLUMNS,
    config: Config = None,
) -> None:
    """Render a before/after contact sheet."""
    from augsvc.cli.common import require_folder
    from augsvc.cli.shown import parse_size, read_options

    require_folder("--out", out)
    canvas = {"size": parse_size(size, width), "seconds": seconds, "sample_rate": sample_rate}
    shown = read_options(config, dataset, pipeline, canvas)
    from augsvc.cli.inspect import preview

    preview(shown, out, (epoch, start, count))


@app.command()
def explain(
    dataset: Dataset,
    epoch: Annotated[int, typer.Option(help="Epoch index (0-based).")],
    position: Annotated[int, typer.Option(help="Position in the epoch's order (0-based).", min=0)],
    pipeline: Pipeline = None,
    size: Size = None,
    width: Width = None,
    seconds: Seconds = None,
    sample_rate: SampleRate = None,
    view: Annotated[int, typer.Option(help="View (another draw of the same sample).")] = 0,
    aug_seed: Annotated[int, typer.Option(help="Seed of the draws.")] = 0,
    order_seed: Annotated[int, typer.Option(help="Seed of the epoch's order.")] = 0,
    config: Config = None,
) -> None:
    """Explain one sample: its identity and every drawn parameter."""
    from augsvc.cli.shown import parse_size, read_options

    canvas = {"size": parse_size(size, width), "seconds": seconds, "sample_rate": sample_rate}
    shown = read_options(config, dataset, pipeline, canvas)
    from augsvc.cli.inspect import explain

    explain(shown, {"aug_seed": aug_seed, "order_seed": order_seed}, (epoch, position, view))


@app.command()
def fit(
    dataset: Annotated[str, typer.Argument(help="Dataset, e.g. photos/train.")],
    out: Annotated[Path | None, typer.Option(help="JSON file to write (default ./NAME.json).", dir_okay=False)] = None,
    config: Config = None,
) -> None:
    """Fit the statistics that color whitening needs; reads every sample once."""
    from augsvc.cli.data import fit

    fit(dataset, out, config)


@app.command()
def check(
    datasets: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[DATASET]...", help="Datasets, e.g. flowers or flowers/val; default: all of the settings."
        ),
    ] = None,
    config: Config = None,
    every: Annotated[
        bool, typer.Option("--all", help=f"Read every sample, not only the first {CHECK_SAMPLES}.")
    ] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Fail on undecodable samples, which are replaced.")] = False,
    built_in: Annotated[
        bool, typer.Option("--built-in", help="Check the built-in datasets too, which takes a minute or more.")
    ] = False,
) -> None:
    """Validate the settings, run the self-test, and augment samples of datasets.

    The exit status is 1 if the self-test fails or samples cannot be read, with --strict also if a sample is undecodable; 2 if the
    settings are invalid or a dataset cannot be opened: all of its faults are listed.
    """
    from augsvc.cli.data import check

    check(datasets or [], config, every, strict, built_in)


@app.command()
def doctor(config: Config = None) -> None:
    """Check the set-up of a server: packages, device, memory, kernel cache, decoders, clock, address and datasets.

    Nothing is rendered: `augsvc check` does that. The exit status is 1 if the server could not start or serve.
    """
    from augsvc.cli.doctor import doctor

    doctor(config)


@app.command()
def push(
    folder: Annotated[
        Path, typer.Argument(help="Folder to upload, with a sub-folder a class.", exists=True, file_okay=False)
    ],
    name: Annotated[str, typer.Option(help="Name that the dataset is served as.")],
    url: Annotated[
        str | None, typer.Option(help="Server, or several with commas between (default AUGSVC_URL).")
    ] = None,
    format: Annotated[str, typer.Option(help="image_folder, audio_folder, manifest or webdataset.")] = "image_folder",
    option: Annotated[list[str] | None, typer.Option(help="NAME=VALUE of the format, VALUE in JSON or a text.")] = None,
    wait_s: Annotated[float, typer.Option(help="How long to retry while a server cannot be reached.")] = 300.0,
) -> None:
    """Upload a dataset; one that broke off continues. The token is AUGSVC_TOKEN's, or that of AUGSVC_TOKEN_FILE."""
    from augsvc.cli.push import push

    push(folder, name, url, format, option or [], wait_s)


@app.command("import")
def import_file(
    file: Annotated[
        Path,
        typer.Argument(
            help="What print() shows of a transform of torchvision, Kornia or audiomentations, Albumentations' to_dict as JSON "
            "or YAML, or a configuration of torch-audiomentations; - reads the standard input.",
            show_default=False,
        ),
    ],
    size: Annotated[
        str | None, typer.Option(help="Size of the images that enter the transform: SIDE or HEIGHTxWIDTH.")
    ] = None,
    compared: Annotated[
        bool,
        typer.Option("--compare", help="Run both on two photographs, every range at its low end, middle and high end."),
    ] = False,
    skip_refused: Annotated[bool, typer.Option("--skip-refused", help="Print the pipeline of the rest.")] = False,
) -> None:
    """Translate a transform of torchvision, Albumentations, Kornia, audiomentations or torch-audiomentations into a pipeline.

    Prints the pipeline as JSON, as `recipes` does, and a table of what became of each transform to the standard error.
    """
    from augsvc.cli.convert import import_file

    import_file(file, size, compared, skip_refused)


@datasets_app.callback()
def list_datasets(context: typer.Context, config: Config = None) -> None:
    """List the configured datasets; `inspect` reports what one holds."""
    if context.invoked_subcommand is not None:
        if config is not None:  # which a subcommand would not see
            raise typer.BadParameter(f"give it after `{context.invoked_subcommand}`", param_hint="--config")
    else:
        from augsvc.cli.datasets import list_datasets

        list_datasets(config)


@datasets_app.command("list", hidden=True)  # as many would type it
def list_all_datasets(config: Config = None) -> None:
    """List the configured datasets, as `augsvc datasets` does."""
    from augsvc.cli.datasets import list_datasets

    list_datasets(config)


@datasets_app.command("inspect")
def inspect_dataset(
    name: Annotated[str, typer.Argument(help="Dataset, e.g. photos for all its splits, or photos/train.")],
    html: Annotated[
        Path | None, typer.Option("--html", help="Also write a page with images to this file.", dir_okay=False)
    ] = None,
    config: Config = None,
) -> None:
    """Read every sample of a dataset and report sizes, colours, classes, undecodable samples, duplicates and leaks."""
    from augsvc.cli.datasets import inspect_dataset

    inspect_dataset(name, html, config)


app.add_typer(datasets_app, name="datasets")
