"""COCO: images with one JSON file of boxes, keypoints and segmentations for each split (https://cocodataset.org/#format-data)."""

import hashlib
import json
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import StringConstraints

from augsvc.data.formats.annotated import AnnotatedFormat
from augsvc.data.formats.annotations import Annotations
from augsvc.data.formats.coco_reader import CocoReader, name_element
from augsvc.data.formats.dataset_root import DatasetRoot, join, require_below, require_folder
from augsvc.data.formats.faults import Faults
from augsvc.data.formats.json_stream import BadJson, JsonStream
from augsvc.data.formats.layout import split_of
from augsvc.data.source import SPLITS

_ROBOFLOW = "_annotations.coco.json"

Name = Annotated[str, StringConstraints(min_length=1)]
Names = Name | dict[Literal["train", "val", "test"], Name]


class CocoSettings(AnnotatedFormat):
    """The operator's settings of one dataset in COCO's format."""

    format: Literal["coco"]
    annotations: Names | None = None  # files below `path`, by split; None: they are searched
    images: Names | None = None  # the folders of the images below `path`, by split
    keypoints: bool = False
    masks: Literal["none", "classes", "instances"] = "none"  # 0 is the background, a class is 1 + its label
    instance_masks: bool = False  # serves a mask of each box: `mask_bits`

    def read_splits(self, root: DatasetRoot) -> Mapping[str, Annotations]:
        """The files that the settings name, or annotations/instances_SPLIT.json, or SPLIT/_annotations.coco.json."""
        files = self._find_files(root) if self.annotations is None else self._named_files()
        splits: dict[str, Annotations] = {}
        faults = Faults()
        for split, file in files.items():
            with faults.collect():
                images = self._images_of(root, split, file)
                if (annotations := self._read(root, file, images, faults)) is not None:
                    splits[split] = annotations
        faults.refuse()
        return splits

    def _named_files(self) -> dict[str, str]:
        if isinstance(self.annotations, str):
            return {"": require_below(self.annotations, "`annotations`")}
        files = self.annotations or {}
        return {split: require_below(files[split], "`annotations`") for split in SPLITS if split in files}

    def _find_files(self, root: DatasetRoot) -> dict[str, str]:
        """Split → file."""
        kind = "person_keypoints_" if self.keypoints else "instances_"
        named = {name: join("annotations", name) for name in root.files("annotations", {".json"})}
        candidates = {name.removeprefix(kind).removesuffix(".json"): file for name, file in named.items()}
        candidates |= {
            folder: join(folder, _ROBOFLOW) for folder in root.folders() if root.is_file(join(folder, _ROBOFLOW))
        }
        files: dict[str, str] = {}
        for name, file in candidates.items():
            split = split_of(name)
            if split is None:
                continue
            if split in files:
                raise ValueError(
                    f"{root.locate(file)} and {files[split]} would both be the split {split!r}: name the files in `annotations`"
                )
            files[split] = file
        if not files:
            raise ValueError(
                f"{root.locate('')} has neither annotations/{kind}train….json nor train/{_ROBOFLOW}: name the files in "
                "`annotations`"
            )
        return {split: files[split] for split in SPLITS if split in files}

    def _images_of(self, root: DatasetRoot, split: str, file: str) -> str:
        """The folder of a split's images."""
        if isinstance(self.images, str):
            return require_folder(self.images, "`images`")
        if self.images is not None and split in self.images:
            return require_folder(self.images[split], "`images`")
        folder, _, last = file.rpartition("/")
        if last == _ROBOFLOW:
            return folder
        name = last.removesuffix(".json").rpartition("_")[2]
        for candidate in (name, join("images", name), "images"):
            if root.is_folder(candidate):
                return candidate
        raise ValueError(
            f"{root.locate('')} has neither {name}, images/{name} nor images for the images of {file}: name the folder in "
            "`images`"
        )

    def _read(self, root: DatasetRoot, file: str, images: str, faults: Faults) -> Annotations | None:
        """The annotations of one file; None where it has faults."""
        where, n_faults = root.locate(file), len(faults)
        form = [images, self.keypoints, self.masks, *([True] if self.instance_masks else [])]
        digest = hashlib.sha256(json.dumps(form).encode())
        reader = CocoReader(with_keypoints=self.keypoints, masks=self.masks, instance_masks=self.instance_masks)
        with root.open(file) as opened:
            try:
                for name, element in JsonStream(opened, digest.update).elements():
                    try:
                        reader.add(name, element)
                    except ValueError as err:
                        faults.add(f"{where}: {err}", row=name_element(name, element))
            except OSError as err:
                raise ValueError(f"{where} cannot be read ({err.strerror})") from err
            except BadJson as err:
                raise ValueError(f"{where} is no JSON file of COCO, or is damaged: {err}") from err
        reader.check_ids(where, faults)
        if len(faults) > n_faults:
            return None
        with faults.collect(where):
            return reader.build(images, digest.hexdigest)
        return None
