"""A batch is a value: the same address gives the same bytes, from any process, after any restart (laws L1, L2, L6)."""

import json

import numpy as np
import pytest
from safetensors.numpy import load

from augsvc_client.wire import digest

SPECS = {
    "digits": {"dataset": "digits/train", "pipeline": "standard", "size": [16, 16], "aug_seed": 3},
    "shapes": {"dataset": "shapes/test", "pipeline": "strong", "output": {"layout": "NHWC"}},
    "photos": {"dataset": "photos/test", "pipeline": "light", "channels": 1, "shuffle": False},
    "folder": {"dataset": "pets", "pipeline": "strong", "size": [15, 20], "fit": "contain", "order_seed": 2},
    "damaged": {"dataset": "hurt", "pipeline": "standard", "size": [9, 9]},
    "subset": {"dataset": "digits/test", "pipeline": "strong", "subset": {"per_class": 2, "seed": 1}},
}
PLACES = ((0, 0, 5, 0), (0, 3, 4, 0), (7, 9, 30, 0), ((1 << 24) - 1, 0, 2, 255))


def gathered(serving, streams):
    """Hash, ETag and digest of every address."""
    found = {}
    for name, stream in streams.items():
        for place in PLACES:
            reply = serving.batch(stream, *place)
            assert reply.status == 200, reply
            found[name, place] = (reply.sha, reply.headers["etag"], reply.headers["augsvc-digest"])
    return found


@pytest.fixture(scope="module")
def other(serve):
    return serve()


@pytest.fixture(scope="module")
def streams(server):
    return {name: server.open(spec) for name, spec in SPECS.items()}


@pytest.mark.slow
def test_another_process_and_a_restarted_one_give_the_same_bytes(server, other, streams):
    wanted = gathered(server, streams)
    assert len({sha for sha, _, _ in wanted.values()}) == len(wanted)
    assert gathered(other.ready(), streams) == wanted  # it never saw a POST: the header is enough
    other.kill()
    backwards = dict(reversed(streams.items()))
    assert gathered(other.begin().ready(), backwards) == wanted
    assert gathered(server, backwards) == wanted


def test_a_specification_written_otherwise_is_the_same_stream(server, streams):
    spelled = {**SPECS["digits"], "pipeline": streams["digits"]["spec"]["pipeline"], "fit": "cover", "shuffle": True}
    assert server.open(dict(reversed(spelled.items()))) == streams["digits"]
    fixed = {"dataset": "pets", "size": [8, 8], "pipeline": [{"op": "rotation", "degrees": 5}]}
    drawn = {"dataset": "pets", "size": [8, 8], "pipeline": [{"op": "rotation", "degrees": [5.0, 5.0], "p": 1.0}]}
    assert server.open(fixed)["id"] == server.open(drawn)["id"]
    assert server.open(fixed)["id"] != server.open({**fixed, "aug_seed": 1})["id"]


def test_the_headers_of_a_batch(server, streams):
    reply = server.batch(streams["digits"], 2, 4, 6)
    assert reply.headers["content-type"] == "application/x-safetensors"
    assert reply.headers["cache-control"] == "private, immutable, no-transform"
    assert int(reply.headers["content-length"]) == len(reply.body)
    assert "transfer-encoding" not in reply.headers
    assert reply.headers["augsvc-digest"] == digest(reply.body)
    assert reply.headers["etag"].startswith('"')  # a strong one


def test_the_etag_is_of_the_address(server, streams):
    seen = {}
    for name in ("digits", "shapes"):
        for place in ((0, 0, 5, 0), (1, 0, 5, 0), (0, 1, 5, 0), (0, 0, 6, 0), (0, 0, 5, 1)):
            reply = server.batch(streams[name], *place)
            assert reply.headers["etag"] not in seen
            seen[reply.headers["etag"]] = reply.sha
            assert server.batch(streams[name], *place).headers["etag"] == reply.headers["etag"]


def test_what_is_known_is_not_sent_again_but_only_after_the_checks(server, streams):
    stream = streams["digits"]
    tag = server.batch(stream, 1, 0, 4).headers["etag"]
    for sent in (tag, f'"another", {tag}'):
        reply = server.batch(stream, 1, 0, 4, If_None_Match=sent)
        assert (reply.status, reply.body, reply.headers["etag"]) == (304, b"", tag)
        assert reply.headers["cache-control"] == "private, immutable, no-transform"
    assert server.batch(stream, 1, 0, 5, If_None_Match=tag).status == 200
    assert server.batch(stream, 1, 1, 4, If_None_Match=tag).status == 200
    server.batch(stream, 1, stream["samples"], 4, If_None_Match=tag).refused(416, "past_the_end")
    server.batch(stream, 1, 0, 0, If_None_Match=tag).refused(422, "spec_invalid")
    stranger = {**stream, "id": "0" * 32}
    server.batch(stranger, 1, 0, 4, If_None_Match=tag).refused(409, "stream_mismatch")
    server.get(f"/v1/streams/{'0' * 32}/epochs/1?start=0&count=4", If_None_Match=tag).refused(404, "unknown_stream")


