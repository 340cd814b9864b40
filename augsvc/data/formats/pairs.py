"""Images with a mask file each, in two folders: `images/1.jpg` and `masks/1.png`."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from augsvc.data.decoders.mask import IGNORED, MAX_CLASSES, Color, MaskValues
from augsvc.data.formats.annotated import AnnotatedFormat
from augsvc.data.formats.annotations import Annotations
from augsvc.data.formats.dataset_root import DatasetRoot, join, require_folder
from augsvc.data.formats.faults import Faults
from augsvc.data.formats.index import list_names
from augsvc.data.formats.layout import split_of
from augsvc_client.decoding.limits import IMAGE_SUFFIXES, TIFF_SUFFIXES

MASK_SUFFIXES = TIFF_SUFFIXES | {".png"}
_LOSSY_SUFFIXES = IMAGE_SUFFIXES - MASK_SUFFIXES

_Byte = Annotated[int, Field(ge=0, le=255, strict=True)]
_Value = Annotated[int, Field(ge=0, le=65535, strict=True)]
_Color = tuple[_Byte, _Byte, _Byte]


class MaskFilesSettings(AnnotatedFormat):
    """The operator's settings of formats with mask files."""

    # a list: the values are 0, 1, …; else name → value, or name → [red, green, blue]; none: values are not checked
    classes: tuple[str, ...] | dict[str, _Value] | dict[str, _Color] = ()
    ignore_index: _Value | _Color | None = IGNORED  # the value of pixels without a class, which are served as 255

    @field_validator("classes")
    @classmethod
    def _require_distinct(cls, classes: object) -> object:
        if isinstance(classes, tuple | dict):
            if len(classes) > MAX_CLASSES:
                raise ValueError(f"must be at most {MAX_CLASSES} classes, masks hold 8 bits")
            values = list(classes.values()) if isinstance(classes, dict) else classes
            if len(set(values)) < len(values):
                raise ValueError("must be different from one another")
        return classes

    @model_validator(mode="after")
    def _require_one_meaning(self) -> "MaskFilesSettings":
        ambiguous = [name for name, value in self._values().items() if value == self.ignore_index]
        if ambiguous and "ignore_index" in self.model_fields_set:
            raise ValueError(f"ignore_index must not be the value of the class {ambiguous[0]!r}")
        return self

    def _values(self) -> Mapping[str, int | Color]:
        if isinstance(self.classes, dict):
            return self.classes
        return {name: value for value, name in enumerate(self.classes)}

    @property
    def class_names(self) -> tuple[str, ...]:
        """In the order of the classes."""
        return tuple(self._values())

    @property
    def mask_values(self) -> MaskValues:
        """What the values of mask files mean; 255 may be a class where `ignore_index` is not given."""
        values = self._values()
        return MaskValues(values, None if self.ignore_index in values.values() else self.ignore_index)

    def values_digest(self, *form: object) -> str:
        """A digest of the settings that change masks, and of `form`."""
        classes = [[name, value] for name, value in self._values().items()]
        content = json.dumps([classes, self.ignore_index, *form])
        return hashlib.sha256(content.encode()).hexdigest()


