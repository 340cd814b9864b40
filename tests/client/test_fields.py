"""Which fields of a batch are moved, refused, or passed through."""

import logging
import threading
import time
from collections import deque, namedtuple
from dataclasses import dataclass, make_dataclass
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from augsvc_client.client.push import moves_pixels
from augsvc_client.fields.geometry import looks_spatial, moving_field
from augsvc_client.fields.reader import Reader
from augsvc_client.loaders.sample_digest import SampleDigest

N, T = 3, 1600
IMAGES = np.zeros((N, 32, 32, 3), np.uint8)
CLIPS = np.zeros((N, T), np.float32)


def split(fields, **options):
    content = {"audio": CLIPS} if options.pop("sound", False) else {"image": IMAGES}
    return Reader(("image", "label"), "NHWC", None, **options).split({**content, **fields})


def numbers(*shape, dtype=np.float32):
    return (np.arange(np.prod(shape)).reshape(shape) + 2).astype(dtype)


BOX_NAMES = (
    "video_bbox side_box slide_bbox candidate_box grid_corners labelled_box weighted_center bbox_mid xyxy xywh ltrb bb "
    "bndbox quad poly obb rois loc location target_xyxy anchor hull validBox id_rect region crop extent detections "
    "annotation tile"
)
ORDINATES = (
    "steering rotation angle_deg roll azimuth direction x1 xmin cx y2 x_min box_x1 bbox_left centerX x_center min_x minx ys "
    "angle"
)
ABOUT = (
    "box_label bbox_ids boxLabels box_scores boxes_count num_boxes keypoint_visibility weight class_logits soft_label "
    "probs embedding one_hot point_features positions_id2"
)
POINT_NAMES = "point points joints gaze pupil position xy midpoint origin class_center scored_points weight_xy"


@pytest.mark.parametrize("name", BOX_NAMES.split())
@pytest.mark.parametrize("dtype", ["float32", "int64"])
def test_boxes_under_any_name_of_coordinates_are_refused(name, dtype):
    for boxes in (numbers(N, 4, dtype=dtype), torch.from_numpy(numbers(N, 4, dtype=dtype)), numbers(N, 4).tolist()):
        with pytest.raises(ValueError, match=f"passthrough=.'{name}'"):
            split({name: boxes})
        assert split({name: boxes}, passthrough=(name,))[1] == {(name,): boxes}
        assert split({name: boxes}, moves=lambda: False)[1] == {(name,): boxes}


@pytest.mark.parametrize("name", POINT_NAMES.split())
@pytest.mark.parametrize("dtype", ["float32", "int64"])
def test_points_under_any_name_of_coordinates_are_refused(name, dtype):
    for shape in ((N, 2), (N, 34)):
        with pytest.raises(ValueError, match=f"passthrough=.'{name}'"):
            split({name: numbers(*shape, dtype=dtype)})


@dataclass
class Annotation:
    boxes: object
    name: str = "a"


@dataclass(slots=True)
class Slotted:
    bbox: object


class Instances:
    """As Detectron's: fields in a private mapping, and a reference to itself."""

    def __init__(self, boxes):
        self._fields, self._image_size, self.own = {"gt_boxes": boxes}, (32, 32), self


@pytest.mark.parametrize("make", [Annotation, Slotted, Instances, lambda boxes: SimpleNamespace(box=boxes)])
def test_objects_that_hold_coordinates_are_refused(make):
    entries = [make(numbers(2, 4)) for _ in range(N)]
    for value in (entries, {"of": entries}, [[entry] for entry in entries], np.array(entries, object), entries[0]):
        with pytest.raises(ValueError, match=r"anns.*passthrough="):
            split({"anns": value})
    assert split({"anns": entries}, passthrough=("anns",))[1] == {("anns",): entries}


@pytest.mark.parametrize(
    "value", [Annotation(None), SimpleNamespace(size=(32, 32), score=0.5), Path("a"), len, object()]
)
def test_other_objects_are_handed_on(value):
    assert split({"anns": [value] * N})[1] == {("anns",): [value] * N}


class Tensors:
    """As Detectron's `Boxes`."""

    def __init__(self, tensor):
        self.tensor = tensor

    def __len__(self):
        return len(self.tensor)


Corners = make_dataclass("Corners", ("x1", "y1", "x2", "y2"))


