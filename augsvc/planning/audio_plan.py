"""A planned pipeline over audio: from draws to the steps that executors run.

Passes are move → tone → filter → noise → erase, in the user's order (augsvc.planning.passes). An operation that requests a
statistic, here the level of the incoming clip, opens one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, groupby

import numpy as np

from augsvc.arrays import I64
from augsvc.errors import SpecInvalid
from augsvc.numerics import exact
from augsvc.ops.kinds.audio import (
    SOUND_BITS,
    Clip,
    Knots,
    SoundEnvelope,
    SoundErase,
    SoundFilter,
    SoundFrame,
    SoundMove,
    SoundNoise,
    SoundResample,
    SoundSpeed,
    SoundTone,
    SpecChange,
)
from augsvc.ops.kinds.sound_dynamics import SoundDynamics
from augsvc.ops.kinds.sound_opaque import SoundOpaque
from augsvc.ops.kinds.sound_partners import (
    SoundBackground,
    SoundImpulse,
    SoundMix,
    SoundPartner,
    SoundReverb,
    SoundRoom,
)
from augsvc.ops.operation import Draw, Operation, Step
from augsvc.ops.pipeline import walk
from augsvc.ops.tree import Tree, are_exclusive
from augsvc.planning.audio_steps import (
    MAX_TAPS,
    NOISE_BITS,
    RATE_BITS,
    RATIO_BITS,
    Change,
    ClipChange,
    FixedEnvelope,
    FixedShape,
    OpaqueChange,
    Resampling,
    SectionPair,
    SideMix,
    SideNoise,
    SoundStep,
    Turn,
    WhiteNoise,
    Window,
    mean_squares,
)
from augsvc.planning.passes import Passes, plan_passes
from augsvc.planning.sound_dynamics import lower_dynamics

MAX_RATIO = 16  # of the rate of clips to one that SoundResample goes to: the executors' filters are bounded by it


@dataclass(frozen=True, slots=True, eq=False)
class SoundPlan(Passes):
    """A planned pipeline over audio: what the executors run."""

    clip: Clip

    @staticmethod
    def of(steps: Sequence[Step], clip: Clip) -> "SoundPlan":
        """Plans a validated pipeline.

        Raises:
            SpecInvalid: an operation needs the rate of the clips, and they came without one, or resamples to below 1/16 of it;
                or two that draw spectrogram masks, or mix, may apply to one clip.
        """
        tree = Tree.of(steps)
        if clip.rate is None and (names := sorted({op.op for op in tree.operations if op.needs_rate})):
            raise SpecInvalid(f"{names[0]} needs the rate of the clips: set sample_rate", field="sample_rate")
        _require_rates(steps, clip)
        for kind in dict.fromkeys(
            type(operation) for operation in tree.operations if isinstance(operation, SpecChange)
        ):
            _require_single(tree, kind, "set its parameters")
        _require_single(tree, SoundMix, "a clip has one partner's label")
        return SoundPlan(tree, plan_passes(tree, None, None), "fit:middle", clip)

    @property
    def elements(self) -> int:
        """Samples of a clip, of all channels."""
        return self.clip.samples * self.clip.channels

    def opaque_ns(self, operation: Operation) -> float:
        """As Passes.opaque_ns, for all channels."""
        return operation.sample_ns(self.clip) * self.clip.channels if isinstance(operation, SoundOpaque) else 0.0

    @property
    def tiles(self) -> int:
        """One: there are no collages of clips."""
        return 1

    @property
    def images(self) -> int:
        """Samples whose label a sample has: two with a mix."""
        return 1 + any(isinstance(operation, SoundMix) for operation in self.operations)

    @property
    def partner_operations(self) -> list[tuple[int, SoundPartner]]:
        """The operations that take partners, with their indices among all, a mix first: a track each."""
        taking = [(index, op) for index, op in enumerate(self.operations) if isinstance(op, SoundPartner)]
        return sorted(taking, key=lambda pair: not isinstance(pair[1], SoundMix))

    @property
    def transform(self) -> int:
        """The length of the transform of convolutions, a power of two; 0 without any."""
        if not any(isinstance(operation, SoundReverb) for operation in self.operations):
            return 0
        return 2 << (min(self.clip.samples, MAX_TAPS) - 1).bit_length()

    @property
    def changes_lengths(self) -> bool:
        """Whether the lengths of clips are drawn."""
        return any(map(_changes_lengths, self.operations))

    def windows(self, draws: Sequence[Draw], lengths: I64) -> I64:
        """The first sample (N,) of each clip's window, of clips of any `lengths` samples (N,): the middle, or by a frame."""
        spare = np.maximum(lengths - self.clip.samples, 0)
        first = spare // 2
        for operation, draw in zip(self.operations, draws, strict=True):
            if isinstance(operation, SoundFrame):
                first = np.where(draw.selected, operation.first(draw, spare), first)
        return first

    @property
    def spec_shapes(self) -> dict[str, tuple[int, ...]]:
        """The tensors that travel beside the sound for its features, and the shape of a sample's."""
        shapes: dict[str, tuple[int, ...]] = {}
        for operation in self.operations:
            if isinstance(operation, SpecChange):
                for name, shape in operation.tensors.items():
                    shapes[name] = tuple(map(max, shape, shapes.get(name, shape)))
        return shapes

    def spec_numbers(self, draws: Sequence[Draw], lengths: I64) -> dict[str, I64]:
        """Their values (N, *shape) of clips of `lengths` samples (N,) after all steps; 0 if not selected."""
        beside = {name: np.zeros((len(lengths), *shape), np.int64) for name, shape in self.spec_shapes.items()}
        for operation, draw in zip(self.operations, draws, strict=True):
            if isinstance(operation, SpecChange):  # at most one of a name is selected for a clip
                for name, values in operation.numbers(draw, lengths, self.clip.rate or 1).items():
                    beside[name][draw.selected, : values.shape[1]] = values[draw.selected]
        return beside

    def result_lengths(self, draws: Sequence[Draw], lengths: I64) -> I64:
        """The lengths (N,) after all steps."""
        for operation, draw in zip(self.operations, draws, strict=True):
            if isinstance(operation, SoundSpeed | SoundOpaque) and _changes_lengths(operation):
                lengths = self._change_of_length(operation, draw, lengths).lengths
        return lengths

    def lower(self, draws: Sequence[Draw], lengths: I64) -> list[SoundStep]:
        """All steps over clips of `lengths` samples (N,), in the order of the passes. Moves in a row are one step."""
        steps: list[SoundStep] = []
        indices = [index for pass_ in self.passes for index in pass_.steps]
        for shifts, group in groupby(indices, key=lambda index: _is_shift(self.operations[index])):
            if shifts:
                pairs = [(self.operations[index], draws[index]) for index in group]
                steps.append(self._window([(op, draw) for op, draw in pairs if isinstance(op, SoundMove)], lengths))
            else:
                for index in group:
                    steps += self._lower_operation(index, draws[index], lengths)
                    lengths = lengths_after(steps, lengths)
        return steps

    def _window(self, moves: Sequence[tuple[SoundMove, Draw]], lengths: I64) -> Window:
        """Samples that one move pushes out of the clip are not brought back by the next."""
        shift = np.zeros(len(lengths), dtype=np.int64)
        first, last = shift.copy(), lengths
        for move, draw in moves:
            delay = np.where(draw.selected, np.clip(move.samples(draw, lengths, self.clip.rate), -lengths, lengths), 0)
            shift = shift + delay
            first, last = np.maximum(first + delay, 0), np.minimum(last + delay, lengths)
        return Window(np.stack((shift, first, np.maximum(last, first)), axis=-1))

    def _lower_operation(self, index: int, draw: Draw, lengths: I64) -> list[SoundStep]:
        """Only selected clips get a curve, sections or knots: computing them takes as long as applying them."""
        operation, rows = self.operations[index], np.flatnonzero(draw.selected)
        if isinstance(operation, SoundFrame | SpecChange):
            return []  # the renderer reads the window, the client applies the rest
        if isinstance(operation, SoundSpeed | SoundOpaque):
            return [self._change_of_length(operation, draw, lengths)]
        if isinstance(operation, SoundMove):
            return self._faded_move(operation, draw, lengths)
        if isinstance(operation, SoundTone):
            return [FixedShape.of(operation.shape(draw.take(rows)), rows)]
        if isinstance(operation, SoundFilter):
            return [*SectionPair.of(operation.sections(draw.take(rows), self.clip.rate or 1), rows)]
        if isinstance(operation, SoundEnvelope | SoundErase):
            return [*FixedEnvelope.of(operation.knots(draw.take(rows), lengths[rows], self.clip.rate or 1), rows)]
        if isinstance(operation, SoundNoise):
            return self._noise(operation, draw, rows)
        if isinstance(operation, SoundResample):
            return self._round_trip(operation, draw, lengths)
        if isinstance(operation, SoundDynamics | SoundRoom | SoundPartner):
            return self._lower_with_side(index, operation, draw, lengths)
        raise NotImplementedError(f"{operation.op} is of no kind of audio")

    def _lower_with_side(
        self, index: int, operation: SoundDynamics | SoundRoom | SoundPartner, draw: Draw, lengths: I64
    ) -> list[SoundStep]:
        rows = np.flatnonzero(draw.selected)
        if isinstance(operation, SoundDynamics):
            return lower_dynamics(operation, draw.take(rows), rows, self.clip)
        if isinstance(operation, SoundRoom):
            return self._room(operation, draw, lengths, rows)
        column = [taking for taking, _ in self.partner_operations].index(
            index
        )  # layers of a container share an operation
        return self._partner(operation, column, draw, rows, lengths)

    def _faded_move(self, move: SoundMove, draw: Draw, lengths: I64) -> list[SoundStep]:
        rows, steps = np.flatnonzero(draw.selected), list[SoundStep]()
        if move.wraps or move.backwards:
            delay = np.where(draw.selected, move.samples(draw, lengths, self.clip.rate), 0) % np.maximum(lengths, 1)
            steps.append(Turn(np.stack((delay, draw.selected & move.backwards), axis=-1).astype(np.int64)))
        else:
            steps.append(self._window([(move, draw)], lengths))
        knots = move.fades(draw.take(rows), lengths[rows], self.clip.rate or 1)
        return steps if knots is None else [*steps, *FixedEnvelope.of(knots, rows)]

    def _change_of_length(
        self, operation: SoundSpeed | SoundOpaque, draw: Draw, lengths: I64
    ) -> Resampling | OpaqueChange:
        if isinstance(operation, SoundOpaque):
            return self._opaque(operation, draw, lengths)
        rates = np.where(draw.selected, exact.to_fixed(operation.factor(draw), RATE_BITS), 1 << RATE_BITS)
        return Resampling(rates, np.minimum(((lengths << RATE_BITS) + rates // 2) // rates, self.clip.samples))

    def _opaque(self, operation: SoundOpaque, draw: Draw, lengths: I64) -> OpaqueChange:
        rows, rate, results = np.flatnonzero(draw.selected & (lengths > 0)), self.clip.rate or 1, lengths.copy()
        numbers = operation.lower(draw.take(rows), lengths[rows], rate)
        results[rows] = np.minimum(operation.lengths(numbers, lengths[rows]), self.clip.samples)
        return OpaqueChange(operation, numbers, rows, results, rate)

    def _round_trip(self, operation: SoundResample, draw: Draw, lengths: I64) -> list[SoundStep]:
        """To the other rate and back."""
        there = np.clip((self.clip.rate or 1) / operation.target(draw), 1.0, MAX_RATIO)
        rates, one = np.where(draw.selected, exact.to_fixed(there, RATE_BITS), 1 << RATE_BITS), 1 << RATE_BITS
        fewer = np.minimum(np.maximum(((lengths << RATE_BITS) + rates // 2) // rates, 1), lengths)
        back = np.where(rates == one, one, exact.to_fixed(1.0 / exact.from_fixed(rates, RATE_BITS), RATE_BITS))
        return [Resampling(rates, fewer, operation.linear), Resampling(back, lengths, operation.linear)]

    def _room(self, room: SoundRoom, draw: Draw, lengths: I64, rows: I64) -> list[SoundStep]:
        drawn = draw.take(rows)
        knots = room.tail(drawn, lengths[rows], self.clip.rate or 1)
        envelopes = [envelope.on_side() for envelope in FixedEnvelope.of(knots, rows)]
        direct = exact.to_fixed(room.direct_energy(drawn), RATIO_BITS)
        response = ClipChange.of(Change.RESPONSE, rows, direct)
        return [SideNoise(draw, rows), *envelopes, response, ClipChange.of(Change.CONVOLVE, rows)]

    def _partner(self, operation: SoundPartner, column: int, draw: Draw, rows: I64, lengths: I64) -> list[SoundStep]:
        """The track to the side, and then into the clip."""
        track = ClipChange.of(Change.TRACK, rows, column)
        if isinstance(operation, SoundBackground):
            return [track, *self._background(operation, draw, lengths)]
        if isinstance(operation, SoundImpulse):
            return [track, ClipChange.of(Change.CONVOLVE, rows)]
        if isinstance(operation, SoundMix):
            weight = exact.to_fixed(operation.weight(draw.take(rows)), RATIO_BITS)
            return [track, ClipChange.of(Change.BLEND, rows, weight)]
        raise NotImplementedError(f"{operation.op} takes a partner for nothing")

    def _background(self, operation: SoundBackground, draw: Draw, lengths: I64) -> list[SoundStep]:
        """The level of what a gate lets through: that of the side, measured over the whole clip, grows with its open time."""
        ratio, rows = operation.ratio(draw), np.flatnonzero(draw.selected)
        knots = operation.gate(draw, lengths, self.clip.rate or 1)
        if knots is None:
            return [SideMix(np.where(draw.selected, exact.to_fixed(ratio, NOISE_BITS), 0))]
        gated = exact.to_fixed(ratio * np.sqrt(mean_squares(knots, lengths)), NOISE_BITS)
        chosen = Knots(knots.positions[rows], knots.gains[rows])
        gates = [envelope.on_side() for envelope in FixedEnvelope.of(chosen, rows)]
        return [*gates, SideMix(np.where(draw.selected, gated, 0))]

    def _noise(self, noise: SoundNoise, draw: Draw, rows: I64) -> list[SoundStep]:
        ratio = np.where(draw.selected, exact.to_fixed(noise.std(draw, np.ones(len(draw.selected))), NOISE_BITS), 0)
        sections = noise.color(draw.take(rows), self.clip.rate or 1)
        if sections is not None:
            pairs = [pair.on_side() for pair in SectionPair.of(sections, rows)]
            return [SideNoise(draw, rows), *pairs, SideMix(ratio)]
        std = noise.level_std(draw)
        if std is None:
            return [WhiteNoise(draw, ratio)]
        return [WhiteNoise(draw, ratio, np.where(draw.selected, exact.to_fixed(std, SOUND_BITS), 0))]


def lengths_after(steps: Sequence[SoundStep], lengths: I64) -> I64:
    """The lengths (N,) of the clips after some steps."""
    return next((step.lengths for step in reversed(steps) if isinstance(step, Resampling | OpaqueChange)), lengths)


def _changes_lengths(operation: Operation) -> bool:
    return isinstance(operation, SoundSpeed) or (isinstance(operation, SoundOpaque) and not operation.keeps_length)


def _is_shift(operation: Operation) -> bool:
    """Whether it merges with its neighbours into one window."""
    return isinstance(operation, SoundMove) and operation.shifts


def _require_rates(steps: Sequence[Step], clip: Clip) -> None:
    for field, step in walk(steps):
        if isinstance(step, SoundResample) and clip.rate is not None and step.lowest * MAX_RATIO < clip.rate:
            raise SpecInvalid(
                f"{field}.rate: {step.op} takes rates from {clip.rate / MAX_RATIO:g} Hz, 1/{MAX_RATIO} of the clips' "
                f"{clip.rate} Hz",
                field=f"{field}.rate",
            )


def _require_single(tree: Tree, kind: type[Operation], hint: str) -> None:
    """Refuses operations of a kind that may apply to one clip together. A random order applies a child once."""
    leaves = [leaf for leaf in tree.leaves if isinstance(leaf.step, kind)]
    for one, other in combinations(leaves, 2):
        if one.draw_id != other.draw_id and not are_exclusive(one, other):
            raise SpecInvalid(
                f"a pipeline has at most one {one.step.op} for a clip, but {one.id} and {other.id} may apply together: "
                f"{hint}, or put them into a one_of",
                field="pipeline",
            )
