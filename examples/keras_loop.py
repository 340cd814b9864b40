"""A Keras 3 training loop on batches from the service, with any of its backends.

make serve                                       # in another terminal
.venv/bin/pip install keras
KERAS_BACKEND=torch .venv/bin/python examples/keras_loop.py

`fit` reads a generator a batch ahead, so that a checkpoint would not tell which batch was trained on last; `train_on_batch` does
not.
"""

import json
import os
import sys
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "torch")

import keras

from augsvc_client import RemoteDataLoader

URL = "http://127.0.0.1:8000"


def build() -> keras.Model:
    """A small convolutional network, compiled."""
    keras.utils.set_random_seed(0)
    layers = [
        keras.layers.Input((32, 32, 1)),
        keras.layers.Conv2D(16, 5, strides=2, activation="relu"),
        keras.layers.Conv2D(32, 5, strides=2, activation="relu"),
        keras.layers.GlobalMaxPooling2D(),
        keras.layers.Dense(10),
    ]
    model = keras.Sequential(layers)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.AdamW(3e-3), loss)
    return model


def main(folder: Path, epochs: int = 5, stop_after: int | None = None) -> list[int]:
    """Train from the start, or from the folder's checkpoint; returns the indices of the samples that were trained on."""
    folder.mkdir(parents=True, exist_ok=True)
    saved, loader_file = folder / "model.keras", folder / "loader.json"
    fields = {"dataset": "digits/train", "pipeline": "light", "size": (32, 32), "output": {"layout": "NHWC"}}
    loader = RemoteDataLoader(URL, batch_size=64, **fields)
    model = keras.models.load_model(saved) if saved.exists() else build()
    if loader_file.exists():
        loader.load_state_dict(json.loads(loader_file.read_text()))
    indices: list[int] = []
    with loader:
        while loader.epoch < epochs and len(indices) != 64 * (stop_after or -1):
            for batch in loader:
                loss = model.train_on_batch(batch["image"].numpy(), batch["label"].numpy())
                indices += batch["index"].tolist()
                if len(indices) == 64 * (stop_after or -1):
                    break
            print(f"epoch {loader.epoch}, position {loader.position}: loss {float(loss):.3f}")
        model.save(saved)  # with the optimizer's state
        loader_file.write_text(json.dumps(loader.state_dict()))
    return indices


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "keras-out"))
