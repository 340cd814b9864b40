"""The μ-law codec."""

from functools import cache
from typing import ClassVar, Literal

import numpy as np

from augsvc.arrays import F64
from augsvc.numerics import exact
from augsvc.ops.kinds.audio import Shape, SoundTone
from augsvc.ops.operation import Draw

_LOG_256 = 5.545177444479562


class MuLaw(SoundTone):
    """Encodes to 8 bits of μ-law (μ = 255) and decodes again, as telephones do: torchaudio's MuLawEncoding and MuLawDecoding.

    Values beyond ±1 become ±1. Silence stays silent, where torchaudio's round trip gives 0.00009.
    """

    continuous: ClassVar[bool] = False
    elsewhere = {"torchaudio": "MuLawEncoding, MuLawDecoding"}
    op: Literal["mu_law"] = "mu_law"

    def shape(self, draw: Draw) -> Shape:
        """256 stairs, narrow ones around 0."""
        return Shape(stairs=_stairs())


@cache
def _stairs() -> F64:
    """The thresholds above the codes k, and their values.

    With f = sign(v) · ln(1 + 255·|v|) / ln 256 the code is ⌊(f + 1) / 2 · 255 + ½⌋, and stands for f = 2k / 255 − 1.
    """
    codes = np.arange(256.0)
    return np.stack((_expand((2.0 * codes + 1.0) / 255.0 - 1.0), _expand(2.0 * codes / 255.0 - 1.0)))


def _expand(f: F64) -> F64:
    size = (exact.exp(np.abs(f) * _LOG_256) - 1.0) / 255.0
    return np.where(f < 0.0, -size, size)
