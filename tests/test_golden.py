"""Draws, lowered integers and orders are constants of version 1, on every CPU.

After a deliberate change: `make golden`, and a line in CHANGELOG.md.
"""

import dataclasses
import hashlib
import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from augsvc.numerics import rng
from augsvc.numerics.geometry import Camera, Canvas, identity, product
from augsvc.numerics.permutation import Permutation
from augsvc.ops.kinds.audio import Clip
from augsvc.ops.kinds.composition import Branches, Composition
from augsvc.ops.kinds.image import (
    Additive,
    Erase,
    Filter,
    Frame,
    Moments,
    Move,
    Noise,
    Replace,
    Sources,
    Statistics,
    Tone,
    Warp,
)
from augsvc.ops.kinds.mix import Mix
from augsvc.ops.kinds.opaque import Opaque
from augsvc.ops.operation import Draw, Operation
from augsvc.ops.pipeline import parse_pipeline
from augsvc.ops.registry import containers, registry
from augsvc.ops.tree import Tree
from augsvc.planning.audio_plan import SoundPlan
from augsvc.planning.image_plan import Plan
from augsvc.streams.probes import Probe
from tests.golden_files import FOLDER, SHARED, example_name, examples, read_golden

CANVAS = Canvas(96, 128, 3, Probe.info.colors)
SOURCE = (375, 500)  # of frames: H, W
SAMPLES = 257
SOURCES = Sources(  # with labels for the frames that look at them
    np.tile(np.array(SOURCE), (SAMPLES, 1)),
    masks=[(np.add.outer(np.arange(SOURCE[0]) // 40, np.arange(SOURCE[1]) // 60) % 4).astype(np.uint8)] * SAMPLES,
    boxes=np.tile(np.array([[[120.0, 80.0, 240.0, 300.0], [300.0, 200.0, 420.0, 260.0]]]), (SAMPLES, 1, 1)),
    boxes_valid=np.ones((SAMPLES, 2), np.bool_),
    keypoints=np.tile(np.array([[[130.0 + 6 * k, 90.0 + 11 * k] for k in range(17)]]), (SAMPLES, 1, 1)),
    keypoints_valid=np.ones((SAMPLES, 17), np.bool_),
)


def digest(*arrays):
    whole = hashlib.sha256()
    for array in arrays:
        whole.update(str((array.dtype.str, array.shape)).encode() + np.ascontiguousarray(array).tobytes())
    return whole.hexdigest()[:32]


def lowered(operation: Operation, draw: Draw) -> list[np.ndarray]:
    """All integers that an executor is given."""
    if isinstance(operation, Frame | Move | Warp):
        return lowered_move(operation, draw)
    if isinstance(operation, Composition | Mix):
        return lowered_mix(operation, draw)
    if isinstance(operation, Tone):
        plan = Plan.of([operation], CANVAS, "cover")
        total = np.arange(SAMPLES, dtype=np.int64) * 4000000 + 7
        total = np.column_stack((total, total * 0, total * 0))
        histogram = total[:, :, None] % np.arange(3, 259)
        statistics = Statistics(Moments(CANVAS.height * CANVAS.width, total, total * 50000), histogram)
        arrays = []
        for stage in (stage for pass_ in plan.passes for stage in plan.tones(pass_, [draw], statistics)):
            table = stage.table if stage.table is None or stage.table.shape[1] > 1 else stage.table[:, 0]
            arrays += [array for array in (stage.matrix, stage.hsv, table) if array is not None]
        return arrays
    if operation.media == "audio":
        return lowered_sound(operation, draw)
    if isinstance(operation, Filter):
        return [operation.kernels(draw, CANVAS)]
    if isinstance(operation, Erase):
        return [operation.rectangles(draw, CANVAS), operation.fill(draw, CANVAS)]
    if isinstance(operation, Opaque):
        return [operation.lower(draw, CANVAS)]
    assert isinstance(operation, Noise)
    return lowered_law(operation.law(draw))


def lowered_mix(operation: Composition | Mix, draw: Draw) -> list[np.ndarray]:
    if isinstance(operation, Branches):
        trees = [Tree.of([step]) for step in operation.branches]
        draws = [chosen for tree in trees for chosen in tree.draw(draw.seed, draw.address)]
        return [
            operation.weights(draw),
            *(array for chosen in draws for array in (chosen.selected, *chosen.given.values())),
        ]
    if isinstance(operation, Mix):
        return list(operation.blend(draw, CANVAS))
    contents = np.tile([2, 5, CANVAS.width - 3, CANVAS.height], (SAMPLES, 1 + operation.partners, 1))
    return list(operation.tiles(draw, contents, CANVAS))


def lowered_move(operation: Frame | Move | Warp, draw: Draw) -> list[np.ndarray]:
    if isinstance(operation, Warp):
        lattice = operation.lattice(draw, CANVAS)
        return [lattice.nodes, np.array(lattice.steps)]
    if isinstance(operation, Frame):
        camera = Camera.of(operation.matrix(draw, SOURCES, CANVAS), CANVAS, [SOURCE] * SAMPLES)
        return [camera.backward, camera.taps]
    matrix = product(operation.matrix(draw, CANVAS), identity(SAMPLES))
    camera = Camera.of(matrix, CANVAS, [(CANVAS.height, CANVAS.width)] * SAMPLES)
    tilted = [camera.depth] if camera.perspective.size else []
    return [camera.backward, camera.taps, *tilted]


def lowered_law(law: Additive | Replace) -> list[np.ndarray]:
    if isinstance(law, Replace):
        return [*law.thresholds.T, *law.values.T]
    return [strength for strength in (law.constant, law.linear, law.root) if strength is not None]


def lowered_sound(operation: Operation, draw: Draw) -> list[np.ndarray]:
    """The integers of every step, without the rows that they apply to."""
    plan, lengths = SoundPlan.of([operation], Clip(16000, 16000)), np.full(len(draw.selected), 16000)
    if beside := plan.spec_numbers([draw], lengths):
        return list(beside.values())
    steps = plan.lower([draw], lengths)
    values = [getattr(step, field.name) for step in steps for field in dataclasses.fields(step) if field.name != "rows"]
    return [value for value in values if isinstance(value, np.ndarray)]


@cache
def everything():
    """Digests by operation and example, and the values that no operation owns."""
    address = rng.Address(np.arange(SAMPLES) * 16777213 % 2**32, 2**24 - 2, 3)
    values: dict[str, dict] = {}
    for name, example, step in examples():
        plan = Plan.of(parse_pipeline([{"p": 0.9, **step}]), CANVAS, "cover")
        draw = plan.draw(2**52 + 12345, address)[0]
        fields = values.setdefault(name, {"draws": {}, "lowered": {}})
        fields["draws"][example] = digest(draw.selected, *draw.words.values())
        fields["lowered"][example] = digest(*lowered(plan.operations[0], draw))
    for name, container in containers().items():
        for settings in container.examples:
            tree = Tree.of(parse_pipeline([{"op": name, "p": 0.9, **settings}]))
            chosen = [array for draw in tree.draw(7, address) for array in (draw.selected, *draw.given.values())]
            values.setdefault(name, {"choices": {}})["choices"][example_name(settings)] = digest(*chosen)
    lengths = [1, 2, 3, 1000, 2**31, 2**32]
    orders = {str(n): Permutation(n, 5, 9).indices(np.arange(min(n, 8))).tolist() for n in lengths}
    return values | {SHARED: {"orders": orders, "quantiles": digest(rng.quantile_table())}}


@cache
def golden():
    return read_golden(("draws", "lowered", "choices", "orders", "quantiles"))


def test_every_operation_has_a_file_and_no_other():
    assert {path.stem for path in FOLDER.iterdir()} == {*registry(), *containers(), SHARED}, "run `make golden`"


@pytest.mark.parametrize("name", [*registry(), *containers(), SHARED])
def test_equal_to_the_golden_file(name):
    assert everything()[name] == golden()[name], "it changed: see the head of this file"


def test_equal_without_the_cpus_extensions():
    """In a separate process: NumPy picks its loops once, when it is imported."""
    extensions = np.show_config(mode="dicts")["SIMD Extensions"].get("found", [])
    environment = os.environ | {"NPY_DISABLE_CPU_FEATURES": " ".join(extensions)}
    done = subprocess.run(
        [sys.executable, "-m", "tests.test_golden"],
        cwd=Path(__file__).parent.parent, env=environment, capture_output=True, check=True,
    )  # fmt: skip
    assert json.loads(done.stdout) == golden()


if __name__ == "__main__":
    json.dump(everything(), sys.stdout)
