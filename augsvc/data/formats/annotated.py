"""Images whose labels are in files of annotations or of masks: the source, and the settings, of all such formats."""

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from augsvc.arrays import I64, U8, Sample
from augsvc.data.cache import DecodedCache
from augsvc.data.columns import Columns
from augsvc.data.decoders.apart import APART_S
from augsvc.data.decoders.mask import MaskValues, decode_mask, mask_decoding_bytes
from augsvc.data.disk_cache import Decoded
from augsvc.data.formats.annotations import Annotations, MaskPainter, Objects
from augsvc.data.formats.class_order import require_class_names
from augsvc.data.formats.dataset_root import DatasetRoot, name_faults
from augsvc.data.formats.faults import Faults
from augsvc.data.formats.file_source import Files, FilesFormat, FileSource
from augsvc.data.formats.format import give_statistics
from augsvc.data.formats.image_files import ImageFilesSettings, ImageReader
from augsvc.data.formats.index import note_twins
from augsvc.data.formats.store_root import StoredFormat
from augsvc.data.source import Source, SourceInfo
from augsvc.errors import Undecodable
from augsvc_client.decoding.duration import image_decoding_seconds


class AnnotatedFormat(ImageFilesSettings, StoredFormat, FilesFormat):
    """The operator's settings that all formats of annotated images have."""

    @abstractmethod
    def read_splits(self, root: DatasetRoot) -> Mapping[str, Annotations]:
        """The annotations by split: train, val, test; of a dataset without splits by "".

        Raises:
            ValueError: for the operator: they cannot be served; the text names the file, the fault and the cure.
        """

    @property
    def mask_values(self) -> MaskValues | None:
        """What the values of mask files mean; None: there are none."""
        return None

    def open(self, name: str, cache: DecodedCache) -> list[Source]:
        """NAME, or NAME/train, NAME/val and NAME/test; raises as `read_splits`, and for missing files."""
        with name_faults(name):
            root = self.open_root()
            sources = open_splits(
                name,
                self.read_splits(root),
                lambda full_name, annotations: AnnotatedImages(full_name, self, root, annotations, cache),
            )
        if self.statistics is not None:
            give_statistics(sources, name, self.statistics)
        return sources


class AnnotatedImages(FileSource):
    """One split."""

    def __init__(
        self,
        name: str,
        settings: AnnotatedFormat,
        root: DatasetRoot,
        annotations: Annotations,
        cache: DecodedCache,
    ) -> None:
        """Indexes the files; raises ValueError where some are missing or there are none."""
        if not annotations.names:
            raise ValueError(f"{root.locate('')} has no images{f' in {name}' if '/' in name else ''}")
        require_class_names(annotations.classes)
        index = root.index(annotations.names)
        masks = None if annotations.mask_names is None else root.index(annotations.mask_names)
        files = Files(index, root.path, root.links, cache.claim(name), masks, root.store)
        reader = ImageReader(name, settings, cache)
        super().__init__(files, annotations.sample_labels, reader, cache, settings.max_file_bytes, root.pause)
        self._settings, self._annotations, self._mask_values = settings, annotations, settings.mask_values
        objects = annotations.objects
        n_boxes = 0 if objects is None else objects.most
        n_keypoints = 0 if objects is None or objects.keypoints is None else objects.keypoints.shape[1]
        form = settings.version_form() | {"annotations": annotations.digest}
        self.info = SourceInfo(
            name=name,
            version=self._version(annotations.classes, form, settings.digest_contents),
            classes=annotations.classes,
            channels=settings.channels,
            size=None,
            decoders=settings.decoders,
            window=settings.window,
            label_kind=annotations.label_kind,
            label_width=0 if annotations.targets is None else annotations.targets.shape[1],
            mask=annotations.mask_names is not None or annotations.painter is not None,
            boxes=n_boxes,
            mask_bits=annotations.instance_painter is not None,
            keypoints=n_boxes * n_keypoints,
            flip_pairs=tuple(
                (row + first, row + second)
                for row in range(0, n_boxes * n_keypoints, max(1, n_keypoints))
                for first, second in annotations.flip_pairs
            ),
        )

    def columns(self) -> Columns:
        """Those of a manifest."""
        return self._annotations.columns

    def class_counts(self) -> tuple[str, I64]:
        """The boxes of each class, or else the samples."""
        objects, targets = self._annotations.objects, self._annotations.targets
        if targets is not None and self.info.label_kind == "multi_label":
            return "samples", targets.sum(axis=0, dtype=np.int64)
        if objects is None:
            return super().class_counts()
        return "boxes", np.bincount(objects.labels, minlength=len(self.info.classes)).astype(np.int64)

    def left_out(self) -> Mapping[str, int]:
        """Counts of files that the annotations do not name, by extension."""
        return dict(sorted(self._annotations.left_out.items()))

    def notes(self) -> Iterator[str]:
        """The number of boxes, what was changed or left out, and classes with nearly the same name."""
        objects = self._annotations.objects
        if objects is not None:
            counts = np.diff(objects.offsets)
            empty = int((counts == 0).sum())
            without = f"; {empty:,} images have none" if empty else ""
            yield f"{len(objects.labels):,} boxes, at most {int(counts.max()):,} an image{without}"
        yield from self._annotations.notes
        yield from note_twins(self.info.classes)

    def _build(self, decoded: Decoded, index: int) -> Sample:
        annotations, image = self._annotations, decoded.values
        height, width = decoded.full_size or image.shape[:2]
        expected_height, expected_width = (0, 0) if annotations.sizes is None else annotations.sizes[index].tolist()
        if expected_height and (height, width) != (expected_height, expected_width):
            raise Undecodable(
                f"the image is {width} × {height}, its annotation is for {expected_width} × {expected_height}"
            )
        targets = annotations.targets
        target = None if targets is None else targets[index]
        sample = Sample(image, int(self._labels[index]), target=target, full_size=decoded.full_size)
        if annotations.objects is not None:
            sample = _with_objects(sample, annotations.objects, index, self.info)
        return sample

    def _with_mask(self, sample: Sample, files: Files, index: int) -> Sample:
        annotations, values = self._annotations, self._mask_values
        if annotations.instance_painter is not None:
            sample = replace(sample, mask_bits=self._paint(annotations.instance_painter, sample, index))
        if annotations.painter is not None:
            return replace(sample, mask=self._paint(annotations.painter, sample, index))
        if files.masks is None or values is None:
            return sample
        data = self._read_file(files, files.masks, index)
        with self._cache.decoding(mask_decoding_bytes(data, self._settings.max_pixels)):
            mask = values.to_classes(self._decode_mask(data))
        height, width = sample.size
        if mask.shape != (height, width):
            raise Undecodable(f"its mask is {mask.shape[1]} × {mask.shape[0]}, the image {width} × {height}")
        return replace(sample, mask=_read_only(mask))

    def _paint(self, painter: MaskPainter, sample: Sample, index: int) -> U8:
        height, width = sample.size
        with self._cache.decoding(painter.painting_bytes(index, height, width)):
            return _read_only(painter.paint(index, height, width))

    def _decode_mask(self, data: bytes) -> npt.NDArray[Any]:
        max_pixels = self._settings.max_pixels
        seconds = image_decoding_seconds(data, max_pixels, windowed=False)
        if seconds <= APART_S:
            return decode_mask(data, max_pixels)
        n_bytes = mask_decoding_bytes(data, max_pixels)
        mask: npt.NDArray[Any] = self._cache.processes.run(decode_mask, data, (max_pixels,), seconds, n_bytes)[0]
        return mask


