"""Segmentation on a local dataset, with images and masks augmented by the service.

make serve                                       # in another terminal
.venv/bin/python examples/local_masks.py
"""

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from augsvc_client import AugmentingDataLoader, Client

URL = "http://127.0.0.1:8000"


def main(epochs: int = 3) -> float:
    """Train a tiny network to segment shapes; returns the last loss."""
    with Client(URL) as client:  # in place of local data: images N,H,W,C and masks N,H,W, uint8
        stored = client.stream({"dataset": "shapes/train", "output": {"layout": "NHWC"}}).batch(0, 0, 128)
    dataset = TensorDataset(*(torch.from_numpy(stored[name]) for name in ("image", "mask", "label")))
    model = nn.Sequential(nn.Conv2d(3, 16, 5, padding=2), nn.PReLU(), nn.Conv2d(16, 4, 5, padding=2))
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3)
    loss = torch.tensor(0.0)
    with AugmentingDataLoader(DataLoader(dataset, batch_size=16), URL, pipeline="standard") as loader:
        for _ in range(epochs):
            for batch in loader:  # image float in [-1, +1]; the mask moves with it, 255 outside the image
                logits = model(batch["image"])
                loss = nn.functional.cross_entropy(logits, batch["mask"].long(), ignore_index=255)
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
            print(f"epoch {loader.epoch}: loss {loss.item():.3f}")
    return loss.item()


if __name__ == "__main__":
    main()
