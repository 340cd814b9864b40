"""WebDataset: tar files in which the members of one key are a sample, as 000.jpg and 000.cls. Read at random by offsets.

The shards are indexed when the server starts; a sample is one read of its bytes inside a shard.
"""

import hashlib
import json
import os
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import replace
from io import BufferedReader
from pathlib import Path
from typing import Any, Literal

import numpy as np

from augsvc.arrays import I64, Sample
from augsvc.data.cache import DecodedCache
from augsvc.data.formats.class_order import describe_numbers, sort_classes
from augsvc.data.formats.dataset_root import DatasetRoot, join, name_faults
from augsvc.data.formats.faults import Faults
from augsvc.data.formats.file_source import Files, FilesFormat, FileSource, locate_file
from augsvc.data.formats.files import PAUSES_S, Identity, NotIndexed, open_below
from augsvc.data.formats.format import give_statistics
from augsvc.data.formats.image_files import ImageFilesSettings, ImageReader
from augsvc.data.formats.index import Index, list_names, note_twins
from augsvc.data.formats.json_stream import RepeatedName, to_distinct
from augsvc.data.formats.layout import split_of
from augsvc.data.formats.tar_index import walk_tar
from augsvc.data.source import SPLITS, Source, SourceInfo
from augsvc.errors import Undecodable
from augsvc_client.decoding.limits import IMAGE_SUFFIXES, TIFF_SUFFIXES
from augsvc_client.text import printable

_MAX_LABEL_BYTES = 1 << 16  # of a member that holds a label


class WebDatasetSettings(ImageFilesSettings, FilesFormat):
    """The operator's settings of a folder of tar files."""

    format: Literal["webdataset"]
    label: str = "cls"  # the extension of the member with the label; "json:NAME" for a field of the member .json
    classes: tuple[str, ...] = ()  # in the order of the labels; none: those of the shards, integers sorted as numbers

    def open(self, name: str, cache: DecodedCache) -> list[Source]:
        """NAME, or NAME/train, NAME/val and NAME/test where shards are in such folders or are named so.

        Raises:
            ValueError: for the operator: no shards, or one that is damaged; samples without a label or an image.
        """
        with name_faults(name):
            root = DatasetRoot(self.path, self.follow_links)
            faults = Faults()
            shards = {split: Shards(root, files, self, faults) for split, files in _find_shards(root).items()}
            names = {label for read in shards.values() for label in read.labels}
            classes = self.classes or sort_classes(names)
            if unknown := sorted(names - set(classes)):
                faults.add(f"labels are {list_names(unknown)}, which `classes` does not have")
            faults.refuse()
            sources: list[Source] = [
                ShardedImages(f"{name}/{split}" if split else name, self, root, read, classes, cache)
                for split, read in shards.items()
            ]
        if self.statistics is not None:
            give_statistics(sources, name, self.statistics)
        return sources


class Shards:
    """The samples of one split, in flat arrays."""

    def __init__(self, root: DatasetRoot, files: Sequence[str], settings: WebDatasetSettings, faults: Faults) -> None:
        """Reads the headers of all shards, and the labels; damaged shards and incomplete samples become faults."""
        self.files = tuple(files)
        self.keys: list[str] = []
        self.labels: list[str] = []
        self._places = array("q")  # shard, offset, bytes of each image
        self._settings = settings
        self.without_image = 0
        for shard, file in enumerate(files):
            where = root.locate(file)
            with root.open(file) as opened, faults.collect(where):
                self._add(shard, file, opened, where, faults)

    @property
    def places(self) -> I64:
        """Shard, offset and bytes of every image (N, 3)."""
        return np.array(self._places).reshape(-1, 3)

    def _add(self, shard: int, file: str, opened: BufferedReader, where: str, faults: Faults) -> None:
        settings = self._settings
        suffixes = IMAGE_SUFFIXES if settings.window is None else IMAGE_SUFFIXES | TIFF_SUFFIXES
        extension, _, field = settings.label.partition(":")
        images: dict[str, tuple[int, int]] = {}
        labels: dict[str, tuple[int, int]] = {}
        others: dict[str, None] = {}
        for member in walk_tar(opened):
            others[member.key] = None
            is_image = f".{member.extension}" in suffixes
            if not is_image and member.extension != extension:
                continue
            found = images if is_image else labels
            if member.key in found:
                raise ValueError(
                    f"the key {printable(member.key)!r} has two members .{member.extension}, or two images"
                )
            found[member.key] = (member.offset, member.n_bytes)
        self.without_image += len(others) - len(images)
        if missing := [key for key in images if key not in labels]:
            faults.add(f"{where}: {len(missing):,} images have no member .{extension}: {list_names(missing)}")
        for key, place in images.items():
            if key not in labels:
                continue
            try:
                self.labels.append(_read_label(opened, key, labels[key], field))
            except ValueError as err:
                faults.add(f"{where}: {err}")
                continue
            self.keys.append(f"{file}/{key}")
            self._places.extend((shard, *place))


