"""Autocontrast and equalize against Pillow, byte for byte; tables of bytes and tables by channel."""

from typing import ClassVar, Literal

import numpy as np
import pytest
from PIL import Image, ImageOps

from augsvc.ops.kinds.image import TABLE_ENTRIES, Tone, byte_table
from augsvc.ops.registry import registry
from augsvc.planning.spec import validate_spec
from augsvc.streams.stream import Stream
from tests.harness import ListSource, Run, Sample, executor, grey, one, patch, photo, plain, run

pytestmark = pytest.mark.usefixtures("each_executor")


def by_pillow(function, image, *arguments):
    pixels = image[..., 0] if image.shape[2] == 1 else image
    return np.asarray(function(Image.fromarray(np.ascontiguousarray(pixels)), *arguments)).reshape(image.shape)


def narrow(image, low, high):
    """Its levels squeezed into low … high, other ones in each channel."""
    ends = np.array([[low, high], [low + 9, high - 20], [low, high - 50]])[: image.shape[2]]
    return (ends[:, 0] + image * ((ends[:, 1] - ends[:, 0]) / 255)).astype(np.uint8)


IMAGES = [
    patch("astronaut", 61, 83),
    narrow(patch("coffee", 61, 83), 40, 190),
    plain(77, 61, 83),
    np.where(patch("coffee", 61, 83) > 99, 130, 128).astype(np.uint8),
    patch("chelsea", 61, 83) // 64 * 64,
    np.random.default_rng(0).integers(0, 256, (61, 83, 3), dtype=np.uint8),
]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("cutoff", [0, 0.5, 2, 10, 33.3, 49.9, 50])
def test_autocontrast_is_pillows(cutoff, channels):
    images = [image[..., :channels] for image in IMAGES]
    expected = [by_pillow(ImageOps.autocontrast, image, cutoff) for image in images]
    np.testing.assert_array_equal(run([{"op": "autocontrast", "cutoff": cutoff}], images).images(), expected)


@pytest.mark.parametrize("channels", [1, 3])
def test_equalize_is_pillows(channels):
    images = [image[..., :channels] for image in IMAGES]
    expected = [by_pillow(ImageOps.equalize, image) for image in images]
    np.testing.assert_array_equal(run([{"op": "equalize"}], images).images(), expected)


@pytest.mark.parametrize("op", ["autocontrast", "equalize"])
def test_canvases_of_few_pixels_are_pillows(op):
    """Pillow leaves a channel alone whose steps would be empty."""
    for height, width in ((1, 1), (1, 7), (6, 1), (15, 17), (16, 16), (16, 17)):
        image = patch("astronaut", height, width)
        np.testing.assert_array_equal(one([{"op": op}], image), by_pillow(getattr(ImageOps, op), image))


def test_a_drawn_cutoff_is_that_of_the_receipt():
    images = [patch("coffee", 40, 50, top=20 * k) for k in range(8)]
    stream = run([{"op": "autocontrast", "cutoff": [0, 20]}], images)
    for at, found in enumerate(stream.images()):
        expected = by_pillow(ImageOps.autocontrast, images[at], stream.draws(at)["cutoff"])
        np.testing.assert_array_equal(found, expected)


def test_statistics_are_those_of_the_incoming_pixels():
    """After a flip, a grey wash and a blur, whose results are rounded to levels before they are counted."""
    image = patch("astronaut", 64, 48)
    steps = [{"op": "horizontal_flip", "p": 1}, {"op": "color_shift", "shift": -0.2}]
    before = one(steps, image)
    for op in ("autocontrast", "equalize"):
        found = one([*steps, {"op": op}], image)
        np.testing.assert_array_equal(found, by_pillow(getattr(ImageOps, op), before))


