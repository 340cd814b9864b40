"""A JAX training loop on batches as NumPy arrays: torch is not needed.

make serve                                       # in another terminal
.venv/bin/pip install jax
.venv/bin/python examples/jax_loop.py
"""

import json
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from augsvc_client import Client

URL = "http://127.0.0.1:8000"
SPEC = {"dataset": "digits/train", "pipeline": "light", "size": [16, 16], "order_seed": 0, "aug_seed": 0}
BATCH, HIDDEN, CLASSES, RATE = 64, 128, 10, 0.2


def init() -> list[jax.Array]:
    """Weights and biases of a network with one hidden layer."""
    first, second = jax.random.split(jax.random.key(0))
    return [
        0.05 * jax.random.normal(first, (16 * 16, HIDDEN)),
        jnp.zeros(HIDDEN),
        0.05 * jax.random.normal(second, (HIDDEN, CLASSES)),
        jnp.zeros(CLASSES),
    ]


@jax.jit
def step(net: list[jax.Array], image: jax.Array, label: jax.Array) -> tuple[list[jax.Array], jax.Array]:
    """One step of gradient descent; returns the weights and the loss."""

    def loss(net: list[jax.Array]) -> jax.Array:
        hidden = jax.nn.relu((image.reshape(len(image), -1) / 127.5 - 1.0) @ net[0] + net[1])
        return -jnp.take_along_axis(jax.nn.log_softmax(hidden @ net[2] + net[3]), label[:, None], axis=1).mean()

    value, gradients = jax.value_and_grad(loss)(net)
    return [weight - RATE * gradient for weight, gradient in zip(net, gradients, strict=True)], value


def main(folder: Path, epochs: int = 5, stop_after: int | None = None) -> list[int]:
    """Train from the start, or from the folder's checkpoint; returns the indices of the samples that were trained on."""
    folder.mkdir(parents=True, exist_ok=True)
    weights, place = folder / "weights.npz", folder / "place.json"
    net, state = init(), {"id": None, "epoch": 0, "start": 0}
    if place.exists():
        net, state = list(map(jnp.asarray, np.load(weights).values())), json.loads(place.read_text())
    indices: list[int] = []
    with Client(URL) as client:
        stream = client.stream(SPEC, id=state["id"])  # pinned: the same samples and pixels as before
        state["id"] = stream.id
        while state["epoch"] < epochs and len(indices) != BATCH * (stop_after or -1):
            frames = (stream.samples - state["start"]) // BATCH  # one request; the server computes one batch ahead
            for batch in stream.frames(state["epoch"], state["start"], BATCH, frames=frames):
                net, loss = step(net, batch["image"], batch["label"])
                indices += batch["index"].tolist()
                state["start"] += BATCH
                if len(indices) == BATCH * (stop_after or -1):
                    break
            print(f"epoch {state['epoch']}, position {state['start']}: loss {loss:.3f}")
            if state["start"] + BATCH > stream.samples:
                state |= {"epoch": state["epoch"] + 1, "start": 0}
    np.savez(weights, *net)
    place.write_text(json.dumps(state))
    return indices


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "jax-out"))
