"""The embedded photographs and textures: 64×64 patches of images from scikit-image, one class per image.

Train patches are cut from the left three quarters of an image and test patches from the rest: no pixel is in both splits.
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
    """The images of one dataset; their names are its classes."""

    name: str
    images: tuple[str, ...]
    channels: int


PHOTOS = Collection("photos", ("astronaut", "chelsea", "coffee"), 3)
TEXTURES = Collection("textures", ("brick", "grass", "gravel"), 1)


class CollectionImages:
    """A collection's images, shared by both splits: decoded on first use, then kept in memory (2 MB at most)."""

    def __init__(self, collection: Collection) -> None:
        self.collection = collection
        contents = [_content(name) for name in collection.images]
        self.digests = tuple(hashlib.sha256(content).hexdigest() for content in contents)
        self.sizes = tuple(_size(content) for content in contents)  # (H, W) each

    @cached_property
    def pixels(self) -> tuple[U8, ...]:
        """H,W,C each, in the collection's order."""
        channels = self.collection.channels
        return tuple(decode_image(_content(name), channels, max_pixels=1 << 20) for name in self.collection.images)


class Patches(Source):
    """One split's patches, 16 pixels apart, ordered by image, row and column."""

    def __init__(self, split: Split, images: CollectionImages) -> None:
        self._images, self._names = images, images.collection.images
        self._corners = np.array(
            [
                (image_index, top, left)
                for image_index, (height, width) in enumerate(self._images.sizes)
                for top in range(0, height - SIDE + 1, STRIDE)
                for left in _lefts(split, width)
            ],
            dtype=np.int64,
        )
        self.info = SourceInfo(
            name=f"{images.collection.name}/{split}",
            version=self._version(split),
            classes=self._names,
            channels=images.collection.channels,
            size=(SIDE, SIDE),
            decoders=("png",),
        )

    def __len__(self) -> int:
        return len(self._corners)

    def corner(self, index: int) -> tuple[int, int, int]:
        """The index of the patch's image in the collection, and the patch's top row and left column."""
        image_index, top, left = self._corners[index].tolist()
        return image_index, top, left

    def read(self, index: int) -> Sample:
        """The patch; never fails for an index of the dataset."""
        image_index, top, left = self.corner(index)
        patch = np.ascontiguousarray(self._images.pixels[image_index][top : top + SIDE, left : left + SIDE])
        patch.setflags(write=False)
        return Sample(image=patch, label=image_index, key=(self.info.name, index))

    def labels(self) -> I64:
        """The image index of every patch (len,)."""
        return self._corners[:, 0].copy()

    def describe(self, index: int) -> str:
        """The name of the image, and the patch's row and column in it."""
        image_index, top, left = self.corner(index)
        return f"{self._names[image_index]} row {top} column {left}"

    def _version(self, split: Split) -> str:
        """The digest of the image files and of the patch grid."""
        name = self._images.collection.name
        form = {"format": name, "split": split, "classes": self._names, "side": SIDE, "stride": STRIDE}
        return hashlib.sha256(json.dumps({**form, "files": self._images.digests}).encode()).hexdigest()


def _lefts(split: Split, width: int) -> range:
    """The left columns of a split's patches in an image of that width."""
    cut = width * 3 // 4
    return range(0, cut - SIDE + 1, STRIDE) if split == "train" else range(cut, width - SIDE + 1, STRIDE)


def _content(name: str) -> bytes:
    return files("skimage").joinpath("data", f"{name}.png").read_bytes()


def _size(content: bytes) -> tuple[int, int]:
    """(H, W) from a PNG's first chunk, without decoding the image."""
    width, height = struct.unpack(">II", content[16:24])
    return height, width
