"""Undecodable files are replaced and reported; what may be readable later is waited for. The bytes never differ."""

import logging
import os
import threading
from contextlib import ExitStack

import numpy as np
import pytest

from augsvc_client import RequestRefused, ServerUnavailable
from tests.http.serving import leased, spoil, write_image, write_image_folder

SPOILT = 5  # a/005.png of "hurt"; the next one is b/000.png
HURT = {"dataset": "hurt", "size": [12, 12], "shuffle": False}
FLEET = {"dataset": "fleet", "size": [8, 8], "shuffle": False, "pipeline": "standard"}
TURNED = [{"op": "rotation", "degrees": [-90, 90]}, {"op": "gaussian_noise", "std": [0.1, 0.2]}]


@pytest.fixture
def missing(folders):
    """A missing image; `put_back` moves it back."""
    path = folders / "fleet" / "b" / "001.png"
    away = path.rename(folders / "away.png")

    def put_back():
        if away.exists():
            away.rename(path)

    yield put_back, path
    put_back()


# --- cannot be decoded


def test_one_undecodable_image_is_replaced_by_the_next_and_marked(server):
    arrays = server.batch(server.open(HURT), 0, 0, 12).arrays
    assert arrays["index"].tolist() == list(range(12))
    assert arrays["valid"].tolist() == [index != SPOILT for index in range(12)]
    assert np.array_equal(arrays["image"][SPOILT], arrays["image"][SPOILT + 1])
    assert arrays["label"].tolist() == [0] * 5 + [1] * 7  # the label goes with the pixels


def test_the_replaced_sample_keeps_its_own_draws(server):
    stream = server.open({**HURT, "pipeline": TURNED})
    arrays = server.batch(stream, 0, 4, 3).arrays
    assert not np.array_equal(arrays["image"][1], arrays["image"][2])
    path = f"/v1/streams/{stream['id']}/epochs/0/samples"
    own, following = (server.get(f"{path}/{position}").json for position in (SPOILT, SPOILT + 1))
    assert own["operations"] != following["operations"]
    assert server.get(f"{path}/{SPOILT}").json == own


def test_the_receipt_names_what_stands_in(server):
    stream = server.open(HURT)
    path = f"/v1/streams/{stream['id']}/epochs/0/samples"
    receipt = server.get(f"{path}/{SPOILT}").json
    assert (receipt["index"], receipt["source"]) == (SPOILT, "a/005.png")
    assert receipt["replaced_by"] == {"index": SPOILT + 1, "source": "b/000.png"}
    assert "replaced_by" not in server.get(f"{path}/{SPOILT + 1}").json


def test_the_replacement_depends_on_the_stream_alone(server):
    """Nor on the batch's bounds, the epoch or the order: only on the members of the stream."""
    stream = server.open({**HURT, "shuffle": True, "pipeline": TURNED})
    whole = server.batch(stream, 3, 0, 12).arrays
    ones = [server.batch(stream, 3, position, 1).arrays for position in range(12)]
    for key, tensor in whole.items():
        assert np.array_equal(tensor, np.concatenate([one[key] for one in ones]))
    assert whole["index"][~whole["valid"]].tolist() == [SPOILT]
    plain = server.batch(server.open({**HURT, "shuffle": True, "order_seed": 4}), 1, 0, 12).arrays
    at = plain["index"].tolist()
    assert np.array_equal(plain["image"][at.index(SPOILT)], plain["image"][at.index(SPOILT + 1)])


def test_in_a_subset_the_next_member_stands_in(server):
    found = 0
    for seed in range(12):
        stream = server.open({**HURT, "subset": {"per_class": 2, "seed": seed}})
        arrays = server.batch(stream, 0, 0, 4).arrays
        index = arrays["index"].tolist()
        if SPOILT in index:
            found += 1
            row = index.index(SPOILT)
            assert np.array_equal(arrays["image"][row], arrays["image"][row + 1])
    assert found


