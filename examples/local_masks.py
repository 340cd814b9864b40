"""Segmentation on a data set of one's own: a local loader, its pictures and masks augmented by the service.

make serve                                       # in another terminal
.venv/bin/python examples/local_masks.py
"""

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from augsvc_client import AugmentingDataLoader, Client

URL = "http://127.0.0.1:8000"


def main(epochs: int = 3) -> float:
    """Trains a tiny network to find shapes; returns the last loss."""
    with Client(URL) as client:  # stands for data of one's own: pictures N,H,W,C and masks N,H,W, uint8
        stored = client.stream({"dataset": "shapes/train", "output": {"layout": "NHWC"}}).batch(0, 0, 128)
    own = TensorDataset(*(torch.from_numpy(stored[name]) for name in ("image", "mask", "label")))
    model = nn.Sequential(nn.Conv2d(3, 16, 5, padding=2), nn.PReLU(), nn.Conv2d(16, 4, 5, padding=2))
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3)
    loss = torch.tensor(0.0)
    with AugmentingDataLoader(DataLoader(own, batch_size=16), URL, pipeline="standard") as loader:
        for _ in range(epochs):
            for batch in loader:  # image float in [-1, +1]; mask moved with it, 255 where nothing of the picture is
                logits = model(batch["image"])
                loss = nn.functional.cross_entropy(logits, batch["mask"].long(), ignore_index=255)
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
            print(f"epoch {loader.epoch}: loss {loss.item():.3f}")
    return loss.item()


if __name__ == "__main__":
    main()
