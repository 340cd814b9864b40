"""Lightning: a DataModule of loaders whose place is part of every checkpoint.

    trainer.fit(model, datamodule=LoaderDataModule(train=RemoteDataLoader(…), validation=RemoteDataLoader(…)))

Needs lightning (or pytorch_lightning), which is imported with this module.
"""

import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from augsvc_client.errors import NotInstalled
from augsvc_client.loaders.augmenting import AugmentingDataLoader
from augsvc_client.loaders.multi_view import MultiViewLoader
from augsvc_client.loaders.remote import RemoteDataLoader

try:
    from lightning.pytorch import LightningDataModule
except ImportError:
    try:
        from pytorch_lightning import LightningDataModule  # type: ignore[assignment]  # the same, by its older name
    except ImportError as err:
        raise NotInstalled("augsvc_client.lightning needs Lightning: pip install lightning") from err


Loader = RemoteDataLoader | AugmentingDataLoader | MultiViewLoader
Evaluations = Loader | Sequence[Loader]  # one, or several that Lightning goes through one after another


class LoaderDataModule(LightningDataModule):
    """The loaders of a run: RemoteDataLoader, AugmentingDataLoader or MultiViewLoader, without a torch DataLoader around them.

    The place of `train` is saved in each checkpoint and restored before Lightning builds the optimizers, so that a resumed
    run continues with the next batch, also if a scheduler asks for `trainer.estimated_stepping_batches`. Every pass
    through `validation` and `test` is a whole epoch, whatever the sanity check left. Under DDP each rank reads its own
    share: the loaders take rank and world size from torch.distributed, and all ranks load the one saved state.

    With `limit_train_batches` Lightning's epochs all have that length, and go on where the last one ended; with
    `overfit_batches` each one has the first batches of the loader's epoch. Raises ValueError for anything but these loaders.
    """

    def __init__(self, train: Loader, validation: Evaluations | None = None, test: Evaluations | None = None) -> None:
        super().__init__()
        for name, loaders in (("train", [train]), ("validation", _to_list(validation)), ("test", _to_list(test))):
            if wrong := [loader for loader in loaders if not isinstance(loader, Loader)]:
                raise ValueError(
                    f"{name} is a RemoteDataLoader, AugmentingDataLoader or MultiViewLoader, got {type(wrong[0]).__name__}: "
                    f"wrap a DataLoader in an AugmentingDataLoader, or derive from LoaderDataModule and return it from "
                    f"{'val' if name == 'validation' else name}_dataloader"
                )
        self.train, self.validation, self.test = train, validation, test
        self._training = TrainingEpochs(train, lambda: self.trainer)

    def train_dataloader(self) -> "TrainingEpochs":
        """The training batches, epoch by epoch."""
        return self._training

    def val_dataloader(self) -> "list[EvaluationEpochs]":
        """Whole passes through the validation batches; none without `validation`."""
        return [EvaluationEpochs(loader) for loader in _to_list(self.validation)]

    def test_dataloader(self) -> "list[EvaluationEpochs]":
        """Whole passes through the test batches; none without `test`."""
        return [EvaluationEpochs(loader) for loader in _to_list(self.test)]

    def state_dict(self) -> dict[str, Any]:
        """The place of the training loader, after the last batch that was trained on."""
        reads_ahead = self.trainer is not None and self.trainer.num_training_batches == math.inf
        return {"train": self._training.current_state(reads_ahead)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go to where the checkpoint was taken; raises StateMismatch for another loader's."""
        self._training.restore(state_dict["train"])


class TrainingEpochs:
    """The epochs of a loader, one for each iteration; the first may be the rest of one that was resumed.

    Lightning creates an iterator long before it reads it, before a checkpoint is restored: nothing happens until the
    first batch is asked for. The length is that of a whole epoch, which Lightning counts from. Without a length or
    `limit_train_batches` it reads one batch ahead of each training step. The methods for the state have other names,
    since Lightning would load a `state_dict` only after the first iterator is created.
    """

    def __init__(self, loader: Loader, find_trainer: Callable[[], Any] = lambda: None) -> None:
        self.loader, self._find_trainer = loader, find_trainer
        self._states: deque[dict[str, Any]] = deque(maxlen=2)  # without a length: after the last two batches read

    def __len__(self) -> int:
        return self.loader.epoch_steps

    def __iter__(self) -> Iterator[dict[str, Any]]:
        trainer = self._find_trainer()
        if trainer is not None and trainer.overfit_batches and self.loader.position:
            epoch = self.loader.epoch
            self.loader.set_epoch(epoch + 1)  # a loader keeps its place in the epoch that it is in
            self.loader.set_epoch(epoch)
        is_limited = trainer is not None and trainer.num_training_batches < self._count_steps()
        batches = self._go_on() if is_limited else _rest_or_next_epoch(self.loader)
        yield from batches if _has_length(self.loader) else self._record(batches)

    def current_state(self, reads_ahead: bool) -> dict[str, Any]:
        """The loader's state after the batch of the current step; `reads_ahead`: Lightning has read one more."""
        return self._states[0] if reads_ahead and self._states else self.loader.state_dict()

    def restore(self, state: dict[str, Any]) -> None:
        """Go to where the state was taken."""
        self._states.clear()
        self.loader.load_state_dict(state)

    def _count_steps(self) -> float:
        return self.loader.epoch_steps if _has_length(self.loader) else math.inf

    def _go_on(self) -> Iterator[dict[str, Any]]:
        """Epoch after epoch: Lightning takes as many batches as it wants, also where that is the end of an epoch."""
        while True:
            yield from _rest_or_next_epoch(self.loader)

    def _record(self, batches: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        self._states.append(self.loader.state_dict())
        for batch in batches:
            self._states.append(self.loader.state_dict())
            yield batch
        self._states.append(self.loader.state_dict())


def _rest_or_next_epoch(loader: Loader) -> Iterator[dict[str, Any]]:
    """The rest of the loader's epoch; all of the next one if a checkpoint was taken at the end, so that nothing is left."""
    batch = None
    for batch in loader:
        yield batch
    if batch is None:
        yield from loader


def _to_list(loaders: Evaluations | None) -> list[Loader]:
    if loaders is None:
        return []
    return list(loaders) if isinstance(loaders, Sequence) else [loaders]


def _has_length(loader: Loader) -> bool:
    try:
        return loader.epoch_steps > 0
    except TypeError:
        return False


class EvaluationEpochs(TrainingEpochs):
    """Each iteration is a whole pass: Lightning leaves its sanity check early, and a loader would continue from there."""

    def __iter__(self) -> Iterator[dict[str, Any]]:
        if self.loader.position:
            self.loader.set_epoch(self.loader.epoch + 1)
        yield from self.loader
