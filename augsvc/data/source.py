"""What every dataset is to the rest of the service: a length, and a pure function from index to sample."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from augsvc.arrays import I64, Sample
from augsvc.numerics.color_statistics import ColorStatistics

Split = Literal["train", "test"]
SPLITS: tuple[Split, ...] = ("train", "test")


@dataclass(frozen=True, slots=True)
class SourceInfo:
    """The constants of a dataset: what a stream over it needs to know before it reads anything."""

    name: str  # "digits/train"
    version: str  # hex digest; what it covers is said where it is made
    classes: tuple[str, ...]
    channels: int  # of its images: 1 or 3; sound has one
    size: tuple[int, int] | None  # (H, W) of every image, None if they differ
    media: Literal["image", "audio"] = "image"
    seconds: float | None = None  # of every clip, None if they differ
    sample_rate: int | None = None  # of every clip, None if they differ
    mask: bool = False
    boxes: int = 0  # M, the rows of `boxes` in every sample; 0: the dataset has none
    keypoints: int = 0  # the rows of `keypoints`
    decoders: tuple[str, ...] = field(default=())  # names in augsvc.data.decoders.registry.DECODERS that read() may use
    colors: ColorStatistics | None = None  # fitted once (augsvc.data.fit); None: what needs them is refused
    data_version: str = ""  # the version without the statistics' digest, where there are some

    def fitted(self, colors: ColorStatistics) -> "SourceInfo":
        """The same dataset with statistics: their digest becomes part of its version.

        Raises:
            ValueError: for the operator: they are of another number of channels, or not for this kind of data.
        """
        if self.media != "image":
            raise ValueError(f"{self.name} has no pictures: there are no statistics of its colours")
        if self.channels != colors.channels:
            raise ValueError(
                f"{self.name} has pixels of {self.channels} channels, the statistics are of {colors.channels}: "
                f"make the file anew with `augsvc fit {self.name}`"
            )
        data_version = self.data_version or self.version
        version = hashlib.sha256(f"{data_version} {colors.digest}".encode()).hexdigest()
        return replace(self, version=version, colors=colors, data_version=data_version)


class Source(ABC):
    """A dataset. `read` is a pure function of the index as long as the version is the same; it is called from threads."""

    info: SourceInfo

    @abstractmethod
    def __len__(self) -> int:
        """The number of samples, at most 2**32."""

    @abstractmethod
    def read(self, index: int) -> Sample:
        """The decoded sample.

        Raises:
            Undecodable: it was read whole and is no picture, or no sound; the stream replaces it.
            DatasetUnavailable: it could not be read now (retried before that).
        """

    @abstractmethod
    def labels(self) -> I64:
        """The class of every sample (len,), without decoding any."""

    @abstractmethod
    def describe(self, index: int) -> str:
        """The name of one sample inside its dataset, for receipts: never an absolute path."""

    def left_out(self) -> Mapping[str, int]:
        """How many files lie among the samples and are none, by the end of their names, for the operator."""
        return {}
