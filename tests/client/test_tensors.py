"""Images as floats: the values, and the memory that they lie in."""

import numpy as np
import pytest
import torch

from augsvc_client.loaders.tensors import to_tensors
from augsvc_client.transport.buffers import Buffers


def batch(dtype="uint8", shape=(8, 3, 224, 224)):
    return {"image": np.random.default_rng(0).integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)}


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize("scale", [(-1.0, 1.0), (0.0, 1.0), (-2.1, 2.64)])
@pytest.mark.parametrize("shape", [(8, 3, 224, 224), (2, 5, 7, 1), (0, 3, 4, 4)])
def test_scaled_images_are_float_arithmetic(dtype, scale, shape):
    arrays = batch(dtype, shape)
    low, high = scale
    expected = torch.from_numpy(arrays["image"]).float() * (high - low) / float(np.iinfo(dtype).max) + low
    scaled = to_tensors(arrays, None, scale, Buffers())["image"]
    assert torch.equal(scaled, expected) and scaled.is_contiguous()


def test_the_memory_of_scaled_images_is_used_again_when_no_part_of_them_lives():
    """Page faults of fresh memory were most of the client's CPU time."""
    buffers = Buffers()
    images = to_tensors(batch(), None, (-1.0, 1.0), buffers)["image"]
    there, row, kept = images.data_ptr(), images[3], images[3].clone()
    del images
    other = to_tensors(batch(), None, (0.0, 1.0), buffers)["image"]
    assert other.data_ptr() != there and torch.equal(row, kept)
    del row
    assert to_tensors(batch(), None, (0.0, 1.0), buffers)["image"].data_ptr() == there