@pytest.mark.parametrize(
    ("value", "path"),
    [
        (Instances(Tensors(numbers(2, 4))), "anns.fields.gt_boxes.tensor"),
        (SimpleNamespace(instances=Instances(numbers(2, 4))), "anns.instances.fields.gt_boxes"),
        (SimpleNamespace(mask=np.zeros((8, 8), bool)), "anns.mask"),
        (SimpleNamespace(segmentation=[[1, 1, 5, 1, 5, 5]]), "anns.segmentation"),
        (Corners(1, 1, 5, 5), "anns.x1"),
        (SimpleNamespace(box=SimpleNamespace(left=1, top=1)), "anns.box.left"),
        ({"of": SimpleNamespace(points=[(1.0, 2.0)])}, "of.points"),
    ],
)
def test_attributes_are_refused_by_their_whole_path(value, path):
    with pytest.raises(ValueError, match=rf"(^|: ){path} looks"):
        split({"anns": [value] * N})


class Samples:
    """A dataset, to which its samples refer."""

    def __init__(self):
        self.samples, self.boxes = [("a.png", 1)] * 9, [numbers(2, 4)] * 9

    def __len__(self):
        return len(self.samples)


@pytest.mark.parametrize(
    "attributes",
    [
        {"source": Samples()},
        {"dataset": SimpleNamespace(boxes=numbers(9, 4), samples=[("a.png", 1)] * 9)},
        {"xp": np, "log": logging.getLogger("a"), "lock": threading.Lock(), "kind": Samples, "path": Path("a")},
        {"x": numbers(5, 7), "pos": numbers(5, 3), "edge_index": np.zeros((2, 9), np.int64), "train_mask": np.ones(5)},
        {
            "input_ids": np.zeros((3, 7), np.int64),
            "attention_mask": np.ones((3, 7), np.int64),
            "box_labels": numbers(3, 7),
        },
        {"location": (51.5, 0.1), "orientation": 1, "shape": (3, 4), "dtype": "uint8", "is_nested": True},
    ],
)
def test_attributes_whose_names_are_not_of_geometry_are_handed_on(attributes):
    value = SimpleNamespace(**attributes)
    for entries in ([value] * N, [[value]] * N, {"of": [value] * N}):
        assert split({"meta": entries})[1]


class Counted(list):
    """Counts the entries that are read."""

    reads = 0

    def __iter__(self):
        for entry in super().__iter__():
            self.reads += 1
            yield entry


def test_a_search_of_objects_is_short():
    words = Counted(["a"] * 1000)
    nodes = [SimpleNamespace(words=words, points=words) for _ in range(40)]
    for node in nodes:
        node.siblings, node.by_name = nodes, dict(enumerate(nodes))
    mappings = [{} for _ in range(40)]
    for mapping in mappings:
        mapping["siblings"] = mappings
    begin = time.process_time()
    assert moving_field("meta", nodes, (), looks_spatial) is None
    assert moving_field("meta", mappings, (), looks_spatial) is None
    assert words.reads < 200
    assert time.process_time() - begin < 1  # 0.02 s; without a memo more than 20 s


def of_all_objects(rows, columns, dtype=np.float32):
    """As YOLO's collate functions make them: the number of the sample, the class, and the box of each object."""
    flat = numbers(rows, columns, dtype=dtype)
    flat[:, 0] = np.sort(np.arange(rows) % N)
    return flat


@pytest.mark.parametrize("name", ["targets", "labels", "label", "yolo_labels"])
@pytest.mark.parametrize(
    "flat",
    [
        of_all_objects(7, 6),
        of_all_objects(7, 6, np.int64),
        of_all_objects(N, 6),
        torch.from_numpy(of_all_objects(2, 6)),
        numbers(5, 7),
    ],
)
def test_rows_of_all_objects_of_a_batch_are_refused(name, flat):
    with pytest.raises(ValueError, match=rf"one row for each object.*passthrough=\('{name}'"):
        split({name: flat})
    assert split({name: flat}, passthrough=(name,))
    assert split({name: flat}, moves=lambda: False)


@pytest.mark.parametrize(
    "rows", [numbers(N, 6), np.eye(N, 5, dtype=np.float32), np.zeros((N, 5)), np.ones((0, 6), int)]
)
def test_rows_of_samples_are_handed_on(rows):
    assert split({"soft_labels": rows})[1] == {("soft_labels",): rows}
    assert split({"class_embedding": numbers(7, 64)})[1]


