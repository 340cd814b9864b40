"""Colour augmentation along a dataset's principal components."""

from typing import Annotated, ClassVar, Literal

import numpy as np

from augsvc.arrays import F64
from augsvc.numerics.color import diagonal
from augsvc.numerics.geometry import Canvas
from augsvc.ops.kinds.image import Statistics, Tone
from augsvc.ops.laws import NORMAL
from augsvc.ops.operation import Draw, Drawn, Interval, Settings


class FancyPca(Tone):
    """Adds random multiples of the principal components of the dataset's colours (Krizhevsky et al. 2012, §4.1).

    Each multiple is normal, with `alpha` as its standard deviation. The statistics are fitted once per dataset.
    """

    identity: ClassVar[Settings] = {"alpha": 0}
    elsewhere = {"Albumentations": "FancyPCA"}
    op: Literal["fancy_pca"] = "fancy_pca"
    alpha: Annotated[Interval, Drawn(lane=1, low=0.0, high=1.0, count=3, law=NORMAL, unit="std")] = (0.1, 0.1)

    @property
    def needs_fitted(self) -> bool:
        """Always."""
        return True

    def matrix(self, draw: Draw, canvas: Canvas, statistics: Statistics) -> F64:
        """v' = v + Σ α_k·λ_k·e_k, of the eigenvalues λ and unit eigenvectors e of the covariance on [0, 1], largest first."""
        if canvas.colors is None:
            raise ValueError("fancy_pca needs statistics of the dataset")
        n, channels = len(draw.selected), canvas.channels
        matrix, alpha = diagonal(np.ones(n), np.zeros(n), channels), draw.value("alpha")
        for k, (value, axis) in enumerate(canvas.colors.principal_axes(channels)):
            for c in range(channels):
                matrix[:, c, channels] += alpha[:, k] * (value * axis[c])
        return matrix
