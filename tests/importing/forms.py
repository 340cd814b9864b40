"""Transforms in the forms in which users hand them over, without their libraries."""

import json

from augsvc.importing import Import, import_text


def torchvision(*transforms: str, **given) -> Import:
    return import_text("Compose(\n" + "\n".join(f"      {text}" for text in transforms) + "\n)", **given)


def kornia(*transforms: str, **given) -> Import:
    lines = [f"  ({text.partition('(')[0]}_{i}): {text}" for i, text in enumerate(transforms)]
    return import_text("AugmentationSequential(\n" + "\n".join(lines) + "\n)", **given)


def a(name: str, *transforms: dict, **parameters) -> dict:
    """A transform of Albumentations as `to_dict` writes it."""
    children = {"transforms": list(transforms)} if transforms else {}
    return {"__class_fullname__": name, **parameters, **children}


def albumentations(*transforms: dict, version: str = "2.0.8", **given) -> Import:
    return import_text(json.dumps({"__version__": version, "transform": a("Compose", *transforms, p=1.0)}), **given)


def only(result: Import) -> dict:
    """The one step of a pipeline."""
    (step,) = result.pipeline
    return step


def verdicts(result: Import) -> dict[str, str]:
    return {line.name: str(line.verdict) for line in result.lines}


def notes(result: Import) -> str:
    return "; ".join(note for line in result.lines for note in line.notes)