def test_replacements_are_counted_and_logged(server):
    stream = server.open(HURT)
    before = server.metric("augsvc_replaced_samples_total", dataset="hurt")
    server.batch(stream, 0, 0, 12)
    server.batch(stream, 0, 0, 5)  # none in it
    server.batch(stream, 0, 5, 1)
    assert server.metric("augsvc_replaced_samples_total", dataset="hurt") == before + 2
    server.until(lambda: "hurt: a/005.png cannot be decoded" in server.output())
    assert server.output().count("a/005.png") == 1  # logged once


def test_too_many_undecodable_ones_in_a_row_are_an_error(server):
    stream = server.open({"dataset": "ruin", "size": [8, 8], "shuffle": False})
    for position in (0, 6):  # 64 tries end at 63 and 69, all of them spoilt
        reply = server.batch(stream, 0, position, 1)
        reply.refused(422, "dataset_unreadable")
    arrays = server.batch(stream, 0, 7, 66).arrays  # the 64th try succeeds
    assert arrays["index"].tolist() == list(range(7, 73))
    assert arrays["valid"].tolist() == [False] * 63 + [True] * 3
    assert all(np.array_equal(image, arrays["image"][63]) for image in arrays["image"][:63])
    server.batch(stream, 0, 0, 73).refused(422, "dataset_unreadable")
    receipt = server.get(f"/v1/streams/{stream['id']}/epochs/0/samples/0")
    receipt.refused(422, "dataset_unreadable")


# --- cannot be read


def test_a_missing_file_is_an_error_and_never_another_value(server, missing):
    put_back, _ = missing
    stream = server.open(FLEET)
    failures = server.metric("augsvc_errors_total", code="dataset_changed")
    for place in ((0, 8), (5, 1), (4, 3)):
        reply = server.batch(stream, 0, *place)
        message = reply.refused(410, "dataset_changed")["message"]
        assert "sample 5 of 'fleet'" in message and "b/001.png is missing" in message
        assert "retry-after" not in reply.headers
    assert [server.batch(stream, 0, *place).status for place in ((0, 5), (6, 2))] == [200, 200]
    put_back()
    assert server.batch(stream, 0, 0, 8).status == 200
    assert server.metric("augsvc_errors_total", code="dataset_changed") == failures + 3
    server.until(lambda: server.metric("augsvc_in_flight_bytes") == 0)
    assert server.output().count("fleet: b/001.png changed after the server indexed it: it is missing") == 1


def lose_permission(root):
    (root / "b" / "001.png").chmod(0)


def lose_permission_of_the_folder(root):
    (root / "b").chmod(0)


def put_a_folder_in_its_place(root):
    (root / "b" / "001.png").unlink()
    (root / "b" / "001.png").mkdir()


def put_a_file_in_place_of_the_class(root):
    (root / "b").rename(root.with_name("away"))
    (root / "b").touch()


def put_a_file_in_place_of_the_root(root):
    root.rename(root.with_name("away"))
    root.touch()


def empty_the_root(root):
    """What is left of an unmounted file system."""
    root.rename(root.with_name("away"))
    root.mkdir()


def remove_the_root(root):
    root.rename(root.with_name("away"))


LOSSES = {
    lose_permission: "may not be read",
    lose_permission_of_the_folder: "may not be read",
    put_a_folder_in_its_place: "no regular file any more",
    put_a_file_in_place_of_the_class: "no regular file any more",
    put_a_file_in_place_of_the_root: "is missing",
    empty_the_root: "is missing",
    remove_the_root: "is missing: is its file system mounted?",
}


@pytest.mark.parametrize("lose", LOSSES, ids=lambda lose: lose.__name__)
def test_what_waiting_does_not_bring_back_is_raised_immediately(serve, tmp_path, lose):
    if os.geteuid() == 0 and "permission" in lose.__name__:
        pytest.skip("root may read everything")
    root = write_image_folder(tmp_path / "pets", {"a": 2, "b": 2})
    serving = serve(datasets={"pets": {"format": "image_folder", "path": str(root)}}).ready()
    with serving.client(wait_s=600) as client:
        stream = client.stream({"dataset": "pets", "size": [8, 8], "shuffle": False})
        lose(root)
        for _ in range(2):
            with pytest.raises(RequestRefused, match=r"sample 3 of 'pets'.*410 dataset_changed") as refused:
                stream.batch(0, 3, 1)
            assert LOSSES[lose] in str(refused.value) and str(tmp_path) not in str(refused.value)
    (warning,) = [line for line in serving.output().splitlines() if "pets: b/001.png" in line]
    assert LOSSES[lose] in warning


