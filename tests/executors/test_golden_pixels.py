"""The bytes of `fused`, images and sound, are constants: the same on every CPU, with any number of threads, optimised or not.

After a deliberate change: `make golden`, and a line in CHANGELOG.md.
"""

import hashlib
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from augsvc.arrays import Sample
from augsvc.numerics.rng import Address
from augsvc.ops.kinds.audio import Clip
from augsvc.ops.operation import Kind
from augsvc.ops.pipeline import parse_pipeline
from augsvc.ops.registry import registry
from augsvc.planning.audio_plan import SoundPlan
from augsvc.streams.render_audio import SoundRenderer
from augsvc.streams.selftest import SelfTest
from augsvc.timing import Stages
from tests.golden_files import SHARED, examples, read_golden
from tests.harness import open_cpu

ROOT = Path(__file__).parent.parent.parent
CLIPS = {
    "preset": "sound",
    "several passes": [{"op": "white_noise"}, {"op": "time_shift"}, {"op": "gain"}, {"op": "white_noise"}],
}


def everything(executor=None):
    """Digests of the self-test's images and labels: canvas, borders, presets, and each operation at its ends; and of clips."""
    chosen = executor or open_cpu("fused")
    test = SelfTest(chosen).digests()
    values: dict[str, dict] = {
        name: {"pixels": test["operations"][name]}
        for name, operation in registry().items()
        if operation.media == "image" and operation.kind is not Kind.OPAQUE
    }
    clips = [case for case in examples("audio") if registry()[case[0]].kind is not Kind.OPAQUE]
    for name, example, step in clips:
        values.setdefault(name, {"clips": {}})["clips"][example] = sounds([{"p": 0.9, **step}], chosen)
    shared = {
        "frame": test["grounds"]["image"],
        "border": test["grounds"]["border"],
        "clips": {name: sounds(CLIPS[name], chosen) for name in CLIPS},
    }
    return values | {SHARED: shared}


def golden():
    return read_golden(("pixels", "clips", "frame", "border"))


def sounds(pipeline, executor):
    """Of clips that need no resampling, which is another library's: of a length that no vector divides, and loud to quiet."""
    plan = SoundPlan.of(parse_pipeline(pipeline), Clip(5003, 8000))
    address = Address(np.arange(21) * 7919, 3, 1)
    size = np.ldexp(1.0, -np.arange(21))[:, None] * 4.0
    phase = np.arange(5003)[None, :] * np.arange(3, 24)[:, None]
    clips = ((np.abs(phase % 1000 - 500) - 250) * size / 250.0).astype(np.float32)
    renderer = SoundRenderer(plan, executor.sound)
    out = {"audio": np.empty_like(clips)}
    partners = [Sample(None, 0, audio=clip[: 500 * k]) for k, clip in enumerate(np.roll(clips, 1, axis=0))]
    samples = [
        Sample(None, 0, audio=clip, tiles=(partner,), partner=partner)
        for clip, partner in zip(clips, partners, strict=True)
    ]
    with ThreadPoolExecutor(3) as workers:
        renderer.fill(samples, address, 5, out, workers, lambda: None, Stages())
    return hashlib.sha256(out["audio"].tobytes()).hexdigest()[:32]


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_equal_to_the_golden_files_with_any_number_of_threads(threads):
    now = everything(replace(open_cpu("fused"), threads=threads))
    assert now == golden(), "an operation changed, or is new: see the head of this file"


@pytest.mark.slow
def test_equal_for_a_cpu_without_extensions():
    """In a separate process: the compiler reads its CPU once."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.executors.test_golden_pixels"],
        cwd=ROOT, env=os.environ | {"NUMBA_CPU_NAME": "generic"}, capture_output=True, check=True,
    )  # fmt: skip
    assert json.loads(done.stdout) == golden()


if __name__ == "__main__":
    json.dump(everything(), sys.stdout)
