"""Hugging Face Accelerate on batches from the service: in one process, or in several with torchrun.

make serve                                       # in another terminal
.venv/bin/pip install accelerate
ACCELERATE_USE_CPU=true .venv/bin/torchrun --nproc-per-node 2 examples/accelerate_loop.py

Each process requests its own slice. Do not wrap the loader in a torch DataLoader: Accelerate would treat it as an iterable
dataset and, with its default dispatch_batches, read it on the first process only and split that slice among all processes.
"""

import json
import sys
from pathlib import Path

import torch
from accelerate import Accelerator
from torch import nn

from augsvc_client import RemoteDataLoader

URL = "http://127.0.0.1:8000"


def main(folder: Path, epochs: int = 5, stop_after: int | None = None) -> list[int]:
    """Train from the start, or from the folder's checkpoint; returns the indices of the samples that this process got."""
    accelerator = Accelerator()
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 32, 5, stride=2), nn.PReLU(), nn.Conv2d(32, 10, 5, stride=2))
    loader = RemoteDataLoader(
        URL, dataset="digits/train", pipeline="light", batch_size=32, size=(32, 32), device=accelerator.device
    )
    net, optimiser, loader = accelerator.prepare(net, torch.optim.AdamW(net.parameters(), lr=3e-3), loader)
    loader_file = (
        folder / "loader.json"
    )  # a few numbers, equal on all processes; Accelerate would save them as a pickle
    if loader_file.exists():
        accelerator.load_state(str(folder))
        loader.load_state_dict(json.loads(loader_file.read_text()))
    indices: list[int] = []
    with loader:
        while loader.epoch < epochs and len(indices) != 32 * (stop_after or -1):
            for batch in loader:
                loss = nn.functional.cross_entropy(net(batch["image"]).amax(dim=(2, 3)), batch["label"])
                accelerator.backward(loss)
                optimiser.step()
                optimiser.zero_grad()
                indices += batch["index"].tolist()
                if len(indices) == 32 * (stop_after or -1):
                    break
            accelerator.print(f"epoch {loader.epoch}, position {loader.position}: loss {loss.item():.3f}")
        accelerator.save_state(str(folder))
        if accelerator.is_main_process:
            loader_file.write_text(json.dumps(loader.state_dict()))
    accelerator.end_training()
    return indices


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "accelerate-out"))
