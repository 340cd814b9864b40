"""The longest silence of each step, in counted work: whatever a request asks for, it can be ended after a bounded piece.

Time differs between machines; what is computed between two checks does not.
"""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import get_ident

import numpy as np
import pytest

from augsvc.data.catalog import open_catalog
from augsvc.executors.fused.kernels import cpu, downsample, sound_cpu
from augsvc.ops.registry import registry
from augsvc.planning.spec import validate_spec
from augsvc.streams import audio_medium, moved_labels, preview
from augsvc.streams.push import Push
from augsvc.streams.stream import Stream
from augsvc.timing import Stages
from tests.harness import open_cpu

WORKERS = ThreadPoolExecutor(1)
CATALOG = open_catalog({}, 0)
# moves with different borders share no camera: each moves labels separately
TURNS = [{"op": "rotation", "id": str(turn), "border": ("zeros", "reflect")[turn % 2]} for turn in range(4)]


@dataclass
class Silence:
    """Counts units of work of each thread since its last check."""

    now: dict[tuple[int, str], int] = field(default_factory=dict)
    longest: dict[str, int] = field(default_factory=dict)
    checks: int = 0

    def check(self) -> None:
        self.checks += 1
        for thread, step in list(self.now):
            if thread == get_ident():
                self.now[thread, step] = 0

    def count(self, step: str, units: int) -> None:
        key = (get_ident(), step)
        self.now[key] = self.now.get(key, 0) + units
        self.longest[step] = max(self.longest.get(step, 0), self.now[key])

    def counted(self, step: str, function: Callable, units: Callable[..., int]) -> Callable:
        def counting(*args):
            self.count(step, units(*args))
            return function(*args)

        return counting


@pytest.fixture
def silence(monkeypatch):
    made = Silence()
    open_cpu("fused")  # it looks at the kernels themselves

    def count(module, name, step, units):
        monkeypatch.setattr(module, name, made.counted(step, getattr(module, name), units))

    count(moved_labels, "move_boxes", "labels", lambda boxes, *_: boxes.valid.size)
    count(moved_labels, "move_keypoints", "labels", lambda keypoints, *_: keypoints.valid.size)
    count(cpu, "render", "pixels", lambda rows, *args: rows.size * int(np.prod(args[-1].shape[1:])))
    count(cpu, "move_masks", "masks", lambda first, last, args, height, width, _: (last - first) * height * width)
    count(sound_cpu, "render", "samples", lambda first, last, args, clips: (last - first) * clips.shape[1])
    count(audio_medium, "draw_clips", "plots", len)
    return made


def push(arrays: dict[str, np.ndarray], silence: Silence, **request: object) -> None:
    request = {"pipeline": TURNS, **request}
    pushed = Push.of(json.loads(json.dumps(request)), arrays, open_cpu("fused"), registry(()), lambda *_: "")
    pushed.produce(WORKERS, silence.check, Stages())


@pytest.mark.parametrize(("n", "boxes"), [(1, 100_000), (3000, 1), (10, 10_000)])
def test_labels_are_moved_in_chunks(silence, n, boxes):
    """Millions of boxes and dozens of moves held the engine without a check until the watchdog ended the process."""
    corners = np.tile(np.array([0, 0, 1, 1], np.float32), (n, boxes, 1))
    arrays = {"image": np.zeros((n, 1, 1, 1), np.uint8), "index": np.arange(n), "boxes": corners}
    push(arrays | {"keypoints": corners[..., :2]}, silence)
    assert silence.longest["labels"] <= moved_labels.LABEL_ROWS
    assert silence.checks >= 2 * len(TURNS) * n * boxes / moved_labels.LABEL_ROWS


def test_chunks_change_no_label():
    rng = np.random.default_rng(0)
    corners = np.sort(rng.uniform(0, 8, (5, 900, 2, 2)), axis=2).reshape(5, 900, 4).astype(np.float32)
    arrays = {"image": np.zeros((5, 8, 8, 1), np.uint8), "index": np.arange(5), "boxes": corners}
    arrays["keypoints"] = np.ascontiguousarray(corners[..., :2])

    def moved(limit):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(moved_labels, "LABEL_ROWS", limit)
            pushed = Push.of({"pipeline": TURNS[:3]}, arrays, open_cpu("fused"), registry(()), lambda *_: "")
            return pushed.produce(WORKERS, lambda: None, Stages()).digest

    assert moved(1 << 15) == moved(100) == moved(2000)


@pytest.mark.parametrize("n", [1, 6000])
def test_masks_and_pixels_are_rendered_in_chunks(silence, n):
    side = 1024 if n == 1 else 28
    images = np.zeros((n, side, side, 1), np.uint8)
    push({"image": images, "index": np.arange(n), "mask": images[..., 0].copy()}, silence, pipeline=TURNS[:1])
    assert silence.longest["masks"] <= max(1 << 22, side * side)
    assert silence.longest["pixels"] <= 1 << 22


@pytest.mark.parametrize("size", [(1, 4096), (4096, 1), (1, 100)])
def test_samples_of_one_line_are_downsampled_in_chunks(silence, monkeypatch, size):
    """An opaque operation may use matrices of a side squared: 1,024 lines took half a minute without a check."""
    counted = silence.counted("sides", downsample.downsample, lambda images, _: len(images) * max(size) ** 2)
    monkeypatch.setattr(downsample, "downsample", counted)
    images = np.zeros((6, *size, 1), np.uint8)
    push({"image": images, "index": np.arange(6)}, silence, pipeline=[{"op": "downsample", "scale": [0.01, 0.02]}])
    assert silence.longest["sides"] <= max(1 << 22, max(size) ** 2)


def test_clips_are_rendered_in_chunks(silence):
    clips = {"audio": np.zeros((500, 16_000), np.float32), "index": np.arange(500)}
    push(clips, silence, pipeline=[{"op": "gain"}, {"op": "white_noise"}])
    assert silence.longest["samples"] <= 1 << 20


def test_a_sheet_is_drawn_image_by_image(silence):
    spec = validate_spec({"dataset": "tones/train", "seconds": 1.0, "sample_rate": 8000})
    stream = Stream.open(spec, CATALOG.get("tones/train"), open_cpu("fused"))
    preview.preview(stream, 0, 0, 16, 0, WORKERS, silence.check)
    assert silence.longest["plots"] == 1
