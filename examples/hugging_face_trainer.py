"""Hugging Face's Trainer on batches from the service; every checkpoint has the loader's position beside it.

make serve                                       # in another terminal
.venv/bin/pip install transformers
.venv/bin/python examples/hugging_face_trainer.py

With `ignore_data_skip`, because the Trainer would otherwise read the batches before the checkpoint again, to drop them.
"""

import json
import sys
from pathlib import Path

import torch
from torch import nn
from transformers import Trainer, TrainerCallback, TrainingArguments

from augsvc_client import RemoteDataLoader

URL = "http://127.0.0.1:8000"


class Classifier(nn.Module):
    """A small network that classifies digits, with the loss in its result, as the Trainer expects."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Conv2d(1, 32, 5, stride=2), nn.PReLU(), nn.Conv2d(32, 10, 5, stride=2))

    def forward(self, image: torch.Tensor, label: torch.Tensor, **_: torch.Tensor) -> dict[str, torch.Tensor]:
        logits = self.net(image).amax(dim=(2, 3))
        return {"loss": nn.functional.cross_entropy(logits, label), "logits": logits}


class Epochs:
    """The loader with the length of whole epochs, from which the Trainer counts steps."""

    def __init__(self, loader: RemoteDataLoader) -> None:
        self.loader, self.set_epoch = loader, loader.set_epoch

    def __len__(self) -> int:
        return self.loader.epoch_steps

    def __iter__(self):
        return iter(self.loader)


class RemoteTrainer(Trainer):
    """A Trainer whose training batches come from the service: each rank requests its own slice."""

    def __init__(self, loader: RemoteDataLoader, **options) -> None:
        super().__init__(**options)
        self.loader = loader

    def get_train_dataloader(self) -> Epochs:
        return Epochs(self.loader)


class SavePosition(TrainerCallback):
    """Writes the loader's position into each checkpoint."""

    def __init__(self, loader: RemoteDataLoader) -> None:
        self.loader = loader

    def on_save(self, args, state, control, **_) -> None:
        place = Path(args.output_dir) / f"checkpoint-{state.global_step}" / "loader.json"
        place.write_text(json.dumps(self.loader.state_dict()))


def main(folder: Path, epochs: int = 5, save_steps: int = 50, checkpoint: Path | None = None) -> Classifier:
    """Train from the start or from a checkpoint; returns the network."""
    torch.manual_seed(0)
    loader = RemoteDataLoader(URL, dataset="digits/train", pipeline="light", batch_size=64, size=(32, 32))
    if checkpoint is not None:
        loader.load_state_dict(json.loads((checkpoint / "loader.json").read_text()))
    options = TrainingArguments(
        str(folder), num_train_epochs=epochs, learning_rate=3e-3, save_steps=save_steps, logging_steps=20,
        use_cpu=not torch.cuda.is_available(), remove_unused_columns=False, ignore_data_skip=True, report_to=[],
    )  # fmt: skip
    net = Classifier()
    trainer = RemoteTrainer(loader, model=net, args=options, callbacks=[SavePosition(loader)])
    with loader:
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    return net


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "trainer-out"))
