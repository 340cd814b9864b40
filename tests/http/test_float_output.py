"""Pixels as floats over the wire: any reader of the format has them, and the loader gives them as torch knows them."""

import pytest
import safetensors.torch
import torch

from augsvc_client import Client, RemoteDataLoader

SPEC = {"dataset": "digits/test", "pipeline": "standard", "size": [16, 16]}
TORCH = {"float16": torch.float16, "bfloat16": torch.bfloat16, "float32": torch.float32}


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


def test_a_preview_of_floats_is_a_picture(server):
    stream = server.open({**SPEC, "output": {"dtype": "float32", "layout": "NHWC"}})
    plain = server.open({**SPEC, "output": {"layout": "NCHW"}})
    pictures = [
        server.get(f"/v1/streams/{one['id']}/preview.png?count=4", Augsvc_Spec=one["header"]).body
        for one in (stream, plain)
    ]
    assert pictures[0][:4] == b"\x89PNG"
    assert pictures[0] == pictures[1]
