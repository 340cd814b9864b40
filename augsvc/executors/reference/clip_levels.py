"""The levels of clips, as sums of integers, and the factors that noise and other sounds have beside them."""

import numpy as np
import torch

from augsvc.arrays import F32, I64
from augsvc.executors.reference.sound_changes import EXPONENTS, LEVEL_BITS, LOUDEST
from augsvc.numerics.rng import QUANTILE_BITS
from augsvc.planning.audio_steps import NOISE_BITS


def measure_level(values: torch.Tensor) -> tuple[I64, I64]:
    """The level of clips (N, T): the exponent e (N,) of the power of 2 above each one's largest value, and the sum (N,) of
    round(v · 2^(LEVEL_BITS − e))². Integers: the order of summation does not matter.
    """
    largest: F32 = values.abs().amax(dim=1).cpu().numpy()
    exponents = np.clip(np.frexp(largest)[1].astype(np.int64), *EXPONENTS)
    scale = np.ldexp(1.0, LEVEL_BITS - exponents)
    fixed = torch.round(values.double() * torch.from_numpy(scale).to(values.device)[:, None]).long()
    squares: I64 = (fixed * fixed).sum(dim=1).cpu().numpy()
    return exponents, squares


def noise_scale(ratio: I64, exponents: I64, squares: I64, lengths: I64) -> F32:
    """The factor of a deviate from the quantile table (N,): rounded once, then scaled by powers of 2. An empty clip counts as
    silent.
    """
    rms = np.sqrt(squares / np.maximum(lengths, 1))
    relative = np.ldexp(rms * ratio.astype(np.float64), -(LEVEL_BITS + NOISE_BITS + QUANTILE_BITS)).astype(np.float32)
    with np.errstate(over="ignore"):
        scale: F32 = np.minimum(np.ldexp(relative, exponents), np.float32(LOUDEST))
    return scale


def mix_scale(ratio: I64, clips: tuple[I64, I64], sides: tuple[I64, I64]) -> F32:
    """The factor of each side (N,), so that its root mean square becomes `ratio` times the clip's: levels as `measure_level`
    gives them. 0 where one of them is silent.
    """
    (clip_powers, clip_squares), (side_powers, side_squares) = clips, sides
    relative = np.sqrt(clip_squares / np.maximum(side_squares, 1)) * (ratio * 2.0**-NOISE_BITS)
    with np.errstate(over="ignore"):
        scale = np.ldexp(np.ldexp(relative.astype(np.float32), -np.minimum(side_powers, 126)), clip_powers)
    scale = np.minimum(scale, np.float32(LOUDEST))
    sounding = (clip_squares > 0) & (side_squares > 0)
    return np.where(sounding, scale, np.float32(0.0))
