"""The inputs of the self-test: images and clips from integer formulas."""

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from types import MappingProxyType

import numpy as np

from augsvc.arrays import F32, I64, U8, Sample, required
from augsvc.data.source import Source, SourceInfo
from augsvc.numerics.color_statistics import ColorStatistics
from augsvc.ops.registry import Registry
from augsvc.planning.spec import StreamSpec, validate_spec

_CANVAS = (24, 32)
_SIZES = ((24, 32), (20, 40), (75, 110), (290, 385))
_SAMPLES = len(_SIZES)
_COLORS = ColorStatistics(  # of some photographs; fixed, unrelated to the probe
    dataset="probe",
    dataset_version="1",
    samples=1,
    left_out=0,
    channels=3,
    count=1000,
    sums=(130000, 110000, 100000),
    products=((22000000, 18200000, 16000000), (18200000, 16500000, 14600000), (16000000, 14600000, 14500000)),
)
_GREYS = ColorStatistics(
    dataset="grey_probe",
    dataset_version="1",
    samples=1,
    left_out=0,
    channels=1,
    count=1000,
    sums=(120000,),
    products=((20000000,),),
)
_SECONDS, _RATE = 0.1, 8000
# samples, rate: equal to the stream's and different, above and below it, and so long that only the middle is resampled
_CLIPS = ((800, 8000), (3000, 8000), (500, 11025), (900, 8000), (1, 44100), (60000, 44100), (300, 4000), (2000, 6000))


# The self-test renders the probes 128 times: computing them at every read was half of its CPU time (0.7 of 1.4 s).
@cache
def _image_and_mask(height: int, width: int) -> tuple[U8, U8]:
    """Read-only arrays (H, W, 3) and (H, W)."""
    rows, columns = np.mgrid[0:height, 0:width]
    planes = (rows * 7 + columns * 3, rows * columns * 5 // 8, ((rows // 5 + columns // 4) % 2) * 180 + 40)
    image = np.stack([plane % 256 for plane in planes], axis=-1).astype(np.uint8)
    mask = ((rows // 6 + columns // 6) % 4).astype(np.uint8)
    image.flags.writeable = mask.flags.writeable = False
    return image, mask


@cache
def _clip(index: int) -> F32:
    """A read-only array of samples."""
    time = np.arange(_CLIPS[index][0], dtype=np.int64)
    phase = (time * (200 + time // 4) // 8) % 4096
    wave = np.abs(phase - 2048) - 1024
    fade_in = np.minimum(time, 1024) * (index != 3)
    clip: F32 = (wave * fade_in).astype(np.float32) / np.float32(1 << 21)
    clip.flags.writeable = False
    return clip


class Probe(Source):
    """Images of different sizes with all labels, from integer formulas."""

    info = SourceInfo(
        name="probe",
        version="1",
        classes=("a", "b"),
        channels=3,
        size=None,
        mask=True,
        boxes=1,
        keypoints=1,
        colors=_COLORS,
    )

    def __len__(self) -> int:
        return _SAMPLES

    def read(self, index: int) -> Sample:
        """A gradient with a lattice of edges; one image has the size of the canvas, two are larger."""
        image, mask = _image_and_mask(*_SIZES[index])
        return Sample(
            image=image,
            label=index % 2,
            mask=mask,
            boxes=np.array([[4, 5, 17, 15]], dtype=np.float32),
            box_labels=np.array([index % 2]),
            boxes_valid=np.array([True]),
            keypoints=np.array([[9.5, 8.5]], dtype=np.float32),
            keypoints_valid=np.array([True]),
        )

    def labels(self) -> I64:
        """Alternating."""
        return np.arange(_SAMPLES, dtype=np.int64) % 2

    def describe(self, index: int) -> str:
        """Its index."""
        return f"probe#{index}"


class GreyProbe(Probe):
    """The same in grey, with statistics of one channel."""

    info = SourceInfo(name="grey_probe", version="1", classes=("a", "b"), channels=1, size=None, colors=_GREYS)

    def read(self, index: int) -> Sample:
        """The first plane of the image."""
        image = required(super().read(index).image)
        return Sample(image[..., :1], index % 2)


class DeepProbe(Probe):
    """The colour probe with values of 16 bits."""

    info = replace(Probe.info, name="deep_probe", colors=None, window=(0.0, 65280.0))

    def read(self, index: int) -> Sample:
        """The same, its lower bytes another gradient; white is 65,280."""
        sample = super().read(index)
        image = required(sample.image).astype(np.uint16)
        lower = np.arange(image.size, dtype=np.uint16).reshape(image.shape) % 251
        return replace(sample, image=np.minimum(image << 8 | lower, 65280).astype(np.uint16))


class SoundProbe(Source):
    """Clips of different lengths and rates, from integer formulas; one has those of the stream, one is silent."""

    info = SourceInfo(name="sound_probe", version="1", classes=("a", "b"), channels=1, size=None, media="audio")

    def __len__(self) -> int:
        return len(_CLIPS)

    def read(self, index: int) -> Sample:
        """A chirp of a triangle wave with a fade-in."""
        return Sample(None, index % 2, audio=_clip(index), rate=_CLIPS[index][1])

    def labels(self) -> I64:
        """Alternating."""
        return np.arange(len(_CLIPS), dtype=np.int64) % 2

    def describe(self, index: int) -> str:
        """Its index."""
        return f"sound_probe#{index}"


def probe_spec(fields: Mapping[str, object], known: Registry | None = None) -> StreamSpec:
    """A specification over an image probe, the one in colour by default."""
    return validate_spec({"dataset": "probe", "size": list(_CANVAS), "shuffle": False, **fields}, known)


def sound_probe_spec(fields: Mapping[str, object], known: Registry | None = None) -> StreamSpec:
    """A specification over the audio probe."""
    frame = {"dataset": "sound_probe", "seconds": _SECONDS, "sample_rate": _RATE, "shuffle": False}
    return validate_spec({**frame, **fields}, known)


PROBES: Mapping[str, Source] = MappingProxyType(
    {probe.info.name: probe for probe in (Probe(), GreyProbe(), DeepProbe(), SoundProbe())}
)
