"""The examples run as they stand, but for the address."""

import importlib.util
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent.parent / "examples"


@pytest.fixture
def roomy(serve):
    return serve(max_request_bytes=64 << 20).ready()


def load(name):
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_local_masks_learn(roomy, monkeypatch):
    example = load("local_masks")
    monkeypatch.setattr(example, "URL", roomy.url)
    assert example.main(epochs=8) < 0.9 * example.main(epochs=1)


@pytest.mark.parametrize("name", ["before_after", "whitening"])
def test_the_examples_write_their_images(roomy, monkeypatch, tmp_path, name):
    example = load(name)
    monkeypatch.setattr(example, "Client", lambda _: roomy.client())
    example.main(str(tmp_path / "image.png"))
    assert (tmp_path / "image.png").stat().st_size > 10_000
