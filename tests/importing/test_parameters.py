"""Whatever parameters a transform has, it is translated or refused: nothing else is raised."""

import json
import random

import pytest

from augsvc.importing import CannotRead, import_text
from augsvc.importing.translate import TABLES
from tests.importing.forms import a, albumentations

RUNS = 400
VALUES = (
    True, 0, 1, -1, 3, 0.5, 1e308, -1e9, float("nan"), float("inf"), 10**30, "x", "", "nearest", "constant", [], [1], [1, 2],
    [2, 1], [0.1, 0.9], [1, 2, 3], [1, 2, 3, 4], [[1, 2]], [True, False], [None], {"x": [1, 2], "y": [0, 0]}, {"x": 1}, {"z": 3},
)  # fmt: skip
NAMES = [
    "p",
    "scale",
    "ratio",
    "size",
    "height",
    "width",
    "limit",
    "rotate",
    "shear",
    "translate",
    "translate_px",
    "translate_percent",
    "fill",
    "border_mode",
    "interpolation",
    "blur_limit",
    "sigma_limit",
    "std_range",
    "mean",
    "std",
    "brightness",
    "contrast",
    "saturation",
    "hue",
    "num_bits",
    "bits",
    "threshold",
    "threshold_range",
    "cutoff",
    "method",
    "mode",
    "alpha",
    "quality",
    "quality_range",
    "num_holes_range",
    "hole_height_range",
    "max_size",
    "min_height",
    "min_width",
    "n",
    "replace",
    "degrees",
    "kernel_size",
    "sigma",
    "padding",
    "padding_mode",
    "thresholds",
    "additions",
    "sharpness",
    "times",
    "angle",
    "direction",
    "value",
    "random_apply",
    "lambda_val",
    "num_ops",
    "magnitude",
    "policy",
    "options",
    "min_scale",
    "side_range",
    "distortion_scale",
    "expand",
    "center",
    "dtype",
    "keep_ratio",
    "scale_limit",
]


def parameters(draw: random.Random) -> dict:
    return {name: draw.choice(VALUES) for name in draw.sample(NAMES, draw.randint(0, 8))}


def printed(draw: random.Random, library: str, depth: int = 0) -> str:
    """A transform with any parameters, as `print` would show it."""
    items = [f"{name}={value!r}" for name, value in parameters(draw).items()]
    if depth < 3 and draw.random() < 0.3:
        items += [printed(draw, library, depth + 1) for _ in range(draw.randint(0, 3))]
    return f"{draw.choice(sorted(TABLES[library].translators))}({', '.join(items)})"


def is_translated(text: str, draw: random.Random) -> bool:
    try:
        import_text(text, draw.choice([None, (64, 64)])).fields()
    except CannotRead:
        return False
    return True


def test_serialised_forms():
    draw = random.Random(1)
    names = sorted(TABLES["albumentations"].translators)
    for _ in range(RUNS):
        children = [a(draw.choice(names), **parameters(draw)) for _ in range(draw.randint(0, 2))]
        root = a("Compose", a(draw.choice(names), *children, **parameters(draw)), p=1.0)
        assert is_translated(json.dumps({"__version__": "2.0.8", "transform": root}), draw) in (True, False)


@pytest.mark.parametrize(("library", "root"), [("torchvision", "Compose"), ("kornia", "AugmentationSequential")])
def test_printed_forms(library, root):
    draw = random.Random(1)
    for _ in range(RUNS):
        text = f"{root}({printed(draw, library)})"
        if draw.random() < 0.3:
            place = draw.randrange(len(text))
            text = text[:place] + draw.choice("()[]{},=:'<>$\n x1") + text[place + 1 :]
        assert is_translated(text, draw) in (True, False)


@pytest.mark.parametrize("name", sorted(TABLES["albumentations"].translators))
def test_the_defaults_of_a_class_are_read(name):
    """Without parameters those of the library apply: none of them is a number of another type."""
    sides = {"height": 8, "width": 8} if "Crop" in name or name == "Resize" else {}
    assert albumentations(a(name, **sides)).lines
