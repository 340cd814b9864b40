"""Kornia as its users write it: `AugmentationSequential` over a float batch."""

from typing import Any

import kornia
import kornia.augmentation as K
import numpy as np
import torch

from augsvc.cpus import cores
from benchmarks.peers import Run, fastest, steps
from benchmarks.recipes import BLUR_TAPS

TITLE = "Kornia, `AugmentationSequential`"

STEPS = {
    "rotation": lambda s: K.RandomRotation(degrees=tuple(s["degrees"]), p=1.0),
    "horizontal_flip": lambda s: K.RandomHorizontalFlip(p=1.0),
    "affine": lambda s: K.RandomAffine(
        degrees=tuple(s["degrees"]),
        translate=(s["translate_x"][0], s["translate_y"][0]),
        scale=tuple(s["scale"]),
        p=1.0,
    ),
    "color_jitter": lambda s: K.ColorJitter(
        brightness=tuple(s["brightness"]),
        contrast=tuple(s["contrast"]),
        saturation=tuple(s["saturation"]),
        hue=tuple(s["hue"]),
        p=1.0,
    ),
    "color_shift": lambda s: K.RandomRGBShift(*[s["shift"][0]] * 3, p=1.0),
    "gamma": lambda s: K.RandomGamma(gamma=tuple(s["gamma"]), p=1.0),
    "gaussian_blur": lambda s: K.RandomGaussianBlur((BLUR_TAPS, BLUR_TAPS), tuple(s["sigma"]), p=1.0),
    "gaussian_noise": lambda s: K.RandomGaussianNoise(std=s["std"][0], p=1.0),
    "erasing": lambda s: K.RandomErasing(scale=tuple(s["scale"]), ratio=tuple(s["ratio"]), p=1.0),
}


def version() -> str:
    """Of Kornia, and of torch."""
    return f"{kornia.__version__}, torch {torch.__version__}"


def make(pipeline: list[dict[str, Any]], images: np.ndarray, device: str = "cpu") -> Run:
    """With one thread of torch's or one a core, whichever is faster."""
    augmentations = K.AugmentationSequential(*steps(STEPS, pipeline), data_keys=["input"])

    def with_threads(threads: int) -> Run:
        @torch.inference_mode()
        def run() -> np.ndarray:
            torch.set_num_threads(threads)
            batch = torch.from_numpy(images).to(device).permute(0, 3, 1, 2).float().div_(255.0).contiguous()
            return augmentations(batch).mul(255.0).add_(0.5).clamp_(0.0, 255.0).to(torch.uint8).cpu().numpy()

        return run

    return fastest({str(threads): with_threads(threads) for threads in sorted({1, cores()})})
