"""A custom dataset format without a fork: a module that is listed in the settings.

    # settings.yaml
    sources: [own_source]
    datasets: {bands: {format: stripes, samples: 1000}}

    PYTHONPATH=examples augsvc serve --config settings.yaml

It then behaves like a built-in format: it is validated, checked by `augsvc check`, and part of the streams' ids. All replicas
of a job need it.
"""

import hashlib
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from augsvc.arrays import I64, Sample
from augsvc.data.cache import DecodedCache
from augsvc.data.formats.format import DatasetFormat
from augsvc.data.source import Source, SourceInfo

CLASSES = ("horizontal", "vertical")
SIDE = 64


class StripesSettings(DatasetFormat):
    """What the operator sets."""

    format: Literal["stripes"]
    samples: Annotated[int, Field(ge=1, le=1 << 32)] = 1000

    def open(self, name: str, cache: DecodedCache) -> list[Source]:
        """One dataset; those with splits return NAME/train and NAME/test."""
        return [Stripes(name, self.samples)]


class Stripes(Source):
    """Images of stripes, 4 to 19 pixels apart; every second one is vertical."""

    def __init__(self, name: str, samples: int) -> None:
        self._samples = samples
        # the version covers all that a sample depends on
        version = hashlib.sha256(f"stripes 1 {samples}".encode()).hexdigest()
        self.info = SourceInfo(name=name, version=version, classes=CLASSES, channels=1, size=(SIDE, SIDE))

    def __len__(self) -> int:
        return self._samples

    def read(self, index: int) -> Sample:
        """A pure function of the index; it is called from several threads."""
        rows = np.arange(SIDE) // (4 + index // 2 % 16) % 2 * np.uint8(255)
        image = np.broadcast_to(rows.astype(np.uint8)[:, None, None], (SIDE, SIDE, 1))
        return Sample(np.ascontiguousarray(image.transpose(1, 0, 2) if index % 2 else image), index % 2)

    def labels(self) -> I64:
        """The class of every sample, without reading them."""
        return np.arange(self._samples, dtype=np.int64) % 2

    def describe(self, index: int) -> str:
        """The name of a sample, for receipts and keys."""
        return f"stripes {index}"
