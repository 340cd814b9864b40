"""CIFAR-10 and CIFAR-100 in their binary versions (https://www.cs.toronto.edu/~kriz/cifar.html). Pickles are never opened."""

from collections.abc import Mapping
from typing import Literal

import numpy as np

from augsvc.data.formats.array_source import ArraysFormat, LabelledArrays
from augsvc.data.formats.dataset_root import DatasetRoot

_SIDE, _CHANNELS = 32, 3
_PIXELS = _SIDE * _SIDE * _CHANNELS
_CIFAR10 = {"train": [f"data_batch_{k}.bin" for k in range(1, 6)], "test": ["test_batch.bin"]}
_CIFAR100 = {"train": ["train.bin"], "test": ["test.bin"]}


class CifarSettings(ArraysFormat):
    """The operator's settings of a folder of CIFAR's binary version."""

    format: Literal["cifar"]
    labels: Literal["fine", "coarse"] = "fine"  # of CIFAR-100

    def read_splits(self, root: DatasetRoot) -> Mapping[str, LabelledArrays]:
        """Training and test split."""
        is_100 = root.is_file(_CIFAR100["train"][0])
        files = _CIFAR100 if is_100 else _CIFAR10
        if not is_100 and not root.is_file(_CIFAR10["train"][0]):
            raise ValueError(
                f"{root.locate('')} has neither data_batch_1.bin nor train.bin: download the binary version; the one for Python "
                "is pickled, and to open it would run its code"
            )
        names = "batches.meta.txt" if not is_100 else f"{self.labels}_label_names.txt"
        classes = self.classes or tuple(line.strip() for line in root.read_lines(names) if line.strip())
        splits = {}
        for split, parts in files.items():
            records = np.concatenate([self._read(root, part, 2 if is_100 else 1) for part in parts])
            column = 1 if is_100 and self.labels == "fine" else 0
            planes = records[:, -_PIXELS:].reshape(-1, _CHANNELS, _SIDE, _SIDE)
            images = np.ascontiguousarray(planes.transpose(0, 2, 3, 1))
            splits[split] = LabelledArrays(images, records[:, column].astype(np.int64), classes, parts[0])
        return splits

    def _read(self, root: DatasetRoot, file: str, n_labels: int) -> "np.ndarray[tuple[int, int], np.dtype[np.uint8]]":
        """The records of a file: labels, then red, green and blue planes."""
        data, size = root.read(file, 1 << 30), n_labels + _PIXELS
        if not data or len(data) % size:
            raise ValueError(
                f"{root.locate(file)} has {len(data):,} bytes, no multiple of {size:,}: it is cut or damaged"
            )
        return np.frombuffer(data, np.uint8).reshape(-1, size)
