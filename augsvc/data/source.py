"""The interface of a dataset: a length, and a pure function from index to sample."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal

import numpy as np

from augsvc.arrays import I64, Sample
from augsvc.data.columns import Columns
from augsvc.errors import DatasetChanged
from augsvc.numerics.color_statistics import ColorStatistics
from augsvc_client.decoding.resampling import resampled_length

LabelKind = Literal["class", "none", "multi_label", "regression", "text"]
Split = Literal["train", "test"]  # of the built-in datasets
SPLITS: tuple[str, ...] = ("train", "val", "test")  # which a folder may have
PARTS = (*SPLITS, "noise")  # of a dataset: clips without a class, for `background_noise`


@dataclass(frozen=True, slots=True)
class SourceInfo:
    """The constants of a dataset, known before any sample is read."""

    name: str  # "digits/train"
    version: str  # hex digest; its coverage is documented by each format
    classes: tuple[str, ...]
    channels: int  # of its images: 1 or 3; of its clips: 1 to 8
    size: tuple[int, int] | None  # (H, W) of every image, None if they may differ
    media: Literal["image", "audio"] = "image"
    seconds: float | None = None  # of every clip, None if they may differ
    sample_rate: int | None = None  # of every clip, None if they may differ
    window: tuple[float, float] | None = None  # of numbers to black … white: its images have values of 16 bits
    label_kind: LabelKind = "class"
    label_width: int = 0  # K, of labels that are not one class
    mask: bool = False
    boxes: int = 0  # M, the rows of `boxes` in every sample; 0: the dataset has none
    mask_bits: bool = False  # whether each box has a mask of its object
    keypoints: int = 0  # the rows of `keypoints`
    flip_pairs: tuple[
        tuple[int, int], ...
    ] = ()  # rows that a mirrored image swaps, as left and right eye; in the version
    decoders: tuple[str, ...] = field(default=())  # names in augsvc.data.decoders.registry.DECODERS that read() may use
    colors: ColorStatistics | None = None  # fitted once (augsvc.data.fit); None: operations that need them are refused
    data_version: str = ""  # the version without the digest of the statistics, if there are any
    built_in: bool = False  # whether it comes with the package

    def __post_init__(self) -> None:
        rows = [row for pair in self.flip_pairs for row in pair]
        if len(set(rows)) < len(rows) or not all(0 <= row < self.keypoints for row in rows):
            raise ValueError(f"{self.name}: flip_pairs are pairs of distinct rows below {self.keypoints}")

    @property
    def label_tensor(self) -> tuple[str, tuple[int, ...]]:
        """The dtype and the shape of one sample's label: its class, or -1; 0 or 1 for each class; numbers; or a text in UTF-8."""
        if self.label_kind in ("class", "none"):
            return "int64", ()
        return "float32" if self.label_kind == "regression" else "uint8", (self.label_width,)

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels of its samples besides the class: mask, boxes, keypoints."""
        held = {"mask": self.mask, "boxes": self.boxes, "keypoints": self.keypoints}
        return tuple(name for name, is_held in held.items() if is_held)

    def pads(self, samples: int, sample_rate: int) -> bool:
        """Whether one of its clips may have fewer than `samples` samples at a rate in Hz, so that it is padded."""
        if self.seconds is None or self.sample_rate is None:
            return True
        return resampled_length(round(self.seconds * self.sample_rate), self.sample_rate, sample_rate) < samples

    def fitted(self, colors: ColorStatistics) -> "SourceInfo":
        """The same dataset with statistics, whose digest becomes part of its version.

        Raises:
            ValueError: for the operator: they have another number of channels, or the dataset is not of images.
        """
        if self.media != "image":
            raise ValueError(f"{self.name} has no images, so no colour statistics")
        if self.channels != colors.channels:
            raise ValueError(
                f"{self.name} has images of {self.channels} channels, the statistics are of {colors.channels}: "
                f"recreate the file with `augsvc fit {self.name}`"
            )
        data_version = self.data_version or self.version
        version = hashlib.sha256(f"{data_version} {colors.digest}".encode()).hexdigest()
        return replace(self, version=version, colors=colors, data_version=data_version)


@dataclass(frozen=True, slots=True)
class Changes:
    """How a dataset differs from its former version: counts of samples, by name."""

    added: int = 0
    removed: int = 0
    changed: int = 0  # modified, replaced or moved


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of a dataset's samples: the bytes of the longest in UTF-8, at least 1, and the digest of all."""

    longest: int
    digest: bytes


