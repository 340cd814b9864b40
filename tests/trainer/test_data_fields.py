"""Every field of a recipe's data is really in effect: one case each, and a field without one fails."""

import threading
from itertools import pairwise

import pytest
import torch

from augsvc_client.errors import ServerUnavailable
from augsvc_client.trainer.experiments.resolve import resolve_recipe
from augsvc_client.trainer.recipe import fields
from augsvc_client.trainer.training.data import training_loader
from tests.trainer.recipes import ABSENT, first, recipe, spec


def data_dataset(url, tmp_path):
    assert spec(url, data__dataset="photos/train", data__per_class=None)["dataset"] == "photos/train"


def data_pipeline(url, tmp_path):
    assert not torch.equal(first(url)["image"], first(url, data__pipeline="strong")["image"])
    assert resolve_recipe(recipe(data__pipeline=None), url)[0].data.pipeline == "standard"


def data_size(url, tmp_path):
    assert first(url, data__size="9x7")["image"].shape[2:] == (9, 7)


def data_fit(url, tmp_path):
    images = [first(url, data__size="16x8", data__fit=fit)["image"] for fit in ("cover", "contain", "stretch")]
    assert not any(torch.equal(a, b) for a, b in pairwise([*images, images[0]]))


def sound(url, **values):
    clip = {"data__dataset": "tones/train", "data__size": None, "data__seconds": 0.5, "data__sample_rate": 8000}
    return first(url, **clip | values)["audio"].shape[1]


def data_seconds(url, tmp_path):
    assert sound(url) == 4000
    assert sound(url, data__seconds=0.25) == 2000


def data_sample_rate(url, tmp_path):
    assert sound(url, data__sample_rate=16000) == 8000


def data_scale(url, tmp_path):
    image = first(url, data__scale=[0.0, 2.0])["image"]
    assert torch.allclose(image, first(url)["image"] + 1, atol=1e-6)


def data_per_class(url, tmp_path):
    with training_loader(recipe(data__per_class=3), url) as loader:
        assert loader.stream.samples == 30


def data_subset(url, tmp_path):
    assert set(first(url, data__subset={"classes": ["3"]}, data__per_class=None)["label"].tolist()) == {3}


def data_weights(url, tmp_path):
    assert first(url, data__weights={"3": 7.0}, data__batch_size=20)["label"].tolist().count(3) >= 7


def data_block(url, tmp_path):
    indices = first(url, data__block=5, data__per_class=None, data__batch_size=40)["index"].tolist()
    assert len({index // 5 for index in indices}) <= 16, "of a permutation, 40 samples lie in about 38 blocks"


def data_batch_size(url, tmp_path):
    assert len(first(url, data__batch_size=7)["label"]) == 7


def data_shuffle(url, tmp_path):
    def orders(shuffle):
        with training_loader(recipe(data__shuffle=shuffle, data__per_class=None, data__batch_size=200), url) as loader:
            return [next(iter(loader))["index"].tolist() for epoch in range(2) if loader.set_epoch(epoch) is None]

    assert orders(False) == [list(range(200))] * 2
    one, other = orders(True)
    assert one != other


def data_subset_seed(url, tmp_path):
    assert set(first(url, data__subset_seed=1)["index"].tolist()) != set(first(url)["index"].tolist())


def data_order_seed(url, tmp_path):
    one, other = (first(url, data__subset_seed=0, data__order_seed=seed)["index"].tolist() for seed in (0, 1))
    assert one != other


def data_aug_seed(url, tmp_path):
    one, other = (first(url, data__pipeline="strong", data__aug_seed=seed) for seed in (0, 1))
    assert torch.equal(one["index"], other["index"])
    assert not torch.equal(one["image"], other["image"])


def data_prefetch(url, tmp_path):
    def threads():
        return sum(thread.name.startswith("augsvc-prefetch-") for thread in threading.enumerate())

    before = threads()
    with training_loader(recipe(data__prefetch=7), url) as loader:
        next(iter(loader))
        assert threads() >= 7 > before


def data_wait_s(url, tmp_path):
    with pytest.raises(ServerUnavailable, match=r"within 0\.05 s"):
        first(ABSENT, data__wait_s=0.05)


@pytest.mark.parametrize("name", [name for name, _ in fields() if name.startswith("data.")])
def test_the_field_is_in_effect(name, url, tmp_path):
    case = globals().get(name.replace(".", "_"))
    assert case is not None, f"{name} has no case here"
    case(url, tmp_path)


def test_clips_have_no_canvas(url):
    with pytest.raises(ValueError, match=r"tones/train has clips, which have no canvas: leave out --size"):
        resolve_recipe(recipe(data__dataset="tones/train"), url)


def test_only_a_new_run_is_said_to_be_short(url):
    assert "few networks learn" in resolve_recipe(recipe(), url)[1][-1]
    assert resolve_recipe(recipe(), url, note_duration=False)[1] == []
