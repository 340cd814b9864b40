"""Lightning over a loader without a length: it reads one batch ahead, and a checkpoint counts only the batches trained on."""

import itertools

import lightning
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import nn
from torch.utils.data import DataLoader, IterableDataset

from augsvc_client import AugmentingDataLoader
from augsvc_client.lightning import LoaderDataModule

N, STEPS, EPOCHS = 22, 6, 3

pytestmark = pytest.mark.filterwarnings(
    "ignore:`isinstance.treespec, LeafSpec.` is deprecated",  # in its use of torch
    "ignore::UserWarning",  # its advice
)


class Images(IterableDataset):
    """Images in a fixed order, without a length."""

    def __iter__(self):
        for index in range(N):
            yield {"image": torch.full((4, 4, 3), index, dtype=torch.uint8), "id": index}


class Net(lightning.LightningModule):
    def __init__(self):
        super().__init__()
        self.net = nn.Linear(48, 1)
        self.trained, self.tested = [], []

    def training_step(self, batch, number):
        self.trained.append((self.trainer.current_epoch, batch["id"].tolist(), batch["image"].sum().item()))
        return self.net(batch["image"].flatten(1)).square().mean()

    def validation_step(self, batch, number):
        self.tested.append(batch["id"].tolist())

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.01)


@pytest.fixture
def fit(server, tmp_path):
    torch.set_num_threads(1)

    def run(checkpoint=None, every=5, **more):
        lightning.seed_everything(0, verbose=False)
        net = Net()
        keep = [ModelCheckpoint(tmp_path, filename="{step}", every_n_train_steps=every, save_top_k=-1)]
        trainer = lightning.Trainer(
            max_epochs=EPOCHS, accelerator="cpu", logger=False, callbacks=[] if checkpoint else keep,
            enable_checkpointing=not checkpoint, enable_progress_bar=False, enable_model_summary=False,
            num_sanity_val_steps=2, **more,
        )  # fmt: skip
        train, validation = (
            AugmentingDataLoader(DataLoader(Images(), 4), server.url, pipeline="light", index_key="id", wait_s=60)
            for _ in range(2)
        )
        with train, validation:
            trainer.fit(net, datamodule=LoaderDataModule(train, validation), ckpt_path=checkpoint)
        return net

    return run


@pytest.mark.parametrize("stop", [1, 5, 6, 7, 12], ids="step {}".format)
def test_a_run_over_a_loader_without_length_resumes_at_the_next_batch(fit, tmp_path, stop):
    whole = fit(every=1)
    assert [epoch for epoch, _, _ in whole.trained] == [epoch for epoch in range(EPOCHS) for _ in range(STEPS)]
    for epoch in range(EPOCHS):
        assert [index for at, ids, _ in whole.trained if at == epoch for index in ids] == list(range(N))
    assert [index for ids in whole.tested[2:] for index in ids] == list(range(N)) * EPOCHS
    rest = fit(tmp_path / f"step={stop}.ckpt")
    assert rest.trained == whole.trained[stop:]
    assert all((a == b).all() for a, b in zip(rest.parameters(), whole.parameters(), strict=True))


@pytest.mark.parametrize("stop", [1, 2, 4])
def test_no_batch_is_lost_or_repeated_where_lightning_limits_an_epoch(fit, tmp_path, stop):
    whole = fit(every=1, limit_train_batches=2)
    assert list(itertools.chain.from_iterable(ids for _, ids, _ in whole.trained)) == list(range(N))
    rest = fit(tmp_path / f"step={stop}.ckpt", limit_train_batches=2)
    assert rest.trained == whole.trained[stop:]
