"""Partners of clips: which samples the operations of an audio plan take, and the tracks that executors read."""

from collections.abc import Mapping, Sequence

import numpy as np

from augsvc.arrays import F32, Sample, required
from augsvc.data.source import Source
from augsvc.errors import SpecInvalid
from augsvc.numerics.rng import Address
from augsvc.ops.kinds.audio import Clip
from augsvc.ops.kinds.sound_partners import SoundMix, SoundPartner
from augsvc.ops.operation import Draw, Step
from augsvc.ops.pipeline import walk
from augsvc.planning.audio_plan import SoundPlan
from augsvc.streams.mixing import DrawnPartners, Taker
from augsvc_client.decoding.resampling import fit_clip, resampled_length


def partner_datasets(steps: Sequence[Step]) -> dict[str, str]:
    """The datasets that operations take partners from, with the field of the first one that names it."""
    named: dict[str, str] = {}
    for field, step in walk(steps):
        if isinstance(step, SoundPartner) and step.partner_dataset is not None:
            named.setdefault(step.partner_dataset, f"{field}.dataset")
    return named


def require_partners(steps: Sequence[Step], others: Mapping[str, Source], channels: int) -> None:
    """Refuses a dataset that operations cannot take partners from, with SpecInvalid."""
    for name, field in partner_datasets(steps).items():
        source = others.get(name)
        if source is None or source.info.media != "audio" or not len(source):
            reason = "is not open" if source is None else "holds no clips"
            raise SpecInvalid(f"{field}: dataset {name!r} {reason}: name one of audio", field=field)
        if 1 not in (source.info.channels, channels) and source.info.channels != channels:
            raise SpecInvalid(
                f"{field}: dataset {name!r} has clips of {source.info.channels} channels, and this stream of {channels}: "
                "name one with as many, or with one",
                field=field,
            )


def draw_partners(plan: SoundPlan, seed: int, address: Address) -> DrawnPartners:
    """The partners that samples take."""
    draws, n = plan.draw(seed, address), len(address.indices)
    chosen = [draws[index] for index, _ in plan.partner_operations]
    if not chosen:
        none = np.zeros(0, np.int64)
        return DrawnPartners(none, none, np.zeros(0), ())
    rows, columns = np.nonzero(np.column_stack([draw.selected for draw in chosen]))
    fractions = np.column_stack([np.broadcast_to(draw.value("partner"), n) for draw in chosen])
    mixes = np.array([isinstance(operation, SoundMix) for _, operation in plan.partner_operations])
    takers = [
        Taker(plan.tree.leaves[index].id, operation.partner_dataset) for index, operation in plan.partner_operations
    ]
    slots = np.where(mixes[columns], plan.tiles, 0)  # other partners come before that of a mix
    return DrawnPartners(rows, slots, fractions[rows, columns], [takers[column] for column in columns.tolist()])


def partner_tracks(plan: SoundPlan, samples: Sequence[Sample], draws: Sequence[Draw]) -> F32:
    """The tracks (N, C, P, T) of each sample's partners, which it has in the order of the
    operations that it is selected for.
    """
    operations, length = plan.partner_operations, plan.clip.samples
    tracks = np.zeros((len(samples), plan.clip.channels, len(operations), length), np.float32)
    if not operations:
        return tracks
    for row, sample in enumerate(samples):
        others = iter(sample.tiles)
        for column, (index, operation) in enumerate(operations):
            draw = draws[index]
            if not draw.selected[row]:
                continue
            partner = sample.partner if isinstance(operation, SoundMix) else next(others, None)
            if partner is not None:
                position = float(draw.value("position")[row]) if "position" in draw.ranges else 0.0
                tracks[row, :, column] = _track(operation, partner, plan.clip, position)
    return tracks


def _track(operation: SoundPartner, partner: Sample, window: Clip, position: float) -> F32:
    """What an operation takes of a partner, at the rate and in the channels (C, T) of the stream; of a long one only what it
    reads is resampled.
    """
    audio, wanted = required(partner.audio), window.rate or 1
    rate = partner.rate or wanted
    first, count = operation.span(resampled_length(audio.shape[-1], rate, wanted), window.samples, position)
    clip = (
        fit_clip(audio, rate, count, wanted, first, window.channels)
        if count
        else np.zeros((window.channels, 0), np.float32)
    )
    return np.stack([operation.track(channel, window.samples, position) for channel in np.atleast_2d(clip)])


def label_weights(plan: SoundPlan, draws: Sequence[Draw]) -> F32:
    """The weights (N,) of the samples' own labels."""
    weights = np.ones(len(draws[0].selected), np.float32)
    for operation, draw in zip(plan.operations, draws, strict=True):
        if isinstance(operation, SoundMix):
            weights = np.where(draw.selected, operation.weight(draw), weights).astype(np.float32)
    return weights


def describe_partners(
    plan: SoundPlan, draws: Sequence[Draw], partners: Sequence[Mapping[str, object]]
) -> dict[str, object]:
    """What a receipt has of one sample's partners, if it has any."""
    if not partners:
        return {}
    weight = float(label_weights(plan, draws)[0])
    return {"partners": list(partners)} | ({"mix_weight": round(weight, 6)} if plan.images > 1 else {})
