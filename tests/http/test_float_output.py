"""Pixels as floats over the wire: any reader of the format has them, and the loader gives them as torch knows them."""

import numpy as np
import pytest
import safetensors.torch
import torch

from augsvc_client import AugmentingDataLoader, Client, RemoteDataLoader

SPEC = {"dataset": "digits/test", "pipeline": "standard", "size": [16, 16]}
TORCH = {"float16": torch.float16, "bfloat16": torch.bfloat16, "float32": torch.float32}
STEP = {"float16": 2**-11, "bfloat16": 2**-8, "float32": 2**-24}  # the last bit's worth, below 1
PUSHED = {"pipeline": "standard", "aug_seed": 4}


@pytest.mark.parametrize("dtype", TORCH)
def test_the_wire_the_client_and_the_loader(server, dtype):
    spec = {**SPEC, "output": {"dtype": dtype}}
    stream = server.open(spec)
    assert stream["tensors"]["image"] == {"dtype": dtype, "shape": [-1, 1, 16, 16]}
    wired = safetensors.torch.load(server.batch(stream, 0, 0, 8).body)["image"]
    assert wired.dtype == TORCH[dtype]
    assert -1 <= wired.min() < -0.9 < 0.5 < wired.max() <= 1
    with Client(server.url) as client:
        held = client.stream(spec).batch(0, 0, 8)["image"]
        assert held.dtype.name == ("uint16" if dtype == "bfloat16" else dtype)
        pushed = client.augment(
            {"image": held[:, 0, :, :, None].astype("uint8"), "index": list_of(8)}, output=spec["output"]
        )
        assert pushed.arrays["image"].dtype == held.dtype
    with RemoteDataLoader(server.url, batch_size=8, **spec) as loader:
        assert torch.equal(next(iter(loader))["image"], wired)


def list_of(n):
    return torch.arange(n).numpy()


def test_a_preview_of_floats_is_an_image(server):
    stream = server.open({**SPEC, "output": {"dtype": "float32", "layout": "NHWC"}})
    plain = server.open({**SPEC, "output": {"layout": "NCHW"}})
    previews = [
        server.get(f"/v1/streams/{one['id']}/preview.png?count=4", Augsvc_Spec=one["header"]).body
        for one in (stream, plain)
    ]
    assert previews[0][:4] == b"\x89PNG"
    assert previews[0] == previews[1]


@pytest.fixture(scope="module")
def roomy(serve):
    """A server that takes batches of an ordinary size."""
    return serve(max_request_bytes=8 << 20).ready()


@pytest.fixture(scope="module")
def photographs():
    """A batch of 1.6 MB, whose answer is up to 16 MB, with a mask."""
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (96, 80, 72, 3), dtype=np.uint8)
    return {"image": image, "mask": image[..., 0], "index": np.arange(96)}


@pytest.mark.parametrize("size", [None, (120, 110)])
@pytest.mark.parametrize("dtype", TORCH)
def test_ordinary_batches_are_pushed(roomy, photographs, dtype, size):
    """Asked once, each: an answer that is refused for its size would be asked for until wait_s is over."""
    with Client(roomy.url, wait_s=20) as client:
        whole = client.augment(photographs, size=size, **PUSHED).arrays
        floats = client.augment(photographs, size=size, output={"dtype": dtype}, **PUSHED).arrays
    assert whole["image"].nbytes > 1 << 20
    assert floats["image"].shape == whole["image"].shape
    assert np.array_equal(floats["mask"], whole["mask"])
    held = torch.from_numpy(floats["image"]).view(TORCH[dtype])
    reference = torch.from_numpy(whole["image"]).double() / 127.5 - 1
    assert (held.double() - reference).abs().max() <= STEP[dtype]
    tensors = {name: torch.from_numpy(array) for name, array in photographs.items()}
    wrapped = [(tensors["image"], tensors["mask"])]
    arguments = {"fields": ("image", "mask"), "size": size, "output": {"dtype": dtype}, "wait_s": 20, **PUSHED}
    with AugmentingDataLoader(wrapped, roomy.url, **arguments) as loader:
        assert torch.equal(next(iter(loader))["image"], held)
