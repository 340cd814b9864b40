"""All kinds of audio that executors run."""

from augsvc.ops.kinds.audio import (
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
from augsvc.ops.kinds.sound_partners import SoundBackground, SoundImpulse, SoundMix, SoundRoom
from augsvc.ops.operation import Operation

SOUND_KINDS = frozenset[type[Operation]](
    {
        SoundFrame,
        SoundMove,
        SoundSpeed,
        SoundResample,
        SoundTone,
        SoundEnvelope,
        SoundDynamics,
        SoundFilter,
        SoundRoom,
        SoundImpulse,
        SoundNoise,
        SoundErase,
        SpecChange,
        SoundOpaque,
        SoundBackground,
        SoundMix,
    }
)