class Source(ABC):
    """A dataset. `read` is a pure function of the index for a given version; it is called from several threads."""

    info: SourceInfo

    @abstractmethod
    def __len__(self) -> int:
        """The number of samples, at most 2**32."""

    @abstractmethod
    def read(self, index: int) -> Sample:
        """The decoded sample.

        Raises:
            Undecodable: it was read but cannot be decoded; the stream replaces it.
            DatasetUnavailable: it could not be read, after retries, for a reason that may pass.
            DatasetChanged: it is not the sample of this version any more, or waiting does not make it readable.
        """

    def read_reduced(self, index: int, least: tuple[int, int] | None) -> Sample:
        """As `read`, of an image that may be decoded smaller, to (H, W) of at least `least`; a function of that, too. Default:
        whole.
        """
        return self.read(index)

    @abstractmethod
    def labels(self) -> I64:
        """The class of every sample (len,), without decoding; -1 for a sample that has none."""

    def lengths(self) -> I64 | None:
        """Numbers (len,) that grow with the lengths of the clips, part of the version. Default: none without reading them."""
        return None

    @abstractmethod
    def describe(self, index: int) -> str:
        """The name of one sample inside its dataset, its key: never an absolute path."""

    def fold_key(self, index: int) -> str:
        """What decides the fold of one sample. Default: its key."""
        return self.describe(index)

    def describe_all(self) -> Iterable[str]:
        """The names of all samples, in the order of their indices."""
        return map(self.describe, range(len(self)))

    @cached_property
    def keys(self) -> Keys:
        """Those of all samples, which takes a second a million; computed when they are first needed."""
        digest, longest = hashlib.sha256(), 1
        for name in self.describe_all():
            key = name.encode()
            longest = max(longest, len(key))
            digest.update(b"%d:%s" % (len(key), key))
        return Keys(longest, digest.digest())

    def columns(self) -> Columns:
        """What subsets may filter by, by name. Default: nothing."""
        return {}

    @property
    def parts(self) -> "tuple[Source, ...]":
        """The datasets that it is made of: itself, or those of a mixture."""
        return (self,)

    def class_counts(self) -> tuple[str, I64]:
        """What is counted, and how many each class has (K,). Default: its samples."""
        labels = self.labels()
        return "samples", np.bincount(labels[labels >= 0], minlength=len(self.info.classes)).astype(np.int64)

    def fingerprints(self) -> Mapping[str, Hashable]:
        """Each sample's name, and a value that differs once it is modified or replaced. Default: the names alone."""
        return dict.fromkeys(self.describe_all())

    def changes_since(self, former: "Source") -> Changes:
        """The differences from a former version."""
        try:
            ours, theirs = self.fingerprints(), former.fingerprints()
        except DatasetChanged:  # an index on disk was damaged
            return Changes(added=len(self), removed=len(former))
        changed = sum(name in theirs and theirs[name] != value for name, value in ours.items())
        return Changes(len(ours.keys() - theirs.keys()), len(theirs.keys() - ours.keys()), changed)

    def refresh(self, newer: "Source") -> None:  # noqa: B027 - a source without files has nothing to do
        """From now on reads what `newer` reads, which has the same version."""

    def left_out(self) -> Mapping[str, int]:
        """Counts of files among the samples that are not samples, by extension, for the operator."""
        return {}

    def notes(self) -> Iterable[str]:
        """What the operator should know of the dataset, one sentence each; a healthy dataset has notes too."""
        return ()

    def faults(self) -> Iterable[str]:
        """Why samples are missing or wrong, one sentence each, with what to do."""
        return ()

    def defect(self, index: int) -> str:
        """Why a sample could not be decoded or read when it was last tried; empty if it is not known."""
        return ""
