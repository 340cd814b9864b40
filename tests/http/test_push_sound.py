"""Push mode over sound: the same laws, and what clips can get wrong."""

import numpy as np
import pytest

from tests.http.test_push import body, push

REQUEST = {"pipeline": "sound", "aug_seed": 7, "epoch": 3, "view": 2}


def clips(n=6, samples=500, seed=0):
    generator = np.random.default_rng(seed)
    audio = generator.normal(0, 0.2, (n, samples)).astype(np.float32)
    return {"audio": audio, "index": np.arange(n) * 7 + 3, "label": generator.normal(size=(n, 4)).astype(np.float32)}


def test_company_and_order_do_not_matter(server):
    given = clips()
    with server.client() as client:
        whole = client.augment(given, sample_rate=8000, **REQUEST).arrays
        for places in ([4], [5, 0, 3], list(range(5, -1, -1))):
            part = client.augment({name: array[places] for name, array in given.items()}, **REQUEST).arrays
            for name, array in part.items():
                assert array.tobytes() == whole[name][places].tobytes(), name
    assert whole["audio"].dtype == np.float32
    assert whole["audio"].tobytes() != given["audio"].tobytes()
    assert whole["label"].tobytes() == given["label"].tobytes()


def test_epoch_view_and_seed_are_other_draws(server):
    with server.client() as client:
        seen = {
            client.augment(clips(), **REQUEST | change).arrays["audio"].tobytes()
            for change in ({}, {"epoch": 4}, {"view": 3}, {"aug_seed": 8})
        }
    assert len(seen) == 4


def test_silence_one_sample_and_no_operations(server):
    silent = {"audio": np.zeros((2, 1), np.float32), "index": np.arange(2)}
    with server.client() as client:
        assert not client.augment(silent, pipeline="sound").arrays["audio"].any()
        same = client.augment(clips()).arrays["audio"]
    assert same.tobytes() == clips()["audio"].tobytes()


@pytest.mark.parametrize(
    "pipeline", ["sound", [{"op": "time_shift", "shift": [-1, 1]}, {"op": "white_noise"}]], ids=str
)
@pytest.mark.parametrize("dtype", [np.int32, np.int64])
def test_padding_changes_neither_draws_nor_samples(server, pipeline, dtype):
    """Whatever the padding holds: it is ignored, and comes back as zeros."""
    given, lengths = clips(n=4), np.array([500, 1, 0, 333], dtype)
    request = REQUEST | {"pipeline": pipeline}
    with server.client() as client:
        for padding in (0, 7, 900):
            audio = np.concatenate((given["audio"], np.full((4, padding), 0.5, np.float32)), axis=1)
            result = client.augment({**given, "audio": audio, "lengths": lengths}, **request).arrays
            assert result["lengths"].dtype == dtype and result["lengths"].tolist() == lengths.tolist()
            for row, length in enumerate(lengths):
                assert not result["audio"][row, length:].view(np.uint32).any()
                if length:
                    alone = {name: array[row : row + 1] for name, array in given.items()}
                    alone["audio"] = alone["audio"][:, :length]
                    expected = client.augment(alone, **request).arrays["audio"][0]
                    assert result["audio"][row, :length].tobytes() == expected.tobytes()


BAD = {
    "NaN": (clips()["audio"] * np.float32("nan"), "body_malformed", "audio"),
    "infinite": (clips()["audio"] + np.float32("inf"), "body_malformed", "audio"),
    "too loud": (clips()["audio"] * 0 + 1e6, "body_malformed", "audio"),
    "float64": (clips()["audio"].astype(np.float64), "body_malformed", "audio"),
    "int16": ((clips()["audio"] * 1000).astype(np.int16), "body_malformed", "audio"),
    "zero length": (clips(samples=0)["audio"], "body_malformed", "audio"),
    "two channels": (clips()["audio"][..., None].repeat(2, 2), "body_malformed", "audio"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_sound(server, name):
    audio, code, field = BAD[name]
    dtype = np.float32 if name == "too loud" else audio.dtype
    error = push(server, body(clips() | {"audio": audio.astype(dtype)}, REQUEST)).refused(422, code)
    assert error["field"] == field


@pytest.mark.parametrize(
    ("tensors", "request_", "code", "field"),
    [
        (clips(), {"pipeline": "standard"}, "spec_invalid", "pipeline"),
        (clips(), {"size": [8, 8]}, "spec_invalid", "size"),
        (clips(), {"fit": "contain"}, "spec_invalid", "fit"),
        (clips(), {"sample_rate": 3}, "spec_invalid", "sample_rate"),
        (clips() | {"index": np.zeros(6, np.int64)}, {}, "duplicate_index", "index"),
        (clips() | {"lengths": np.full(6, 501)}, {}, "body_malformed", "lengths"),
        (clips() | {"lengths": np.full(6, -1)}, {}, "body_malformed", "lengths"),
        (clips() | {"lengths": np.full(6, 0.5)}, {}, "body_malformed", "lengths"),
        (clips() | {"lengths": np.full((6, 1), 5)}, {}, "body_malformed", "lengths"),
        (clips() | {"mask": np.zeros((6, 4, 4), np.uint8)}, {}, "body_malformed", "mask"),
        (clips() | {"image": np.zeros((6, 4, 4, 3), np.uint8)}, {}, "body_malformed", "audio"),
        ({"index": np.arange(3)}, {}, "body_malformed", "image"),
        ({"image": np.zeros((3, 4, 4, 3), np.uint8), "index": np.arange(3)}, {"pipeline": "sound"}, "spec_invalid",
         "pipeline"),
        ({"image": np.zeros((3, 4, 4, 3), np.uint8), "index": np.arange(3), "lengths": np.full(3, 4)}, {},
         "body_malformed", "lengths"),
        ({"image": np.zeros((3, 4, 4, 3), np.uint8), "index": np.arange(3)}, {"sample_rate": 8000}, "spec_invalid",
         "sample_rate"),
    ],
)  # fmt: skip
def test_what_does_not_fit_sound(server, tensors, request_, code, field):
    assert push(server, body(tensors, request_)).refused(422, code)["field"] == field


def test_channels_share_draws_and_come_back_beside_each_other(server):
    mono = clips(n=3)
    stereo = {**mono, "audio": np.stack([mono["audio"], mono["audio"][:, ::-1]], axis=1)}
    request = REQUEST | {"pipeline": [{"op": "gain", "gain": [-20, 20]}, {"op": "time_shift", "shift": [-0.5, 0.5]}]}
    with server.client() as client:
        both = client.augment(stereo, sample_rate=8000, **request).arrays["audio"]
        for channel in range(2):
            alone = client.augment({**mono, "audio": np.ascontiguousarray(stereo["audio"][:, channel])}, **request)
            assert both[:, channel].tobytes() == alone.arrays["audio"].tobytes()
        for shape in ((3, 1, 500), (3, 9, 500)):
            response = push(server, body({"audio": np.zeros(shape, np.float32), "index": mono["index"]}, request))
            assert "C of 2 to 8" in response.refused(422, "body_malformed")["message"]
