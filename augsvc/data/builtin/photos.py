"""The embedded photographs and textures: 64×64 patches of pictures that scikit-image carries; the class is the picture.

Train patches lie in the left three quarters of a picture, test patches in the rest, so that no pixel is in both.
"""

import hashlib
import json
import struct
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files

import numpy as np

from augsvc.arrays import I64, U8, Sample
from augsvc.data.source import Source, SourceInfo, Split
from augsvc_client.decoding.image import decode_image

SIDE = 64
STRIDE = 16


@dataclass(frozen=True, slots=True)
class Collection:
    """Pictures that are one dataset; their names are its classes."""

    name: str
    pictures: tuple[str, ...]
    channels: int


PHOTOS = Collection("photos", ("astronaut", "chelsea", "coffee"), 3)
TEXTURES = Collection("textures", ("brick", "grass", "gravel"), 1)


class Pictures:
    """A collection's pictures, shared by both splits: decoded at the first use, then held (2 MB at most)."""

    def __init__(self, collection: Collection) -> None:
        self.collection = collection
        contents = [_content(name) for name in collection.pictures]
        self.digests = tuple(hashlib.sha256(content).hexdigest() for content in contents)
        self.sizes = tuple(_size(content) for content in contents)  # (H, W) each

    @cached_property
    def pixels(self) -> tuple[U8, ...]:
        """H,W,C each, in the collection's order."""
        channels = self.collection.channels
        return tuple(decode_image(_content(name), channels, max_pixels=1 << 20) for name in self.collection.pictures)


class Patches(Source):
    """The patches of one side of the cut, 16 pixels apart, picture by picture and row by row."""

    def __init__(self, split: Split, pictures: Pictures) -> None:
        self._pictures, self._names = pictures, pictures.collection.pictures
        self._corners = np.array(
            [
                (place, top, left)
                for place, (height, width) in enumerate(self._pictures.sizes)
                for top in range(0, height - SIDE + 1, STRIDE)
                for left in _lefts(split, width)
            ],
            dtype=np.int64,
        )
        self.info = SourceInfo(
            name=f"{pictures.collection.name}/{split}",
            version=self._version(split),
            classes=self._names,
            channels=pictures.collection.channels,
            size=(SIDE, SIDE),
            decoders=("png",),
        )

    def __len__(self) -> int:
        return len(self._corners)

    def corner(self, index: int) -> tuple[int, int, int]:
        """Where the patch lies: the picture's place in the collection, its top row and its left column there."""
        place, top, left = self._corners[index].tolist()
        return place, top, left

    def read(self, index: int) -> Sample:
        """The patch; never fails for an index of the dataset."""
        place, top, left = self.corner(index)
        patch = np.ascontiguousarray(self._pictures.pixels[place][top : top + SIDE, left : left + SIDE])
        patch.setflags(write=False)
        return Sample(image=patch, label=place, key=(self.info.name, index))

    def labels(self) -> I64:
        """The picture of every patch (len,)."""
        return self._corners[:, 0].copy()

    def describe(self, index: int) -> str:
        """The picture, and the patch's row and column in it."""
        place, top, left = self.corner(index)
        return f"{self._names[place]} row {top} column {left}"

    def _version(self, split: Split) -> str:
        """The digest of the pictures' files and of where the patches are cut."""
        name = self._pictures.collection.name
        form = {"format": name, "split": split, "classes": self._names, "side": SIDE, "stride": STRIDE}
        return hashlib.sha256(json.dumps({**form, "files": self._pictures.digests}).encode()).hexdigest()


def _lefts(split: Split, width: int) -> range:
    """The left columns of a split's patches in a picture of that width."""
    cut = width * 3 // 4
    return range(0, cut - SIDE + 1, STRIDE) if split == "train" else range(cut, width - SIDE + 1, STRIDE)


def _content(name: str) -> bytes:
    return files("skimage").joinpath("data", f"{name}.png").read_bytes()


def _size(content: bytes) -> tuple[int, int]:
    """(H, W) by a PNG's first chunk, so that nothing is decoded before the first read."""
    width, height = struct.unpack(">II", content[16:24])
    return height, width
