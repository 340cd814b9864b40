"""What an operator's own operation may get wrong, and what the executors make of it."""

from concurrent.futures import ThreadPoolExecutor
from typing import Literal

import numpy as np
import pytest

from augsvc.arrays import Sample
from augsvc.ops.kinds.image import UNIT_BITS, Erase, Filter
from augsvc.ops.registry import registry
from augsvc.planning.spec import validate_spec
from augsvc.streams.stream import Stream
from augsvc_client.wire import parse
from tests.harness import ListSource, executor

pytestmark = pytest.mark.usefixtures("each_executor")
HEIGHT, WIDTH = 4, 6
GREY = 200


class Outside(Erase):
    """Rectangles that the canvas has nothing or a part of."""

    op: Literal["outside"] = "outside"
    box: tuple[int, int, int, int]

    def rectangles(self, draw, canvas):
        return np.tile(np.array([[self.box]]), (len(draw.selected), 1, 1))

    def fill(self, draw, canvas):
        return np.full((len(draw.selected), canvas.channels), 1 << UNIT_BITS)


class Weights(Filter):
    """Any weights, along both axes or dense."""

    op: Literal["weights"] = "weights"
    line: tuple[int, ...]
    dense: bool = False

    def kernels(self, draw, canvas):
        kernel = np.array(self.line)
        if self.dense:
            kernel = np.pad(kernel[None], ((len(kernel) // 2, len(kernel) // 2), (0, 0)))
        return np.tile(kernel, (len(draw.selected), *[1] * kernel.ndim))


def pixels(step):
    """Two grey images through it: (2, 4, 6)."""
    source = ListSource([Sample(np.full((HEIGHT, WIDTH, 3), GREY, np.uint8), 0)] * 2)
    known = {**registry(), "outside": Outside, "weights": Weights}
    spec = {"dataset": "list", "pipeline": [step], "size": [HEIGHT, WIDTH], "shuffle": False}
    stream = Stream.open(validate_spec(spec, known), source, executor())
    with ThreadPoolExecutor(1) as workers:
        return parse(stream.produce(0, 0, 2, 0, workers, lambda: None).buffer)[0]["image"]


@pytest.mark.parametrize(
    "box",
    [
        (5, 0, 8, 1), (-3, 0, 2, 1), (0, -5, 1, 2), (2, 3, 3, 9), (-9, -9, 99, 99),
        (6, 0, 9, 4), (-9, 0, -1, 4), (0, 4, 6, 9), (0, -9, 6, -1), (4, 2, 1, 3), (-(1 << 50), 1, 1 << 50, 2),
    ],
)  # fmt: skip
def test_a_rectangle_ends_where_the_canvas_does(box):
    x1, y1, x2, y2 = box
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    expected = np.where((x1 <= x) & (x < x2) & (y1 <= y) & (y < y2), 255, GREY)
    np.testing.assert_array_equal(
        pixels({"op": "outside", "box": box}), np.broadcast_to(expected, (2, 3, HEIGHT, WIDTH))
    )


@pytest.mark.parametrize("dense", [False, True])
@pytest.mark.parametrize("line", [(40000, 40000, 40000), (100, 65000, 100), (0, 0, 0)])
def test_weights_that_are_not_one_in_all_are_refused(line, dense):
    with pytest.raises(ValueError, match="weights: the weights of a filter must sum to 65536"):
        pixels({"op": "weights", "line": line, "dense": dense})


def test_negative_weights_along_both_axes_are_refused():
    with pytest.raises(ValueError, match=r"weights: .* not be negative"):
        pixels({"op": "weights", "line": (-1000, 67536, -1000)})
    assert (pixels({"op": "weights", "line": (-1000, 67536, -1000), "dense": True}) == GREY).all()
