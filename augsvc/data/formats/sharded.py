"""Images that are ranges of bytes in shards, each shard with the files of many samples: the source, and how shards are found.

The shards are indexed when the server starts; a sample is one read of its bytes inside a shard, so that an epoch is a full
permutation of all samples.
"""

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from augsvc.arrays import I64, Sample
from augsvc.data.cache import DecodedCache
from augsvc.data.columns import Columns
from augsvc.data.disk_cache import Decoded
from augsvc.data.formats.annotations import Annotations
from augsvc.data.formats.class_order import require_class_names
from augsvc.data.formats.dataset_root import DatasetRoot, join
from augsvc.data.formats.file_source import Files, FilesFormat, FileSource
from augsvc.data.formats.image_files import ImageFilesSettings, ImageReader
from augsvc.data.formats.index import Index, list_names, note_twins
from augsvc.data.formats.layout import split_of
from augsvc.data.source import SPLITS, SourceInfo
from augsvc.errors import Undecodable


class ShardedFormat(ImageFilesSettings, FilesFormat):
    """The operator's settings that all formats of shards have."""


@dataclass(frozen=True, slots=True, eq=False)
class ShardedSamples:
    """The samples of one split: their names, labels and classes, and where they are."""

    files: Sequence[str]  # the shards below the dataset's folder
    places: I64  # N,3: shard, offset and bytes of each image
    annotations: Annotations  # `names` are the keys of the samples


class ShardedImages(FileSource):
    """One split: each sample is a range of bytes in a shard."""

    def __init__(
        self, name: str, settings: ShardedFormat, root: DatasetRoot, samples: ShardedSamples, cache: DecodedCache
    ) -> None:
        """Raises ValueError where there are no samples."""
        annotations = samples.annotations
        if not annotations.names:
            raise ValueError(f"{root.locate('')} has shards without images")
        require_class_names(annotations.classes)
        self._places, self._annotations = samples.places, annotations
        index = self._index(root, samples)
        files = Files(index, root.path, root.links, cache.claim(name), store=root.store)
        reader = ImageReader(name, settings, cache)
        super().__init__(files, annotations.sample_labels, reader, cache, settings.max_file_bytes, root.pause)
        self._covers_contents = settings.digest_contents
        targets = annotations.targets
        self.info = SourceInfo(
            name=name,
            version=self._version(annotations.classes, self._form(settings, root, samples), contents=False),
            classes=annotations.classes,
            channels=settings.channels,
            size=None,
            decoders=settings.decoders,
            window=settings.window,
            label_kind=annotations.label_kind,
            label_width=0 if targets is None else targets.shape[1],
        )

    def _index(self, root: DatasetRoot, samples: ShardedSamples) -> Index:
        """Every sample has the identity of its shard."""
        self._shards = root.index(samples.files)
        identities = self._shards.identities[:][samples.places[:, 0]]
        return Index(names=tuple(samples.annotations.names), identities=identities)

    def _form(self, settings: ShardedFormat, root: DatasetRoot, samples: ShardedSamples) -> dict[str, object]:
        """What the version covers besides names, sizes and classes."""
        digest = hashlib.sha256(samples.places.tobytes() + samples.annotations.sample_labels.tobytes())
        if settings.digest_contents:
            for file in samples.files:
                with root.open(file) as opened:
                    digest.update(hashlib.file_digest(opened, "sha256").digest())
        form = settings.version_form() | {"shards": digest.hexdigest()}
        return form | ({"annotations": samples.annotations.digest} if samples.annotations.digest else {})

    def columns(self) -> Columns:
        """Those that the settings name."""
        return self._annotations.columns

    def class_counts(self) -> tuple[str, I64]:
        """The samples of each class."""
        targets = self._annotations.targets
        if targets is not None and self.info.label_kind == "multi_label":
            return "samples", targets.sum(axis=0, dtype=np.int64)
        return super().class_counts()

    def notes(self) -> Sequence[str]:
        """What was left out, the numbers of classes that are integers, and classes with nearly the same name."""
        return (*self._annotations.notes, *note_twins(self.info.classes))

    def _build(self, decoded: Decoded, index: int) -> Sample:
        targets = self._annotations.targets
        target = None if targets is None else targets[index]
        return Sample(decoded.values, int(self._labels[index]), target=target, full_size=decoded.full_size)

    def _read_file(self, files: Files, within: Index, index: int) -> bytes:
        """The bytes of a sample."""
        shard, offset, n_bytes = self._places[index].tolist()
        if n_bytes > self._max_file_bytes:
            raise Undecodable(f"the image is larger than max_file_bytes, {self._max_file_bytes:,}")
        if not n_bytes:
            raise Undecodable("the image is empty")
        return self._read_range(files, within, index, shard, offset, n_bytes)

    def _read_range(self, files: Files, within: Index, index: int, shard: int, offset: int, n_bytes: int) -> bytes:
        """A range of a shard, which must be the indexed one; three attempts."""
        read = partial(files.read_range, self._shards, shard, offset, n_bytes)
        data, identity = self._retry(files, within, index, read)
        indexed = within.identity(index)
        if not self._covers_contents:  # else no change may pass, not even one with its time set back
            identity = identity._replace(changed_ns=indexed.changed_ns)
        if len(data) != n_bytes or identity != indexed:
            raise self._changed(within, index, "was modified or replaced")
        return data


