"""Lightning on batches from the service: a DataModule of two loaders, and training that resumes from mid-epoch checkpoints.

make serve                                       # in another terminal
.venv/bin/pip install lightning
.venv/bin/python examples/lightning_loop.py
"""

import lightning
import torch
from torch import nn

from augsvc_client import RemoteDataLoader
from augsvc_client.lightning import LoaderDataModule

URL = "http://127.0.0.1:8000"
Batch = dict[str, torch.Tensor]


class Digits(LoaderDataModule):
    """Augmented training batches and plain test batches. Every rank reads its own slice, without a sampler."""

    def __init__(self, url: str, batch_size: int = 64) -> None:
        train = RemoteDataLoader(url, dataset="digits/train", pipeline="light", batch_size=batch_size, size=(32, 32))
        test = RemoteDataLoader(
            url, dataset="digits/test", batch_size=256, size=(32, 32), shuffle=False, drop_last=False
        )
        super().__init__(train, validation=test)


class Classifier(lightning.LightningModule):
    """A small network that classifies digits."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Conv2d(1, 32, 5, stride=2), nn.PReLU(), nn.Conv2d(32, 10, 5, stride=2))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.net(image).amax(dim=(2, 3))

    def training_step(self, batch: Batch, batch_idx: int) -> torch.Tensor:
        return nn.functional.cross_entropy(self(batch["image"]), batch["label"])

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        correct = (self(batch["image"]).argmax(dim=1) == batch["label"]).float()
        self.log("accuracy", correct.mean(), batch_size=len(correct), prog_bar=True)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.AdamW(self.parameters(), lr=3e-3)


def main(epochs: int = 5) -> float:
    """Train; returns the accuracy on the test digits."""
    trainer = lightning.Trainer(max_epochs=epochs, logger=False, enable_checkpointing=False, log_every_n_steps=1)
    trainer.fit(Classifier(), datamodule=Digits(URL))
    return float(trainer.callback_metrics["accuracy"])


if __name__ == "__main__":
    print(f"accuracy {main():.1%}")
