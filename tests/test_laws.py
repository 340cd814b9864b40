"""The laws of a stream, through the executor: what falls out of a batch being a value. Over HTTP: tests/http."""

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from augsvc.arrays import I64, Sample
from augsvc.data.source import Source, SourceInfo
from augsvc.numerics.rng import Address, operation_keys
from augsvc.ops.kinds.border import Bordered
from augsvc.ops.kinds.image import PaddedFrame
from augsvc.ops.operation import Kind
from augsvc.ops.pipeline import parse_pipeline
from augsvc.ops.registry import registry
from augsvc.ops.tree import Tree
from augsvc.planning.spec import validate_spec
from augsvc.streams.probes import PROBES, Probe, probe_spec
from augsvc.streams.stream import Stream
from augsvc_client.wire import parse
from tests.harness import compatible, executor

pytestmark = pytest.mark.usefixtures("each_executor")
WORKERS = ThreadPoolExecutor(2)
LENGTH = len(Probe())


def open_stream(**fields):
    spec = probe_spec({"shuffle": True, **fields})
    return Stream.open(spec, PROBES[spec.dataset], executor())


def probe_for(pipeline):
    """The probe that a pipeline can run over: mixes cannot carry the labels of the one in colour."""
    is_mix = any(step.kind is Kind.MIX for step in Tree.of(parse_pipeline(pipeline)).operations)
    return "grey_probe" if is_mix else "probe"


def batch(stream, epoch, start, count, view=0):
    return parse(stream.produce(epoch, start, count, view, WORKERS, lambda: None).buffer)[0]


def assert_rows_equal(whole, rows, part):
    for name, array in part.items():
        assert array.tobytes() == whole[name][rows].tobytes(), name


IMAGE_STEPS = [
    {"op": name, "p": 0.7, **chosen}
    | ({"fill": 0.0} if issubclass(operation, PaddedFrame) else {})  # as fit contain needs
    for name, operation in registry().items()
    if operation.media == "image"
    for chosen in operation.examples
]
UNLABELLED_STEPS = [step for step in IMAGE_STEPS if not getattr(registry()[step["op"]], "labels", ())]
PIPELINES = [[step] for step in IMAGE_STEPS] + [
    "strong",
    [{"op": "letterbox"}],
    [{"op": "color_shift"}, {"op": "gamma", "p": 0.5}, {"op": "color_jitter"}, {"op": "gamma", "p": 0.5}],
    [{"op": "gaussian_noise"}, {"op": "rotation", "border": "reflect"}, {"op": "whitening"}, {"op": "gamma"}],
    [{"op": "one_of", "of": [{"op": op} for op in ("gamma", "whitening", "rotation", "gaussian_blur")]}] * 2,
    [{"op": "random_order", "of": [{"op": "whitening"}, {"op": "gaussian_noise"}]}, {"op": "gamma", "epochs": [1]}],
]


@pytest.mark.parametrize("pipeline", PIPELINES, ids=str)
@pytest.mark.parametrize("channels", [pytest.param(1, marks=pytest.mark.slow), 3])
def test_l2_a_sample_does_not_depend_on_its_company(pipeline, channels):
    """In the dataset's order, because shuffling four samples costs what their pixels cost; the next test shuffles."""
    fields = {"channels": channels, "fit": "contain", "shuffle": False, "dataset": probe_for(pipeline)}
    stream = open_stream(pipeline=pipeline, **fields)
    for epoch, cuts in enumerate([(0, 1, 2, 3, LENGTH), (0, 1, 3, LENGTH), (0, 2, 3, LENGTH)]):
        whole = batch(stream, epoch, 0, LENGTH)
        for start, end in pairwise(cuts):
            assert_rows_equal(whole, slice(start, end), batch(stream, epoch, start, end - start))


class Many(Source):
    """Small noisy images of two sizes."""

    info = SourceInfo(name="many", version="1", classes=("a",), channels=3, size=None, colors=Probe.info.colors)

    def __len__(self) -> int:
        return 64

    def read(self, index: int) -> Sample:
        generator = np.random.default_rng(index)
        shape = (17, 23, 3) if index % 3 else (40, 31, 3)
        return Sample(generator.integers(0, 256, shape, dtype=np.uint8), 0)

    def labels(self) -> I64:
        return np.zeros(64, dtype=np.int64)

    def describe(self, index: int) -> str:
        return str(index)


@settings(max_examples=60)
@given(
    steps=st.lists(st.sampled_from(UNLABELLED_STEPS), min_size=1, max_size=4),
    p=st.sampled_from([0.3, 1.0]),
    border=st.sampled_from(["zeros", "reflect", "reflect101", "edge"]),
    frame=st.fixed_dictionaries(
        {
            "fit": st.sampled_from(["cover", "contain", "stretch"]),
            "channels": st.sampled_from([1, 3]),
            "output": st.fixed_dictionaries({"layout": st.sampled_from(["NCHW", "NHWC"])}),
        }
    ),
    cuts=st.lists(st.integers(1, 63), max_size=4, unique=True),
    size=st.sampled_from([[8, 8], [19, 33], [48, 20]]),
    epoch=st.integers(0, 2**24 - 1),
)
def test_l2_any_pipeline_cut_anyhow(steps, p, border, frame, cuts, size, epoch):
    pipeline = [
        step | {"p": p} | ({"border": border} if issubclass(registry()[step["op"]], Bordered) else {})
        for step in compatible(steps)
    ]
    spec = validate_spec({"dataset": "many", "pipeline": pipeline, "size": size, **frame})
    stream = Stream.open(spec, Many(), executor())
    whole = batch(stream, epoch, 0, 64)
    for start, end in zip([0, *sorted(cuts)], [*sorted(cuts), 64], strict=True):
        assert_rows_equal(whole, slice(start, end), batch(stream, epoch, start, end - start))


