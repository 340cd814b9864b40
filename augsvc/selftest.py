"""The self-test: what this build computes, measured, so that replicas which would differ cannot answer for one another.

Every operation runs on fixed, painted inputs, at the ends of its parameters too, and so do canvas, borders, passes and
presets; every decoder runs on a fixed file. The SHA-256 of what comes out, taken
over what a stream uses, is that stream's arithmetic id. Running it also warms everything up.
"""

import hashlib
import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from augsvc.batch import I64, Sample
from augsvc.decode import DECODERS, probe_digest
from augsvc.executors.base import Executor
from augsvc.ops.base import Kind, Operation
from augsvc.ops.registry import Registry, registry
from augsvc.pipeline import PRESETS, parse_pipeline
from augsvc.sources.base import Source, SourceInfo
from augsvc.spec import StreamSpec, validate_spec
from augsvc.stream import Stream

_CANVAS = (24, 32)
_SIZES = ((24, 32), (20, 40), (75, 110), (290, 385))
_SAMPLES = len(_SIZES)


class Probe(Source):
    """Painted pictures of different sizes with all labels, by integer formulas."""

    info = SourceInfo(
        name="probe", version="1", classes=("a", "b"), channels=3, size=None, mask=True, boxes=1, keypoints=1
    )

    def __len__(self) -> int:
        return _SAMPLES

    def read(self, index: int) -> Sample:
        """A gradient with a lattice of edges; one picture has the canvas's size, two are to be shrunk."""
        height, width = _SIZES[index]
        rows, columns = np.mgrid[0:height, 0:width]
        planes = (rows * 7 + columns * 3, rows * columns * 5 // 8, ((rows // 5 + columns // 4) % 2) * 180 + 40)
        image = np.stack([plane % 256 for plane in planes], axis=-1).astype(np.uint8)
        return Sample(
            image=image,
            label=index % 2,
            mask=((rows // 6 + columns // 6) % 4).astype(np.uint8),
            boxes=np.array([[4, 5, 17, 15]], dtype=np.float32),
            box_labels=np.array([index % 2]),
            boxes_valid=np.array([True]),
            keypoints=np.array([[9.5, 8.5]], dtype=np.float32),
            keypoints_valid=np.array([True]),
        )

    def labels(self) -> I64:
        """Alternating."""
        return np.arange(_SAMPLES, dtype=np.int64) % 2

    def describe(self, index: int) -> str:
        """Its number."""
        return f"probe#{index}"


@dataclass(frozen=True, slots=True)
class SelfTest:
    """Digests of what this build computes."""

    traits: tuple[str, ...]  # of the executor: versions, and the device's arithmetic
    opaque_traits: tuple[str, ...]  # the same, for streams with opaque operations
    frame: str  # canvas, channels and encoding
    opaque_frame: str  # opaque operations among others
    operations: Mapping[str, str]
    opaque: frozenset[str]  # which operations are
    decoders: Mapping[str, str]

    @staticmethod
    def run(executor: Executor, known: Registry | None = None) -> "SelfTest":
        """Runs every operation of those `known` (default: the package's), alone and always selected, and every decoder."""
        known = known or registry()
        operations = {name: _digest(_corners(name, known[name]), executor, known) for name in known}
        decoders = {name: probe_digest(name) for name in DECODERS}
        opaque = frozenset(name for name in known if known[name].kind is Kind.OPAQUE)
        frames = _frames()
        return SelfTest(
            executor.traits,
            executor.opaque_traits,
            _digest([frame for frame in frames if not _uses(frame, opaque)], executor, known),
            _digest([frame for frame in frames if _uses(frame, opaque)], executor, known),
            operations,
            opaque,
            decoders,
        )

    def arithmetic(self, stream: Stream) -> str:
        """The arithmetic id of a stream: over what it uses, 32 hex digits."""
        used = {operation.op for operation in stream.plan.operations}
        return self._id(used, set(stream.source.info.decoders))

    def arithmetic_of(self, operations: set[str]) -> str:
        """The arithmetic id of operations on pictures that need no decoder."""
        return self._id(operations, set())

    @property
    def whole(self) -> str:
        """The arithmetic id over everything."""
        return self._id(set(self.operations), set(self.decoders))

    def _id(self, operations: set[str], decoders: set[str]) -> str:
        mixed = bool(operations & self.opaque)
        used = {
            "traits": self.traits + (self.opaque_traits if mixed else ()),
            "frame": (self.frame, self.opaque_frame) if mixed else self.frame,
            "operations": {name: self.operations[name] for name in operations},
            "decoders": {name: self.decoders[name] for name in decoders},
        }
        return hashlib.sha256(json.dumps(used, sort_keys=True).encode()).hexdigest()[:32]


def probe_spec(fields: Mapping[str, object], known: Registry | None = None) -> StreamSpec:
    """A specification over the probe."""
    return validate_spec({"dataset": "probe", "size": list(_CANVAS), "shuffle": False, **fields}, known)


def _uses(frame: Mapping[str, object], operations: frozenset[str]) -> bool:
    """Whether a frame's pipeline has one of the operations."""
    return any(step.op in operations for step in parse_pipeline(frame.get("pipeline", ())))


def _frames() -> list[dict[str, object]]:
    """What every stream uses: fits, channels and layouts; borders under a composed camera; several passes; presets."""
    frames: list[dict[str, object]] = [
        {"fit": fit, "channels": channels, "output": {"layout": layout}}
        for fit in ("cover", "contain", "stretch")
        for channels in (1, 3)
        for layout in ("NCHW", "NHWC")
    ]
    for border in ("zeros", "reflect", "edge"):
        turn = {"op": "rotation", "degrees": [-180, 180], "border": border}
        zoom = {"op": "affine", "scale": [0.4, 2.5], "shear_x": [-20, 20], "border": border}
        frames.append({"pipeline": [turn, zoom]})
        frames.append({"pipeline": [zoom, {"op": "color_jitter"}, turn, {"op": "gamma"}, {"op": "color_shift"}]})
    return frames + [{"pipeline": preset} for preset in PRESETS]


def _corners(name: str, operation: type[Operation]) -> list[dict[str, object]]:
    """One operation, always selected: with its defaults, grey and in colour, and at both ends of what it takes."""
    marks = operation.parameters().items()
    plain: dict[str, object] = {"op": name, "p": 1.0}
    low: dict[str, object] = plain | {parameter: mark.low for parameter, mark in marks}
    high: dict[str, object] = plain | {parameter: mark.high for parameter, mark in marks}
    return [{"pipeline": [plain], "channels": 1}, *({"pipeline": [step], "channels": 3} for step in (plain, low, high))]


def _digest(specs: list[dict[str, object]], executor: Executor, known: Registry) -> str:
    """SHA-256 of the batches' tensors, without their headers."""
    digest = hashlib.sha256()
    with ThreadPoolExecutor(1) as reader:
        for fields in specs:
            stream = Stream.open(probe_spec(fields, known), Probe(), executor)
            body = stream.produce(0, 0, _SAMPLES, 0, reader, lambda: None)
            digest.update(body.buffer[8 + stream.layout.header_bytes :].tobytes())
    return digest.hexdigest()
