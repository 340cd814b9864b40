"""Push mode: samples of the client's own. The same laws, and every way in which a body can be wrong."""

import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from augsvc_client import StreamChanged
from augsvc_client.wire import Layout, TensorSpec

KIND = {"Content-Type": "application/x-safetensors"}
STRONG = {"pipeline": "strong", "aug_seed": 7, "epoch": 3, "view": 2}


@pytest.fixture(scope="module")
def shapes(server):
    """Ten scenes of the embedded shapes as they are stored, with their labels."""
    with server.client() as client:
        plain = client.stream({"dataset": "shapes/train", "shuffle": False, "output": {"layout": "NHWC"}})
        arrays = plain.batch(0, 0, 10)
    arrays.pop("valid")
    return arrays


def body(tensors, request=None, constants=None):
    specs = {name: TensorSpec(array.dtype.name, array.shape[1:]) for name, array in tensors.items()}
    layout = Layout(specs, "", constants if constants is not None else {"request": json.dumps(request or {})})
    buffer, views = layout.allocate(len(next(iter(tensors.values()))))
    for name, array in tensors.items():
        views[name][:] = array
    layout.seal(buffer, len(next(iter(tensors.values()))), epoch=0, start=0)
    return buffer.tobytes()


def images(n=3, **more):
    return {"image": np.full((n, 6, 5, 3), 90, np.uint8), "index": np.arange(n), **more}


def push(server, content, headers=KIND):
    return server.ask("POST", "/v1/augment", headers, content)


def test_pushed_samples_are_what_a_stream_would_have_made_of_them(server, shapes):
    with server.client() as client:
        stream = client.stream(
            {"dataset": "shapes/train", "shuffle": False, "pipeline": "strong", "aug_seed": 7, "size": [80, 72]}
        )
        pulled = stream.batch(3, 0, 10, 2)
        pushed = client.augment(shapes, size=(80, 72), **STRONG)
    assert pushed.arrays.keys() == pulled.keys() - {"valid"}
    for name, array in pushed.arrays.items():
        assert array.tobytes() == pulled[name].tobytes(), name


def test_company_and_order_do_not_matter(server, shapes):
    with server.client() as client:
        whole = client.augment(shapes, **STRONG).arrays
        for places in ([4], [9, 0, 3], list(range(9, -1, -1))):
            part = client.augment({name: array[places] for name, array in shapes.items()}, **STRONG).arrays
            for name, array in part.items():
                assert array.tobytes() == whole[name][places].tobytes(), name


def test_another_epoch_view_or_seed_is_another_image(server, shapes):
    with server.client() as client:
        seen = {
            client.augment(shapes, **STRONG | change).arrays["image"].tobytes()
            for change in ({}, {"epoch": 4}, {"view": 3}, {"aug_seed": 8})
        }
    assert len(seen) == 4


def test_without_a_pipeline_everything_comes_back(server, shapes):
    with server.client() as client:
        same = client.augment(shapes, output={"layout": "NHWC"}).arrays
    assert same.keys() == shapes.keys()
    for name, array in shapes.items():
        assert array.tobytes() == same[name].tobytes(), name


def test_labels_of_any_form_come_back(server):
    soft = np.linspace(0, 1, 6, dtype=np.float32).reshape(3, 2)
    with server.client() as client:
        assert (client.augment(images(label=soft)).arrays["label"] == soft).all()
        assert "label" not in client.augment(images()).arrays


def test_boxes_that_are_none_are_not_valid_and_harm_no_other(server):
    nan, inf = float("nan"), float("inf")
    boxes = [[1, 1, 4, 4], [4, 4, 1, 1], [nan, 0, 1, 1], [0, 0, inf, 2], [90, 90, 99, 99], [2, 2, 2, 3]]
    points = [[1, 1], [nan, 1], [inf, 1], [-9, 1], [5, 6], [1, 1]]
    tensors = images(
        boxes=np.array([boxes] * 3, np.float32),
        keypoints=np.array([points] * 3, np.float32),
        keypoints_valid=np.array([[True] * 5 + [False]] * 3),
    )
    with server.client() as client:
        found = client.augment(tensors, pipeline=[{"op": "horizontal_flip", "p": 1}]).arrays
    assert found["boxes_valid"].tolist() == [[True] + [False] * 5] * 3
    assert found["boxes"][:, 0].tolist() == [[1, 1, 4, 4]] * 3
    assert found["keypoints_valid"].tolist() == [[True, False, False, False, True, False]] * 3
    assert np.isfinite(found["boxes"]).all()
    assert np.isfinite(found["keypoints"]).all()


