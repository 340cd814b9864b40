"""A custom operation without a fork: a module that is listed in the settings.

    # settings.yaml
    operations: [own_operation]

    PYTHONPATH=examples augsvc serve --config settings.yaml

It then behaves like a built-in operation: it is validated, listed in /v1/ops, and part of the self-test. All replicas of a job
need it.
"""

from typing import Annotated, Literal

import numpy as np

from augsvc.arrays import F64
from augsvc.numerics.geometry import Canvas
from augsvc.ops.kinds.image import TABLE_ENTRIES, Statistics, Tone
from augsvc.ops.operation import Draw, Drawn, Interval


class InvertHighlights(Tone):
    """Inverts all values from a threshold upwards."""

    op: Literal["invert_highlights"] = "invert_highlights"
    threshold: Annotated[Interval, Drawn(lane=1, low=0.0, high=1.0)] = (0.5, 1.0)

    def table(self, draw: Draw, canvas: Canvas, statistics: Statistics) -> F64:
        """v' = 1 − v where v ≥ threshold."""
        values = np.arange(TABLE_ENTRIES)[None, :] / (TABLE_ENTRIES - 1)
        return np.where(values >= draw.value("threshold")[:, None], 1.0 - values, values)