def _with_objects(sample: Sample, objects: Objects, index: int, info: SourceInfo) -> Sample:
    """The sample with its boxes and keypoints, padded to those of the dataset by rows that are not valid."""
    rows = objects.rows(index)
    n = rows.stop - rows.start
    boxes, labels = np.zeros((info.boxes, 4), np.float32), np.zeros(info.boxes, np.int64)
    valid = np.arange(info.boxes) < n
    height, width = sample.size
    scale = np.array([width, height], np.float64) if objects.relative else np.ones(2)
    boxes[:n], labels[:n] = objects.boxes[rows] * np.tile(scale, 2), objects.labels[rows]
    sample = replace(sample, boxes=boxes, box_labels=labels, boxes_valid=valid)
    points, visible = objects.keypoints, objects.keypoints_valid
    if points is not None and visible is not None:
        per_box = points.shape[1]
        keypoints, keypoints_valid = np.zeros((info.keypoints, 2), np.float32), np.zeros(info.keypoints, np.bool_)
        keypoints[: n * per_box] = (points[rows] * scale).reshape(-1, 2)
        keypoints_valid[: n * per_box] = visible[rows].reshape(-1)
        sample = replace(sample, keypoints=keypoints, keypoints_valid=keypoints_valid)
    for array in (sample.boxes, sample.box_labels, sample.boxes_valid, sample.keypoints, sample.keypoints_valid):
        if array is not None:
            array.setflags(write=False)  # the cache shares them
    return sample


def _read_only(mask: U8) -> U8:
    mask.setflags(write=False)  # the cache shares it
    return mask


def open_splits(
    name: str, splits: Mapping[str, Annotations], make: Callable[[str, Annotations], Source]
) -> list[Source]:
    """A source for each split, NAME/train or NAME; raises ValueError with the faults of all of them."""
    sources: list[Source] = []
    faults = Faults()
    for split, annotations in splits.items():
        with faults.collect():
            sources.append(make(f"{name}/{split}" if split else name, annotations))
    with faults.collect():
        _require_same_classes(splits)
    faults.refuse()
    return sources


def _require_same_classes(splits: Mapping[str, Annotations]) -> None:
    (first, annotations), *others = splits.items()
    for split, other in others:
        if other.classes != annotations.classes:
            differing = sorted({*annotations.classes} ^ {*other.classes})
            which = f": only in one of them {', '.join(differing[:5])}" if differing else " or have another order"
            raise ValueError(f"the classes of {first} and {split} differ{which}")
