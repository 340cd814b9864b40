"""Predictions on a test set: class probabilities, accuracy, confusion, calibration, and uncertainty.

    loader (shuffle and drop_last false) → predict → Predictions → Score, confusion, compute_calibration
    views of the same samples, or passes with dropout on → average_predictions

Every sample counts once on any number of ranks: each rank predicts its samples and all ranks get all results.
"""

import math
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from scipy.special import entr
from torch import nn

from augsvc_client.loaders.remote import RemoteDataLoader
from augsvc_client.trainer.distributed import gather_rows, rank
from augsvc_client.trainer.training.learner import input_tensor, seeded_rng

Probabilities = npt.NDArray[np.float32]  # N,K
_Z = 1.959964  # 97.5 % of normal deviates are below
Integers = npt.NDArray[np.int64]
_BINS = 15  # as in Guo et al. 2017, "On Calibration of Modern Neural Networks"


@dataclass(frozen=True, slots=True)
class Score:
    """The number of correctly classified samples, and of all samples; the mean loss, and the mean accuracy of the classes.

    Both are None without samples, and in checkpoints of earlier versions. The loss is the negative log-likelihood in nats.
    """

    correct: int
    samples: int
    loss: float | None = None
    balanced: float | None = None

    @property
    def accuracy(self) -> float:
        """The fraction in [0, 1]; NaN without samples."""
        return self.correct / self.samples if self.samples else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's 95 % interval of the accuracy: of the samples, not of other seeds; (0, 1) without samples."""
        if not self.samples:
            return 0.0, 1.0
        n, p = self.samples, self.accuracy
        center, spread = p + _Z**2 / (2 * n), _Z * math.sqrt(p * (1 - p) / n + (_Z / (2 * n)) ** 2)
        scale = 1 + _Z**2 / n
        return max(0.0, (center - spread) / scale), min(1.0, (center + spread) / scale)