HALF = [{"op": "horizontal_flip", "p": 0.5}, {"op": "rotation", "degrees": [-90, 90]}]


@pytest.mark.parametrize("objects", [(), (1,), (3,)], ids=["rows", "one object", "objects"])
def test_mirrored_images_swap_keypoints(server, objects):
    """Within each object, and no others: as without pairs, in another order."""
    n, keypoints = 20, 5
    points = np.random.default_rng(0).uniform(1, 5, (n, *objects, keypoints, 2)).astype(np.float32)
    valid = np.random.default_rng(1).random(points.shape[:-1]) < 0.8
    tensors = images(n, keypoints=points, keypoints_valid=valid)
    with server.client() as client:
        kept = client.augment(tensors, pipeline=HALF).arrays
        found = client.augment(tensors, pipeline=HALF, flip_pairs=[(1, 2), (4, 3)]).arrays
        flips = client.augment(images(n, keypoints=points), pipeline=HALF[:1]).arrays["keypoints"]
    mirrored = (flips != points).reshape(n, -1).any(axis=1)
    assert 4 < mirrored.sum() < 16
    assert found["keypoint_rows"].shape == found["keypoints_valid"].shape == points.shape[:-1]
    for row in range(n):
        order = [0, 2, 1, 4, 3] if mirrored[row] else list(range(keypoints))
        assert (found["keypoint_rows"][row] == order).all()
        np.testing.assert_array_equal(found["keypoints"][row], kept["keypoints"][row][..., order, :])
        np.testing.assert_array_equal(found["keypoints_valid"][row], kept["keypoints_valid"][row][..., order])
    assert (found["image"] == kept["image"]).all()


@pytest.mark.parametrize("pairs", [3, [1, 2], [[1, 2, 3]], [[1, 1]], [[1, 2], [2, 3]], [["a", "b"]], [[-1, 2]], "12"])
def test_flip_pairs_that_are_no_pairs_are_refused_by_the_client(server, pairs):
    with server.client() as client, pytest.raises(ValueError, match="flip_pairs is pairs of distinct rows"):
        client.augment(images(keypoints=np.zeros((3, 4, 2), np.float32)), flip_pairs=pairs)


@pytest.mark.parametrize("pairs", ["12", None, 3, {"1": 2}])
def test_flip_pairs_are_named_with_their_form(server, pairs):
    reply = push(server, body(images(keypoints=POINTS), {"flip_pairs": pairs}))
    message = reply.refused(422, "spec_invalid")["message"]
    assert message == "flip_pairs must be pairs of rows of keypoints, like [[1, 2], [3, 4]]"


def test_another_arithmetic_is_refused(server):
    request = {"pipeline": [{"op": "gamma"}], "expect_arithmetic": "0" * 32}
    push(server, body(images(), request)).refused(409, "stream_mismatch")
    with server.client() as client:
        known = client.augment(images(), pipeline=[{"op": "gamma"}]).arithmetic
        assert client.augment(images(), pipeline=[{"op": "gamma"}], expect_arithmetic=known).arithmetic == known
        with pytest.raises(StreamChanged, match="arithmetic"):
            client.augment(images(), pipeline=[{"op": "gamma"}], expect_arithmetic="0" * 32)


