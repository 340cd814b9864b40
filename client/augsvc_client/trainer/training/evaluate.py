"""What a network says of test samples: probabilities, and what follows from them.

    loader (shuffle and drop_last false) → predict → Predictions → Score, confusion, calibration inputs
    views of the same samples from the service, or passes with dropout on → one mean

Every sample counts once, on any number of ranks: each rank names its part and all get the whole.
"""

import math
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from augsvc_client.loaders.remote import RemoteDataLoader
from augsvc_client.trainer.distributed import gathered, rank
from augsvc_client.trainer.training.learner import drawing

Probabilities = npt.NDArray[np.float32]  # N,K
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Score:
    """How many of the samples the network named rightly."""

    correct: int
    samples: int

    @property
    def accuracy(self) -> float:
        """The share in [0, 1]; NaN without samples."""
        return self.correct / self.samples if self.samples else math.nan


@dataclass(frozen=True, slots=True, eq=False)
class Predictions:
    """Of N samples: place in the dataset (N,), true class (N,), the classes' probabilities (N,K), in the dataset's order."""

    index: Integers
    label: Integers
    probabilities: Probabilities

    @property
    def named(self) -> Integers:
        """The most probable class (N,)."""
        return np.asarray(self.probabilities.argmax(axis=1), np.int64)

    @property
    def score(self) -> Score:
        """Right ones."""
        return Score(int((self.named == self.label).sum()), len(self.label))

    @property
    def confidence(self) -> npt.NDArray[np.float32]:
        """The probability of the named class (N,): what calibration compares with how often it is right."""
        return np.asarray(self.probabilities.max(axis=1, initial=0.0), np.float32)

    def confusion(self) -> Integers:
        """Samples by true class (rows) and named class (K,K)."""
        classes = self.probabilities.shape[1]
        return np.bincount(self.label * classes + self.named, minlength=classes**2).reshape(classes, classes)


@dataclass(frozen=True, slots=True, eq=False)
class Uncertain:
    """Mean of passes with dropout on (Gal & Ghahramani 2016), and what they disagree about, per sample in nats (N,).

    `entropy` is that of the mean; `information` the part of it that comes of the passes' disagreement: how little is
    known about weights there, as against noise in the data.
    """

    predictions: Predictions
    entropy: npt.NDArray[np.float32]
    information: npt.NDArray[np.float32]


def predict(model: nn.Module, loader: RemoteDataLoader, leave_out: Set[int] = frozenset()) -> Predictions:
    """Epoch 0 of the loader, which has shuffle=False and drop_last=False; samples whose index is in `leave_out` excepted.

    A sample that the service could not decode comes as a copy of another one and is left out.
    """
    return _gathered(model, loader, leave_out, lambda inputs: model(inputs).float().softmax(dim=1)[None])[0]


def averaged(each: Sequence[Predictions]) -> Predictions:
    """The mean of the probabilities of views, passes or members, of the same samples."""
    first = each[0]
    if not all(np.array_equal(one.index, first.index) for one in each):
        raise ValueError("only predictions of the same samples have a mean")
    mean = np.mean([one.probabilities for one in each], axis=0, dtype=np.float64)
    return replace(first, probabilities=np.asarray(mean, np.float32))


def predict_uncertain(
    model: nn.Module, loader: RemoteDataLoader, passes: int, seed: int, leave_out: Set[int] = frozenset()
) -> Uncertain | None:
    """So many passes with dropout on and all else as for a test; None for a network without dropout."""
    drops = [module for module in model.modules() if isinstance(module, nn.Dropout)]
    if not drops:
        return None

    def several(inputs: torch.Tensor) -> torch.Tensor:
        for drop in drops:
            drop.train()
        return torch.stack([model(inputs).float().softmax(dim=1) for _ in range(passes)])

    with drawing(f"{seed} {rank()}", next(model.parameters()).device):
        each = _gathered(model, loader, leave_out, several)
    mean = averaged(each)
    expected = np.mean([_entropy(one.probabilities) for one in each], axis=0)
    entropy = _entropy(mean.probabilities)
    return Uncertain(mean, entropy, np.maximum(entropy - expected, 0).astype(np.float32))


def _gathered(
    model: nn.Module, loader: RemoteDataLoader, leave_out: Set[int], infer: Callable[[torch.Tensor], torch.Tensor]
) -> list[Predictions]:
    """What `infer` gives (passes, N, K), for all ranks' samples, as one Predictions a pass."""
    training = model.training
    model.eval()
    loader.set_epoch(0)  # the same draws every time: a noisy test set stays the same test set
    indices, labels, outputs = [], [], []
    with torch.inference_mode():
        for batch in loader:
            inputs = batch["audio"] if "audio" in batch else batch["image"]
            known = batch["valid"].cpu() & ~_among(batch["index"].cpu(), leave_out)
            indices.append(batch["index"].cpu()[known])
            labels.append(batch["label"].cpu()[known])
            outputs.append(infer(inputs).cpu()[:, known])
    model.train(training)
    index, label = (gathered(torch.cat(parts)).numpy() for parts in (indices, labels))
    output = gathered(torch.cat(outputs, dim=1).transpose(0, 1)).numpy()
    order = np.argsort(index, kind="stable")
    return [Predictions(index[order], label[order], output[order, number]) for number in range(output.shape[1])]


def _among(index: torch.Tensor, leave_out: Set[int]) -> torch.Tensor:
    return torch.isin(index, torch.tensor(sorted(leave_out), dtype=torch.int64))


def _entropy(probabilities: Probabilities) -> npt.NDArray[np.float32]:
    return np.asarray(-(probabilities * np.log(np.maximum(probabilities, 1e-12))).sum(axis=1), np.float32)
