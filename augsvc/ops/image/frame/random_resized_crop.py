"""Random resized crop."""

from typing import Annotated, Literal

import numpy as np

from augsvc.arrays import F64, I64
from augsvc.numerics.geometry import Canvas, crop_matrix
from augsvc.ops.kinds.border import Resampled
from augsvc.ops.kinds.image import Frame, Sources
from augsvc.ops.laws import LOG_UNIFORM
from augsvc.ops.operation import Draw, Drawn, Interval

_TRIALS = 10  # as in torchvision


class RandomResizedCrop(Resampled, Frame):
    """Crops a random area of the source and resizes it to the canvas, as torchvision's RandomResizedCrop."""

    elsewhere = {
        "Kornia": "RandomResizedCrop",
        "torchvision": "RandomResizedCrop",
        "Albumentations": "RandomResizedCrop, RandomSizedCrop",
    }
    op: Literal["random_resized_crop"] = "random_resized_crop"
    scale: Annotated[Interval, Drawn(lane=1, low=0.01, high=1.0, count=_TRIALS, unit="of the area")] = (0.08, 1.0)
    ratio: Annotated[
        Interval, Drawn(lane=4, low=0.1, high=10.0, count=_TRIALS, law=LOG_UNIFORM, unit="width ÷ height")
    ] = (0.75, 4.0 / 3.0)
    place_x: Annotated[Interval, Drawn(lane=7, low=0.0, high=1.0, unit="of the free width")] = (0.0, 1.0)
    place_y: Annotated[Interval, Drawn(lane=8, low=0.0, high=1.0, unit="of the free height")] = (0.0, 1.0)

    def matrix(self, draw: Draw, sources: Sources, canvas: Canvas) -> F64:
        """Ten trials draw an area, uniform in `scale`, and a width-to-height ratio, log-uniform in `ratio`, in whole pixels.

        The first that fits into the source is taken, at a random place; if none fits, the largest centred crop whose ratio is
        in range. All trials are drawn together, so a sample's numbers do not depend on how many it needs.
        """
        sizes = sources.sizes
        area, ratio = draw.value("scale") * sizes.prod(axis=1)[:, None], draw.value("ratio")
        trials = np.rint(np.sqrt(np.stack((area / ratio, area * ratio), axis=-1)))
        fits = ((trials >= 1.0) & (trials <= sizes[:, None])).all(axis=2)
        first = np.take_along_axis(trials, fits.argmax(axis=1)[:, None, None], axis=1)[:, 0]
        is_random = fits.any(axis=1)[:, None]
        crop = np.where(is_random, first, self._largest(sizes))
        spare = sizes - crop
        place = np.stack((draw.value("place_y"), draw.value("place_x")), axis=-1)
        corner = np.where(is_random, np.minimum(np.floor(place * (spare + 1.0)), spare), np.floor(spare / 2.0))
        return crop_matrix(corner, crop, canvas)

    def _largest(self, sizes: I64) -> F64:
        """(H, W) of the largest crops with a ratio in range: at least one pixel, also of a line."""
        low, high = self.ratio
        limits = np.rint(np.stack((sizes[:, 1] / low, sizes[:, 0] * high), axis=-1))
        return np.maximum(np.minimum(sizes, limits), 1.0)