def test_l1_the_same_address_gives_the_same_bytes():
    one, other = open_stream(pipeline="strong"), open_stream(pipeline="strong")
    first = one.produce(5, 1, 3, 2, WORKERS, lambda: None).buffer.tobytes()
    batch(one, 0, 0, 4)
    assert first == one.produce(5, 1, 3, 2, WORKERS, lambda: None).buffer.tobytes()
    assert first == other.produce(5, 1, 3, 2, WORKERS, lambda: None).buffer.tobytes()


def test_l4_epochs_views_and_samples_are_all_transformed_differently():
    stream = open_stream(pipeline=[{"op": "gaussian_noise", "std": 0.2}], shuffle=False)
    results = {
        image.tobytes()
        for epoch in range(6)
        for view in range(3)
        for image in batch(stream, epoch, 0, LENGTH, view)["image"]
    }
    assert len(results) == 6 * 3 * LENGTH


@given(step=st.sampled_from(IMAGE_STEPS), place=st.integers(0, 3))
def test_l5_another_operation_leaves_the_draws_alone(step, place):
    before = [{"op": "affine"}, {"op": "color_jitter"}, {"op": "gaussian_noise"}]
    place = 0 if registry()[step["op"]].kind is Kind.FRAME else place
    after = [*before[:place], {**step, "id": "added"}, *before[place:]]
    draws = [
        {
            operation.id: (draw.selected.tolist(), {key: words.tolist() for key, words in draw.words.items()})
            for operation, draw in zip(plan.operations, plan.draw(3, Address(np.arange(9), 2, 0)), strict=True)
        }
        for plan in (open_stream(pipeline=pipeline, dataset=probe_for(after)).plan for pipeline in (before, after))
    ]
    assert {name: draws[1][name] for name in draws[0]} == draws[0]


def test_l5_a_removed_operation_leaves_the_pixels_of_the_others():
    """Noise drawn with and without a rotation before it is the same noise."""
    flat = open_stream(pipeline=[{"op": "color_jitter", "contrast": 0, "brightness": 1}, {"op": "gaussian_noise"}])
    turned = open_stream(
        pipeline=[
            {"op": "color_jitter", "contrast": 0, "brightness": 1},
            {"op": "gaussian_noise"},
            {"op": "horizontal_flip", "p": 0},
        ]
    )
    assert batch(flat, 1, 0, 4)["image"].tobytes() == batch(turned, 1, 0, 4)["image"].tobytes()


def test_seeds_of_order_and_of_augmentation_do_not_entangle():
    one = batch(open_stream(pipeline="standard", order_seed=0, aug_seed=0), 0, 0, 4)
    reordered = batch(open_stream(pipeline="standard", order_seed=1, aug_seed=0), 0, 0, 4)
    redrawn = batch(open_stream(pipeline="standard", order_seed=0, aug_seed=1), 0, 0, 4)
    places = np.argsort(one["index"])
    assert one["index"].tolist() == redrawn["index"].tolist() != reordered["index"].tolist()
    assert one["image"][places].tobytes() == reordered["image"][np.argsort(reordered["index"])].tobytes()
    assert one["image"].tobytes() != redrawn["image"].tobytes()
    assert operation_keys(["standard"])[0] >= 16


class Endless(Many):
    """2^31 samples, painted when they are asked for."""

    info = SourceInfo(name="endless", version="1", classes=("a",), channels=1, size=(4, 4))

    def __init__(self) -> None:
        self.reads: list[int] = []

    def __len__(self) -> int:
        return 2**31

    def read(self, index: int) -> Sample:
        self.reads.append(index)
        return Sample(np.full((4, 4, 1), index % 251, dtype=np.uint8), 0)

    def labels(self) -> I64:
        raise AssertionError("a list of 2^31 labels was asked for")


def test_l7_position_ten_to_the_nine_reads_what_position_zero_reads():
    source = Endless()
    stream = Stream.open(validate_spec({"dataset": "endless", "pipeline": "standard"}), source, executor())
    for start in (0, 10**9, 2**31 - 16):
        source.reads.clear()
        found = batch(stream, 7, start, 16)
        assert sorted(source.reads) == sorted(found["index"].tolist())
        assert len(set(source.reads)) == 16
    assert len(batch(stream, 7, 2**31 - 3, 16)["index"]) == 3


def test_layouts_hold_the_same_pixels():
    planar = batch(open_stream(pipeline="standard"), 0, 0, 4)["image"]
    interleaved = batch(open_stream(pipeline="standard", output={"layout": "NHWC"}), 0, 0, 4)["image"]
    assert planar.transpose(0, 2, 3, 1).tobytes() == interleaved.tobytes()
