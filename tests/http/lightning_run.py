"""A run of Lightning over a loader without a length. Its tests import it when they run: the import takes 2 CPU seconds."""

from pathlib import Path

import lightning
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import nn
from torch.utils.data import DataLoader, IterableDataset

from augsvc_client import AugmentingDataLoader
from augsvc_client.lightning import LoaderDataModule

N, EPOCHS = 22, 3


class Images(IterableDataset):
    """Images in a fixed order, without a length."""

    def __iter__(self):
        for index in range(N):
            yield {"image": torch.full((4, 4, 3), index, dtype=torch.uint8), "id": index}


class Net(lightning.LightningModule):
    """Notes what it is trained on and tested with."""

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


def fit(url: str, folder: Path, checkpoint: Path | None = None, **more: object) -> Net:
    """Trains from a checkpoint, or from the start and with a checkpoint after each step in the folder."""
    lightning.seed_everything(0, verbose=False)
    net = Net()
    keep = [ModelCheckpoint(folder, filename="{step}", every_n_train_steps=1, save_top_k=-1)]
    trainer = lightning.Trainer(
        max_epochs=EPOCHS, accelerator="cpu", logger=False, callbacks=[] if checkpoint else keep,
        enable_checkpointing=not checkpoint, enable_progress_bar=False, enable_model_summary=False,
        num_sanity_val_steps=2, **more,
    )  # fmt: skip
    train, validation = (
        AugmentingDataLoader(DataLoader(Images(), 4), url, pipeline="light", index_key="id", wait_s=60)
        for _ in range(2)
    )
    with train, validation:
        trainer.fit(net, datamodule=LoaderDataModule(train, validation), ckpt_path=checkpoint)
    return net
