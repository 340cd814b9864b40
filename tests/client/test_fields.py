"""Which fields of a batch are moved, refused, or passed through."""

import logging
import threading
import time
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
    "bndbox quad poly obb rois loc location target_xyxy anchor hull validBox id_rect"
)
ORDINATES = "x1 xmin cx y2 x_min box_x1 bbox_left centerX x_center min_x minx ys angle"
ABOUT = (
    "box_label bbox_ids boxLabels box_scores boxes_count num_boxes keypoint_visibility weight class_logits soft_label "
    "labels probs embedding one_hot point_features positions_id2"
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
    assert words.reads < 100
    assert time.process_time() - begin < 1  # 0.02 s; without a memo more than 20 s


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
@pytest.mark.parametrize("name", ["boxes", "gt"])
def test_nested_tensors_are_refused(name):
    with pytest.raises(ValueError, match=name):
        split({name: torch.nested.nested_tensor([torch.ones(2, 4), torch.ones(1, 4), torch.ones(3, 4)])})


@pytest.mark.parametrize("name", ["foo", "video", "target", "output_a"])
def test_floats_of_a_point_or_a_box_are_refused_under_any_name(name):
    for values in (numbers(N, 2), numbers(N, 4), torch.ones(N, 4).bfloat16(), numbers(N, 2).tolist()):
        with pytest.raises(ValueError, match="passthrough="):
            split({name: values})
    for values in (numbers(N, 3), numbers(N, 2, dtype=np.int64), numbers(N)):
        assert (name,) in split({name: values})[1]


@pytest.mark.parametrize(
    "name",
    ["x1", "xmin", "cx", "y2", "x_min", "box_x1", "bbox_left", "centerX", "x_center", "min_x", "minx", "ys", "angle"],
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
        "labels",
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
