"""Lightning on batches of the service: a DataModule of two loaders, and a run that goes on where a checkpoint was taken.

make serve                                       # in another terminal
.venv/bin/pip install lightning
.venv/bin/python examples/lightning_loop.py
"""

from collections.abc import Iterator
from typing import Any

import lightning
import torch
from torch import nn

from augsvc_client import RemoteDataLoader

URL = "http://127.0.0.1:8000"
Batch = dict[str, torch.Tensor]


class Epochs:
    """A loader as Lightning means one: its length is always that of a whole epoch."""

    def __init__(self, loader: RemoteDataLoader) -> None:
        self.loader = loader

    def __len__(self) -> int:
        return self.loader.epoch_steps

    def __iter__(self) -> Iterator[Batch]:
        if not len(self.loader):  # a checkpoint of an epoch's end is followed by the next epoch
            self.loader.set_epoch(self.loader.epoch + 1)
        return iter(self.loader)


class Training(Epochs):
    """Lightning keeps the place in the epoch in its checkpoints, because there is a state_dict."""

    def state_dict(self) -> dict[str, Any]:
        return self.loader.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.loader.load_state_dict(state)


class Testing(Epochs):
    """From the first sample at every pass: Lightning leaves its trial pass early, and a loader goes on where it was left."""

    def __iter__(self) -> Iterator[Batch]:
        if self.loader.position:
            self.loader.set_epoch(self.loader.epoch + 1)
        return iter(self.loader)


class Digits(lightning.LightningDataModule):
    """Training batches are augmented, test batches are not. Every rank reads its own share, without a sampler."""

    def __init__(self, url: str, batch_size: int = 64) -> None:
        super().__init__()
        self.url, self.batch_size = url, batch_size

    def train_dataloader(self) -> Training:
        return Training(
            RemoteDataLoader(
                self.url, dataset="digits/train", pipeline="light", batch_size=self.batch_size, size=(32, 32)
            )
        )

    def val_dataloader(self) -> Testing:
        return Testing(
            RemoteDataLoader(
                self.url, dataset="digits/test", batch_size=256, size=(32, 32), shuffle=False, drop_last=False
            )
        )


class Classifier(lightning.LightningModule):
    """A small network that names digits."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Conv2d(1, 32, 5, stride=2), nn.PReLU(), nn.Conv2d(32, 10, 5, stride=2))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.net(image).amax(dim=(2, 3))

    def training_step(self, batch: Batch, number: int) -> torch.Tensor:
        return nn.functional.cross_entropy(self(batch["image"]), batch["label"])

    def validation_step(self, batch: Batch, number: int) -> None:
        right = (self(batch["image"]).argmax(dim=1) == batch["label"]).float()
        self.log("accuracy", right.mean(), batch_size=len(right), prog_bar=True)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.AdamW(self.parameters(), lr=3e-3)


def main(epochs: int = 5) -> float:
    """Trains; returns the accuracy on the test digits."""
    trainer = lightning.Trainer(max_epochs=epochs, logger=False, enable_checkpointing=False, log_every_n_steps=1)
    trainer.fit(Classifier(), datamodule=Digits(URL))
    return float(trainer.callback_metrics["accuracy"])


if __name__ == "__main__":
    print(f"accuracy {main():.1%}")
