"""Opaque operations on clips: the host computes them, between the steps that an executor runs."""

import platform
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import soundfile
import soxr

from augsvc.arrays import F32, I64
from augsvc.planning.audio_plan import lengths_after
from augsvc.planning.audio_steps import KernelStep, OpaqueChange, SoundStep

_LOUDEST = 2.0**60  # full scales: the bound of samples before and after: their squares and sums stay finite


class Segment(NamedTuple):
    """Steps of a kernel over clips of `lengths` samples (N,), and the opaque operation after them; the last segment has none."""

    steps: list[KernelStep]
    lengths: I64
    opaque: OpaqueChange | None


def cut_at_opaque(steps: Sequence[SoundStep], lengths: I64) -> Iterator[Segment]:
    """The segments of a plan's steps, at least one."""
    open_steps: list[KernelStep] = []
    for step in steps:
        if isinstance(step, OpaqueChange):
            yield Segment(open_steps, lengths, step)
            lengths, open_steps = lengths_after([*open_steps, step], lengths), []
        else:
            open_steps.append(step)
    yield Segment(open_steps, lengths, None)


def host_traits() -> tuple[str, ...]:
    """The dependencies of opaque operations on clips: the transform, the codecs, the resampler, and their vector code."""
    libraries = np.__version__, soundfile.__libsndfile_version__, soxr.__version__, soxr.__libsoxr_version__
    return *libraries, platform.machine()


def change_clips(change: OpaqueChange, clips: F32, lengths: I64, check: Callable[[], None]) -> None:
    """Applies an opaque operation to clips (N, T) of `lengths` samples (N,), in place. Silent clips stay silent; a sample beyond
    ±_LOUDEST counts as that, and one that is not a number as 0.
    """
    for row, numbers in zip(change.rows.tolist(), change.numbers, strict=True):
        check()
        length, samples = int(lengths[row]), int(change.lengths[row])
        clip = np.nan_to_num(np.clip(clips[row, :length], -_LOUDEST, _LOUDEST), copy=False)
        clips[row, :length] = 0.0
        if clip.any():
            result = change.operation.change(clip, numbers, change.rate, samples, check)
            clips[row, :samples] = np.clip(result, -_LOUDEST, _LOUDEST)
