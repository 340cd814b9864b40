"""Every operation at every end of what it takes, on canvases and sources of a pixel or a line: defined, by both executors.

Operations, parameters, modes and borders come from the registry, so that a new one is held to this without another line.
"""

from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import product
from typing import Literal, get_args

import numpy as np
import pytest

from augsvc.arrays import Sample
from augsvc.data.source import Source, SourceInfo
from augsvc.errors import SpecInvalid
from augsvc.ops.kinds.image import Move
from augsvc.ops.operation import Kind
from augsvc.ops.registry import registry
from augsvc.planning.spec import validate_spec
from augsvc.streams.probes import PROBES
from augsvc.streams.stream import Stream
from augsvc_client.wire import parse
from tests.harness import ListSource, open_cpu

WORKERS = ThreadPoolExecutor(2)
BOTH = ("fused", "kornia")
NAMES = {
    media: [name for name, op in registry().items() if op.media == media and op.kind is not Kind.MIX]
    for media in ("image", "audio")
}
CANVASES = [(1, 1), (1, 7), (6, 1), (5, 3)]
SOURCES = [(1, 1), (1, 9), (8, 1), (5, 3), (40, 2)]
RATE = 8000
CLIPS = [[0.0], [1.0], [-0.5, 0.25], [0.0] * 9, np.sin(np.arange(300)), [65536.0, -65536.0] * 20, [2.0**-110] * 7]
LENGTHS = [1, 2, 7, 64]  # samples
WHICH = pytest.mark.parametrize("which", ["some", pytest.param("all", marks=pytest.mark.slow)])


def ends(name, which):
    """Settings of an operation, always selected, in each mode: its defaults; all parameters at the low end, the high end and
    the full range; of `all`, each parameter alone there, too.
    """
    operation = registry()[name]
    marks = operation.parameters()
    low, high = ({each: getattr(mark, end) for each, mark in marks.items()} for end in ("low", "high"))
    whole = {each: [low[each], high[each]] for each in marks}
    found = [{}, low, high, whole]
    if which == "all":
        found += [{each: end[each]} for each in marks if len(marks) > 1 for end in (low, high, whole)]
    return [{"op": name, "p": 1.0, **chosen, **end} for chosen in operation.examples for end in found]


def cases(name, which):
    """Settings, each with all borders, canvases and channels; of `some`, each with one of these after the other."""
    field = registry()[name].model_fields.get("border")
    borders = [{"border": each} for each in get_args(field.annotation)] if field else [{}]
    frames = list(product(borders, CANVASES, (3, 1)))
    every = 1 if which == "all" else len(frames) - 1
    return [(step, *frame) for step, frame in product(ends(name, which), frames)][::every]


def scene(height, width, channels):
    """An image with all labels; some of them lie outside, or have no area."""
    pixels = np.random.default_rng(height * 100 + width).integers(0, 256, (height, width, channels), dtype=np.uint8)
    boxes = [[0, 0, width, height], [0.25, 0.25, 0.5, 0.75], [0.5, 0.5, 0.5, 0.5], [-3, -3, 9, 9]]
    return Sample(
        pixels,
        0,
        mask=pixels[..., 0] % 4,
        boxes=np.array(boxes, np.float32),
        box_labels=np.arange(4),
        boxes_valid=np.array([True, True, True, False]),
        keypoints=np.array([[0, 0], [width, height], [width / 2, height / 2]], np.float32),
        keypoints_valid=np.ones(3, bool),
    )


class Short(Source):
    """Clips of very few samples, silent, loud beyond bounds and softer than counts."""

    info = SourceInfo(name="short", version="1", classes=("a",), channels=1, size=None, media="audio")

    def __len__(self):
        return len(CLIPS)

    def read(self, index):
        return Sample(None, 0, audio=np.array(CLIPS[index], np.float32), rate=RATE)

    def labels(self):
        return np.zeros(len(CLIPS), dtype=np.int64)

    def describe(self, index):
        return str(index)


@cache
def scenes(channels):
    colors = PROBES["probe" if channels == 3 else "grey_probe"].info.colors
    return ListSource([scene(*size, channels) for size in SOURCES], colors)


def produced(stream, start=0, count=None):
    body = stream.produce(1, start, count or stream.samples, 0, WORKERS, lambda: None)
    return parse(body.buffer)[0]


def open_stream(name, steps, canvas, channels, fit="stretch"):
    fields = {"dataset": "list", "pipeline": steps, "size": list(canvas), "fit": fit, "shuffle": False}
    return Stream.open(validate_spec(fields), scenes(channels), open_cpu(name))


