"""Emboss, against SciPy's correlation."""

import numpy as np
import pytest
from scipy import ndimage

from tests.harness import agree, patch, run, to_levels

pytestmark = pytest.mark.usefixtures("each_executor")


@pytest.mark.parametrize("size", [(30, 40), (1, 9), (1, 1)])
def test_it_is_scipys_correlation_with_albumentations_kernel(size):
    image = patch("coffee", *size)
    stream = run([{"op": "emboss", "alpha": [0, 1], "strength": [0, 2]}], [image] * 4)
    for position, shown in enumerate(stream.images()):
        alpha, s = (stream.draws(position)[name] for name in ("alpha", "strength"))
        effect = np.array([[-1 - s, -s, 0], [-s, 1, s], [0, s, 1 + s]])
        kernel = (1 - alpha) * np.array([[0, 0, 0], [0, 1, 0], [0, 0, 0]]) + alpha * effect
        planes = [ndimage.correlate(plane / 255, kernel, mode="mirror") for plane in np.moveaxis(image, 2, 0)]
        agree(shown, to_levels(np.stack(planes, axis=-1)), most=1, mean=0.01)
