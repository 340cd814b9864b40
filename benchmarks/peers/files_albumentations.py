"""Albumentations over files in a `DataLoader`, decoded by OpenCV or simplejpeg."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import simplejpeg
import torch

from benchmarks.peers import Peer, Run, data_loader
from benchmarks.peers.albumentations import A, version
from benchmarks.recipes import SIZE


def _by_opencv(path: str) -> np.ndarray:
    image: np.ndarray = cv2.imread(path, cv2.IMREAD_COLOR_RGB)
    return image


def _by_simplejpeg(path: str) -> np.ndarray:
    image: np.ndarray = simplejpeg.decode_jpeg(Path(path).read_bytes(), "RGB")
    return image


def _without_threads(worker: int) -> None:
    cv2.setNumThreads(0)


def _make(decode: Callable[[str], np.ndarray]) -> Callable[[list[dict[str, Any]], str], Run]:
    def make(pipeline: list[dict[str, Any]], folder: str) -> Run:
        _, flip, jitter = pipeline
        colors = {name: tuple(jitter[name]) for name in ("brightness", "contrast", "saturation", "hue")}
        transforms = A.Compose(
            [
                A.RandomResizedCrop((SIZE, SIZE)),
                A.HorizontalFlip(p=flip["p"]),
                A.ColorJitter(**colors, p=1.0),
                A.ToTensorV2(),
            ]
        )

        def load(path: str) -> torch.Tensor:
            image: torch.Tensor = transforms(image=decode(path))["image"]
            return image

        return data_loader.epochs(folder, load, _without_threads)

    return make


PEERS = {
    "files_opencv": Peer("Albumentations, OpenCV, DataLoader", version, _make(_by_opencv), works_ahead=True),
    "files_simplejpeg": Peer(
        "Albumentations, simplejpeg, DataLoader", version, _make(_by_simplejpeg), works_ahead=True
    ),
}
