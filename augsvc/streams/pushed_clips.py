"""Pushed clips: their validation and their plan."""

from collections.abc import Sequence

import numpy as np

from augsvc.arrays import Arrays
from augsvc.errors import BodyMalformed, SpecInvalid
from augsvc.executors.protocol import Executor
from augsvc.ops.kinds.audio import Clip
from augsvc.planning.audio_plan import SoundPlan
from augsvc.planning.spec import MAX_CLIP
from augsvc.streams.push_request import PushRequest
from augsvc.streams.push_tensors import need
from augsvc.streams.render_audio import SoundRenderer
from augsvc_client.decoding.limits import MAX_CLIP_CHANNELS

LOUDEST = 65536.0  # full scales; louder input is not audio, and gains could overflow float32


def require_clips(arrays: Arrays, _: bool) -> np.ndarray:
    """Validates `audio`, and returns it; raises BodyMalformed."""
    ndim = 3 if "audio" in arrays and arrays["audio"].ndim == 3 else 2
    audio = need(arrays, "audio", "float32", ndim)
    if min(audio.shape) < 1 or (ndim == 3 and not 2 <= audio.shape[1] <= MAX_CLIP_CHANNELS):
        raise BodyMalformed(
            f"audio must be float32 N,T or N,C,T with C of 2 to {MAX_CLIP_CHANNELS}, at least one clip and T of at least 1",
            field="audio",
        )
    rows = audio.reshape(len(audio), -1)
    valid = (rows.max(axis=1) <= LOUDEST) & (rows.min(axis=1) >= -LOUDEST)  # False for NaN
    if not valid.all():
        bad = int(np.flatnonzero(~valid)[0])
        raise BodyMalformed(
            f"audio: clip {bad} holds a value that is NaN, infinite or beyond {LOUDEST:.0f} full scales", field="audio"
        )
    return audio


def require_lengths(arrays: Arrays, clips: np.ndarray) -> set[str]:
    """Validates the lengths of clips, and returns the name that they have; raises BodyMalformed."""
    n, samples = len(clips), clips.shape[-1]
    if (lengths := arrays.get("lengths")) is not None:
        if lengths.dtype.name not in ("int32", "int64") or lengths.shape != (n,):
            raise BodyMalformed("lengths must be int32 or int64 N, the samples of each clip", field="lengths")
        if int(lengths.min()) < 0 or int(lengths.max()) > samples:
            raise BodyMalformed(f"lengths must be 0 to {samples}, the samples of a row of audio", field="lengths")
    return {"lengths"}


def clip_renderer(request: PushRequest, row: Sequence[int], executor: Executor, arrays: Arrays) -> SoundRenderer:
    """Plans a push of clips of the shape `row`, T or C,T; raises SpecInvalid."""
    channels, samples = row if len(row) == 2 else (1, row[0])
    if samples * channels > MAX_CLIP:
        raise SpecInvalid(f"a clip has at most {MAX_CLIP} samples: send shorter clips", field="audio")
    plan = SoundPlan.of(request.pipeline, Clip(samples, request.sample_rate, channels))
    return SoundRenderer(plan, executor.sound, "lengths" in arrays or plan.changes_lengths)
