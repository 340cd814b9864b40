"""The options of `augsvc preview` and `explain`: which samples are shown, and by which pipeline."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from augsvc.cli.common import fail, find_source, read_settings, report_errors
from augsvc.data.catalog import Catalog, open_catalog
from augsvc.errors import BadJson, SpecInvalid
from augsvc.ops.presets import FILE_ENDINGS
from augsvc.settings import Settings
from augsvc.validation import parse_json
from augsvc_client.specification import read_size
from augsvc_client.strict_yaml import describe_yaml_error, load_yaml


@dataclass(frozen=True, slots=True)
class Shown:
    """What the options name: a dataset that is open, and fields of a specification, not yet validated."""

    settings: Settings
    catalog: Catalog
    dataset: str
    fields: dict[str, object]


def read_options(config: Path | None, dataset: str, pipeline: str | None, canvas: Mapping[str, object]) -> Shown:
    """The dataset and the fields; exits with status 2 on errors.

    The pipeline is a preset's name, JSON, or a file, whose other fields apply where `canvas` has none; None leaves it to
    the medium's default preset.
    """
    settings = read_settings(config, {})
    with report_errors():
        catalog = open_catalog(settings.datasets, settings.cache_bytes)
        find_source(catalog, dataset)
        given = read_pipeline(pipeline) if pipeline else {}
    fields = {name: value for name, value in canvas.items() if value is not None}
    return Shown(settings, catalog, dataset, {**given, "dataset": dataset, **fields})


def parse_size(size: str | None, width: int | None) -> list[int] | None:
    """The canvas as [height, width]; exits with status 2 if it is no size."""
    text = " ".join(str(given) for given in (size, width) if given is not None)
    sides = read_size(text)
    if text and (size is None or sides is None):
        fail(f"--size takes SIDE or HEIGHTxWIDTH in pixels, for example 96x64, got {text!r}")
    return list(sides) if sides else None


def read_pipeline(text: str) -> dict[str, object]:
    """The fields of a specification that a preset's name, a JSON list, or a file of a list or of fields gives.

    Raises:
        SpecInvalid: the file cannot be read, or is neither.
        BadJson: the text begins as a list, and is no JSON.
    """
    if text.lstrip().startswith("["):
        return {"pipeline": parse_json(text.encode(), "--pipeline")}
    if not text.endswith(FILE_ENDINGS):
        return {"pipeline": text}
    try:
        content = Path(text).read_text(encoding="utf-8")
        value = parse_json(content.encode()) if text.endswith(".json") else load_yaml(content)
    except BadJson as err:
        raise SpecInvalid(f"--pipeline {text} is not JSON: check brackets, quotes and repeated keys") from err
    except (OSError, ValueError, yaml.YAMLError) as err:
        reason = err.strerror if isinstance(err, OSError) else describe_yaml_error(err)
        raise SpecInvalid(f"--pipeline {text} cannot be read: {reason}") from err
    if isinstance(value, list):
        return {"pipeline": value}
    if not isinstance(value, dict) or "pipeline" not in value:
        raise SpecInvalid(
            f"--pipeline {text} must hold a list of operations, or fields of a specification with `pipeline`"
        )
    return value
