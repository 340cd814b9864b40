"""Loops of JAX, Keras and Hugging Face: resumed from a checkpoint, they get the samples and weights of an uninterrupted run."""

import json

import numpy as np
import pytest
import torch

from tests.http.test_examples import load

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]  # the frameworks' own advice


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()  # so that sums have one order
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def jax_weights(folder):
    return list(np.load(folder / "weights.npz").values())


def keras_weights(folder):
    import keras

    return [
        np.asarray(keras.ops.convert_to_numpy(v)) for v in keras.models.load_model(folder / "model.keras").variables
    ]


LOOPS = {"jax": ("jax_loop", jax_weights), "keras": ("keras_loop", keras_weights)}


@pytest.mark.parametrize("stop", [7, None], ids=["mid-epoch", "at an epoch's end"])
@pytest.mark.parametrize("package", LOOPS)
def test_a_loop_goes_on_where_its_checkpoint_was_taken(server, monkeypatch, tmp_path, package, stop):
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    pytest.importorskip(package)
    name, weights = LOOPS[package]
    example = load(name)
    monkeypatch.setattr(example, "URL", server.url)
    whole = example.main(tmp_path / "whole", epochs=2)
    assert len(set(whole)) > 0.9 * len(whole) / 2
    parts = example.main(tmp_path / "parts", epochs=1 if stop is None else 2, stop_after=stop)
    assert len(parts) == (len(whole) // 2 if stop is None else 64 * stop)
    parts += example.main(tmp_path / "parts", epochs=2)
    assert parts == whole
    for one, other in zip(weights(tmp_path / "whole"), weights(tmp_path / "parts"), strict=True):
        np.testing.assert_array_equal(one, other)
    (state,) = (path for path in (tmp_path / "parts").glob("*.json"))
    assert json.loads(state.read_text())["epoch"] == 2


@pytest.mark.parametrize("stop", [7, 21], ids=["mid-epoch", "at an epoch's end"])
def test_hugging_face_s_trainer_goes_on_where_its_checkpoint_was_taken(server, monkeypatch, tmp_path, stop):
    pytest.importorskip("transformers")
    example = load("hugging_face_trainer")
    monkeypatch.setattr(example, "URL", server.url)
    seen = []

    class Spy(example.Classifier):
        def forward(self, image, label, index, **others):
            seen.append(tuple(index.tolist()))
            return super().forward(image, label, **others)

    monkeypatch.setattr(example, "Classifier", Spy)
    whole = example.main(tmp_path / "whole", epochs=2, save_steps=stop)
    samples, checkpoint = list(seen), tmp_path / "whole" / f"checkpoint-{stop}"
    seen.clear()
    resumed = example.main(tmp_path / "parts", epochs=2, save_steps=100, checkpoint=checkpoint)
    assert len(samples) == 42
    assert seen == samples[stop:]
    for one, other in zip(whole.state_dict().values(), resumed.state_dict().values(), strict=True):
        assert torch.equal(one, other)
