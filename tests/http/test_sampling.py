"""Subsets, weights, mixtures and blocks over HTTP, through the loader, over ranks and after a resume."""

import json

import numpy as np
import pytest

from augsvc_client import MultiViewLoader, RemoteDataLoader, RequestRefused
from tests.http.serving import write_image_folder

FIELDS = {"size": (16, 16), "batch_size": 4, "prefetch": 1, "drop_last": False}


@pytest.fixture(scope="module")
def sites(serve, tmp_path_factory):
    root = tmp_path_factory.mktemp("sites")
    write_image_folder(root / "data" / "images", {"cat": 8, "dog": 4})
    files = sorted((root / "data" / "images").glob("*/*.png"))
    rows = [
        {
            "file_name": str(file.relative_to(root / "data")),
            "label": file.parent.name,
            "site": "ab"[k % 2],
            "year": 2000 + k,
        }
        for k, file in enumerate(files)
    ]
    (root / "data" / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    table = {"format": "manifest", "path": str(root / "data"), "columns": ["site", "year"]}
    write_image_folder(root / "more", {"dog": 3, "owl": 3}, seed=5)
    more = {"format": "image_folder", "path": str(root / "more")}
    return serve(datasets={"table": table, "more": more}).ready()


def samples(url, **fields):
    with RemoteDataLoader(url, **{**FIELDS, **fields}) as loader:
        return [int(index) for batch in loader for index in batch["index"]]


def test_columns_filter_and_are_listed(sites):
    entry = next(entry for entry in sites.get("/v1/datasets").json["datasets"] if entry["name"] == "table")
    assert entry["columns"] == {"site": "text", "year": "number"}
    where = {"site": "b", "year": {"min": 2003, "max": 2009}}
    assert sorted(samples(sites.url, dataset="table", subset={"where": where})) == [3, 5, 7, 9]
    assert sorted(samples(sites.url, dataset="table", subset={"where": {"year": [2001, 2002.0]}})) == [1, 2]
    for wrong in ({"site": 3}, {"year": "2001"}, {"site": {"min": 1}}):
        with pytest.raises(RequestRefused, match="another type"):
            samples(sites.url, dataset="table", subset={"where": wrong})


def test_one_folder_is_split_for_training_and_validation(server):
    train = samples(server.url, dataset="pets", subset={"without_fold": [1, 4]})
    val = samples(server.url, dataset="pets", subset={"fold": [1, 4]})
    assert sorted(train + val) == list(range(20)) and len(val) == 5


def test_a_mixture_goes_over_ranks_and_resumes(sites):
    fields = {**FIELDS, "mixture": [{"dataset": "table", "weight": 1}, {"dataset": "more", "weight": 2}], "keys": True}
    with RemoteDataLoader(sites.url, **fields) as loader:
        batches = list(loader)
        assert loader.dataset.classes == ("cat", "dog", "owl") and loader.dataset.samples == 18
        assert np.bincount(np.concatenate([batch["dataset"] for batch in batches])).tolist() == [6, 12]
        for batch in batches:
            assert all(
                key.startswith(("table/", "more/")[k]) for key, k in zip(batch["key"], batch["dataset"], strict=True)
            )
        state = {**loader.state_dict(), "epoch": 0, "position": 8}
    with RemoteDataLoader(sites.url, **fields) as resumed:
        resumed.load_state_dict(state)
        assert next(iter(resumed))["image"].equal(batches[2]["image"])
    ranks = []
    for rank in (0, 1):
        with RemoteDataLoader(sites.url, **{**fields, "batch_size": 2}, rank=rank, world_size=2) as loader:
            ranks.append([batch["index"].tolist() for batch in loader])
    joined = [index for steps in zip(*ranks, strict=True) for rows in steps for index in rows]
    assert sorted(joined) == sorted(int(k) for batch in batches for k in batch["index"])


def test_views_of_a_mixture_share_its_datasets(sites):
    fields = {**FIELDS, "mixture": [{"dataset": "table"}, {"dataset": "more"}]}
    with MultiViewLoader(*(RemoteDataLoader(sites.url, view_from=view, **fields) for view in (0, 1))) as loader:
        batch = next(iter(loader))
    assert {"image", "image1", "dataset"} <= batch.keys() and "dataset1" not in batch


def test_a_mixture_with_an_unknown_dataset_or_of_another_version_is_refused(sites):
    with pytest.raises(RequestRefused) as refused:
        samples(sites.url, mixture=[{"dataset": "table"}, {"dataset": "lost"}])
    assert refused.value.code == "unknown_dataset"
    with pytest.raises(ValueError, match="mixture is a list"):
        RemoteDataLoader(sites.url, mixture={"table": 1}, **FIELDS)
    with pytest.raises(ValueError, match="dataset is a name"):
        RemoteDataLoader(sites.url, **FIELDS)


def test_balanced_classes_and_blocks(server):
    labels = []
    with RemoteDataLoader(server.url, dataset="pets", weights="balanced", **FIELDS) as loader:
        labels = np.concatenate([batch["label"] for batch in loader])
    assert np.bincount(labels).tolist() == [10, 10]
    assert sorted(samples(server.url, dataset="pets", block=3)) == list(range(20))
