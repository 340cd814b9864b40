"""Pascal VOC: an XML file of boxes for each image, and masks of classes with a palette (VOC2012's devkit, section 8)."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

from pydantic import StringConstraints

from augsvc.data.decoders.mask import IGNORED, MaskValues
from augsvc.data.formats.annotated import AnnotatedFormat
from augsvc.data.formats.annotations import Annotations
from augsvc.data.formats.dataset_root import DatasetRoot, join, require_below, split_field
from augsvc.data.formats.faults import Faults
from augsvc.data.formats.index import list_names
from augsvc.data.formats.layout import split_of
from augsvc.data.formats.voc_xml import VocBoxes, VocObject, parse_voc
from augsvc.data.source import SPLITS
from augsvc_client.decoding.limits import IMAGE_SUFFIXES, TIFF_SUFFIXES
from augsvc_client.text import printable

_ANNOTATIONS, _IMAGES, _LISTS, _MASKS = "Annotations", "JPEGImages", "ImageSets", "SegmentationClass"
Name = Annotated[str, StringConstraints(min_length=1)]


class VocSettings(AnnotatedFormat):
    """The operator's settings of one dataset in VOC's format."""

    format: Literal["voc"]
    classes: tuple[Name, ...] = ()  # in the order of the labels; none: all names of objects, sorted
    difficult: bool = False  # true: objects marked `difficult` are boxes too
    one_based: bool = True  # false: corners are edges from 0 on, and not pixels from 1 on
    masks: bool = False  # SegmentationClass: 0 is the background, 255 is ignored; images of ImageSets/Segmentation

    @property
    def mask_values(self) -> MaskValues | None:
        """A mask's values are served as they are."""
        return MaskValues({}, IGNORED) if self.masks else None

    def read_splits(self, root: DatasetRoot) -> Mapping[str, Annotations]:
        """The lists of ImageSets, or folders of splits with XML files beside the images, or all of Annotations."""
        parsed: dict[str, list[tuple[str, str, bytes, list[VocObject], tuple[int, int]]]] = {}
        faults = Faults()
        lone: dict[str, list[str]] = {}
        for split, (images, annotations, stems) in self._find_splits(root).items():
            files = self._image_files(root, images)
            if missing := [stem for stem in stems if stem not in files]:
                faults.add(f"{len(missing):,} images are missing in {root.locate(images)}: {list_names(missing)}")
            if not root.is_folder(_LISTS):
                lone[split] = [join(images, files[stem]) for stem in sorted(files.keys() - set(stems))]
            rows = parsed.setdefault(split, [])
            for stem in stems:
                with faults.collect(row=printable(stem)):
                    content = self._parse(root, join(annotations, f"{stem}.xml"))
                    rows.append((stem, join(images, files.get(stem, "")), *content))
        names = {item.name for rows in parsed.values() for _, _, _, objects, _ in rows for item in objects}
        classes = self.classes or tuple(sorted(names))
        if unknown := sorted(names - set(classes)):
            faults.add(f"objects are named {list_names(unknown)}, which `classes` does not have")
        faults.refuse()
        built = {split: self._build(rows, classes) for split, rows in parsed.items()}
        for split, alone in lone.items():
            if alone:
                text = f"{len(alone):,} images have no XML file and are left out: {list_names(alone)}"
                built[split] = built[split].with_notes(text)
        return built

    def _find_splits(self, root: DatasetRoot) -> dict[str, tuple[str, str, Sequence[str]]]:
        """Split → the folder of the images, that of the XML files, and the names without extensions."""
        lists = join(_LISTS, "Segmentation" if self.masks else "Main")
        stems = {
            split: sorted(set(self._read_list(root, join(lists, f"{split}.txt"))))
            for split in SPLITS
            if root.is_file(join(lists, f"{split}.txt"))
        }
        if stems:
            return {split: (_IMAGES, _ANNOTATIONS, names) for split, names in stems.items()}
        if root.is_folder(_ANNOTATIONS):
            return {"": (_IMAGES, _ANNOTATIONS, _stems(root.files(_ANNOTATIONS, {".xml"})))}
        folders = {split_of(name): name for name in root.folders() if split_of(name) and root.files(name, {".xml"})}
        if not folders:
            raise ValueError(
                f"{root.locate('')} has neither {_ANNOTATIONS} and {_IMAGES}, nor folders like train with XML files beside the "
                "images"
            )
        return {
            split: (folders[split], folders[split], _stems(root.files(folders[split], {".xml"})))
            for split in SPLITS
            if split in folders
        }

    def _read_list(self, root: DatasetRoot, file: str) -> list[str]:
        """The names of a list; Main's lists of a class have a number behind each, which is none of them."""
        lines = [line for line, _ in map(split_field, root.read_lines(file)) if line]
        return [require_below(line, root.locate(file)) for line in lines]

    def _image_files(self, root: DatasetRoot, folder: str) -> dict[str, str]:
        suffixes = IMAGE_SUFFIXES if self.window is None else IMAGE_SUFFIXES | TIFF_SUFFIXES
        files: dict[str, str] = {}
        for name in root.files(folder, suffixes):
            stem = name.rpartition(".")[0]
            if stem in files:
                raise ValueError(f"{root.locate(join(folder, name))} and {files[stem]} differ only in their extension")
            files[stem] = name
        return files

    def _parse(self, root: DatasetRoot, file: str) -> tuple[bytes, list[VocObject], tuple[int, int]]:
        """The contents, the objects and the size of an XML file; none where there is no file and masks are enough."""
        if self.masks and not root.is_file(file):
            return b"", [], (0, 0)
        contents = root.read(file)
        try:
            return contents, *parse_voc(contents, 1.0 if self.one_based else 0.0)
        except ValueError as err:
            raise ValueError(f"{root.locate(file)}: {err}") from err

    def _build(
        self, rows: Sequence[tuple[str, str, bytes, list[VocObject], tuple[int, int]]], classes: tuple[str, ...]
    ) -> Annotations:
        digest = hashlib.sha256(repr((classes, self.difficult, self.one_based, self.masks)).encode())
        boxes = VocBoxes(classes, self.difficult)
        for row, (_, _, contents, objects, size) in enumerate(rows):
            digest.update(b"\0%d\0" % len(contents) + contents)
            boxes.add(row, objects, size)
        return boxes.build(
            names=[image for _, image, *_ in rows],
            digest=digest.hexdigest(),
            mask_names=[join(_MASKS, f"{stem}.png") for stem, *_ in rows] if self.masks else None,
        )


def _stems(names: Sequence[str]) -> list[str]:
    return [name.rpartition(".")[0] for name in names]
