"""Extremes: memory, values that would overflow, cancelled work."""

import itertools
import weakref
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st

from augsvc.arrays import I64, Sample
from augsvc.data.source import Source, SourceInfo
from augsvc.errors import Cancelled, SpecInvalid
from augsvc.executors.fused import lower_audio as sound_lowering
from augsvc.executors.fused import lower_image as lowering
from augsvc.executors.reference import audio as torch_sound
from augsvc.executors.reference import resample
from augsvc.numerics import geometry
from augsvc.ops.kinds.border import Bordered
from augsvc.ops.operation import Kind
from augsvc.ops.registry import containers, registry
from augsvc.planning import audio_plan as sound_plan
from augsvc.planning.spec import validate_spec
from augsvc.streams import probes as probe_sources
from augsvc.streams import stream
from augsvc.streams.probes import Probe, probe_spec
from augsvc.streams.selftest import SelfTest
from augsvc.streams.stream import Stream
from augsvc_client.decoding import resampling as waveform
from augsvc_client.wire import parse
from tests.harness import compatible, executor, few_operations, open_cpu

pytestmark = pytest.mark.usefixtures("each_executor")

IMAGE_OPERATIONS = [name for name, op in registry().items() if op.media == "image" and op.kind is not Kind.MIX]
WORKERS = ThreadPoolExecutor(2)


class Large(Source):
    """Images far larger than the canvas; counts how many are alive at the same time."""

    info = SourceInfo(name="large", version="1", classes=("a",), channels=3, size=None)

    def __init__(self, side: int) -> None:
        self.side, self.alive, self.most = side, 0, 0

    def __len__(self) -> int:
        return 200

    def read(self, index: int) -> Sample:
        image = np.full((self.side, self.side, 3), index % 256, dtype=np.uint8)
        self.alive += 1
        self.most = max(self.most, self.alive)
        weakref.finalize(image, self._gone)
        return Sample(image, 0)

    def _gone(self) -> None:
        self.alive -= 1

    def labels(self) -> I64:
        return np.zeros(200, dtype=np.int64)

    def describe(self, index: int) -> str:
        return str(index)


def produce(source, count, check=lambda: None, **fields):
    opened = Stream.open(validate_spec({"dataset": "x", "shuffle": False, **fields}), source, executor())
    return parse(opened.produce(0, 0, count, 0, WORKERS, check).buffer)[0]


def test_decoded_images_are_held_a_few_at_a_time(monkeypatch):
    monkeypatch.setattr(stream, "SOURCE_BYTES", 4 << 20)
    source = Large(500)  # 750 kB each: five fill the room
    found = produce(source, 100, size=[8, 8])
    assert found["image"].reshape(100, -1).mean(axis=1).tolist() == list(range(100))
    assert source.most <= 2 * (6 + 2 * executor().threads)  # those of one slab, and of the next as long as it is read


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.sampled_from(IMAGE_OPERATIONS), st.booleans()), min_size=1, max_size=24),
    st.sampled_from(["zeros", "reflect", "reflect101", "edge"]),
)
def test_any_pipeline_at_its_ends_is_pixels_or_a_clear_error(steps, border):
    pipeline = []
    for name, high in steps:
        ends = {parameter: mark.high if high else mark.low for parameter, mark in registry()[name].parameters().items()}
        move = {"border": border} if registry()[name].kind in (Kind.MOVE, Kind.WARP) else {}
        pipeline.append({"op": name, "p": 1.0, **ends, **move})
    opened = Stream.open(probe_spec({"pipeline": compatible(pipeline)}), Probe(), executor())
    try:
        found = parse(opened.produce(0, 0, 2, 0, WORKERS, lambda: None).buffer)[0]
    except SpecInvalid as err:
        assert err.field == "pipeline"
    else:
        assert np.isfinite(found["boxes"]).all()
        assert np.isfinite(found["keypoints"]).all()


@pytest.mark.parametrize("times", [1, 8, 24, 64])
def test_white_stays_white_however_bright(times):
    source = Large(8)
    bright = {"op": "color_jitter", "brightness": 4, "contrast": 1, "saturation": 1, "hue": 0}
    found = produce(source, 200, size=[8, 8], pipeline=[bright] * times)["image"]
    assert found[199].min() == found[199].max() == 255
    assert found[0].max() == 0


