"""Tables whose rows hold images as bytes, in Parquet and Arrow files or in Lance's: what these formats share.

A random row of a Parquet file costs its whole row group, 2 ms at 100 images and 26 ms at 1,000. So the images are copied once,
when the server starts, to one file of the bytes alone, which is removed when the dataset is no longer served.
"""

import errno
import hashlib
from abc import abstractmethod
from array import array
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
import xxhash

from augsvc.arrays import I64
from augsvc.data.cache import DecodedCache
from augsvc.data.formats.annotations import Annotations
from augsvc.data.formats.arrow_tables import MAX_GROWTH, OpenTable, Table
from augsvc.data.formats.class_order import UNLABELLED, class_positions, describe_numbers, sort_classes
from augsvc.data.formats.dataset_root import DatasetRoot, join, name_faults
from augsvc.data.formats.faults import Faults
from augsvc.data.formats.file_source import Files
from augsvc.data.formats.files import IDENTITY
from augsvc.data.formats.format import give_statistics
from augsvc.data.formats.index import Index
from augsvc.data.formats.manifest_labels import LABELS, ClassLabel, Label
from augsvc.data.formats.manifest_rows import Row
from augsvc.data.formats.sharded import ShardedFormat, ShardedImages, ShardedSamples
from augsvc.data.formats.store_root import StoredFormat
from augsvc.data.formats.temporary import Blob
from augsvc.data.source import Source
from augsvc_client.text import printable

_MIN_IMAGE_BYTES = 64  # that a row counts as: a run length stands for any number of rows, and no image file is smaller
_MIN_ENTRY_BYTES = 64  # that an entry of a list takes in memory


Opening = tuple[Callable[[], OpenTable], int]  # opens a table, or raises ValueError; and the bytes of its files


class TablesFormat(StoredFormat, ShardedFormat):
    """The operator's settings that all formats of tables have."""

    needs: ClassVar[tuple[str, str]]  # the module that reads them, and the extra with it

    image: str = "image"  # the column: bytes, or a struct with `bytes`
    label: str | tuple[str, ...] = "label"  # the column; or several of them, of numbers
    label_kind: Literal["class", "multi_label", "regression", "text"] = "class"
    classes: tuple[
        str, ...
    ] = ()  # in the order of the labels; none: those of the metadata, or all that there are, sorted
    columns: tuple[str, ...] = ()  # further ones, of numbers or texts, that subsets may filter by
    copy_to: Path | None = None  # the folder of the copy; none: that of temporary files

    @abstractmethod
    def find(self, root: DatasetRoot) -> Mapping[str, Sequence[str]]:
        """The names of the tables by split: train, val, test; of a dataset without splits by "".

        Raises:
            ValueError: for the operator: there are none, or some would be left out.
        """

    @abstractmethod
    def open_table(self, root: DatasetRoot, name: str) -> AbstractContextManager[Opening]:
        """A table below the dataset's folder, on this machine; raises ValueError where its files cannot be read."""

    def open(self, name: str, cache: DecodedCache) -> list[Source]:
        """NAME, or NAME/train, NAME/val and NAME/test where tables are in such folders or are named so.

        Raises:
            ValueError: for the operator: the library is not installed, there are no tables, or one is damaged; rows without an
                image or a label; no room for the copy.
        """
        module, extra = self.needs
        with name_faults(name):
            if find_spec(module) is None:
                raise ValueError(f"this format needs {module}: pip install 'augsvc[{extra}]'")
            root = self.open_root()
            faults = Faults()
            copies = {split: _Copy(root, tables, self, faults) for split, tables in self.find(root).items()}
            faults.refuse()
            classes = self._classes(copies)
            sources: list[Source] = [
                CopiedImages(f"{name}/{split}" if split else name, self, root, copy, classes, cache)
                for split, copy in copies.items()
            ]
        if self.statistics is not None:
            give_statistics(sources, name, self.statistics)
        return sources

    @property
    def covers_contents(self) -> bool:
        """Always: the images are copied, and so digested."""
        return True

    @property
    def label_columns(self) -> tuple[str, ...]:
        """Those of the label."""
        return (self.label,) if isinstance(self.label, str) else self.label

    @property
    def new_label(self) -> type[Label]:
        """What collects the labels of a split."""
        return _HubClassLabel if self.label_kind == "class" else LABELS[self.label_kind]

    def _classes(self, copies: "Mapping[str, _Copy]") -> tuple[str, ...]:
        named = {copy.class_names for copy in copies.values()}
        if len(named) > 1:
            raise ValueError("the splits have different classes in their metadata")
        (names,) = named
        return self.classes or names or tuple(self.new_label.classes_of([copy.label for copy in copies.values()]))