def _read_label(opened: BufferedReader, key: str, place: tuple[int, int], field: str) -> str:
    offset, n_bytes = place
    if n_bytes > _MAX_LABEL_BYTES:
        raise ValueError(f"the label of {printable(key)!r} has {n_bytes:,} bytes")
    opened.seek(offset)
    try:
        text = opened.read(n_bytes).decode().strip()
        value: Any = json.loads(text, object_pairs_hook=to_distinct)[field] if field else text
    except RepeatedName as err:
        raise ValueError(f"the label of {printable(key)!r}: {err}") from err
    except (ValueError, KeyError, TypeError, RecursionError):
        value = None
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        raise ValueError(f"the label of {printable(key)!r} is empty, or no text in UTF-8")
    return str(value)


class ShardedImages(FileSource):
    """One split: each sample is a range of bytes in a shard."""

    def __init__(
        self,
        name: str,
        settings: WebDatasetSettings,
        root: DatasetRoot,
        shards: Shards,
        classes: tuple[str, ...],
        cache: DecodedCache,
    ) -> None:
        if not shards.keys:
            raise ValueError(f"{root.locate('')} has shards without images")
        self._places, self._shards = shards.places, root.index(shards.files)
        positions = {label: position for position, label in enumerate(classes)}
        labels = np.array([positions[label] for label in shards.labels], dtype=np.int64)
        # every sample has the identity of its shard
        index = Index(names=tuple(shards.keys), identities=self._shards.identities[self._places[:, 0]])
        files = Files(index, root.path, root.links, cache.claim(name))
        super().__init__(files, labels, cache, settings.max_file_bytes, root.pause)
        self._reader, self._without_image = ImageReader(name, settings), shards.without_image
        digest = hashlib.sha256(self._places.tobytes() + labels.tobytes())
        if settings.digest_contents:
            for file in shards.files:
                with root.open(file) as opened:
                    digest.update(hashlib.file_digest(opened, "sha256").digest())
        form = settings.version_form() | {"shards": digest.hexdigest()}
        self.info = SourceInfo(
            name=name,
            version=self._version(classes, form, contents=False),
            classes=classes,
            channels=settings.channels,
            size=None,
            decoders=settings.decoders,
            window=settings.window,
        )

    def notes(self) -> Sequence[str]:
        """Samples without images, the numbers of classes that are integers, and classes with nearly the same name."""
        without = f"{self._without_image:,} keys of the shards have no image and are left out"
        classes = self.info.classes
        return (*([without] if self._without_image else []), *describe_numbers(classes), *note_twins(classes))

    def _decoding_bytes(self, data: bytes) -> int:
        return self._reader.decoding_bytes(data)

    def _decode(self, data: bytes, index: int) -> Sample:
        return Sample(self._reader.decode(data), int(self._labels[index]))

    def _read_file(self, files: Files, within: Index, index: int) -> bytes:
        """The bytes of a sample inside its shard, which must be the indexed one; three attempts."""
        shard, offset, n_bytes = self._places[index].tolist()
        if n_bytes > self._max_file_bytes:
            raise Undecodable(f"the image is larger than max_file_bytes, {self._max_file_bytes:,}")
        if not n_bytes:
            raise Undecodable("the image is empty")
        root, name = locate_file(files, self._shards, shard)
        for pause_s in (*PAUSES_S, None):
            try:
                data, identity = _read_range(root, name, offset, n_bytes)
                break
            except NotIndexed:
                raise self._changed(within, index, "is no regular file any more") from None
            except OSError as err:
                if pause_s is None:
                    raise self._unreadable(within, index, root, err) from err
                self._pause(pause_s)
        indexed = within.identity(index)
        if len(data) != n_bytes or replace(identity, changed_ns=indexed.changed_ns) != indexed:
            raise self._changed(within, index, "was modified or replaced")
        return data


def _read_range(root: Path, name: str, offset: int, n_bytes: int) -> tuple[bytes, Identity]:
    opened = open_below(root, name)
    try:
        return os.pread(opened, n_bytes, offset), Identity.of(os.fstat(opened))
    finally:
        os.close(opened)


def _find_shards(root: DatasetRoot) -> Mapping[str, Sequence[str]]:
    """Split → the tar files of its folder, or that are named like it: train-000.tar."""
    folders = {str(split_of(name)): name for name in root.folders() if split_of(name) and root.files(name, {".tar"})}
    if folders:
        return {
            split: [join(folders[split], name) for name in root.files(folders[split], {".tar"})]
            for split in SPLITS
            if split in folders
        }
    files = root.files("", {".tar"})
    if not files:
        packed = root.files("", {".gz", ".tgz", ".zst", ".xz"})
        cure = f"; unpack {list_names(packed)}: a compressed file cannot be read at random" if packed else ""
        raise ValueError(f"{root.locate('')} has no .tar files, nor folders like train with some{cure}")
    by_split: dict[str, list[str]] = {}
    for name in files:
        words = [word for word in name.removesuffix(".tar").replace("_", "-").split("-") if split_of(word)]
        by_split.setdefault(str(split_of(words[-1])) if words else "", []).append(name)
    if "" in by_split:
        return {"": files}
    return {split: by_split[split] for split in SPLITS if split in by_split}
