"""Lightning: a DataModule of loaders whose place is part of every checkpoint.

    trainer.fit(model, datamodule=LoaderDataModule(train=RemoteDataLoader(…), validation=RemoteDataLoader(…)))

Needs lightning (or pytorch_lightning), which is imported with this module.
"""

from collections.abc import Iterator
from typing import Any

from augsvc_client.errors import NotInstalled
from augsvc_client.loaders.augmenting import AugmentingDataLoader
from augsvc_client.loaders.remote import RemoteDataLoader

try:
    from lightning.pytorch import LightningDataModule
except ImportError:
    try:
        from pytorch_lightning import LightningDataModule  # type: ignore[assignment]  # the same, by its older name
    except ImportError as err:
        raise NotInstalled("augsvc_client.lightning needs Lightning: pip install lightning") from err


Loader = RemoteDataLoader | AugmentingDataLoader


class LoaderDataModule(LightningDataModule):
    """The loaders of a run: RemoteDataLoader or AugmentingDataLoader, without a torch DataLoader around them.

    The place of `train` is saved in each checkpoint and restored before Lightning builds the optimizers, so that a resumed
    run continues with the next batch, also if a scheduler asks for `trainer.estimated_stepping_batches`. Every pass
    through `validation` and `test` is a whole epoch, whatever the sanity check left. Under DDP each rank reads its own
    share: the loaders take rank and world size from torch.distributed, and all ranks load the one saved state.
    """

    def __init__(self, train: Loader, validation: Loader | None = None, test: Loader | None = None) -> None:
        super().__init__()
        self.train, self.validation, self.test = train, validation, test

    def train_dataloader(self) -> "TrainingEpochs":
        """The training batches, epoch by epoch."""
        return TrainingEpochs(self.train)

    def val_dataloader(self) -> "EvaluationEpochs | list[EvaluationEpochs]":
        """Whole passes through the validation batches; none without `validation`."""
        return EvaluationEpochs(self.validation) if self.validation is not None else []

    def test_dataloader(self) -> "EvaluationEpochs | list[EvaluationEpochs]":
        """Whole passes through the test batches; none without `test`."""
        return EvaluationEpochs(self.test) if self.test is not None else []

    def state_dict(self) -> dict[str, Any]:
        """The place of the training loader."""
        return {"train": self.train.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go to where the checkpoint was taken; raises StateMismatch for another loader's."""
        self.train.load_state_dict(state_dict["train"])


class TrainingEpochs:
    """The epochs of a loader, one for each iteration; the first may be the rest of one that was resumed.

    Lightning creates an iterator long before it reads it, before a checkpoint is restored: nothing happens until the
    first batch is asked for. The length is that of a whole epoch, which Lightning counts from.
    """

    def __init__(self, loader: Loader) -> None:
        self.loader = loader

    def __len__(self) -> int:
        return self.loader.epoch_steps

    def __iter__(self) -> Iterator[dict[str, Any]]:
        if not len(self.loader):  # resumed from a checkpoint at the end of an epoch
            self.loader.set_epoch(self.loader.epoch + 1)
        yield from self.loader


class EvaluationEpochs(TrainingEpochs):
    """Each iteration is a whole pass: Lightning leaves its sanity check early, and a loader would continue from there."""

    def __iter__(self) -> Iterator[dict[str, Any]]:
        if self.loader.position:
            self.loader.set_epoch(self.loader.epoch + 1)
        yield from self.loader