IMAGE = np.zeros((3, 6, 5, 3), np.uint8)
BOXES, POINTS = np.full((3, 2, 4), [1, 1, 4, 4], np.float32), np.ones((3, 9, 2), np.float32)
BAD = [
    ({"image": IMAGE}, {}, "body_malformed"),
    ({"index": np.arange(3)}, {}, "body_malformed"),
    (images(index=np.array([1, 2, 1])), {}, "duplicate_index"),
    (images(index=np.array([1, 2, -1])), {}, "body_malformed"),
    (images(index=np.array([1, 2, 2**32])), {}, "body_malformed"),
    (images(index=np.arange(3, dtype=np.int32)), {}, "body_malformed"),
    (images(image=IMAGE.astype(np.float32)), {}, "body_malformed"),
    (images(image=IMAGE[..., :2]), {}, "body_malformed"),
    (images(image=IMAGE[..., 0]), {}, "body_malformed"),
    (images(image=IMAGE[:, :0]), {}, "body_malformed"),
    (images(mask=np.zeros((3, 6, 6), np.uint8)), {}, "body_malformed"),
    (images(mask=np.zeros((3, 6, 5), np.int64)), {}, "body_malformed"),
    (images(mask_bits=np.zeros((3, 0, 6, 5), np.uint8)), {}, "body_malformed"),
    (images(boxes=np.zeros((3, 2, 3), np.float32)), {}, "body_malformed"),
    (images(boxes_valid=np.ones((3, 2), bool)), {}, "body_malformed"),
    (images(keypoints=np.zeros((3, 2, 2), np.float64)), {}, "body_malformed"),
    (images(keypoints=np.zeros((3, 2, 4, 2), np.float32)), {"flip_pairs": [[0, 3]]}, None),
    (images(keypoints=np.zeros((3, 0, 4, 2), np.float32)), {"flip_pairs": [[0, 3]]}, None),
    (images(keypoints=np.zeros((3, 2, 4, 2), np.float32)), {"flip_pairs": [[0, 4]]}, "spec_invalid"),
    (images(keypoints=POINTS), {"flip_pairs": [[0, 0]]}, "spec_invalid"),
    (images(keypoints=POINTS), {"flip_pairs": [[0, -1]]}, "spec_invalid"),
    (images(keypoints=POINTS), {"flip_pairs": [[0]]}, "spec_invalid"),
    (images(keypoints=POINTS), {"flip_pairs": [[0, 10**30]]}, "spec_invalid"),
    (images(keypoints=np.zeros((3, 4, 2), np.float32)), {"flip_pairs": [[0, 1], [1, 2]]}, "spec_invalid"),
    (images(), {"flip_pairs": [[0, 1]]}, "spec_invalid"),
    ({"audio": np.zeros((3, 9), np.float32), "index": np.arange(3)}, {"flip_pairs": [[0, 1]]}, "spec_invalid"),
    (images(keypoints=np.zeros((3, 2, 2, 2, 2), np.float32)), {}, "body_malformed"),
    (images(keypoints=np.zeros((3, 2, 2, 2), np.float32), keypoints_valid=np.ones((3, 4), bool)), {}, "body_malformed"),
    (images(surprise=np.zeros(3)), {}, "body_malformed"),
    (images(), {"pipeline": [{"op": "no_such"}]}, "spec_invalid"),
    (images(), {"surprise": 1}, "spec_invalid"),
    (images(), {"epoch": -1}, "spec_invalid"),
    (images(), {"view": 256}, "spec_invalid"),
    (images(), {"size": [0, 4]}, "spec_invalid"),
    (images(), [], "spec_invalid"),
    (images(), {"pipeline": [{"op": "iou_crop"}]}, "spec_invalid"),
    (images(boxes=BOXES), {"pipeline": [{"op": "instance_crop"}]}, "spec_invalid"),
    (images(boxes=BOXES), {"pipeline": [{"op": "iou_crop"}]}, None),
    (images(boxes=BOXES[:, :0], keypoints=POINTS[:, :0]), {"pipeline": [{"op": "instance_crop"}]}, None),
    (images(boxes=BOXES * np.inf, keypoints=POINTS * np.nan), {"pipeline": [{"op": "instance_crop"}]}, None),
    (images(), {"size": [4096, 4096]}, None),
]


@pytest.mark.parametrize(("tensors", "request_", "code"), BAD)
def test_what_is_wrong_is_named(server, tensors, request_, code):
    reply = push(server, body(tensors, request_, {"request": json.dumps(request_)}))
    if code is None:
        assert reply.status == 200
    else:
        reply.refused(422, code)


def test_the_envelope(server):
    good = body(images())
    assert push(server, good).status == 200
    push(server, good, {"Content-Type": "application/json"}).refused(415, "wrong_content_type")
    push(server, good[:-1]).refused(422, "body_malformed")
    push(server, b"").refused(422, "body_malformed")
    error = push(server, body(images(), constants={"request": "{"})).refused(400, "bad_json")
    assert error["field"] == "request" and "`request` in the body's metadata is not JSON" in error["message"]
    push(server, bytes(200_001)).refused(413, "request_too_large")
    push(server, (good[at : at + 99] for at in range(0, len(good), 99))).refused(422, "body_malformed")  # no length
    push(server, (2**60).to_bytes(8, "little") + good[8:]).refused(422, "body_malformed")


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 500), st.binary(min_size=1, max_size=8))
def test_a_body_changed_anywhere_is_an_answer_or_a_clear_refusal(server, at, change):
    good = bytearray(body(images(boxes=np.ones((3, 1, 4), np.float32)), {"pipeline": "strong"}))
    good[at : at + len(change)] = change
    reply = push(server, bytes(good))
    assert reply.status in (200, 400, 422, 501), reply
    assert push(server, body(images())).status == 200
