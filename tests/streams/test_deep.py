"""Sources of 16 bits through both executors into every kind of output: no stage reduces them to 8."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch

from augsvc.arrays import Sample
from augsvc.streams.selftest import SelfTest
from tests.harness import ListSource, executor, over, patch, run, using

WHITE = 65280
RAMP = np.rint(np.arange(200) * WHITE / 200).astype(np.uint16)  # 1000 … 1199 through the window [1000, 1200]
EXECUTORS = ("fused", "kornia")
# One operation of every kind, and the borders and passes that moves can have.
PIPELINES = {
    "none": [],
    "rotation": [{"op": "rotation", "degrees": [-40, 40]}],
    "perspective": [{"op": "perspective", "border": "reflect"}],
    "crop": [{"op": "random_resized_crop"}],
    "tones": [{"op": "color_jitter"}, {"op": "gamma"}],
    "whitening": [{"op": "whitening", "mode": "image"}],
    "blur": [{"op": "gaussian_blur", "sigma": [0.5, 2]}],
    "noise": [{"op": "gaussian_noise"}, {"op": "pixel_dropout"}],
    "two passes": [{"op": "gaussian_noise"}, {"op": "rotation", "degrees": [-40, 40], "border": "edge"}],
    "opaque": [{"op": "downsample"}],
    "strong": "strong",
}


def form(dtype):
    return {"dtype": dtype, "layout": "NHWC"}


def deep(images):
    """A dataset of 16 bits: the images' bytes, and lower ones beside them."""
    samples = []
    for index, image in enumerate(images):
        lower = np.random.default_rng(index).integers(0, 256, image.shape, dtype=np.uint16)
        samples.append(Sample(np.minimum(image.astype(np.uint16) << 8 | lower, WHITE).astype(np.uint16), 0))
    return of(samples)


def of(samples):
    source = ListSource(samples)
    source.info = replace(source.info, window=(0.0, float(WHITE)))
    return source


def ramp(channels=1):
    return of([Sample(np.repeat(np.tile(RAMP, (8, 1))[..., None], channels, axis=2), 0)])


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", EXECUTORS)
def test_all_levels_of_a_narrow_range_are_delivered(name, channels):
    with using(name):
        wide = over(ramp(channels), "none", output=form("uint16")).images()
        floats = over(ramp(channels), "none", output=form("float32")).images()
    assert (wide.dtype, floats.dtype) == (np.uint16, np.float32)
    assert len(np.unique(wide)) == len(np.unique(floats)) == 200
    exact = np.arange(200) / 200
    assert np.abs(wide[0, 0, :, 0] / 65535 - exact).max() <= 1 / WHITE
    assert np.abs((floats[0, 0, :, 0] + 1) / 2 - exact).max() <= 0.51 / WHITE


@pytest.mark.parametrize("name", EXECUTORS)
def test_levels_survive_a_stretch_of_contrast_after_a_flip(name):
    pipeline = [{"op": "horizontal_flip", "p": 1.0}, {"op": "color_jitter", "brightness": 0.25, "contrast": 1.0}]
    with using(name):
        wide = over(ramp(), pipeline, output=form("uint16")).images()
    assert len(np.unique(wide)) == 200
    assert (np.diff(wide[0, 0, :, 0].astype(int)) < 0).all()


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("pipeline", PIPELINES)
def test_both_executors_agree_as_closely_as_on_bytes(pipeline, channels):
    """In grey levels of 8 bits: a 256th is the last bit of 16."""
    images = [patch("coffee", 100, 130), patch("chelsea", 64, 64), patch("astronaut", 40, 200)]
    source = deep([image[..., :channels] for image in images])
    rendered = {}
    for name in EXECUTORS:
        with using(name):
            stream = over(source, PIPELINES[pipeline], size=[64, 64], aug_seed=3, output=form("uint16"))
            rendered[name] = np.concatenate([stream.images(epoch=epoch) for epoch in range(3)]) / 257
    difference = np.abs(rendered["fused"] - rendered["kornia"])
    assert difference.mean() < 0.02 and difference.max() < 0.1


@pytest.mark.parametrize("pipeline", PIPELINES)
def test_sources_of_16_bits_that_hold_bytes_give_the_pixels_of_bytes(pipeline):
    """Exactly where nothing is interpolated; elsewhere the lower bits are kept, which bytes are rounded without."""
    images = [patch("coffee", 90, 120), patch("chelsea", 64, 64)]
    shallow = run(PIPELINES[pipeline], images, size=[64, 64], aug_seed=5)
    widened = of([Sample(image.astype(np.uint16) << 8, 0) for image in images])
    same = over(widened, PIPELINES[pipeline], size=[64, 64], aug_seed=5)
    difference = np.abs(same.images().astype(int) - shallow.images().astype(int))
    assert difference.max() <= 1 and (difference > 0).mean() < 0.01


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float16", "bfloat16", "float32"])
def test_every_output_is_rounded_once_from_the_same_values(dtype, layout):
    source, pipeline = deep([patch("coffee", 50, 60)]), [{"op": "rotation", "degrees": 11}]
    wide = over(source, pipeline, size=[48, 48], output={"dtype": "uint16", "layout": layout}).images()
    given = over(source, pipeline, size=[48, 48], output={"dtype": dtype, "layout": layout}).images()
    fractions = wide / 65535
    if dtype == "uint8":
        assert np.abs(given - fractions * 255).max() <= 0.51
    elif dtype != "uint16":
        bits = torch.from_numpy(given.view(np.int16)).view(torch.bfloat16) if dtype == "bfloat16" else given
        step = {"float16": 2**-11, "bfloat16": 2**-8, "float32": 1 / WHITE}[dtype]
        assert np.abs(np.asarray(torch.as_tensor(bits).float()) - (2 * fractions - 1)).max() <= step


def test_output_of_16_bits_from_bytes_keeps_what_resampling_made():
    narrow = np.tile(np.array([100, 101], np.uint8).repeat(8), (16, 1))[..., None]
    wide = run([{"op": "gaussian_blur", "sigma": 2.0}], [narrow], output=form("uint16")).images()
    assert len(np.unique(wide[0, 8])) > 8
    plain = run("none", [patch("coffee", 8, 9)], output=form("uint16")).images()
    np.testing.assert_array_equal(plain[0], patch("coffee", 8, 9).astype(int) * 257)


def test_a_sample_of_16_bits_does_not_depend_on_its_batch():
    source = deep([patch("coffee", 50, 60 + step) for step in range(5)])
    stream = over(source, "strong", size=[40, 40], output=form("uint16"))
    together = stream.images()
    for index in range(5):
        np.testing.assert_array_equal(stream.images(start=index, count=1)[0], together[index])


def test_display_is_in_8_bits():
    plain, augmented = over(ramp(), "light", output=form("uint16")).stream.for_display()
    with ThreadPoolExecutor(1) as workers:
        for stream in (plain, augmented):
            stream.produce(0, 0, 1, 0, workers, lambda: None)
            assert stream.layout.tensors["image"].dtype in ("uint8", "uint16")


def test_streams_of_16_bits_rest_on_probes_of_their_own():
    selftest = SelfTest(executor())
    shallow = run("none", [patch("coffee", 8, 8)]).stream
    deep_output = run("none", [patch("coffee", 8, 8)], output=form("uint16")).stream
    ids = [selftest.arithmetic(stream) for stream in (shallow, deep_output, over(ramp(), "none").stream)]
    assert ids[0] != ids[1] == ids[2]
    assert ids[0] == selftest.arithmetic_of((), "image") and ids[1] == selftest.arithmetic_of((), "deep")
