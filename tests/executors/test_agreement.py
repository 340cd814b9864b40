"""`fused` agrees with `kornia`, which defines what is right: each operation on photographs, within what docs/executors.md says.

After a deliberate change: `make golden` writes the table again.
"""

import re
import sys
from math import ceil
from pathlib import Path

import numpy as np
import pytest

from augsvc.arrays import Sample
from augsvc.data.catalog import open_catalog
from augsvc.ops.kinds.image import Move
from augsvc.ops.registry import registry
from tests.harness import ListSource, over, photo, using

DOCUMENT = Path(__file__).parent.parent.parent / "docs" / "executors.md"
MEAN, PERCENTILE = 0.5, 2  # grey levels: what is promised for any operation
PHOTOS = ("astronaut", "chelsea", "coffee")
SIZE = [224, 224]


def cases():
    """Each operation alone at its defaults and, drawn parameters at full range, beneath others; and each way of moving."""
    rows = {}
    for name, operation in registry().items():
        if operation.media != "image":
            continue
        for mode in operation.examples:
            called = ", ".join([f"`{name}`", *map(str, mode.values())])
            ends = {parameter: [mark.low, mark.high] for parameter, mark in operation.parameters().items()}
            rows[called] = [{"op": name, "p": 1.0, **mode}]
            if not issubclass(operation, Move):
                rows[f"{called}, full ranges"] = [{"op": name, "p": 1.0, **mode, **ends}]
    for border in ("zeros", "reflect", "edge"):
        wild = {"op": "affine", "degrees": [-180, 180], "scale": [0.3, 3], "shear_x": [-20, 20], "border": border}
        rows[f"any move, `{border}`"] = [wild]
        rows[f"the same in a second pass, `{border}`"] = [{"op": "gaussian_noise"}, wild]
    return rows | {f"preset `{name}`": name for name in ("none", "light", "standard", "strong")}


def measured(pipeline) -> tuple[float, int, int]:
    """Mean, 99.9th percentile and maximum of the difference, in grey levels."""
    source = ListSource(
        [Sample(photo(each), 0) for each in PHOTOS], open_catalog({}, 0).get("photos/train").info.colors
    )
    images = []
    for name in ("fused", "kornia"):
        with using(name):
            stream = over(source, pipeline, size=SIZE, aug_seed=1)
            images.append(np.concatenate([stream.images(epoch=epoch) for epoch in range(4)]).astype(int))
    distance = np.abs(images[0] - images[1])
    return float(distance.mean()), ceil(np.percentile(distance, 99.9)), int(distance.max())


def stated() -> dict[str, tuple[float, int, int]]:
    rows = re.findall(r"^\| (.+?) \| ([\d.]+) \| (\d+) \| (\d+) \|$", DOCUMENT.read_text(encoding="utf-8"), re.M)
    return {name: (float(mean), int(percentile), int(most)) for name, mean, percentile, most in rows}


@pytest.mark.parametrize("name", cases())
def test_each_operation_agrees_as_the_document_says(name):
    mean, percentile, most = measured(cases()[name])
    assert mean <= MEAN and percentile <= PERCENTILE
    said = stated()[name]
    assert mean <= said[0] and percentile <= said[1] and most <= said[2]


def test_the_document_says_it_of_every_operation_and_of_nothing_else():
    assert set(stated()) == set(cases())


def table() -> str:
    lines = ["| operation | mean | 99.9th percentile | most |", "|---|---|---|---|"]
    for name, pipeline in cases().items():
        mean, percentile, most = measured(pipeline)
        lines.append(f"| {name} | {ceil(mean * 1000 + 0.5) / 1000:.3f} | {percentile} | {most} |")
    return "\n".join(lines)


if __name__ == "__main__":
    text = DOCUMENT.read_text(encoding="utf-8")
    start, stop = text.index("| operation |"), text.rindex("|\n") + 1
    DOCUMENT.write_text(text[:start] + table() + text[stop:], encoding="utf-8")
    sys.stdout.write(f"{DOCUMENT.name}: written\n")