@dataclass(frozen=True, slots=True, eq=False)
class Predictions:
    """Predictions for N samples, by index: index in the dataset (N,), true class (N,), class probabilities (N,K)."""

    index: Integers
    label: Integers
    probabilities: Probabilities

    @property
    def predicted(self) -> Integers:
        """The most probable class (N,)."""
        return np.asarray(self.probabilities.argmax(axis=1), np.int64)

    @property
    def score(self) -> Score:
        """Correct predictions out of all, the loss and the balanced accuracy."""
        correct, count = self.predicted == self.label, len(self.label)
        if not count:
            return Score(0, 0)
        likelihoods = self.probabilities[np.arange(count), self.label].astype(np.float64)
        sizes = np.bincount(self.label)
        recalls = np.bincount(self.label, weights=correct)[sizes > 0] / sizes[sizes > 0]
        return Score(
            int(correct.sum()), count, float(-np.log(np.maximum(likelihoods, 1e-12)).mean()), float(recalls.mean())
        )

    @property
    def confidence(self) -> npt.NDArray[np.float32]:
        """The probability of the predicted class (N,)."""
        return np.asarray(self.probabilities.max(axis=1, initial=0.0), np.float32)

    def confusion(self) -> Integers:
        """Sample counts by true class (rows) and predicted class (K,K)."""
        classes = self.probabilities.shape[1]
        return np.bincount(self.label * classes + self.predicted, minlength=classes**2).reshape(classes, classes)

    def worst_errors(self, limit: int) -> Integers:
        """Rows of up to `limit` wrong predictions, the most confident first."""
        wrong = np.flatnonzero(self.predicted != self.label)
        order = np.argsort(-self.confidence[wrong], kind="stable")
        return np.asarray(wrong[order][:limit], np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """Per non-empty confidence bin: number of samples, mean confidence, and accuracy."""

    count: Integers
    confidence: npt.NDArray[np.float64]
    accuracy: npt.NDArray[np.float64]

    @property
    def error(self) -> float:
        """Expected calibration error in [0, 1]: mean |accuracy - confidence|, weighted by samples; NaN without samples."""
        gaps = np.abs(self.accuracy - self.confidence)
        return float(np.average(gaps, weights=self.count)) if self.count.sum() else float("nan")


@dataclass(frozen=True, slots=True, eq=False)
class Uncertainty:
    """Mean of passes with dropout on (Monte Carlo dropout, Gal & Ghahramani 2016), and its uncertainty in nats (N,).

    `mutual_information` is the part of the mean's entropy due to disagreement between the passes: uncertainty about the
    weights, as opposed to noise in the data.
    """

    predictions: Predictions
    mutual_information: npt.NDArray[np.float32]


def predict(model: nn.Module, loader: RemoteDataLoader, leave_out: Set[int] = frozenset()) -> Predictions:
    """Predict epoch 0 of a loader with shuffle=False and drop_last=False, except samples whose index is in `leave_out`.

    Samples that the service could not decode arrive as copies of other samples and are skipped.
    """
    return _infer(model, loader, leave_out, lambda inputs: model(inputs).float().softmax(dim=1)[None])[0]


def compute_calibration(predictions: Predictions, bins: int = _BINS) -> Calibration:
    """Calibration over bins of equal width on (0, 1]."""
    confidence = predictions.confidence.astype(np.float64)
    bin_index = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    count = np.bincount(bin_index, minlength=bins)
    correct = np.bincount(bin_index, weights=predictions.predicted == predictions.label, minlength=bins)
    total = np.bincount(bin_index, weights=confidence, minlength=bins)
    filled = count > 0
    return Calibration(count[filled], total[filled] / count[filled], correct[filled] / count[filled])


def average_predictions(predictions: Sequence[Predictions]) -> Predictions:
    """The mean probabilities of views, passes or ensemble members; raises ValueError unless all have the same samples."""
    first = predictions[0]
    if not all(np.array_equal(other.index, first.index) for other in predictions):
        raise ValueError("predictions of different samples cannot be averaged")
    mean = np.mean([each.probabilities for each in predictions], axis=0, dtype=np.float64)
    return replace(first, probabilities=np.asarray(mean, np.float32))


def predict_uncertainty(
    model: nn.Module, loader: RemoteDataLoader, passes: int, seed: int, leave_out: Set[int] = frozenset()
) -> Uncertainty | None:
    """Predict with `passes` passes with dropout on, otherwise in test mode; None for a network without dropout."""
    dropouts = [module for module in model.modules() if isinstance(module, nn.Dropout)]
    if not dropouts:
        return None

    def infer(inputs: torch.Tensor) -> torch.Tensor:
        for dropout in dropouts:
            dropout.train()
        return torch.stack([model(inputs).float().softmax(dim=1) for _ in range(passes)])

    with seeded_rng(f"{seed} {rank()}", next(model.parameters()).device):
        predictions = _infer(model, loader, leave_out, infer)
    mean = average_predictions(predictions)
    expected = np.mean([entr(each.probabilities).sum(axis=1) for each in predictions], axis=0)
    disagreement = entr(mean.probabilities).sum(axis=1) - expected
    return Uncertainty(mean, np.maximum(disagreement, 0).astype(np.float32))


def _infer(
    model: nn.Module, loader: RemoteDataLoader, leave_out: Set[int], infer: Callable[[torch.Tensor], torch.Tensor]
) -> list[Predictions]:
    """The probabilities from `infer` (passes, N, K) for the samples of all ranks, as one Predictions per pass."""
    training = model.training
    model.eval()
    loader.set_epoch(0)  # the same draws every time, so that a noisy test set stays the same
    left_out = torch.tensor(sorted(leave_out), dtype=torch.int64)
    indices, labels, outputs = [], [], []
    with torch.inference_mode():
        for batch in loader:
            inputs = input_tensor(batch)
            counted = batch["valid"].cpu() & ~torch.isin(batch["index"].cpu(), left_out)
            indices.append(batch["index"].cpu()[counted])
            labels.append(batch["label"].cpu()[counted])
            outputs.append(infer(inputs).cpu()[:, counted])
    model.train(training)
    index, label = (gather_rows(torch.cat(batches)).numpy() for batches in (indices, labels))
    output = gather_rows(torch.cat(outputs, dim=1).transpose(0, 1)).numpy()
    order = np.argsort(index, kind="stable")
    return [Predictions(index[order], label[order], output[order, i]) for i in range(output.shape[1])]
