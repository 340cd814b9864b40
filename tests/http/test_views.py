"""Several views of each sample in one batch, and several streams over the same samples."""

import json

import numpy as np
import pytest
import torch

from augsvc_client import MultiViewLoader, RemoteDataLoader, RequestRefused, ServerUnavailable, StateMismatch

PIPELINE = [{"op": "random_resized_crop"}, {"op": "horizontal_flip"}, {"op": "solarize", "p": 1.0, "views": [1]}]
SPEC = {"dataset": "shapes/train", "size": [24, 24], "pipeline": PIPELINE, "output": {"layout": "NHWC"}}
FIELDS = {"dataset": "shapes/train", "batch_size": 6, "pipeline": PIPELINE, "prefetch": 1, "scale": None}


def test_views_of_a_batch_are_those_of_single_batches(server):
    with server.client() as client:
        single = client.stream(SPEC)
        double, later = client.stream({**SPEC, "views": 3}), client.stream({**SPEC, "view_from": 5})
        assert len({single.id, double.id, later.id}) == 3
        batches = {view: single.batch(2, 4, 8, view) for view in (0, 1, 2, 3, 5, 6)}
        for group, views in ((0, (0, 1, 2)), (1, (3, None, 5))):
            batch = double.batch(2, 4, 8, group)
            for k, view in enumerate(views):
                for name in ("image", "mask", "boxes", "boxes_valid") if view is not None else ():
                    np.testing.assert_array_equal(batch[name if k == 0 else f"{name}{k}"], batches[view][name])
            np.testing.assert_array_equal(batch["index"], batches[0]["index"])
        np.testing.assert_array_equal(later.batch(2, 4, 8)["image"], batches[5]["image"])
        assert later.receipt(2, 4)["operations"] == single.receipt(2, 4, view=5)["operations"]
        assert {"image", "image1", "image2", "mask2", "boxes2", "boxes_valid2", "label", "box_labels"} <= set(batch)


def test_the_defaults_are_the_stream_of_before(server):
    with server.client() as client:
        assert client.stream({**SPEC, "views": 1, "view_from": 0}).id == client.stream(SPEC).id


@pytest.mark.parametrize(
    ("fields", "view", "field"),
    [
        ({"views": 0}, 0, "views"),
        ({"views": 17}, 0, "views"),
        ({"view_from": 256}, 0, "view_from"),
        ({"views": 16, "view_from": 250}, 0, "view"),
        ({"views": 16}, 16, "view"),
        ({"views": 2, "dataset": "digits/train", "pipeline": [{"op": "mixup"}]}, 0, "views"),
    ],
    ids=str,
)
def test_views_that_do_not_exist_are_refused(server, fields, view, field):
    with server.client() as client, pytest.raises(RequestRefused) as refused:
        client.stream({**SPEC, **fields}).batch(0, 0, 1, view)
    assert refused.value.field == field


def test_a_loader_gives_all_views_scaled(server):
    with RemoteDataLoader(server.url, views=2, **{**FIELDS, "scale": (0.0, 1.0)}) as loader:
        batch = next(iter(loader))
    for name in ("image", "image1"):
        assert batch[name].dtype == torch.float32 and batch[name].min() >= 0.0 and batch[name].max() <= 1.0
    assert not torch.equal(batch["image"], batch["image1"])


def multi_crop(server, fields=FIELDS, **more):
    large = RemoteDataLoader(server.url, views=2, size=(24, 24), **{**fields, **more})
    small = RemoteDataLoader(server.url, views=3, view_from=2, size=(12, 12), **fields)
    return MultiViewLoader(large, small)


def test_multi_crop_is_one_batch_of_several_sizes_and_resumes(server):
    with multi_crop(server) as loader:
        steps = iter(loader)
        first, state = next(steps), json.loads(json.dumps(loader.state_dict()))
        second = next(steps)
        assert len(loader) == len(loader.loaders[0])
    sizes = [tuple(first["image" + (str(k) if k else "")].shape[2:]) for k in range(5)]
    assert sizes == [(24, 24)] * 2 + [(12, 12)] * 3
    assert "image5" not in first and first["label"].shape == (6,)
    with multi_crop(server) as loader:
        loader.load_state_dict(state)
        resumed = next(iter(loader))
        assert all(torch.equal(resumed[name], second[name]) for name in second)
        with pytest.raises(StateMismatch, match="MultiViewLoader of 2"):
            loader.load_state_dict({"loaders": state["loaders"][:1]})


def test_loaders_over_other_samples_are_refused(server):
    with multi_crop(server, order_seed=7) as loader, pytest.raises(StateMismatch, match="different samples"):
        next(iter(loader))
    with multi_crop(server, batch_size=4) as loader, pytest.raises(StateMismatch, match="batch_size"):
        next(iter(loader))
    with pytest.raises(ValueError, match="at least one"):
        MultiViewLoader()


def test_loaders_that_draw_the_same_views_are_refused(server):
    loaders = [RemoteDataLoader(server.url, views=2, size=(24, 24), **FIELDS) for _ in range(2)]
    with pytest.raises(ValueError, match="draw the same views"):
        MultiViewLoader(*loaders)
    MultiViewLoader(loaders[0], RemoteDataLoader(server.url, aug_seed=1, **FIELDS)).close()


def test_soft_targets_are_common_to_all_views(server):
    large = RemoteDataLoader(server.url, size=(24, 24), soft_targets=3, **FIELDS)
    small = RemoteDataLoader(server.url, view_from=1, size=(12, 12), soft_targets=3, **FIELDS)
    with MultiViewLoader(large, small) as loader:
        batch = next(iter(loader))
    assert "target" in batch and "target1" not in batch and "image1" in batch


def test_an_error_of_one_loader_leaves_all_where_they_were(server, monkeypatch):
    with multi_crop(server, FIELDS | {"subset": {"per_class": 10}}) as loader:
        whole = [batch["index"].tolist() for batch in loader]
        loader.set_epoch(0)
        steps = iter(loader)
        next(steps)
        small = loader.loaders[1]
        with monkeypatch.context() as patch:
            patch.setattr(small, "_take", _fail)
            with pytest.raises(ServerUnavailable):
                next(steps)
        assert (loader.epoch, loader.position) == (small.epoch, small.position) == (0, 6)
        assert [batch["index"].tolist() for batch in loader] == whole[1:]
        assert (loader.epoch, loader.position, loader.epoch_steps) == (1, 0, len(whole))


def _fail(*_):
    raise ServerUnavailable("no good response")