@pytest.mark.parametrize("name", SPECS)
def test_the_library_reads_the_body_and_the_header_is_a_constant(server, streams, name):
    stream = streams[name]
    lengths = set()
    for epoch, start, count in ((0, 0, 1), (12345, 2, 7), ((1 << 24) - 1, stream["samples"] - 1, 9)):
        reply = server.batch(stream, epoch, start, count)
        length = int.from_bytes(reply.body[:8], "little")
        assert length % 64 == 0
        lengths.add(length)
        metadata = json.loads(reply.body[8 : 8 + length])["__metadata__"]
        assert metadata == {"stream": stream["id"], "epoch": str(epoch), "start": str(start)}
        tensors, arrays = load(reply.body), reply.arrays
        assert tensors.keys() == arrays.keys() == stream["tensors"].keys()
        samples = min(count, stream["samples"] - start)
        for key, tensor in tensors.items():
            said = stream["tensors"][key]
            assert (tensor.dtype.name, tensor.shape) == (said["dtype"], (samples, *said["shape"][1:]))
            assert np.array_equal(tensor, arrays[key])
    assert len(lengths) == 1


@pytest.mark.parametrize("name", SPECS)
def test_a_batch_is_its_samples_one_by_one(server, name):
    with server.client() as client:
        stream = client.stream(SPECS[name])
        whole = stream.batch(3, 2, 9, view=1)
        ones = [stream.batch(3, 2 + at, 1, view=1) for at in range(len(whole["index"]))]
        halves = [stream.batch(3, 2, 4, view=1), stream.batch(3, 6, 5, view=1)]
    for key, tensor in whole.items():
        assert np.array_equal(np.concatenate([one[key] for one in ones]), tensor), key
        assert np.array_equal(np.concatenate([half[key] for half in halves]), tensor), key


def test_another_view_is_another_draw_of_the_same_samples(server, streams):
    first, second = (server.batch(streams["shapes"], 0, 0, 6, view).arrays for view in (0, 1))
    for key in ("index", "label", "valid", "box_labels"):
        assert np.array_equal(first[key], second[key])
    assert all(not np.array_equal(one, two) for one, two in zip(first["image"], second["image"], strict=True))
    assert not np.array_equal(first["boxes"], second["boxes"])


def test_another_epoch_draws_again_for_every_sample(server, streams):
    stream = streams["folder"]
    first, second = (server.batch(stream, epoch, 0, 20).arrays for epoch in (0, 1))
    one, two = (dict(zip(a["index"].tolist(), a["image"], strict=True)) for a in (first, second))
    assert one.keys() == two.keys()
    assert all(not np.array_equal(one[index], two[index]) for index in one)


def test_labels_move_with_the_pixels(server):
    plain = {"dataset": "shapes/test", "shuffle": False}
    turned = {**plain, "pipeline": [{"op": "horizontal_flip", "p": 1.0}]}
    before, after = (server.batch(server.open(spec), 0, 0, 8).arrays for spec in (plain, turned))
    width = before["image"].shape[-1]
    assert np.array_equal(after["image"], before["image"][..., ::-1])
    assert np.array_equal(after["mask"], before["mask"][..., ::-1])
    assert np.array_equal(after["boxes_valid"], before["boxes_valid"])
    boxes = before["boxes"][..., [2, 1, 0, 3]] * [-1, 1, -1, 1] + [width, 0, width, 0]
    assert np.array_equal(after["boxes"][after["boxes_valid"]], boxes[before["boxes_valid"]])
    points = before["keypoints"] * [-1, 1] + [width, 0]
    assert np.array_equal(after["keypoints"][after["keypoints_valid"]], points[before["keypoints_valid"]])
    for key in ("label", "index", "box_labels"):
        assert np.array_equal(after[key], before[key])


def test_a_receipt_tells_the_draws_of_the_batch_and_repeats(server, other, streams):
    stream = streams["shapes"]
    indices = server.batch(stream, 4, 0, 5).arrays["index"]
    ranges = {operation["id"]: operation for operation in stream["spec"]["pipeline"]}
    for position, index in enumerate(indices.tolist()):
        path = f"/v1/streams/{stream['id']}/epochs/4/samples/{position}"
        receipt = server.get(path, Augsvc_Spec=stream["header"]).json
        assert receipt["index"] == index
        assert isinstance(receipt["source"], str)
        assert [o["id"] for o in receipt["operations"]] == list(ranges)
        for operation in receipt["operations"]:
            assert operation.keys() == {"op", "id", "selected", "draws"}
            for name, value in operation["draws"].items():
                low, high = ranges[operation["id"]][name]
                assert np.all((low <= np.array(value)) & (np.array(value) <= high))
        assert other.ready().get(path, Augsvc_Spec=stream["header"]).json == receipt
        assert server.get(path + "?view=1", Augsvc_Spec=stream["header"]).json["operations"] != receipt["operations"]
    past = f"/v1/streams/{stream['id']}/epochs/4/samples/{stream['samples']}"
    server.get(past).refused(416, "past_the_end")