TABLE = np.zeros(2, object)
TABLE[:] = [numbers(2, 4), numbers(3, 4)]
BY_OBJECT = {
    "class to box": {"cat": [1, 2, 30, 20]},
    "class to box of floats": {"cat": torch.tensor([1.0, 2, 30, 20]), "dog": (4.0, 4.0, 9.0, 9.0), "id": 3},
    "box to class": {(1, 2, 30, 40): "cat"},
    "points by their names": {"nose": [10, 20], "left_eye": [12, 22]},
    "rle": {"counts": "o1b3", "size": [32, 32]},
    "rle of bytes": {"counts": b"o1b3", "size": [32, 32]},
    "json": '{"anns": [{"bbox": [1, 2, 3, 4]}]}',
    "json of bytes": b'[{"points": [[1, 2], [3, 4]]}]',
    "wkt": "MULTIPOLYGON (((1 1, 5 1, 5 5)))",
    "ewkt": "SRID=4326;POINT Z(-1.5 .25 3)",
    "an array of objects": TABLE,
    "a buffer": memoryview(numbers(3, 4)),
    "a set": {(1.5, 2.5), (3.0, 4.0)},
    "complex numbers": np.array([1 + 2j]),
}


@pytest.mark.parametrize("value", BY_OBJECT.values(), ids=BY_OBJECT.keys())
def test_positions_in_any_container_are_refused(value):
    for field in ([value] * N, {"of": [value] * N}):
        with pytest.raises(ValueError, match=r"looks|one dict for each sample"):
            split({"objects": field})
    assert split({"objects": [value] * N}, passthrough=("objects",))
    assert split({"objects": [value] * N}, moves=lambda: False)


@pytest.mark.parametrize("box", [{17: [1, 2, 30, 20]}, {(1, 2, 30, 40): "cat"}])
def test_the_cure_for_positions_by_names_that_are_data_names_the_field(box):
    with pytest.raises(ValueError, match=r"passthrough=\('of',\)"):
        split({"objects": [{"of": box}] * N})
    for value in (box, {18: [1, 2, 30, 20]}):
        assert split({"objects": [{"of": value}] * N}, passthrough=("of",))


NOT_NUMBERS = {
    "none": [3, 5, 7, None],
    "text": [3, 5, 7, "cat"],
    "large": [3, 5, 7, 10**400],
    "list": [3, 5, 7, []],
    "meta": torch.zeros(4, device="meta"),
}


@pytest.mark.parametrize("value", NOT_NUMBERS.values(), ids=NOT_NUMBERS.keys())
@pytest.mark.parametrize("moves", [True, False])
def test_rows_that_are_no_numbers_are_handed_on(value, moves):
    """Records of any kind, which had ended the run with the error of a conversion."""
    for field in ([{"answers": value}] * N, [{17: value}] * N, value):
        assert split({"meta": field}, moves=lambda: moves)[1]


def test_sizes_of_any_form_are_handed_on():
    assert split({"meta": [{"counts": 1, "size": [[3], [5, 7]]}] * N}, moves=lambda: False)[1]


@pytest.mark.parametrize(
    "value",
    [
        {"padding": [1, 2, 30, 20], "mean": [4, 4, 9, 9], "img_shape": (3, 3, 9, 9)},
        {"votes": [30, 20, 3, 4], "ages": [1, 2, 3]},
        {"cat": [0.1, 0.2, 0.3, 0.4]},
        {"counts": [1, 2]},
        '{"caption": "a cat", "id": 3}',
        "[not json",
        "POINT of view",
        "polygon (red) on a line (blue)",
        b"\x89PNG",
        {"a", "b"},
        np.array(["a", None], object),
    ],
)
def test_other_containers_are_handed_on(value):
    assert split({"meta": [value] * N})[1]


CAMERAS = "intrinsic extrinsics homography camera cam quat rot euler projection calib affine"
SHIFTS = "displacement shift velocity translation trans motion lane horizon left_eye nose mouth rle_str sem_seg_map"


@pytest.mark.parametrize("name", (CAMERAS + " " + SHIFTS).split())
def test_cameras_and_shifts_are_refused(name):
    for shape in ((N, 9), (N, 3)):
        with pytest.raises(ValueError, match=f"passthrough=.'{name}'"):
            split({name: numbers(*shape, dtype=np.int64)})


@pytest.mark.parametrize("name", ["fx", "fy", "focal_length", "focal", "radius"])
def test_single_lengths_in_pixels_are_refused(name):
    with pytest.raises(ValueError, match=f"passthrough=.'{name}'"):
        split({name: numbers(N)})


def test_areas_of_objects_are_refused_and_those_of_images_are_not():
    with pytest.raises(ValueError, match="area"):
        split({"area": numbers(N, 5)})
    assert split({"area": numbers(N)})[1]


