"""torchvision's v2 transforms over files in a `DataLoader`, decoded by Pillow."""

from typing import Any

import torch
from PIL import Image

from benchmarks.peers import Peer, Run, data_loader, steps
from benchmarks.peers.torchvision import STEPS, v2, version


def _make(pipeline: list[dict[str, Any]], folder: str) -> Run:
    transforms = v2.Compose([v2.PILToTensor(), *steps(STEPS, pipeline)])

    def load(path: str) -> torch.Tensor:
        with Image.open(path) as image:
            result: torch.Tensor = transforms(image.convert("RGB"))
        return result

    return data_loader.epochs(folder, load)


PEERS = {"files_torchvision": Peer("torchvision v2, Pillow, DataLoader", version, _make, works_ahead=True)}