class _HubClassLabel(ClassLabel):
    """One class a row; -1 and null are no class, as in test splits whose labels are kept back."""

    without: ClassVar[str] = ""

    def _parse(self, row: Row) -> str:
        value = row.value(self._columns[0])
        return self.without if value is None or str(value) == UNLABELLED else super()._parse(row)

    @classmethod
    def classes_of(cls, labels: Iterable[Label]) -> Sequence[str]:
        """Those of the rows that have one."""
        return sort_classes(value for label in labels for value in label.values if value != cls.without)

    def build(self, classes: tuple[str, ...]) -> Annotations:
        """Labels by position in `classes`, or -1."""
        positions = class_positions(classes)
        labels = np.array([positions.get(value, -1) for value in self.values], dtype=np.int64)
        return self._annotations(classes, labels, None, *describe_numbers(classes))


class _Copy:
    """The images of one split, one after the other in a file, with their labels."""

    def __init__(self, root: DatasetRoot, tables: Sequence[str], settings: TablesFormat, faults: Faults) -> None:
        """Copies all rows; those that cannot be used become faults."""
        self.tables, self._settings, self._faults = tuple(tables), settings, faults
        self.label = settings.new_label(settings.label_columns, settings.classes, "|", settings.columns)
        self.class_names: tuple[str, ...] | None = None
        self.blob, self._digest = Blob(settings.copy_to), hashlib.sha256()
        self._places = array("q")  # shard, offset, bytes of each image
        self.fingerprints: list[bytes] = []  # of the contents of each image
        columns = [*settings.label_columns, *settings.columns]
        is_class = settings.label_kind in ("class", "multi_label")
        only_label = settings.label if is_class and isinstance(settings.label, str) else None
        for shard, name in enumerate(tables):
            with settings.open_table(root, name) as (opening, n_bytes), faults.collect(root.locate(name)):
                table = Table(opening(), settings.image, columns, only_label)
                self._require_same_names(table, is_first=shard == 0)
                self._copy(shard, name, table, only_label, MAX_GROWTH * n_bytes)

    @property
    def places(self) -> I64:
        """Shard, offset in the copy and bytes of every image (N, 3)."""
        return np.array(self._places, dtype=np.int64).reshape(-1, 3)

    @property
    def digest(self) -> str:
        """Of the bytes of all images."""
        return self._digest.hexdigest()

    def _require_same_names(self, table: Table, is_first: bool) -> None:
        if not is_first and table.class_names != self.class_names:
            raise ValueError("its metadata have other classes than those of the file before it")
        self.class_names = table.class_names

    def _copy(self, shard: int, name: str, table: Table, label: str | None, limit: int) -> None:
        where = f"{printable(name)}, row " if name else "row "
        known, n_bytes = frozenset(table.class_names or ()), 0
        for number, row in enumerate(table):
            n_bytes += max(_MIN_IMAGE_BYTES, len(row.image or b"")) + sum(map(_label_bytes, row.values.values()))
            if n_bytes > limit:
                raise ValueError(f"its rows are over {MAX_GROWTH} times as large as the file")
            if not isinstance(row.image, bytes):
                self._faults.add(
                    f"{where}{number}: it has no image as bytes: embed the files in the dataset", f"row {number}"
                )
                continue
            try:
                values = row.values
                if label is not None and table.class_names is not None and not self._is_unlabelled(values[label]):
                    values = _with_class_names(values, label, table.class_names, known)
                self.label.add(join(name, str(number)), Row(values))
            except ValueError as err:
                self._faults.add(f"{where}{number}: {err}", f"row {number}")
                continue
            self._places.extend((shard, self.blob.n_bytes, len(row.image)))
            self._digest.update(row.image)
            self.fingerprints.append(xxhash.xxh3_64_digest(row.image))
            self.blob.append(row.image)

    def _is_unlabelled(self, value: object) -> bool:
        return self.label.kind == "class" and str(value) == UNLABELLED


