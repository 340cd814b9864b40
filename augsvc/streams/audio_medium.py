"""Audio as a medium."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from augsvc.arrays import F32, U8, required
from augsvc.data.source import Source, SourceInfo
from augsvc.executors.opaque_clips import host_traits
from augsvc.executors.protocol import Executor
from augsvc.ops.kinds.audio import Clip
from augsvc.planning.audio_plan import SoundPlan
from augsvc.planning.spec import StreamSpec
from augsvc.planning.spec_media import SPEC_MEDIA
from augsvc.streams.clip_plot import SPECTRUM_HEIGHT, WAVE_HEIGHT, WIDTH, draw_clips
from augsvc.streams.label_effects import effect_on_clip_labels
from augsvc.streams.medium import Figure, Medium, Opened
from augsvc.streams.partner_clips import require_partners
from augsvc.streams.probes import sound_probe_spec
from augsvc.streams.pushed_clips import clip_renderer, require_clips, require_lengths
from augsvc.streams.render_audio import SoundRenderer
from augsvc.streams.selftest_specs import sound_specs
from augsvc_client.wire import TensorSpec


def _missing(info: SourceInfo) -> list[str]:
    fields = {"seconds": info.seconds, "sample_rate": info.sample_rate}
    return [name for name, value in fields.items() if value is None]


def _fill(spec: StreamSpec, info: SourceInfo) -> StreamSpec:
    return spec.for_audio(info.seconds, info.sample_rate, info.channels)


def _open(spec: StreamSpec, info: SourceInfo, executor: Executor, others: Mapping[str, Source]) -> Opened:
    spec = _fill(spec, info)
    clip = Clip(spec.clip_samples, spec.sample_rate, spec.channels or 1)
    plan = SoundPlan.of(spec.pipeline, clip)
    require_partners(spec.pipeline, others, clip.channels)
    pads = info.pads(clip.samples, required(clip.rate))
    return Opened(spec, SoundRenderer(plan, executor.sound, pads or plan.changes_lengths))


def _draw(clip: F32) -> U8:
    plot: U8 = draw_clips(clip[None])[0]
    return plot


_FIGURE = Figure((WAVE_HEIGHT + SPECTRUM_HEIGHT, WIDTH), 3, _draw)


def _figure(_: Sequence[int]) -> Figure:
    return _FIGURE


AUDIO = Medium(
    name="audio",
    fields=SPEC_MEDIA["audio"],
    noun="audio",
    preset="sound",
    check_fields=MappingProxyType({"pipeline": "sound", "seconds": 1.0, "sample_rate": 16000}),
    missing=_missing,
    fill=_fill,
    open=_open,
    figure=_figure,
    pushed=TensorSpec("float32", (-1,)),
    require_samples=require_clips,
    require_labels=require_lengths,
    push_renderer=clip_renderer,
    opaque_ground="opaque_audio",
    traits=lambda executor: executor.sound.traits,
    opaque_traits=lambda _: host_traits(),
    probe_spec=sound_probe_spec,
    ground_specs=sound_specs,
    corner_specs=lambda _operation, _modes, specs: specs,
    label_effect=effect_on_clip_labels,
)