def test_a_semantic_map_in_an_object_is_refused():
    sample = SimpleNamespace(gt_sem_seg=SimpleNamespace(sem_seg=np.zeros((1, 32, 32), np.uint8)))
    with pytest.raises(ValueError, match=r"sem_seg looks"):
        split({"data_samples": [sample] * N})


BNDBOX = {"xmin": "1", "ymin": "2", "xmax": "10", "ymax": "12.5"}


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ([{"annotation": {"object": [{"name": "cat", "bndbox": BNDBOX}]}}] * N, "xmin"),  # torchvision's VOCDetection
        ([{"gt_box": "[834.0, 222.0, 56.0, 36.0]"}] * N, "gt_box"),
        ([{"points": "1,2 3,4 5,6"}] * N, "points"),
        ({"encoded_pixels": ["1 3 10 5"] * N}, "encoded_pixels"),
        (np.zeros((N, 3), [("xmin", "f4"), ("name", "i4")]), "xmin"),
        ([np.zeros(3, [("xmin", "f4"), ("name", "i4")])] * N, "xmin"),
        (deque([{"gt_boxes": numbers(2, 4)}] * N), "gt_boxes"),
        ([deque([{"gt_box": [1, 2, 3, 4]}])] * N, "gt_box"),
    ],
)
def test_coordinates_in_text_tables_and_queues_are_refused(value, path):
    with pytest.raises(ValueError, match=rf"{path} looks as if"):
        split({"meta": value})
    assert split({"meta": value}, passthrough=("meta",))


@pytest.mark.parametrize("text", ["12", "1 2 3 4", "[1]", "2024-01-02 10:00", "a1 2", "", "box 3", "1e", "-"])
def test_other_texts_are_handed_on(text):
    assert split({"meta": [{"note": text, "ids": [text], "captions": [[text]]}] * N})[1]
    assert split({"words": [text] * N}, sound=True)[1]


def test_boxes_that_state_their_form_are_read_by_it():
    boxes = torch.from_numpy(numbers(N, 2, 4))
    boxes.format = SimpleNamespace(value="CXCYWH")
    with pytest.raises(ValueError, match="boxes are cxcywh"):
        split({"boxes": boxes})
    boxes.format = SimpleNamespace(value="XYWH")
    with pytest.raises(ValueError, match="bbox are xywh"):
        split({"bbox": boxes}, box_format="xyxy")
    for fields in ({"boxes": boxes}, {"bbox": boxes}):
        sent = split(fields)[0][0].arrays["boxes"]
        np.testing.assert_array_equal(sent[..., 2:], boxes[..., :2].numpy() + boxes[..., 2:].numpy())


def test_a_named_tuple_has_the_names_of_its_fields():
    Batch = namedtuple("Batch", "label image boxes")
    batch = Batch(numbers(N), IMAGES, numbers(N, 1, 4))
    assert Reader(("image", "mask", "label"), "NHWC", None).name_fields(batch) == batch._asdict()
    Batch = namedtuple("Batch", "x y")
    assert list(Reader(("image", "label"), "NHWC", None).name_fields(Batch(IMAGES, numbers(N)))) == ["image", "label"]


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
@pytest.mark.parametrize("name", ["boxes", "gt"])
def test_nested_tensors_are_refused(name):
    with pytest.raises(ValueError, match=name):
        split({name: torch.nested.nested_tensor([torch.ones(2, 4), torch.ones(1, 4), torch.ones(3, 4)])})
    assert split({"tokens": torch.nested.nested_tensor([torch.ones(2), torch.ones(1), torch.ones(3)])})


@pytest.mark.parametrize("name", ["foo", "video", "target", "output_a"])
def test_floats_of_a_point_or_a_box_are_refused_under_any_name(name):
    for values in (numbers(N, 2), numbers(N, 4), torch.ones(N, 4).bfloat16(), numbers(N, 2).tolist()):
        with pytest.raises(ValueError, match="passthrough="):
            split({name: values})
    for values in (numbers(N, 3), numbers(N, 2, dtype=np.int64), numbers(N)):
        assert (name,) in split({name: values})[1]


@pytest.mark.parametrize(
    "name",
    ORDINATES.split(),
)
def test_single_coordinates_and_angles_are_refused(name):
    with pytest.raises(ValueError, match=f"passthrough=.'{name}'"):
        split({name: numbers(N)})