def find_shards(root: DatasetRoot, extensions: Collection[str], cure: str = "") -> Mapping[str, Sequence[str]]:
    """Split → the shards of its folder, or that are named like it: train-000.tar; "" for a dataset without splits.

    They may also be in the folder `data`. `cure` ends the message where there are none.

    Raises:
        ValueError: there are none, or some would be left out, or mixed with those of a split.
    """
    folders = [name for name in root.folders() if split_of(name)]
    inside = {folder: [join(folder, name) for name in root.files(folder, extensions)] for folder in ("data", *folders)}
    places = [root.files("", extensions), inside.pop("data"), *inside.values()]
    if not any(places):
        raise ValueError(
            f"{root.locate('')} has no {' or '.join(sorted(extensions))} files, nor folders like train with some{cure}"
        )
    by_folder: dict[str, list[str]] = {}
    for folder, files in inside.items():
        if files:
            by_folder.setdefault(str(split_of(folder)), files)
    if by_folder:
        _refuse_others(root, places, [file for files in by_folder.values() for file in files])
        return {split: by_folder[split] for split in SPLITS if split in by_folder}
    files = next(files for files in places if files)
    _refuse_others(root, places, files)
    return split_by_name(root, files)


def _refuse_others(root: DatasetRoot, places: Iterable[Sequence[str]], files: Sequence[str]) -> None:
    served = set(files)
    others = [name for names in places for name in names if name not in served]
    if others:
        raise ValueError(
            f"{root.locate('')} has {list_names(sorted(files))}, and would be served without {list_names(others)}: put all "
            "files into one folder, or into one folder for each split, as train, val and test"
        )


def split_by_name(root: DatasetRoot, files: Sequence[str]) -> Mapping[str, Sequence[str]]:
    """As `find_shards`, by the words of the files' names alone."""
    by_split: dict[str, list[str]] = {}
    for name in files:
        stem = name.rpartition("/")[2].rpartition(".")[0]
        words = [word for word in stem.replace("_", "-").split("-") if split_of(word)]
        by_split.setdefault(str(split_of(words[-1])) if words else "", []).append(name)
    if "" in by_split and len(by_split) > 1:
        named = sorted(set(files) - set(by_split[""]))
        raise ValueError(
            f"{root.locate('')} has {list_names(named)}, named like splits, and {list_names(by_split[''])}, which are of none: "
            "name all files for their splits, or none, or move the others elsewhere"
        )
    return {split: by_split[split] for split in ("", *SPLITS) if split in by_split}


def packed_cure(root: DatasetRoot) -> str:
    """What to do where there are compressed files only."""
    packed = root.files("", {".gz", ".tgz", ".zst", ".xz"})
    return f"; unpack {list_names(packed)}: a compressed file cannot be read at random" if packed else ""
