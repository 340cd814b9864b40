"""The self-test: what this build computes, measured, so that replicas which would differ cannot answer for one another.

Every operation runs on fixed, painted inputs, at the ends of its parameters too, and so do canvas, borders, passes and
presets; every decoder runs on a fixed file. The SHA-256 of what comes out, taken
over what a stream uses, is that stream's arithmetic id. Running it also warms everything up.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from augsvc.batch import I64, Sample
from augsvc.color_statistics import ColorStatistics
from augsvc.decoders import DECODERS, probe_digest
from augsvc.executors.base import Executor
from augsvc.executors.sound import SoundExecutor
from augsvc.ops.base import Kind, Operation
from augsvc.ops.registry import Registry, registry
from augsvc.pipeline import PRESETS, parse_pipeline
from augsvc.sources.base import Source, SourceInfo
from augsvc.spec import StreamSpec, validate_spec
from augsvc.stream import Stream

_CANVAS = (24, 32)
_SIZES = ((24, 32), (20, 40), (75, 110), (290, 385))
_SAMPLES = len(_SIZES)
_COLORS = ColorStatistics(  # of some photographs: fixed, whatever the probe shows
    dataset="probe",
    dataset_version="1",
    samples=1,
    left_out=0,
    channels=3,
    count=1000,
    sums=(130000, 110000, 100000),
    products=((22000000, 18200000, 16000000), (18200000, 16500000, 14600000), (16000000, 14600000, 14500000)),
)
_SECONDS, _RATE = 0.1, 8000
_CLIPS = ((800, 8000), (3000, 8000), (500, 11025), (900, 8000), (1, 44100))  # samples, rate


class Probe(Source):
    """Painted pictures of different sizes with all labels, by integer formulas."""

    info = SourceInfo(
        name="probe",
        version="1",
        classes=("a", "b"),
        channels=3,
        size=None,
        mask=True,
        boxes=1,
        keypoints=1,
        colors=_COLORS,
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

    # Each ground that arithmetic can rest on, image, audio, or opaque (torch's floats among pictures) → …
    traits: Mapping[str, tuple[str, ...]]  # … versions, and the device's arithmetic
    frames: Mapping[str, str]  # … what its streams use: canvas, channels and encoding; resampling
    operations: Mapping[str, str]
    opaque: frozenset[str]  # which of them are
    decoders: Mapping[str, str]

    @staticmethod
    def run(executor: Executor, known: Registry | None = None) -> "SelfTest":
        """Runs every operation of those `known` (default: the package's), alone and always selected, and every decoder."""
        known = known or registry()
        sound = SoundExecutor.on(executor.device)
        traits = {"image": executor.traits, "audio": sound.traits, "opaque": executor.opaque_traits}
        frames = {ground: _digest(ground, specs, executor, known) for ground, specs in _frames().items()}
        operations = {name: _digest(op.media, _corners(name, op), executor, known) for name, op in known.items()}
        decoders = {name: probe_digest(name) for name in DECODERS}
        opaque = frozenset(name for name in known if known[name].kind is Kind.OPAQUE)
        return SelfTest(traits, frames, operations, opaque, decoders)

    def arithmetic(self, stream: Stream) -> str:
        """The arithmetic id of a stream: over what it uses, 32 hex digits."""
        info = stream.source.info
        return self._id(stream.plan.operations, info.media, set(info.decoders))

    def arithmetic_of(self, operations: Sequence[Operation], medium: str) -> str:
        """The arithmetic id of operations on samples that need no decoder."""
        return self._id(operations, medium, set())

    @property
    def whole(self) -> str:
        """The arithmetic id over everything."""
        return self._digest_of(set(self.operations), set(self.traits), set(self.decoders))

    def _id(self, operations: Sequence[Operation], medium: str, decoders: set[str]) -> str:
        used = {operation.op for operation in operations}
        return self._digest_of(used, {medium} | ({"opaque"} if used & self.opaque else set()), decoders)

    def _digest_of(self, operations: set[str], grounds: set[str], decoders: set[str]) -> str:
        used = {
            "traits": {ground: self.traits[ground] for ground in grounds},
            "frames": {ground: self.frames[ground] for ground in grounds},
            "operations": {name: self.operations[name] for name in operations},
            "decoders": {name: self.decoders[name] for name in decoders},
        }
        return hashlib.sha256(json.dumps(used, sort_keys=True).encode()).hexdigest()[:32]


class SoundProbe(Source):
    """Painted clips of different lengths and rates, by integer formulas; one has the stream's, one is silent."""

    info = SourceInfo(name="sound_probe", version="1", classes=("a", "b"), channels=1, size=None, media="audio")

    def __len__(self) -> int:
        return len(_CLIPS)

    def read(self, index: int) -> Sample:
        """A chirp of a triangle wave that swells."""
        length, rate = _CLIPS[index]
        time = np.arange(length, dtype=np.int64)
        phase = (time * (200 + time // 4) // 8) % 4096
        wave = np.abs(phase - 2048) - 1024
        swell = np.minimum(time, 1024) * (index != 3)
        return Sample(None, index % 2, audio=(wave * swell).astype(np.float32) / np.float32(1 << 21), rate=rate)

    def labels(self) -> I64:
        """Alternating."""
        return np.arange(len(_CLIPS), dtype=np.int64) % 2

    def describe(self, index: int) -> str:
        """Its number."""
        return f"sound_probe#{index}"


def probe_spec(fields: Mapping[str, object], known: Registry | None = None) -> StreamSpec:
    """A specification over the probe of pictures."""
    return validate_spec({"dataset": "probe", "size": list(_CANVAS), "shuffle": False, **fields}, known)


def sound_probe_spec(fields: Mapping[str, object], known: Registry | None = None) -> StreamSpec:
    """A specification over the probe of sound."""
    frame = {"dataset": "sound_probe", "seconds": _SECONDS, "sample_rate": _RATE, "shuffle": False}
    return validate_spec({**frame, **fields}, known)


def _frames() -> dict[str, list[dict[str, object]]]:
    """What streams use, ground by ground: presets, and for pictures the frames that all of them share."""
    grounds: dict[str, list[dict[str, object]]] = {"image": _image_frames(), "audio": [], "opaque": []}
    for name in PRESETS:
        steps = parse_pipeline(name)
        if any(step.kind is Kind.OPAQUE for step in steps):
            grounds["opaque"].append({"pipeline": name})
        else:
            for medium in {step.media for step in steps} or ("image", "audio"):
                grounds[medium].append({"pipeline": name})
    return grounds


def _image_frames() -> list[dict[str, object]]:
    """Fits, channels and layouts; borders under a composed camera; several passes."""
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
    return frames


def _corners(name: str, operation: type[Operation]) -> list[dict[str, object]]:
    """One operation, always selected, in each of its modes: with its defaults, and at both ends of what it takes."""
    marks = operation.parameters().items()
    low: dict[str, object] = {parameter: mark.low for parameter, mark in marks}
    high: dict[str, object] = {parameter: mark.high for parameter, mark in marks}
    modes: list[dict[str, object]] = [{"op": name, "p": 1.0, **chosen} for chosen in operation.choices()]
    colours: list[dict[str, object]] = [{"pipeline": [mode | ends]} for mode in modes for ends in ({}, low, high)]
    grey: list[dict[str, object]] = [{"pipeline": [mode], "channels": 1} for mode in modes]
    return colours if operation.media == "audio" else grey + colours


def _digest(medium: str, specs: list[dict[str, object]], executor: Executor, known: Registry) -> str:
    """SHA-256 of the batches' tensors, without their headers."""
    digest = hashlib.sha256()
    with ThreadPoolExecutor(1) as reader:
        for fields in specs:
            if medium == "audio":
                stream = Stream.open(sound_probe_spec(fields, known), SoundProbe(), executor)
            else:
                stream = Stream.open(probe_spec(fields, known), Probe(), executor)
            body = stream.produce(0, 0, stream.samples, 0, reader, lambda: None)
            digest.update(body.buffer[8 + stream.layout.header_bytes :].tobytes())
    return digest.hexdigest()