@pytest.mark.parametrize(
    "name",
    [
        "box_label",
        "bbox_ids",
        "boxLabels",
        "box_scores",
        "boxes_count",
        "num_boxes",
        "keypoint_visibility",
        "weight",
        "class_logits",
        "soft_label",
        "probs",
        "embedding",
        "one_hot",
        "point_features",
        "positions_id2",
    ],
)
def test_what_is_about_coordinates_passes(name):
    for values in (numbers(N, 4), numbers(N, 2), numbers(N, 4).astype(np.int64)):
        assert split({name: values})[1] == {(name,): values}


def test_labels_and_sizes_pass():
    rest = {"y": numbers(N), "tokens": numbers(N, 9), "mean_std": numbers(N, 4), "orig_size": [[64, 64]] * N}
    rest |= {"path": ["a"] * N, "is_box": np.ones((N, 4), bool), "attention_mask": np.ones((N, 9))}
    assert split(rest)[1] == {(name,): value for name, value in rest.items()}


TIMED = {
    "events": numbers(N, 10), "frame_labels": numbers(N, 10), "vad": numbers(N, T), "onset": numbers(N),
    "segments": numbers(N, 2), "clean": numbers(N, T), "target": numbers(N, T), "label": numbers(N, T),
    "start_time": numbers(N), "offsets": numbers(N, 6), "beats": numbers(N, 6, dtype=np.int64), "f0": numbers(N, 50),
    "stems": numbers(N, 2, T), "target_wav": [CLIPS[0]] * N, "notes": [[1.0, 2.0], [3.0, 4.0], [5.0]],
    "annotations": [[{"onset": 0.5, "offset": 1.0, "name": "bark"}]] * N,
}  # fmt: skip


@pytest.mark.parametrize("name", TIMED)
def test_times_and_samples_of_clips_are_refused_where_the_sound_moves(name):
    split_sound = partial(split, {name: TIMED[name]}, sound=True)
    key = "onset" if name == "annotations" else name
    with pytest.raises(ValueError, match=f"move with the sound.*passthrough=.'{key}'"):
        split_sound()
    if name != "annotations":
        assert TIMED[name] is split_sound(moves=lambda: False)[1].get((name,), TIMED[name])
        assert split_sound(passthrough=(name,))[1][name,] is TIMED[name]
    else:
        assert split_sound(passthrough=("onset", "offset"))[1][name,] is TIMED[name]


def test_labels_of_whole_clips_pass():
    rest = {"tags": numbers(N, 527), "labels": numbers(N, 50), "speaker": numbers(N), "sample_rate": [8000] * N}
    rest |= {"attention_mask": np.ones((N, T)), "input_ids": numbers(N, 9, dtype=np.int64), "num_frames": numbers(N)}
    rest |= {"event_label": numbers(N), "text": ["a"] * N, "speaker_embedding": numbers(N, 192), "duration": numbers(N)}
    assert split(rest, sound=True)[1] == {(name,): value for name, value in rest.items()}
    assert ("label",) not in split({"label": numbers(N, 10)}, sound=True)[1]


def test_a_digest_of_samples_is_that_of_their_values_in_any_batches_and_containers():
    images = torch.arange(N * 12).reshape(N, 2, 2, 3).bfloat16()
    whole = SampleDigest(0, 1).extend(images)
    assert (
        whole
        == SampleDigest(0, 1).extend(images[:1]).extend(list(images[1:]))
        == SampleDigest(0, 1).extend(images.float())
    )
    assert whole.contradicts(SampleDigest(0, 1).extend(images.flip(0)))
    assert not whole.contradicts(SampleDigest(1, 2).extend(images.flip(0)))
    assert whole == SampleDigest.from_json(whole.to_json())


@pytest.mark.parametrize(
    ("pipeline", "moves"),
    [
        ([{"op": "gamma"}], False),
        ([{"op": "one_of", "of": [{"op": "gamma"}, {"op": "random_apply", "of": [{"op": "blur"}]}]}], False),
        ([{"op": "one_of", "of": [{"op": "gamma"}, {"op": "random_apply", "of": [{"op": "rotation"}]}]}], True),
        ([{"op": "rand_augment"}], True),
        ([{"op": "one_of", "of": "gamma"}], True),
        ([{"op": "one_of", "of": [3]}], True),
    ],
)
def test_a_container_moves_pixels_if_one_of_its_operations_does(pipeline, moves):
    kinds = {"gamma": "tone", "blur": "filter", "rotation": "move", "one_of": "container", "rand_augment": "policy"}
    assert moves_pixels({"pipeline": pipeline}, lambda: kinds) is moves
