"""Calibration of predictions: how confidence compares with accuracy (Guo et al. 2017).

Predictions → compute_calibration → Calibration
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from augsvc_client.trainer.training.evaluate import Predictions

_BINS = 15  # as in Guo et al. 2017, "On Calibration of Modern Neural Networks"

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """Per non-empty confidence bin: number of samples, mean confidence, and accuracy."""

    count: npt.NDArray[np.int64]
    confidence: Floats
    accuracy: Floats

    @property
    def error(self) -> float:
        """Expected calibration error in [0, 1]: mean |accuracy - confidence|, weighted by samples; NaN without samples."""
        gaps = np.abs(self.accuracy - self.confidence)
        return float(np.average(gaps, weights=self.count)) if self.count.sum() else float("nan")


def compute_calibration(predictions: Predictions, bins: int = _BINS) -> Calibration:
    """Calibration over bins of equal width on (0, 1]."""
    confidence = predictions.confidence.astype(np.float64)
    bin_index = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    count = np.bincount(bin_index, minlength=bins)
    correct = np.bincount(bin_index, weights=predictions.predicted == predictions.label, minlength=bins)
    total = np.bincount(bin_index, weights=confidence, minlength=bins)
    filled = count > 0
    return Calibration(count[filled], total[filled] / count[filled], correct[filled] / count[filled])
