"""A plain PyTorch training loop; only the loader is specific to the service.

make serve                                       # in another terminal
.venv/bin/python examples/own_loop.py
"""

import torch
from torch import nn

from augsvc_client import RemoteDataLoader

URL = "http://127.0.0.1:8000"


def main(epochs: int = 5) -> float:
    """Train a small network to classify digits; returns the last loss."""
    model = nn.Sequential(nn.Conv2d(1, 32, 5, stride=2), nn.PReLU(), nn.Conv2d(32, 10, 5, stride=2), nn.PReLU())
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3)
    loader = RemoteDataLoader(URL, dataset="digits/train", pipeline="light", batch_size=64, size=(32, 32))
    loss = torch.tensor(0.0)
    with loader:
        for epoch in range(epochs):
            for batch in loader:  # each pass is the next epoch, with a new order and new draws
                loss = nn.functional.cross_entropy(model(batch["image"]).amax(dim=(2, 3)), batch["label"])
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
            print(f"epoch {epoch}: loss {loss.item():.3f}, waited {loader.wait_s_total:.2f} s for data")
    return loss.item()


if __name__ == "__main__":
    main()
