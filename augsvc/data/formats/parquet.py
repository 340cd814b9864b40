"""Parquet and Arrow files with images as bytes, in the layouts of Hugging Face's hub and of `Dataset.save_to_disk`."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import ClassVar, Literal

from augsvc.data.formats.arrow_tables import open_file
from augsvc.data.formats.dataset_root import DatasetRoot
from augsvc.data.formats.sharded import find_shards
from augsvc.data.formats.tables import Opening, TablesFormat

_EXTENSIONS = frozenset({".parquet", ".arrow"})


class ParquetSettings(TablesFormat):
    """The operator's settings of a folder of Parquet or Arrow files."""

    needs: ClassVar[tuple[str, str]] = ("pyarrow", "parquet")

    format: Literal["parquet"]

    def find(self, root: DatasetRoot) -> Mapping[str, Sequence[str]]:
        """The files of each split."""
        return find_shards(root, _EXTENSIONS)

    @contextmanager
    def open_table(self, root: DatasetRoot, name: str) -> Iterator[Opening]:
        """A file; of a store it is copied first."""
        with root.open_local(name, self.copy_to) as opened:
            yield partial(open_file, opened, name.lower().endswith(".arrow")), os.fstat(opened.fileno()).st_size