def render(name, steps, canvas, channels, start=0, count=None, fit="stretch"):
    return produced(open_stream(name, steps, canvas, channels, fit), start, count)


@cache
def plain(name, canvas, channels):
    """The images without operations, rendered once for all tests."""
    return render(name, [], canvas, channels)


def open_clips(name, steps, length):
    frame = {"seconds": length / RATE, "sample_rate": RATE, "shuffle": False}
    return Stream.open(validate_spec({"dataset": "short", "pipeline": steps, **frame}), Short(), open_cpu(name))


def assert_defined(found, canvas):
    """Labels that hold are finite and on the canvas; the rest reads 0."""
    height, width = canvas
    assert set(np.unique(found["mask"]).tolist()) <= {0, 1, 2, 3, 255}
    for name, sides in (("boxes", [width, height] * 2), ("keypoints", [width, height])):
        held = found[name + "_valid"]
        assert np.isfinite(found[name]).all()
        assert (found[name][held] >= 0).all() and (found[name][held] <= sides).all()
        assert not found[name][~held].any()
    assert not found["boxes_valid"][:, 3].any(), "what was not valid stays so"


def assert_same(whole, parts):
    for name, array in whole.items():
        assert array.tobytes() == np.concatenate([part[name] for part in parts]).tobytes(), name


@WHICH
@pytest.mark.parametrize("name", NAMES["image"])
def test_images_at_every_end_are_defined_alone_and_together_and_the_executors_agree(name, which):
    for number, (step, border, canvas, channels) in enumerate(cases(name, which)):
        cut = number % (len(SOURCES) - 1) + 1
        found = {}
        for each in BOTH:
            stream = open_stream(each, [step | border], canvas, channels)
            whole = found[each] = produced(stream)
            assert_defined(whole, canvas)
            parts = [produced(stream, *part) for part in ((0, cut), (cut, len(SOURCES)))]
            assert_same(whole, parts)
        # a level of difference from the resample onto the canvas would become a jump
        rows = [at for at, size in enumerate(SOURCES) if registry()[name].continuous or size == canvas]
        fused, kornia = (found[each].pop("image")[rows].astype(int) for each in BOTH)
        assert np.abs(fused - kornia).max(initial=0) <= 1, (step, border, canvas, channels)
        assert_same(found["fused"], [found["kornia"]])


@WHICH
@pytest.mark.parametrize("name", NAMES["audio"])
@pytest.mark.parametrize("length", LENGTHS)
def test_sound_at_every_end_is_finite_alone_and_together_and_the_same_by_both_executors(name, length, which):
    for number, step in enumerate(ends(name, which)):
        fused, kornia = (open_clips(each, [step], length) for each in BOTH)
        whole = produced(fused)
        assert np.isfinite(whole["audio"]).all(), step
        assert_same(whole, [produced(kornia)])
        at = number % (len(CLIPS) - 2) + 1  # the clip that is alone
        assert_same(whole, [produced(fused, *part) for part in ((0, at), (at, 1), (at + 1, len(CLIPS) - at - 1))])
        assert not whole["audio"][0].any(), "a silent clip stays silent"


@pytest.mark.parametrize("each", BOTH)
@pytest.mark.parametrize("canvas", CANVASES, ids=str)
def test_p_0_is_as_without_the_operation(each, canvas):
    for channels in (1, 3):
        for name in NAMES["image"]:
            assert_same(plain(each, canvas, channels), [render(each, [{"op": name, "p": 0.0}], canvas, channels)])


MORE_IDENTITIES = [{"op": "affine", "degrees": [360, 360], "translate_x": 0, "translate_y": 0, "scale": 1}]
MORE_IDENTITIES += [{"op": "rotation", "degrees": -360}]


def identities(media):
    """Where an operation changes nothing, as its class states: in each of its examples."""
    return [
        {"op": name, **example, **registry()[name].identity}
        for name in NAMES[media]
        if registry()[name].identity is not None
        for example in registry()[name].examples
    ]


@pytest.mark.parametrize("each", BOTH)
@pytest.mark.parametrize("step", identities("image") + MORE_IDENTITIES, ids=lambda step: step["op"])
def test_at_its_identity_an_operation_changes_no_image(step, each):
    for canvas, channels in (((1, 1), 3), ((4, 4), 1), ((4, 4), 3), ((1, 7), 1), ((6, 1), 3)):
        assert_same(plain(each, canvas, channels), [render(each, [step], canvas, channels)])


