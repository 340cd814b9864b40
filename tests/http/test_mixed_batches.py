"""Mixed samples on their way to a trainer: tensors, soft targets, the receipt, and the trainer's loss."""

import pytest
import torch
from torch.nn import functional

from augsvc_client import RemoteDataLoader
from augsvc_client.trainer.models.build import Inputs, build_model
from augsvc_client.trainer.recipe import parse_recipe
from augsvc_client.trainer.training.learner import Learner

MIXES = [{"op": "one_of", "of": [{"op": "mixup", "alpha": 1.0}, {"op": "cutmix"}], "p": 0.8}]
FIELDS = {"dataset": "digits/train", "pipeline": MIXES, "batch_size": 32, "shuffle": False, "prefetch": 1}


@pytest.fixture
def batch(server):
    with RemoteDataLoader(server.url, soft_targets=10, **FIELDS) as loader:
        return next(iter(loader))


def test_soft_targets_hold_both_labels(batch):
    expected = batch["mix_weight"][:, None] * functional.one_hot(batch["label"], 10)
    expected += (1 - batch["mix_weight"])[:, None] * functional.one_hot(batch["label2"], 10)
    assert batch["target"].dtype == torch.float32
    torch.testing.assert_close(batch["target"], expected)
    assert 0 < (batch["mix_weight"] == 1).sum() < 32


def test_soft_targets_without_mixes_are_one_hot_and_too_few_classes_are_named(server):
    fields = {**FIELDS, "pipeline": []}
    with RemoteDataLoader(server.url, soft_targets=12, **fields) as loader:
        batch = next(iter(loader))
    assert torch.equal(batch["target"], functional.one_hot(batch["label"], 12).float())
    with (
        RemoteDataLoader(server.url, soft_targets=3, **fields) as loader,
        pytest.raises(ValueError, match="label 9, got 3"),
    ):
        next(iter(loader))
    with pytest.raises(ValueError, match="soft_targets"):
        RemoteDataLoader(server.url, soft_targets=0, **fields)


def test_a_receipt_names_the_partner_and_the_weight(server, batch):
    with server.client() as client:
        spec = {name: FIELDS[name] for name in ("dataset", "pipeline", "shuffle")}
        stream = client.stream(spec)
        for position in range(32):
            receipt = stream.receipt(0, position)
            assert "mix" in receipt or batch["mix_weight"][position] == 1
            if "mix" in receipt:
                assert receipt["mix"]["weight"] == pytest.approx(float(batch["mix_weight"][position]), abs=1e-5)
                assert receipt["mix"]["partner"].keys() == {"index", "source"}


def test_the_trainer_trains_on_both_labels(batch):
    recipe = parse_recipe({"data": {"dataset": "digits/train", "size": [8, 8]}, "training": {"label_smoothing": 0.1}})
    learner = Learner(build_model(recipe.model, Inputs(1, (8, 8)), 10, 0), recipe, 4)
    learner.model.eval()  # without dropout the same outputs twice
    outputs = learner.model(learner.inputs(batch))
    expected = functional.cross_entropy(outputs, batch["target"], label_smoothing=0.1)
    assert learner.step(batch).item() == pytest.approx(expected.item(), rel=1e-5)


def test_soft_targets_of_a_mosaic_are_weighted_by_area(server):
    with RemoteDataLoader(server.url, soft_targets=10, **{**FIELDS, "pipeline": [{"op": "mosaic"}]}) as loader:
        batch = next(iter(loader))
    expected = sum(
        batch["tile_weights"][:, k, None] * functional.one_hot(batch["tile_labels"][:, k], 10) for k in range(4)
    )
    torch.testing.assert_close(batch["target"], expected)
    torch.testing.assert_close(batch["target"].sum(dim=1), torch.ones(32))


def test_a_receipt_names_the_three_partners_of_a_mosaic(server):
    with server.client() as client:
        receipt = client.stream({"dataset": "digits/train", "pipeline": [{"op": "mosaic"}]}).receipt(0, 0)
    assert [partner.keys() for partner in receipt["mix"]["partners"]] == [{"index", "source"}] * 3
