"""A planned pipeline over audio: from draws to the integers that a pass over clips runs on.

Passes are move → tone → noise, in the user's order (augsvc.planning.passes). An operation that requests a statistic, here the
level of the incoming clip, opens one.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from augsvc.arrays import I64
from augsvc.numerics import exact
from augsvc.ops.kinds.audio import SOUND_BITS, Clip, Shape, SoundMove, SoundNoise, SoundTone
from augsvc.ops.operation import Draw, Step
from augsvc.ops.tree import Tree
from augsvc.planning.passes import Pass, Passes, plan_passes

NOISE_BITS = 40  # fraction bits of the standard deviation of noise, relative to the clip's root mean square


@dataclass(frozen=True, slots=True, eq=False)
class FixedShape:
    """A shape in fixed point (SOUND_BITS), for the n clips that it changes."""

    gain: I64 | None  # n
    limit: I64 | None  # n
    curve: I64 | None  # n,CURVE_ENTRIES
    step: I64 | None  # n
    rows: I64  # n: their rows in the batch

    @staticmethod
    def of(shape: Shape, rows: I64) -> "FixedShape":
        """Rounds every stage that is present."""
        parts = (shape.gain, shape.limit, shape.curve, shape.step)
        gain, limit, curve, step = (None if values is None else exact.to_fixed(values, SOUND_BITS) for values in parts)
        return FixedShape(gain, limit, curve, step, rows)


@dataclass(frozen=True, slots=True, eq=False)
class SoundPlan(Passes):
    """A planned pipeline over audio: what the executors run."""

    clip: Clip

    @staticmethod
    def of(steps: Sequence[Step], clip: Clip) -> "SoundPlan":
        """Plans a validated pipeline."""
        tree = Tree.of(steps)
        return SoundPlan(tree, plan_passes(tree, None), "fit:middle", clip)

    @property
    def elements(self) -> int:
        """Samples of a clip."""
        return self.clip.samples

    def windows(self, pass_: Pass, draws: Sequence[Draw], lengths: I64) -> I64 | None:
        """The moves of a pass as one: (N, 3) of shift, first, last, for out[t] = in[t − shift] where first ≤ t < last, else 0.

        `lengths` (N,) are the clips' own. None if nothing moves. Samples that one move pushes out of the clip are not brought
        back by the next.
        """
        moves = self.of_kind(pass_, SoundMove)
        if not moves:
            return None
        shift = np.zeros(len(lengths), dtype=np.int64)
        first, last = shift.copy(), lengths
        for index, move in moves:
            draw = draws[index]
            delay = np.where(draw.selected, np.clip(move.samples(draw, lengths, self.clip.rate), -lengths, lengths), 0)
            shift = shift + delay
            first, last = np.maximum(first + delay, 0), np.minimum(last + delay, lengths)
        return np.stack((shift, first, np.maximum(last, first)), axis=-1)

    def shapes(self, pass_: Pass, draws: Sequence[Draw]) -> list[FixedShape]:
        """The tones of a pass, in order. Only selected clips get a curve: computing it takes as long as applying it."""
        shapes = []
        for index, tone in self.of_kind(pass_, SoundTone):
            rows = np.flatnonzero(draws[index].selected)
            shapes.append(FixedShape.of(tone.shape(draws[index].take(rows)), rows))
        return shapes

    def noises(self, pass_: Pass, draws: Sequence[Draw]) -> list[tuple[Draw, I64]]:
        """The draws of each noise of a pass, and its standard deviation (N,) for a clip whose root mean square is 1, with
        NOISE_BITS fraction bits, 0 for clips not selected.
        """
        noises = []
        for index, noise in self.of_kind(pass_, SoundNoise):
            draw = draws[index]
            std = exact.to_fixed(noise.std(draw, np.ones(len(draw.selected))), NOISE_BITS)
            noises.append((draw, np.where(draw.selected, std, 0)))
        return noises