@pytest.mark.parametrize("each", BOTH)
@pytest.mark.parametrize("step", identities("audio"), ids=lambda step: step["op"])
def test_at_its_identity_an_operation_changes_no_clip(step, each):
    for length in LENGTHS:
        plain_clips, changed = (produced(open_clips(each, steps, length)) for steps in ([], [step]))
        assert_same(plain_clips, [changed])


# The result of an operation at full strength, for every image.
ALL = [
    ({"op": "erasing", "scale": 1, "ratio": 1, "value": 0.6}, 153),
    ({"op": "pixel_dropout", "rate": 1, "value": 0.2}, 51),
    ({"op": "color_jitter", "brightness": 0, "contrast": 1, "saturation": 1, "hue": 0}, 0),
    ({"op": "color_jitter", "brightness": 1, "contrast": 0, "saturation": 1, "hue": 0}, 128),
    ({"op": "color_shift", "shift": 1}, 255),
    ({"op": "color_shift", "shift": -1}, 0),
    ({"op": "affine", "degrees": 0, "translate_x": 1, "translate_y": 0, "scale": 1}, 0),  # all of it out of sight
]


@pytest.mark.parametrize("each", BOTH)
@pytest.mark.parametrize(("step", "level"), ALL, ids=lambda value: value["op"] if isinstance(value, dict) else "")
def test_with_all_strength_nothing_is_left(step, level, each):
    for canvas in ((1, 1), (4, 4)) if step["op"] == "erasing" else CANVASES:
        for channels in (1, 3):
            assert (render(each, [step], canvas, channels)["image"] == level).all(), (canvas, channels)


# --- matrices of somebody's own that cannot be


class Own(Move):
    """A matrix as it is."""

    op: Literal["own"] = "own"
    name: str

    def matrix(self, draw, canvas):
        return np.broadcast_to(MATRICES[self.name], (len(draw.selected), 3, 3))


MATRICES = {
    "zeros": np.zeros((3, 3)),
    "a line": np.array([[1.0, 1, 0], [1, 1, 0], [0, 0, 1]]),
    "a point": np.diag([0.0, 0, 1]),
    "no depth": np.diag([1.0, 1, 0]),
    "no height": np.diag([1.0, 0, 1]),
    "not a number": np.full((3, 3), np.nan),
    "endless": np.diag([np.inf, 1, 1]),
    "beyond numbers": np.diag([1e-200, 1e-200, 1]),
    "an endless crop": np.diag([1e300, 1e300, 1]),
}
BOUNDED = {
    "behind": np.diag([1.0, 1, -1]),
    "very small": np.diag([1e-30, 1e-30, 1]),
    "very large": np.diag([1e30, 1e30, 1]),
    "far away": np.array([[1.0, 0, 1e30], [0, 1, 0], [0, 0, 1]]),
    "nearly a line": np.array([[1.0, 1, 0], [1, 1 + 1e-12, 0], [0, 0, 1]]),
    "steep": np.array([[1.0, 0, 0], [0, 1, 0], [1e12, 0, 1]]),
}
MATRICES |= BOUNDED
KNOWN = {**registry(), "own": Own}


def through(name, each, border, p=1.0, fit="stretch"):
    step = {"op": "own", "name": name, "border": border, "p": p}
    fields = {"dataset": "list", "pipeline": [step], "size": [5, 3], "fit": fit, "shuffle": False}
    return produced(Stream.open(validate_spec(fields, KNOWN), scenes(3), open_cpu(each)))


@pytest.mark.parametrize("each", BOTH)
@pytest.mark.parametrize("name", MATRICES)
def test_a_matrix_that_cannot_be_inverted_is_refused_and_any_other_is_defined(name, each):
    for border in ("zeros", "reflect", "reflect101", "edge"):
        if name in BOUNDED:
            assert_defined(through(name, each, border), (5, 3))
            continue
        with pytest.raises(SpecInvalid, match="combined scale is out of range") as refused:
            through(name, each, border)
        assert (refused.value.status, refused.value.field) == (422, "pipeline")
        assert_same(through(name, each, border, p=0.0), [plain(each, (5, 3), 3)])


@pytest.mark.parametrize("name", BOUNDED)
def test_the_executors_agree_on_what_lies_beyond_bounds(name):
    for border in ("zeros", "reflect", "reflect101", "edge"):
        found = [through(name, each, border) for each in BOTH]
        images = [each.pop("image").astype(int) for each in found]
        if (name, border) != ("far away", "reflect"):  # in float32 the pixel among many reflections is not exact
            assert np.abs(images[0] - images[1]).max() <= 1, border
        assert_same(found[0], [found[1]])
