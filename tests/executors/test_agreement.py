"""`fused` agrees with `kornia`, the reference: each operation on photographs, within its golden values and what is promised.

After a deliberate change: `make golden`.
"""

from functools import cache
from math import ceil

import numpy as np
import pytest

from augsvc.data.catalog import open_catalog
from augsvc.ops.kinds.image import Frame, Move, Warp
from augsvc.ops.registry import registry
from tests.golden_files import SHARED, examples, read_golden
from tests.harness import ListSource, as_samples, over, patch, photo, using

MEAN, PERCENTILE = 0.5, 2  # grey levels: what is promised for any operation
PHOTOS = ("astronaut", "chelsea", "coffee")
SIZE = (224, 224)
COLORS = open_catalog({}, 0).get("photos/train").info.colors  # opened once: 40 ms


@cache
def cases() -> dict[tuple[str, str], list[dict[str, object]] | str]:
    """Each operation alone, its examples at the defaults and, unless it moves, with drawn parameters at full range; and each
    border and preset.
    """
    pipelines: dict[tuple[str, str], list[dict[str, object]] | str] = {}
    for name, example, step in examples("image"):
        operation = registry()[name]
        limits = {parameter: [mark.low, mark.high] for parameter, mark in operation.parameters().items()}
        pipelines[name, example] = [{"p": 1.0, **step}]
        if not issubclass(operation, (Frame, Move, Warp)):
            pipelines[name, f"{example}, full ranges"] = [{"p": 1.0, **step, **limits}]
    for border in ("zeros", "reflect", "edge"):
        wild = {"op": "affine", "degrees": [-180, 180], "scale": [0.3, 3], "shear_x": [-20, 20], "border": border}
        pipelines[SHARED, f"any move, `{border}`"] = [wild]
        pipelines[SHARED, f"the same in a second pass, `{border}`"] = [{"op": "gaussian_noise"}, wild]
    return pipelines | {(SHARED, f"preset `{name}`"): name for name in ("none", "light", "standard", "strong")}


def measure(name, case) -> tuple[float, int, int]:
    """Mean, 99.9th percentile and maximum of the difference, in grey levels.

    An operation with jumps gets images of the canvas's size: a level of difference from a resample would become a jump.
    """
    continuous = name == SHARED or registry()[name].continuous
    photos = [photo(image) if continuous else patch(image, *SIZE) for image in PHOTOS]
    source = ListSource(as_samples(cases()[name, case], photos), COLORS)
    rendered = []
    for executor in ("fused", "kornia"):
        with using(executor):
            stream = over(source, cases()[name, case], size=list(SIZE), aug_seed=1)
            rendered.append(np.concatenate([stream.images(epoch=epoch) for epoch in range(4)]).astype(int))
    difference = np.abs(rendered[0] - rendered[1])
    return float(difference.mean()), ceil(np.percentile(difference, 99.9)), int(difference.max())


@cache
def golden():
    """Read once: 160 files."""
    return read_golden(["agreement"])


@pytest.mark.parametrize(("name", "case"), cases())
def test_each_operation_agrees_as_its_golden_values_say(name, case):
    mean, percentile, most = measure(name, case)
    assert mean <= MEAN and percentile <= PERCENTILE
    stated = golden()[name]["agreement"][case]
    assert mean <= stated[0] and percentile <= stated[1] and most <= stated[2]


def test_the_golden_values_hold_every_case_and_no_other():
    stated = {(name, case) for name, values in golden().items() for case in values["agreement"]}
    assert stated == set(cases())


def everything():
    """What is stated: the mean rounded up to thousandths of a level."""
    values: dict[str, dict] = {}
    for name, case in cases():
        mean, percentile, most = measure(name, case)
        stated = [ceil(mean * 1000 + 0.5) / 1000, percentile, most]
        values.setdefault(name, {"agreement": {}})["agreement"][case] = stated
    return values