def test_another_file_in_its_place_is_an_error_that_waiting_does_not_end(server, missing):
    put_back, path = missing
    stream = server.open(FLEET)
    content = (path.parents[2] / "away.png").read_bytes()
    for replacement in (content, content[:-1], content + b"x"):
        path.write_bytes(replacement)
        reply = server.batch(stream, 0, 0, 8)
        assert "b/001.png" in reply.refused(410, "dataset_changed")["message"]
        assert "retry-after" not in reply.headers
    with server.client(wait_s=60) as client, pytest.raises(RequestRefused, match=r"b/001\.png.*dataset_changed"):
        client.stream(FLEET).batch(0, 0, 8)
    put_back()
    assert server.batch(stream, 0, 0, 8).status == 200


def test_undecodable_samples_in_a_row_are_an_error_at_once_with_the_first_and_its_reason(server):
    with server.client(wait_s=60) as client:
        stream = client.stream({"dataset": "ruin", "size": [8, 8], "shuffle": False})
        with pytest.raises(RequestRefused, match=r"a/000\.png.*dataset_unreadable"):
            stream.batch(0, 0, 1)


def test_the_client_waits_until_the_file_can_be_read_again(server, folders):
    failed, lease = threading.Event(), ExitStack()

    class Listener(logging.Handler):
        def emit(self, record):
            failed.set()

    logger, listener = logging.getLogger("augsvc_client"), Listener()
    logger.addHandler(listener)
    lease.enter_context(leased(folders / "fleet" / "b" / "001.png"))
    arrays = []

    def read():
        with server.client(wait_s=60) as client:
            arrays.append(client.stream(FLEET).batch(0, 0, 8))

    reader = threading.Thread(target=read)
    reader.start()
    try:
        assert failed.wait(60)
    finally:
        lease.close()
        reader.join()
        logger.removeHandler(listener)
    assert np.array_equal(arrays[0]["image"], server.batch(server.open(FLEET), 0, 0, 8).arrays["image"])


def test_a_client_that_waits_in_vain_gets_the_servers_message(server, folders):
    with leased(folders / "fleet" / "b" / "001.png"), server.client(wait_s=1) as client:
        reply = server.batch(server.open(FLEET), 0, 5, 1)
        assert "b/001.png" in reply.refused(503, "dataset_unavailable")["message"]
        assert int(reply.headers["retry-after"]) >= 1
        stream = client.stream(FLEET)
        with pytest.raises(ServerUnavailable, match="503 dataset_unavailable"):
            stream.batch(0, 0, 8)
        assert stream.batch(0, 0, 5)["valid"].all()
    server.until(lambda: "fleet: b/001.png could not be read after 3 attempts" in server.output())


@pytest.mark.slow
def test_a_file_that_was_spoilt_from_the_start_is_another_dataset_than_a_good_one(serve, folders, tmp_path):
    """A replica with the intact image has another file size, so it never answers for this one."""
    for number in range(2):
        write_image(tmp_path / "hurt" / "a" / f"{number:03}.png", number)
    spoil(tmp_path / "hurt" / "a" / "002.png")
    replica = serve(datasets={"hurt": {"format": "image_folder", "path": str(tmp_path / "hurt")}}).ready()
    first = replica.open(HURT)
    write_image(tmp_path / "hurt" / "a" / "002.png", 2)
    replica.batch(first, 0, 2, 1).refused(410, "dataset_changed")
    replica.stop()
    replica.begin().ready()
    error = replica.batch(first, 0, 0, 1).refused(409, "stream_mismatch")
    assert error["dataset_version"] != first["dataset_version"]
    assert error["arithmetic"] == first["arithmetic"]


def test_the_client_says_which_request_is_wrong_and_does_not_repeat_it(server):
    with server.client(wait_s=60) as client:
        with pytest.raises(RequestRefused, match="size_required"):
            client.stream({"dataset": "hurt"})
        stream = client.stream(HURT)
        with pytest.raises(RequestRefused, match="416 past_the_end"):
            stream.batch(0, 12, 1)
