"""YOLO: a text file of labels for each image, and a data.yaml with the classes and the splits, as Ultralytics reads them."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Literal

import yaml

from augsvc.data.formats.annotated import AnnotatedFormat
from augsvc.data.formats.annotations import Annotations
from augsvc.data.formats.dataset_root import DatasetRoot, join, require_below
from augsvc.data.formats.faults import Faults
from augsvc.data.formats.index import list_names
from augsvc.data.formats.yolo_labels import YoloLabels
from augsvc.data.source import SPLITS
from augsvc_client.decoding.limits import IMAGE_SUFFIXES, TIFF_SUFFIXES
from augsvc_client.strict_yaml import load_yaml
from augsvc_client.text import printable

_IMAGES, _LABELS = "images", "labels"


class YoloSettings(AnnotatedFormat):
    """The operator's settings of one dataset in YOLO's format."""

    format: Literal["yolo"]
    data: str | None = None  # the YAML file below `path`; None: the only one there
    keypoints: bool = False  # serves the keypoints of the labels: `kpt_shape` and `flip_idx` of the YAML file
    masks: Literal["none", "classes", "instances"] = (
        "none"  # of polygons; 0 is the background, a class is 1 + its label
    )
    instance_masks: bool = False  # serves a mask of each box, of polygons: `mask_bits`

    def read_splits(self, root: DatasetRoot) -> Mapping[str, Annotations]:
        """The splits of the YAML file."""
        file = self._find_data(root)
        try:
            data = load_yaml(root.read_text(file))
        except yaml.YAMLError as err:
            raise ValueError(f"{root.locate(file)} is no valid YAML") from err
        if not isinstance(data, dict):
            raise ValueError(f"{root.locate(file)} must be a mapping with `names` and `train`, `val` or `test`")
        if not any(data.get(split) for split in SPLITS):
            raise ValueError(f"{root.locate(file)} has no splits: name folders or lists in `train`, `val` or `test`")
        splits: dict[str, Annotations] = {}
        faults = Faults()
        with faults.collect(root.locate(file)):
            splits = {split: self._read(root, file, data, split, faults) for split in SPLITS if data.get(split)}
        faults.refuse()
        return splits

    def _find_data(self, root: DatasetRoot) -> str:
        if self.data is not None:
            return require_below(self.data, "`data`")
        files = root.files("", {".yaml", ".yml"})
        if len(files) != 1:
            which = f"{len(files)} YAML files: {list_names(files)}" if files else "no YAML file"
            raise ValueError(f"{root.locate('')} has {which}; name the one with `names` and the splits in `data`")
        return files[0]

    def _read(self, root: DatasetRoot, file: str, data: Mapping[str, Any], split: str, faults: Faults) -> Annotations:
        """One split; bad lines of labels become faults."""
        classes = _class_names(data)
        points, flips = _keypoint_shape(data, needed=self.keypoints)
        names = sorted(set(self._image_names(root, file, data, split)))
        labels = YoloLabels(len(classes), points, self.keypoints, self.masks != "none" or self.instance_masks)
        served = (points, flips) if self.keypoints else (None, ())
        masks = (self.masks, "instance masks") if self.instance_masks else (self.masks,)
        digest = hashlib.sha256(repr((classes, *served, *masks)).encode())
        if points is not None and not self.keypoints:
            digest.update(repr(points).encode())  # says which numbers of a line are its box
        missing = 0
        known: dict[
            str, dict[str, str]
        ] = {}  # folder → its label files by stem: one listing in place of a look-up for each
        used: dict[str, set[str]] = {}
        for row, name in enumerate(names):
            label = _label_of(name)
            folder, _, last = label.rpartition("/")
            if folder not in known:
                files = sorted(root.files(folder, {".txt"}), reverse=True)  # 1.txt over 1.TXT
                known[folder], used[folder] = {file.rpartition(".")[0]: file for file in files}, set()
            stem = last.rpartition(".")[0]
            used[folder].add(stem)
            found = known[folder].get(stem)
            contents = b"" if found is None else root.read(join(folder, found))
            missing += found is None
            digest.update(b"\0%d\0" % len(contents) + contents)
            labels.add(row, contents, root.locate(label), faults)
        annotations = labels.build(names, classes, digest.hexdigest(), self.masks, self.instance_masks)
        if self.keypoints:
            annotations = replace(annotations, flip_pairs=flips)
            if not data.get("flip_idx"):
                annotations = annotations.with_notes("there is no `flip_idx`: mirroring does not swap keypoints")
        elif points is not None:
            annotations = annotations.with_notes("`kpt_shape` names keypoints, which `keypoints: true` would serve")
        if missing:
            annotations = annotations.with_notes(f"{missing:,} images have no file of labels, and so no boxes")
        others = [join(folder, files[stem]) for folder, files in known.items() for stem in files.keys() - used[folder]]
        if missing and others:
            texts = list_names(sorted(others))
            annotations = annotations.with_notes(
                f"{len(others):,} files beside the labels are named like no image: {texts}"
            )
        return annotations

    def _image_names(self, root: DatasetRoot, file: str, data: Mapping[str, Any], split: str) -> Iterator[str]:
        """The images of the folders, or of the lists, that a split names."""
        suffixes = IMAGE_SUFFIXES if self.window is None else IMAGE_SUFFIXES | TIFF_SUFFIXES
        entries = data[split] if isinstance(data[split], list) else [data[split]]
        for entry in entries:
            if not isinstance(entry, str):
                raise ValueError(f"`{split}` must be a folder or a list of images")
            place = _below(root, file.rpartition("/")[0], data.get("path"), entry)
            if place.endswith(".txt"):
                folder = place.rpartition("/")[0]
                for line in root.read_lines(place):
                    if line.strip():
                        yield join(folder, require_below(line.strip(), root.locate(place)))
            else:
                yield from root.walk(place, suffixes)


def _below(root: DatasetRoot, folder: str, path: object, entry: str) -> str:
    """A folder or a file of the YAML file, below the dataset's folder.

    `path` of the file is a folder beside it, or another machine's; exports of Roboflow begin with "../".
    """
    inner = path.strip("./") if isinstance(path, str) and not path.startswith("/") else ""
    stripped = entry
    while stripped.startswith("../"):
        stripped = stripped[3:]
    name = require_below(stripped, "it")
    for candidate in (join(join(folder, inner), name), join(folder, name), name):
        if root.is_folder(candidate) or (candidate.endswith(".txt") and root.is_file(candidate)):
            return candidate
    raise ValueError(f"{printable(entry)!r} is neither a folder nor a list of images below {root.locate('')}")


def _label_of(image: str) -> str:
    """The file of labels: `labels` in place of the last folder `images`, or beside the image."""
    *folders, last = image.split("/")
    if _IMAGES in folders:
        position = len(folders) - 1 - folders[::-1].index(_IMAGES)
        folders[position] = _LABELS
    return "/".join([*folders, last.rpartition(".")[0] + ".txt"])


def _class_names(data: Mapping[str, Any]) -> tuple[str, ...]:
    names = data.get("names")
    if isinstance(names, dict):
        if sorted(names, key=str) != sorted(range(len(names)), key=str):
            raise ValueError("`names` must be numbered from 0 on, without gaps")
        names = [names[label] for label in range(len(names))]
    if not isinstance(names, list) or not names:
        raise ValueError("`names` must be a list of classes, or number them")
    if wrong := [name for name in names if isinstance(name, bool) or not isinstance(name, str | int | float)]:
        raise ValueError(f"`names` has {wrong[0]!r}, which is no text: put names such as 'no' and 'null' in quotes")
    classes = tuple(map(str, names))
    if len(set(classes)) < len(classes):
        raise ValueError("`names` has a class twice")
    if "nc" in data and data["nc"] != len(classes):
        raise ValueError(f"`nc` is {data['nc']}, and `names` has {len(classes)} classes")
    return classes


def _keypoint_shape(
    data: Mapping[str, Any], *, needed: bool
) -> tuple[tuple[int, int] | None, tuple[tuple[int, int], ...]]:
    """The number of keypoints and of their numbers (2, or 3 with the visibility), and the pairs that a flip swaps.

    No shape where the file has none and none is `needed`.
    """
    shape, flips = data.get("kpt_shape"), data.get("flip_idx", [])
    if shape is None and not needed:
        return None, ()
    if (
        not (isinstance(shape, list) and len(shape) == 2 and isinstance(shape[0], int) and shape[1] in (2, 3))
        or shape[0] < 1
    ):
        raise ValueError("`kpt_shape` must be [number, 2 or 3], and `keypoints: true` needs it")
    if flips and (not isinstance(flips, list) or sorted(flips, key=str) != sorted(range(shape[0]), key=str)):
        raise ValueError(f"`flip_idx` must be an order of 0 … {shape[0] - 1}")
    if any(flips[flips[row]] != row for row in range(len(flips))):
        raise ValueError("`flip_idx` must swap keypoints in pairs")
    return (shape[0], shape[1]), tuple((row, other) for row, other in enumerate(flips) if row < other)
