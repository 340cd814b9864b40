"""Rain, against Kornia's with the same numbers."""

import kornia.augmentation as augmentation
import numpy as np
import pytest
import torch

from augsvc.numerics.rng import Address, operation_key, pixel_numbers
from tests.harness import one, patch, run

pytestmark = pytest.mark.usefixtures("each_executor")
SIZE = (40, 52)


def test_the_drops_are_kornias():
    image = patch("coffee", *SIZE)
    step = {"op": "rain", "drops": [0, 60], "length": [1, 20], "slant": [-2, 2]}
    stream = run([step], [image] * 24)
    numbers = pixel_numbers(0, operation_key("rain"), 120, Address(np.arange(24), 0, 0))
    slants = set()
    for position, shown in enumerate(stream.images()):
        draws = stream.draws(position)
        drops = int(draws["drops"])
        starts = (numbers[position, : 2 * drops] + 0.5).reshape(2, drops).T / 65536
        slants.add(np.sign(draws["slant"]))
        params = {
            "number_of_drops_factor": torch.tensor([drops]),
            "drop_height_factor": torch.tensor([int(draws["length"])]),
            "drop_width_factor": torch.tensor([int(draws["slant"])]),
            "coordinates_factor": torch.tensor(starts[None], dtype=torch.float64),
        }
        theirs = augmentation.RandomRain(p=1.0).apply_transform(
            torch.tensor(image / 255).permute(2, 0, 1)[None], params, {}
        )
        np.testing.assert_array_equal(shown, (theirs[0].permute(1, 2, 0).numpy() * 255 + 0.5).astype(np.uint8))
    assert slants == {-1, 0, 1}


def test_drops_are_cut_to_the_canvas_and_let_through_what_opacity_leaves():
    image = patch("coffee", 3, 4)
    step = {"op": "rain", "drops": 4000, "length": 100, "slant": 100, "value": 1, "opacity": 0.25}
    shown = one([step], image)
    wet = (shown != image).any(axis=2)
    assert wet.any()
    assert abs(shown - np.where(wet[..., None], image * 0.75 + 255 * 0.25, image)).max() <= 0.6
