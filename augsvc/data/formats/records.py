"""Formats whose shards hold whole records, an image with its label: what MDS, LitData and TFRecord share."""

from abc import abstractmethod
from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from io import BufferedReader
from typing import Annotated, NamedTuple

import numpy as np
from pydantic import StringConstraints

from augsvc.data.cache import DecodedCache
from augsvc.data.formats.annotations import Annotations
from augsvc.data.formats.class_order import UNLABELLED, class_positions, label_positions, labelled_classes
from augsvc.data.formats.dataset_root import DatasetRoot, name_faults
from augsvc.data.formats.faults import Faults
from augsvc.data.formats.format import give_statistics
from augsvc.data.formats.index import list_names
from augsvc.data.formats.sharded import ShardedFormat, ShardedImages, ShardedSamples
from augsvc.data.formats.store_root import StoredFormat
from augsvc.data.source import Source

MAX_LABEL_BYTES = 1 << 16

Name = Annotated[str, StringConstraints(min_length=1)]


class Record(NamedTuple):
    """The class of a sample, and where its image is in the shard."""

    label: str
    offset: int
    n_bytes: int


class Shard(NamedTuple):
    """A file below the dataset's folder, and what reads its records; that raises ValueError where the file is damaged."""

    file: str
    read: Callable[[BufferedReader], Iterator[Record]]


class RecordsFormat(StoredFormat, ShardedFormat):
    """The operator's settings that all formats of records have."""

    image: Name = "image"  # the column of the image files, as bytes
    label: Name = "label"  # the column of the class: an integer or a text
    classes: tuple[Name, ...] = ()  # in the order of the labels; none: those of the shards, integers sorted as numbers

    @abstractmethod
    def find(self, root: DatasetRoot) -> Mapping[str, Sequence[Shard]]:
        """The shards by split: train, val, test; of a dataset without splits by "".

        Raises:
            ValueError: for the operator: there are none, or they cannot be read at random.
        """

    def open(self, name: str, cache: DecodedCache) -> list[Source]:
        """NAME, or NAME/train, NAME/val and NAME/test; raises as `find`, and for shards that are damaged."""
        with name_faults(name):
            root = self.open_root()
            faults = Faults()
            splits = {split: _Records(root, shards, faults) for split, shards in self.find(root).items()}
            names = {label for records in splits.values() for label in records.labels}
            classes = self.classes or labelled_classes(names)
            if unknown := sorted(names - {*class_positions(classes), UNLABELLED}):
                faults.add(f"labels are {list_names(unknown)}, which are none of `classes`, nor the position of one")
            faults.refuse()
            sources: list[Source] = [
                ShardedImages(f"{name}/{split}" if split else name, self, root, records.build(classes), cache)
                for split, records in splits.items()
            ]
        if self.statistics is not None:
            give_statistics(sources, name, self.statistics)
        return sources


class _Records:
    """Those of one split, in flat arrays."""

    def __init__(self, root: DatasetRoot, shards: Sequence[Shard], faults: Faults) -> None:
        self.labels: list[str] = []
        self._files = [shard.file for shard in shards]
        if len(set(self._files)) < len(self._files):
            twice = [file for file, count in Counter(self._files).items() if count > 1]
            raise ValueError(f"the index names {list_names(twice)} twice: its samples would be served twice")
        self._keys: list[str] = []
        self._places = array("q")  # shard, offset, bytes of each image
        known: dict[str, str] = {}  # one object for all equal labels
        for index, shard in enumerate(shards):
            with root.open(shard.file) as opened, faults.collect(root.locate(shard.file)):
                for number, record in enumerate(shard.read(opened)):
                    self.labels.append(known.setdefault(record.label, record.label))
                    self._keys.append(f"{shard.file}/{number}")
                    self._places.extend((index, record.offset, record.n_bytes))

    def build(self, classes: tuple[str, ...]) -> ShardedSamples:
        """The samples, with labels by position in `classes`."""
        labels, notes = label_positions(self.labels, classes)
        annotations = Annotations(self._keys, classes, "", labels, notes=notes)
        return ShardedSamples(self._files, np.array(self._places, dtype=np.int64).reshape(-1, 3), annotations)


def decode_label(data: bytes, dtype: np.dtype | None) -> str:
    """A class from its bytes: an integer of this dtype, or a text in UTF-8 without one; raises ValueError."""
    if dtype is not None:
        if len(data) != dtype.itemsize:
            raise ValueError(f"a label has {len(data)} bytes, and {dtype.itemsize} are {dtype}")
        return str(np.frombuffer(data, dtype)[0])
    try:
        text = data.decode()
    except UnicodeDecodeError as err:
        raise ValueError("a label is no text in UTF-8") from err
    if not text:
        raise ValueError("a label is empty")
    return text