def _label_bytes(value: object) -> int:
    """Of texts, and of lists, whose entries become texts."""
    if isinstance(value, list):
        return sum(_MIN_ENTRY_BYTES + _label_bytes(entry) for entry in value)
    return len(value) if isinstance(value, str | bytes) else 0


def _with_class_names(
    values: dict[str, object], column: str, names: Sequence[str], known: Collection[str]
) -> dict[str, object]:
    """The row with the names of its classes, where it holds their numbers in the metadata; raises ValueError for others."""

    def name(label: Any) -> object:
        is_number = isinstance(label, int) and not isinstance(label, bool)
        if is_number and 0 <= label < len(names):
            return names[label]
        if is_number or (isinstance(label, str) and label not in known):
            raise ValueError(f"the label {printable(str(label))} is none of the {len(names)} classes")
        return label

    value = values[column]
    return {**values, column: list(map(name, value)) if isinstance(value, list) else name(value)}


def _digest_array(values: npt.NDArray[Any]) -> list[object]:
    """Its form and the digest of its contents."""
    return [values.dtype.str, values.shape, hashlib.sha256(values.tobytes()).hexdigest()]


class CopiedImages(ShardedImages):
    """One split, read from its copy, so that files which change later do not change a sample."""

    def __init__(
        self,
        name: str,
        settings: TablesFormat,
        root: DatasetRoot,
        copy: _Copy,
        classes: tuple[str, ...],
        cache: DecodedCache,
    ) -> None:
        self._blob, self._contents, self._fingerprints = copy.blob, copy.digest, copy.fingerprints
        samples = ShardedSamples(copy.tables, copy.places, copy.label.build(classes))
        super().__init__(name, settings, root, samples, cache)

    def _index(self, root: DatasetRoot, samples: ShardedSamples) -> Index:
        """Of the copies: how the tables are packed is no matter."""
        identities = np.zeros(len(samples.places), IDENTITY)
        identities["n_bytes"] = samples.places[:, 2]
        return Index(names=tuple(samples.annotations.names), identities=identities)

    def _form(self, settings: ShardedFormat, root: DatasetRoot, samples: ShardedSamples) -> dict[str, object]:
        """Names, all labels and filter columns, and the bytes of all images."""
        annotations = samples.annotations
        arrays = {"places": samples.places, "labels": annotations.sample_labels}
        if annotations.targets is not None:
            arrays["targets"] = annotations.targets
        form = settings.version_form() | {"annotations": annotations.digest, "images": self._contents}
        form |= {name: _digest_array(values) for name, values in arrays.items()}
        columns = annotations.columns.items()
        return form | {"columns": {name: [_digest_array(column.values), column.texts] for name, column in columns}}

    def fingerprints(self) -> Mapping[str, bytes]:
        """Each sample's name, and what differs if its image does: files that are written again may hold the same ones."""
        return dict(zip(self._files.index.names, self._fingerprints, strict=True))

    def notes(self) -> Sequence[str]:
        """The size of the copy, and what all shards note."""
        n_bytes = int(self._places[:, 2].sum())
        unlabelled = int((self._labels < 0).sum()) if self.info.label_kind == "class" else 0
        without = [f"{unlabelled:,} rows have no class"] if unlabelled else []
        return (f"{n_bytes / 1e6:,.0f} MB of images copied to a temporary file", *without, *super().notes())

    def _read_range(self, files: Files, within: Index, index: int, shard: int, offset: int, n_bytes: int) -> bytes:
        """A range of the copy."""
        data = self._blob.read(offset, n_bytes)
        if len(data) != n_bytes:
            raise self._unreadable(files, within, index, OSError(errno.EIO, "the copy of the images is cut"))
        return data
