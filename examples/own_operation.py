"""An operation of one's own, without a fork: a module that the settings name.

    # settings.yaml
    operations: [own_operation]

    PYTHONPATH=examples augsvc serve --config settings.yaml

It is then one of the server's operations: validated, in /v1/ops and the self-test, and held to the same laws. All replicas
of a job need it.
"""

from typing import Annotated, Literal

import numpy as np

from augsvc.arrays import F64
from augsvc.ops.kinds.image import TABLE_ENTRIES, Tone
from augsvc.ops.operation import Draw, Drawn, Interval


class Solarize(Tone):
    """Inverts every value from a threshold on."""

    op: Literal["solarize"] = "solarize"
    threshold: Annotated[Interval, Drawn(lane=1, low=0.0, high=1.0)] = (0.5, 1.0)

    def table(self, draw: Draw) -> F64:
        """v' = 1 − v where v ≥ threshold."""
        values = np.arange(TABLE_ENTRIES)[None, :] / (TABLE_ENTRIES - 1)
        return np.where(values >= draw.value("threshold")[:, None], 1.0 - values, values)
