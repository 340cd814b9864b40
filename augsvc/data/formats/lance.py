"""Lance tables with images as bytes (https://lance.org): folders named .lance, read once, at their newest version, by pylance."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal

from augsvc.data.formats.arrow_tables import OpenTable
from augsvc.data.formats.dataset_root import DatasetRoot, join
from augsvc.data.formats.sharded import split_by_name
from augsvc.data.formats.tables import Opening, TablesFormat

if TYPE_CHECKING:
    import pyarrow as pa

_VERSIONS = "_versions"  # the folder that every table has
_FILES = frozenset({".lance", ".manifest", ".arrow", ".bin", ".blob"})  # rows, versions, deleted rows, large values
_BLOBS: Final = "all_binary"  # their bytes, not where they are
# What a row decompresses into is not known before, and pylance decodes whole batches, by default 16 ahead: of a table of 20 kB
# with 16 rows of zeros a batch of 16 took 1.1 GB, a row at a time 0.1 GB. That takes 15 µs a row more.
_ONE_BY_ONE = MappingProxyType(
    {"batch_size": 1, "batch_readahead": 1, "fragment_readahead": 1, "io_buffer_size": 32 << 20}
)


class LanceSettings(TablesFormat):
    """The operator's settings of a Lance table, or of a folder with one for each split."""

    needs: ClassVar[tuple[str, str]] = ("lance", "lance")

    format: Literal["lance"]

    def find(self, root: DatasetRoot) -> Mapping[str, Sequence[str]]:
        """`path` itself, or the folders in it that end in .lance: train.lance, val.lance, test.lance."""
        if root.is_folder(_VERSIONS):
            return {"": [""]}
        tables = [name for name in root.folders() if name.lower().endswith(".lance")]
        if not tables:
            raise ValueError(f"{root.locate('')} is no Lance table, and has no folders like train.lance")
        return split_by_name(root, tables)

    @contextmanager
    def open_table(self, root: DatasetRoot, name: str) -> Iterator[Opening]:
        """A table; of a store its files are copied first."""
        files = list(root.walk(name, _FILES))
        n_bytes = sum(root.index(files).sizes())  # which also refuses links that lead out
        if not any(file.startswith(join(name, f"{_VERSIONS}/")) for file in files):
            raise ValueError(f"{root.locate(name)} is no Lance table: it has no versions")
        with root.local_folder(name, files, self.copy_to) as folder:
            yield partial(_open, folder), n_bytes


def _open(folder: Path) -> OpenTable:
    import lance

    with _damage():
        table: Any = lance.dataset(str(folder))
        is_whole = not table.base_paths()
        schema = table.scanner(blob_handling=_BLOBS).projected_schema
    if not is_whole:  # they may be anywhere that the process can read
        raise ValueError("it takes rows from other tables: write all of them into one, by lance.write_dataset")

    def batches(names: list[str]) -> Iterator["pa.RecordBatch"]:
        with _damage():
            yield from table.to_batches(columns=names, blob_handling=_BLOBS, **_ONE_BY_ONE)

    return OpenTable(schema, batches)


@contextmanager
def _damage() -> Iterator[None]:
    """Makes pylance's errors ValueErrors with a text of this package; a panic of its Rust code is no Exception."""
    try:
        yield
    except GeneratorExit:
        raise
    except BaseException as err:
        if not isinstance(err, Exception) and type(err).__name__ != "PanicException":
            raise
        raise ValueError("it is damaged or cut, or is no Lance table that this version of pylance reads") from err