@pytest.mark.parametrize("times", [1, 8, 64])
def test_contrast_keeps_its_threshold(times):
    steep = {"op": "color_jitter", "brightness": 1, "contrast": 4, "saturation": 1, "hue": 0}
    found = produce(Large(8), 200, size=[8, 8], pipeline=[steep] * times)["image"][:, 0, 0, 0]
    assert (found[:64] == 0).all()  # below 0.5 by more than an eighth, even once is black
    assert (found[160:] == 255).all()


@pytest.mark.parametrize("times", [12, 40, 63])
def test_enlarging_without_end_shows_the_corner(times):
    corner = {"op": "affine", "degrees": 0, "scale": 3, "translate_x": 1, "translate_y": 1}  # it maps (0, 0) to itself
    found = produce(Large(64), 100, size=[16, 16], pipeline=[corner] * times + [{"op": "gamma", "gamma": 1}])["image"]
    assert [int(image.max()) for image in found] == list(range(100))


def test_cancelled_work_stops_between_steps():
    calls = itertools.count()

    def check():
        if next(calls) >= 5:
            raise Cancelled

    with pytest.raises(Cancelled):
        produce(Large(64), 8, check, size=[64, 64], pipeline=[{"op": "gaussian_blur", "sigma": 3}] * 20)
    assert next(calls) < 20  # of the 160 blurs, a handful was begun


BORDERS = {
    "fused": (lowering, "_MODES", {"constant": 0, "edge": 2, "reflect": 2}),
    "kornia": (resample, "_PADDING", {"constant": "border", "edge": "border", "reflect": "border"}),
}


OUTSIDE = Bordered.outside
MASKS = property(lambda move: OUTSIDE.fget(move)._replace(mask_fill=254))


@pytest.mark.parametrize(
    "change", [None, (geometry, "MAX_TAPS", 3), (Bordered, "outside", MASKS)], ids=["borders", "taps", "mask"]
)
def test_other_code_has_another_arithmetic_id(monkeypatch, change):
    place, name, other = change or BORDERS[executor().name]
    before = SelfTest(executor()).arithmetic_of((), "image")
    monkeypatch.setattr(place, name, other)
    assert SelfTest(executor()).arithmetic_of((), "image") != before, "it concerns every stream of images"


SOUND_CHANGES = [
    (waveform, "_MARGIN", 0),
    (waveform, "_MARGIN_PER_OUTPUT", 1),
    (sound_plan, "NOISE_BITS", 12),
    ({"fused": sound_lowering, "kornia": torch_sound}, "_UNIT", np.float32(1 << 23)),
]


@cache
def plain_arithmetic(name):
    """Of streams without operations, of sound and of images."""
    return [SelfTest(open_cpu(name)).arithmetic_of((), media) for media in ("audio", "image")]


@pytest.mark.parametrize(("place", "name", "other"), SOUND_CHANGES, ids=[name for _, name, _ in SOUND_CHANGES])
def test_other_code_for_sound_has_another_arithmetic_id(monkeypatch, place, name, other):
    before, images = plain_arithmetic(executor().name)
    monkeypatch.setattr(place[executor().name] if isinstance(place, dict) else place, name, other)
    assert SelfTest(executor()).arithmetic_of((), "audio") != before, "it concerns every stream of sound"
    assert SelfTest(executor()).arithmetic_of((), "image") == images


def test_another_resampler_has_another_arithmetic_id(monkeypatch):
    before = SelfTest(executor()).arithmetic_of((), "audio")
    resample_ = soxr.resample
    for upwards in (True, False):

        def other(audio, rate, wanted, quality, upwards=upwards):
            return resample_(audio, rate, wanted, quality="LQ" if (wanted > rate) == upwards else quality)

        monkeypatch.setattr(soxr, "resample", other)
        assert SelfTest(executor()).arithmetic_of((), "audio") != before


def test_grey_statistics_are_in_the_arithmetic_id(monkeypatch):
    step = registry()["whitening"](mode="color")
    before = SelfTest(executor()).arithmetic_of((step,), "image")
    grey = probe_sources.GreyProbe.info.colors
    monkeypatch.setattr(
        probe_sources.GreyProbe,
        "info",
        replace(probe_sources.GreyProbe.info, colors=grey.model_copy(update={"sums": (100000,)})),
    )
    assert SelfTest(executor()).arithmetic_of((step,), "image") != before


@pytest.mark.parametrize("operations", ["one of each kind", pytest.param("all", marks=pytest.mark.slow)])
def test_the_self_test_repeats(operations):
    known = registry() if operations == "all" else few_operations()
    digests = SelfTest(executor(), known).digests()
    assert SelfTest(executor(), known).digests() == digests
    assert set(digests["operations"]) == {*known, *containers()}