class ImageMaskPairsSettings(MaskFilesSettings):
    """The operator's settings of one folder of images and masks."""

    format: Literal["image_mask_pairs"]
    images: str = "images"  # the folder of the images below `path`, or below each split
    masks: str = "masks"
    image_suffix: str = ""  # the end of images' names that their masks lack: "_leftImg8bit"
    mask_suffix: str = ""  # the end of masks' names that their images lack: "_mask"

    def read_splits(self, root: DatasetRoot) -> Mapping[str, Annotations]:
        """`images` and `masks`, with folders for splits in both or above both."""
        splits: dict[str, Annotations] = {}
        faults = Faults()
        for split, (images, masks) in self._find_folders(root).items():
            with faults.collect():
                splits[split] = self._read(root, images, masks)
        faults.refuse()
        return splits

    def _find_folders(self, root: DatasetRoot) -> dict[str, tuple[str, str]]:
        """Split → the folders of its images and its masks."""
        images_folder, masks_folder = require_folder(self.images, "`images`"), require_folder(self.masks, "`masks`")
        if not root.is_folder(images_folder):
            above = {name: (join(name, images_folder), join(name, masks_folder)) for name in root.folders()}
            above = {name: pair for name, pair in above.items() if root.is_folder(pair[0])}
            if above and all(map(split_of, above)):
                return _by_split(above, root)
            raise ValueError(
                f"{root.locate('')} has no folder {self.images!r}, nor train/{self.images}: name the folders in `images` and "
                "`masks`"
            )
        inner = root.folders(images_folder)
        if inner and all(map(split_of, inner)) and not root.files(images_folder, IMAGE_SUFFIXES | TIFF_SUFFIXES):
            return _by_split({name: (join(images_folder, name), join(masks_folder, name)) for name in inner}, root)
        return {"": (images_folder, masks_folder)}

    def _read(self, root: DatasetRoot, images: str, masks: str) -> Annotations:
        if not root.is_folder(masks):
            raise ValueError(f"{root.locate(masks)} is not a directory: name the folder of the masks in `masks`")
        suffixes = IMAGE_SUFFIXES if self.window is None else IMAGE_SUFFIXES | TIFF_SUFFIXES
        by_key = _keyed(list(root.walk(images, suffixes)), images, self.image_suffix, root)
        masks_by_key = _keyed(list(root.walk(masks, MASK_SUFFIXES)), masks, self.mask_suffix, root)
        are_masks = set(masks_by_key.values())  # one folder may hold the other
        by_key = {key: name for key, name in by_key.items() if name not in are_masks}
        lossy = [] if not masks or f"{images}/".startswith(f"{masks}/") else list(root.walk(masks, _LOSSY_SUFFIXES))
        if lossy:
            raise ValueError(
                f"{len(lossy):,} masks are JPEG or WebP files, whose compression changes values: {list_names(lossy)}; store "
                "masks as PNG or TIFF"
            )
        _require_pairs(by_key, masks_by_key, root.locate(images), root.locate(masks))
        keys = sorted(by_key, key=by_key.__getitem__)
        return Annotations(
            names=[by_key[key] for key in keys],
            classes=self.class_names,
            digest=self.values_digest("pairs"),
            label_kind="none",
            mask_names=[masks_by_key[key] for key in keys],
        )


def _by_split(folders: Mapping[str, tuple[str, str]], root: DatasetRoot) -> dict[str, tuple[str, str]]:
    """In the order train, val, test."""
    splits: dict[str, tuple[str, str]] = {}
    for name, pair in folders.items():
        split = str(split_of(name))
        if split in splits:
            raise ValueError(f"{root.locate('')} has two folders for the split {split!r}: keep one of them")
        splits[split] = pair
    return {split: splits[split] for split in ("train", "val", "test") if split in splits}


def _keyed(names: Sequence[str], folder: str, suffix: str, root: DatasetRoot) -> dict[str, str]:
    """What an image and its mask have in common → the name, of those with the suffix."""
    keyed: dict[str, str] = {}
    for name in names:
        key = name.removeprefix(f"{folder}/").rpartition(".")[0]
        if not key.endswith(suffix):
            continue
        key = key.removesuffix(suffix)
        if key in keyed:
            raise ValueError(f"{root.locate(name)} and {keyed[key]} differ only in their extension: keep one of them")
        keyed[key] = name
    return keyed


def _require_pairs(images: Mapping[str, str], masks: Mapping[str, str], in_images: str, in_masks: str) -> None:
    faults = [
        f"{len(missing):,} of {len(present):,} {what}: {list_names(missing)}"
        for missing, present, what in (
            ([name for key, name in images.items() if key not in masks], images, f"images have no mask in {in_masks}"),
            ([name for key, name in masks.items() if key not in images], masks, f"masks have no image in {in_images}"),
        )
        if missing
    ]
    if faults:
        raise ValueError("\n".join(faults))
