"""WebDataset: tar files in which the members of one key are a sample, as 000.jpg and 000.cls. Read at random by offsets.

The shards are indexed when the server starts; a sample is one read of its bytes inside a shard.
"""

import json
from array import array
from collections.abc import Sequence
from io import BufferedReader
from typing import Any, Literal

import numpy as np

from augsvc.data.cache import DecodedCache
from augsvc.data.formats.annotations import Annotations
from augsvc.data.formats.class_order import UNLABELLED, class_positions, label_positions, labelled_classes
from augsvc.data.formats.dataset_root import DatasetRoot, is_text, name_faults
from augsvc.data.formats.faults import Faults
from augsvc.data.formats.format import give_statistics
from augsvc.data.formats.index import list_names
from augsvc.data.formats.json_stream import RepeatedName, to_distinct
from augsvc.data.formats.sharded import ShardedFormat, ShardedImages, ShardedSamples, find_shards, packed_cure
from augsvc.data.formats.store_root import StoredFormat
from augsvc.data.formats.tar_index import walk_tar
from augsvc.data.source import Source
from augsvc_client.decoding.limits import IMAGE_SUFFIXES, TIFF_SUFFIXES
from augsvc_client.text import printable

_MAX_LABEL_BYTES = 1 << 16  # of a member that holds a label


class WebDatasetSettings(StoredFormat, ShardedFormat):
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
            root = self.open_root()
            faults = Faults()
            found = find_shards(root, {".tar"}, packed_cure(root))
            shards = {split: Shards(root, files, self, faults) for split, files in found.items()}
            names = {label for read in shards.values() for label in read.labels}
            classes = self.classes or labelled_classes(names)
            if unknown := sorted(names - {*class_positions(classes), UNLABELLED}):
                faults.add(f"labels are {list_names(unknown)}, which are none of `classes`, nor the position of one")
            for read in shards.values():
                if not read.keys and read.dotted:
                    faults.add(read.dotted)
            faults.refuse()
            sources: list[Source] = [
                ShardedImages(f"{name}/{split}" if split else name, self, root, read.build(classes), cache)
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
        self._dotted: list[str] = []  # members of keys without an image, whose names would be images by their last dot
        for shard, file in enumerate(files):
            where = root.locate(file)
            with root.open(file) as opened, faults.collect(where):
                self._add(shard, file, opened, where, faults)

    def build(self, classes: tuple[str, ...]) -> ShardedSamples:
        """The samples, with labels by position in `classes`."""
        labels, notes = label_positions(self.labels, classes)
        without = f"{self.without_image:,} keys of the shards have no image and are left out"
        notes = (*([without] if self.without_image else []), *([self.dotted] if self.dotted else []), *notes)
        annotations = Annotations(self.keys, classes, "", labels, notes=notes)
        return ShardedSamples(self.files, np.array(self._places, dtype=np.int64).reshape(-1, 3), annotations)

    @property
    def dotted(self) -> str:
        """A note on images that are none by the rule of the first dot; empty without any."""
        cure = "a key ends at the first dot of a name, so rename them, as in KEY.jpg"
        return (
            f"{len(self._dotted):,} images have several dots: {list_names(self._dotted)}; {cure}"
            if self._dotted
            else ""
        )

    def _add(self, shard: int, file: str, opened: BufferedReader, where: str, faults: Faults) -> None:
        settings = self._settings
        suffixes = IMAGE_SUFFIXES if settings.window is None else IMAGE_SUFFIXES | TIFF_SUFFIXES
        extension, _, field = settings.label.partition(":")
        images: dict[str, tuple[int, int]] = {}
        labels: dict[str, tuple[int, int]] = {}
        others: dict[str, None] = {}
        dotted: dict[str, str] = {}  # key → a member that is an image by its last dot alone
        for member in walk_tar(opened):
            others[member.key] = None
            is_image = f".{member.extension}" in suffixes
            if f".{member.extension.rpartition('.')[2]}" in suffixes:
                dotted[member.key] = member.extension
            if not is_image and member.extension != extension:
                continue
            found = images if is_image else labels
            if member.key in found:
                raise ValueError(
                    f"the key {printable(member.key)!r} has two members .{member.extension}, or two images"
                )
            found[member.key] = (member.offset, member.n_bytes)
        self._dotted += [f"{key}.{extension}" for key, extension in dotted.items() if key not in images]
        self.without_image += len(others) - len(images)
        if missing := [key for key in images if key not in labels]:
            faults.add(f"{where}: {len(missing):,} images have no member .{extension}: {list_names(missing)}")
        for key, place in images.items():
            if key not in labels:
                continue
            try:
                self.labels.append(_read_label(opened, key, labels[key], field))
            except ValueError as err:
                faults.add(f"{where}: {err}", row=printable(key))
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
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "" or not is_text(str(value)):
        kind = "" if value in (None, "") else f": {printable(str(value)[:20])}"
        raise ValueError(f"the label of {printable(key)!r} is empty, or no text in UTF-8 or integer{kind}")
    return str(value)
