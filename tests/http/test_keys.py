"""The keys of a batch's samples, and the dataset's description on a loader."""

import numpy as np
import pytest

from augsvc.data.source import Keys
from augsvc.errors import SpecInvalid
from augsvc.streams.tensors import key_tensor
from augsvc_client import MultiViewLoader, RemoteDataLoader

FIELDS = {"dataset": "pets", "size": (16, 16), "batch_size": 6, "prefetch": 1}


def test_a_loader_gives_each_sample_its_key_in_the_same_request(server):
    with RemoteDataLoader(server.url, keys=True, drop_last=False, **FIELDS) as loader:
        names = {
            index: f"{label}/{number:03}.png"
            for index, (label, number) in enumerate([("cat", k) for k in range(11)] + [("dog", k) for k in range(9)])
        }
        batches = list(loader)
        assert [len(batch["key"]) for batch in batches] == [6, 6, 6, 2]
        for batch in batches:
            assert batch["key"] == [names[index] for index in batch["index"].tolist()]
            assert [loader.dataset.classes[label] for label in batch["label"]] == [
                key.partition("/")[0] for key in batch["key"]
            ]


def test_a_loader_describes_the_dataset_that_it_reads(server):
    with RemoteDataLoader(server.url, subset={"per_class": 2}, **FIELDS) as loader:
        entry = next(entry for entry in server.get("/v1/datasets").json["datasets"] if entry["name"] == "pets")
        dataset = loader.dataset
        assert (dataset.name, dataset.samples, dataset.classes) == ("pets", 20, ("cat", "dog"))
        assert (dataset.version, dataset.media, dataset.label_kind) == (entry["version"], "image", "class")
        assert loader.stream.samples == 4


def test_a_batch_without_keys_is_the_batch_of_before(server):
    spec = {"dataset": "pets", "size": [16, 16]}
    plain, off, keyed = server.open(spec), server.open({**spec, "keys": False}), server.open({**spec, "keys": True})
    assert plain == off and "key" not in plain["tensors"] and "keys" not in plain["spec"]
    assert keyed["id"] != plain["id"] and keyed["tensors"]["key"] == {"dtype": "uint8", "shape": [-1, 11]}
    with server.client() as client:
        with_keys, without = client.stream({**spec, "keys": True}), client.stream(spec)
        first, second = with_keys.batch(1, 3, 4), without.batch(1, 3, 4)
        assert all(np.array_equal(first[name], second[name]) for name in second)
        listed = server.get(f"/v1/streams/{plain['id']}/epochs/1/keys?start=3&count=4").json
        assert listed["index"] == first["index"].tolist()
        assert listed["keys"] == [row.tobytes().rstrip(b"\0").decode() for row in first["key"]]


def test_views_share_their_keys(server):
    loaders = [RemoteDataLoader(server.url, keys=True, view_from=view, **FIELDS) for view in (0, 1)]
    with MultiViewLoader(*loaders) as loader:
        batch = next(iter(loader))
    assert len(batch["key"]) == 6 and "key1" not in batch


@pytest.mark.parametrize(
    ("query", "status"), [("start=20&count=1", 416), ("start=0&count=5000", 422), ("start=0", 422)]
)
def test_keys_past_the_end_or_too_many_are_refused(server, query, status):
    stream = server.open({"dataset": "pets", "size": [16, 16]})
    assert server.get(f"/v1/streams/{stream['id']}/epochs/0/keys?{query}").status == status


def test_keys_without_a_bound_are_refused():
    with pytest.raises(SpecInvalid, match="longest key") as caught:
        key_tensor(Keys(5000, b"").longest)
    assert caught.value.field == "keys"
