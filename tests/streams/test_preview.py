"""The preview shows the bytes of the batch."""

import threading
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from augsvc.data.catalog import open_catalog
from augsvc.engine import engine
from augsvc.errors import BatchTooLarge, Cancelled
from augsvc.ops.registry import registry
from augsvc.planning.spec import validate_spec
from augsvc.streams.clip_plot import SPECTRUM_HEIGHT, WAVE_HEIGHT, WIDTH, draw_clips
from augsvc.streams.preview import draw, look, preview, sheet_bytes
from augsvc.streams.stream import Range, Stream, finish
from augsvc.timing import Stages
from augsvc_client.wire import parse
from tests.harness import executor

CATALOG = open_catalog({}, 0)
WORKERS = ThreadPoolExecutor(2)


@pytest.mark.parametrize(("dataset", "size", "times"), [("photos/train", [80, 70], 1), ("digits/train", [16, 20], 4)])
@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_originals_above_augmented_below(dataset, size, times, layout):
    spec = {
        "dataset": dataset,
        "size": size,
        "pipeline": "strong",
        "output": {"layout": layout},
        "subset": {"per_class": 9},
    }
    streams = [
        Stream.open(validate_spec(spec | p), CATALOG.get(dataset), executor()) for p in ({"pipeline": "none"}, {})
    ]
    contact_sheet = Image.open(BytesIO(preview(streams[1], 3, 5, 11, 2, WORKERS, lambda: None).buffer.tobytes()))
    pixels = np.asarray(contact_sheet)
    pixels = pixels if pixels.ndim == 3 else pixels[..., None]
    height, width = size[0] * times, size[1] * times
    for line, stream in enumerate(streams):
        images = parse(stream.produce(3, 5, 11, 2, WORKERS, lambda: None).buffer)[0]["image"]
        images = images if layout == "NHWC" else images.transpose(0, 2, 3, 1)
        for place, image in enumerate(images):
            top = (place // 8) * (2 * height + 12) + line * (height + 2)
            left = (place % 8) * (width + 2)
            cell = pixels[top : top + height : times, left : left + width : times]
            assert (cell == image).all(), (line, place)


@pytest.fixture
def owner(monkeypatch):
    """An engine, and the gate at which it draws previews."""
    drawing, gate = threading.Event(), threading.Event()

    def held(rendered, check):
        drawing.set()
        gate.wait()
        return draw(rendered, check)

    monkeypatch.setattr(engine, "draw", held)
    made = engine.Engine(CATALOG, executor(), registry(()), engine.Limits(1 << 20))
    yield made, drawing, gate
    gate.set()
    made.stop()


def test_batches_continue_while_a_preview_is_drawn_and_a_cancelled_one_is_not_drawn(owner):
    made, drawing, gate = owner
    spec = validate_spec({"dataset": "digits/train", "size": [16, 16]})
    stream, part = Stream.open(spec, CATALOG.get("digits/train"), executor()), Range(0, 0, 8, 0)
    wanted = made.preview(stream, part, "a")
    drawing.wait()
    unwanted = made.preview(stream, part, "a")  # of one job one is drawn at a time
    assert made.produce(stream, part, "c").future.result().samples == 8
    unwanted.cancel()
    assert unwanted.future.cancelled()
    gate.set()
    assert wanted.future.result().digest == preview(stream, 0, 0, 8, 0, WORKERS, lambda: None).digest
    del wanted
    made.stop()  # its threads hold nothing any more
    assert made.in_flight_bytes == 0


@pytest.mark.parametrize(
    ("fields", "most"),
    [({"size": [4096, 4096]}, 1), ({"size": [1, 4096]}, 1), ({"size": [1024, 1024]}, 16), ({"size": [512, 512]}, 64)],
)
def test_a_preview_has_a_bound_and_its_error_says_how_many_fit(fields, most):
    """A line of pixels is shown enlarged: [1, 4096] has as many as [64, 262144]."""
    stream = Stream.open(validate_spec({"dataset": "digits/train", **fields}), CATALOG.get("digits/train"), executor())
    sheet_bytes(stream, most)
    with pytest.raises(BatchTooLarge, match=f"at most {most} samples") as caught:
        sheet_bytes(stream, most + 1)
    assert caught.value.field == "count"


@pytest.mark.parametrize("count", [1, 3, 8, 9])
def test_a_sheet_is_as_wide_as_its_first_line(count):
    """One sample of 4096 x 4096 was padded to eight: 1.6 GB, and half a minute that nothing interrupted."""
    stream = Stream.open(
        validate_spec({"dataset": "digits/train", "size": [64, 70]}), CATALOG.get("digits/train"), executor()
    )
    sheet = Image.open(BytesIO(preview(stream, 0, 0, count, 0, WORKERS, lambda: None).buffer.tobytes()))
    assert sheet.width == min(count, 8) * 72 - 2
    assert sheet.height == -(-count // 8) * (2 * 64 + 12) - 10


def test_drawing_a_sheet_can_be_interrupted_while_it_is_compressed():
    spec = validate_spec({"dataset": "digits/train", "size": [256, 256], "pipeline": [{"op": "gaussian_noise"}]})
    stream = Stream.open(spec, CATALOG.get("digits/train"), executor())
    rendered = finish(look(stream, Range(0, 0, 4, 0), WORKERS, WORKERS, lambda: None, Stages()))
    checks = []
    draw(rendered, lambda: checks.append(1))

    def interrupt():
        checks.pop()
        if len(checks) == 1:
            raise Cancelled

    assert len(checks) > 8 + 3, "one for each image, and several while the PNG is written"
    with pytest.raises(Cancelled):
        draw(rendered, interrupt)


def test_a_clip_is_drawn_as_it_sounds():
    time = np.arange(8000) / 8000
    loud_then_silent = np.where(time < 0.5, 0.5, 0.0) * np.sin(2 * np.pi * 1000 * time)
    clips = np.stack([loud_then_silent, 1.5 * np.ones(8000), np.zeros(8000)]).astype(np.float32)
    plots = draw_clips(clips)
    assert plots.shape == (3, WAVE_HEIGHT + SPECTRUM_HEIGHT, WIDTH, 3)
    inked = (plots[:, :WAVE_HEIGHT] == (30, 90, 170)).all(axis=3).sum(axis=1)
    assert abs(inked[0, : WIDTH // 2 - 2].mean() - WAVE_HEIGHT / 2) < 2  # ±0.5 of ±1
    assert (inked[0, WIDTH // 2 + 2 :] == 1).all()
    assert (plots[1, 0, :] == (200, 60, 40)).all()  # beyond full scale
    spectrum = plots[0, WAVE_HEIGHT:, : WIDTH // 2 - 8].astype(int).sum(axis=2).mean(axis=1)
    assert abs(int(spectrum.argmax()) - round(SPECTRUM_HEIGHT * 0.75)) <= 1  # 1 kHz of 4 kHz, low ones below
    assert len(np.unique(plots[2, WAVE_HEIGHT:].reshape(-1, 3), axis=0)) == 1


def test_one_sample_can_be_drawn():
    assert draw_clips(np.ones((1, 1), np.float32)).shape == (1, WAVE_HEIGHT + SPECTRUM_HEIGHT, WIDTH, 3)
