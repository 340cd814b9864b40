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

from augsvc.data.decoders.registry import DECODERS, probe_digest
from augsvc.executors.protocol import Executor
from augsvc.ops.operation import Kind, Operation
from augsvc.ops.pipeline import PRESETS, parse_pipeline
from augsvc.ops.registry import Registry, registry
from augsvc.streams.probes import PROBES, probe_spec, sound_probe_spec
from augsvc.streams.stream import Stream


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
        traits = {"image": executor.traits, "audio": executor.sound.traits, "opaque": executor.opaque_traits}
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


def _frames() -> dict[str, list[dict[str, object]]]:
    """What streams use, ground by ground: presets, and for pictures the frames that all of them share."""
    chain = [{"op": op, **more} for op, more in (("time_shift", {"shift": [-1, 1]}), ("gain", {})) for _ in range(2)]
    sound: list[dict[str, object]] = [{"pipeline": [*chain, {"op": "white_noise"}, {"op": "white_noise"}, *chain]}]
    grounds: dict[str, list[dict[str, object]]] = {"image": _image_frames(), "audio": sound, "opaque": []}
    for name in PRESETS:
        steps = parse_pipeline(name)
        if any(step.kind is Kind.OPAQUE for step in steps):
            grounds["opaque"].append({"pipeline": name})
        else:
            for medium in {step.media for step in steps} or ("image", "audio"):
                grounds[medium].append({"pipeline": name})
    return grounds


def _image_frames() -> list[dict[str, object]]:
    """Fits, channels, layouts and floats; borders under a composed camera; several passes."""
    frames: list[dict[str, object]] = [
        {"fit": fit, "channels": channels, "output": {"layout": layout}}
        for fit in ("cover", "contain", "stretch")
        for channels in (1, 3)
        for layout in ("NCHW", "NHWC")
    ]
    frames += [{"output": {"dtype": dtype}} for dtype in ("float16", "bfloat16", "float32")]
    frames.append({"output": {"dtype": "float32", "mean": [0.4, 0.5, 0.6], "std": [0.2, 0.25, 0.3]}})
    for border in ("zeros", "reflect", "edge"):
        turn = {"op": "rotation", "degrees": [-180, 180], "border": border}
        zoom = {"op": "affine", "scale": [0.4, 2.5], "shear_x": [-20, 20], "border": border}
        tilt = {"op": "perspective", "distortion": [0.3, 0.6], "border": border}
        frames += [{"pipeline": [turn, zoom]}, {"pipeline": [tilt, zoom]}]
        frames.append({"pipeline": [zoom, {"op": "color_jitter"}, turn, {"op": "gamma"}, {"op": "color_shift"}]})
    return frames


def _corners(name: str, operation: type[Operation]) -> list[dict[str, object]]:
    """One operation, always selected, in each of its modes: with its defaults, and at both ends of what it takes.

    What needs statistics of the dataset runs over those of greys too.
    """
    marks = operation.parameters().items()
    low: dict[str, object] = {parameter: mark.low for parameter, mark in marks}
    high: dict[str, object] = {parameter: mark.high for parameter, mark in marks}
    modes: list[dict[str, object]] = [{"op": name, "p": 1.0, **chosen} for chosen in operation.choices()]
    specs: list[dict[str, object]] = [{"pipeline": [mode | ends]} for mode in modes for ends in ({}, low, high)]
    if operation.media == "audio":
        return specs
    grey: list[dict[str, object]] = [{"pipeline": [mode], "channels": 1} for mode in modes]
    over_greys: list[dict[str, object]] = [
        {"pipeline": [mode], "channels": channels, "dataset": "grey_probe"}
        for mode in modes
        if operation.model_validate(mode).needs_fitted
        for channels in (1, 3)
    ]
    return grey + specs + over_greys


def _digest(medium: str, specs: list[dict[str, object]], executor: Executor, known: Registry) -> str:
    """SHA-256 of the batches' tensors, without their headers."""
    digest = hashlib.sha256()
    with ThreadPoolExecutor(1) as reader:
        for fields in specs:
            spec = (sound_probe_spec if medium == "audio" else probe_spec)(fields, known)
            stream = Stream.open(spec, PROBES[spec.dataset], executor)
            body = stream.produce(0, 0, stream.samples, 0, reader, lambda: None)
            digest.update(body.buffer[8 + stream.layout.header_bytes :].tobytes())
    return digest.hexdigest()