@pytest.mark.parametrize("op", ["autocontrast", "equalize"])
def test_a_sample_does_not_depend_on_the_others_of_its_batch(op):
    stream = run([{"op": "gaussian_blur"}, {"op": op, "p": 0.5}, {"op": "gamma"}, {"op": op, "id": "again"}], IMAGES)
    together = stream.images()
    for at in range(len(IMAGES)):
        np.testing.assert_array_equal(stream.images(start=at, count=1)[0], together[at])


LEVELS = np.random.default_rng(1).integers(0, 256, (3, 256))


class Byte(Tone):
    """A function of bytes with jumps everywhere, for each channel another one, or for all channels one."""

    continuous: ClassVar[bool] = False
    op: Literal["byte"] = "byte"
    by_channel: bool = True

    def table(self, draw, canvas, statistics):
        levels = LEVELS[: canvas.channels] if self.by_channel else LEVELS[0]
        return np.repeat(byte_table(levels)[None], len(draw.selected), axis=0)


KNOWN = {**registry(), "byte": Byte}


def through(steps, image):
    spec = {"dataset": "list", "pipeline": steps, "shuffle": False, "output": {"layout": "NHWC"}}
    return Run(Stream.open(validate_spec(spec, KNOWN), ListSource([Sample(image, 0)]), executor())).images()[0]


def all_bytes(channels):
    return np.stack([np.roll(np.arange(256, dtype=np.uint8), 85 * c).reshape(16, 16) for c in range(channels)], axis=-1)


def apply_levels(image, by_channel=True):
    return np.stack([LEVELS[c if by_channel else 0][image[..., c]] for c in range(image.shape[2])], axis=-1)


def test_both_entries_between_which_a_byte_is_read_are_its_own():
    levels = byte_table(np.arange(256.0)) * 255
    assert levels.shape == (TABLE_ENTRIES,)
    for byte in range(256):
        left = min(byte * (TABLE_ENTRIES - 1) // 255, TABLE_ENTRIES - 2)
        assert levels[left : left + 2].tolist() == [byte, byte] or byte * (TABLE_ENTRIES - 1) % 255 == 0
        assert levels[-(-byte * (TABLE_ENTRIES - 1) // 255)] == byte


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("by_channel", [False, True])
def test_a_table_of_bytes_is_exact(by_channel, channels):
    image = all_bytes(channels)
    found = through([{"op": "byte", "by_channel": by_channel}], image)
    np.testing.assert_array_equal(found, apply_levels(image, by_channel))


@pytest.mark.parametrize("by_channel", [False, True])
def test_jumps_are_not_read_through_another_table(by_channel):
    """One through the other, of 1025 entries, would give ramps at the second one's jumps."""
    image = all_bytes(3)
    step = {"op": "byte", "by_channel": by_channel}
    once = apply_levels(image, by_channel)
    found = through([step, {**step, "id": "again"}], image)
    np.testing.assert_array_equal(found, apply_levels(once, by_channel))
    found = through([{"op": "gamma", "gamma": 1}, step, {"op": "color_shift", "shift": 0}, step], image)
    np.testing.assert_array_equal(found, apply_levels(once, by_channel))
    after = one([{"op": "gamma", "gamma": 0.7}], once.astype(np.uint8))
    found = through([step, {"op": "gamma", "gamma": 0.7}], image)  # a continuous one after it is merged
    assert np.abs(found - after.astype(int)).max() <= 1


def test_one_table_and_those_of_channels_compose():
    image = narrow(photo("astronaut"), 40, 190)
    for steps in (["gamma", "autocontrast"], ["autocontrast", "gamma"]):
        found = one([{"op": op} | ({"gamma": 2} if op == "gamma" else {}) for op in steps], image)
        expected = image
        for op in steps:
            step = {"op": op} | ({"gamma": 2} if op == "gamma" else {})
            expected = one([step], expected)
        assert np.abs(found - expected.astype(int)).max() <= (1 if steps[0] == "autocontrast" else 3)
    assert one([{"op": "equalize"}], grey(image)).shape == grey(image).shape
