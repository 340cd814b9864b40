"""What every dataset is to the rest of the service: a length, and a pure function from index to sample."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Literal

from augsvc.batch import I64, Sample

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
    decoders: tuple[str, ...] = field(default=())  # names in augsvc.decode.DECODERS that read() may use


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
            Undecodable: it was read whole and is no image; the stream replaces it.
            DatasetUnavailable: it could not be read now (retried before that).
        """

    @abstractmethod
    def labels(self) -> I64:
        """The class of every sample (len,), without decoding any."""

    @abstractmethod
    def describe(self, index: int) -> str:
        """The name of one sample inside its dataset, for receipts: never an absolute path."""
