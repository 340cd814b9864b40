"""torchvision's v2 transforms, picture by picture, one process a core: what a `DataLoader` does with them.

torchvision on the Python package index is built for CUDA, and its C++ part cannot be loaded beside a CPU build of torch. The
transforms are Python over torch and need of it only that the names of two operators exist.
"""

from typing import Any

import numpy as np
import torch

from benchmarks.peers import Run, pool, steps
from benchmarks.peers.pool import One, in_processes
from benchmarks.recipes import BLUR_TAPS

try:
    import torchvision
except RuntimeError:
    _library = torch.library.Library("torchvision", "FRAGMENT")
    for name in ("nms", "qnms"):
        _library.define(name + "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    import torchvision
from torchvision.transforms import v2

TITLE = "torchvision v2, one process a core"
end = pool.end

STEPS = {
    "rotation": lambda s: v2.RandomRotation(tuple(s["degrees"]), interpolation=v2.InterpolationMode.BILINEAR),
    "horizontal_flip": lambda s: v2.RandomHorizontalFlip(1.0),
    "color_jitter": lambda s: v2.ColorJitter(
        brightness=tuple(s["brightness"]),
        contrast=tuple(s["contrast"]),
        saturation=tuple(s["saturation"]),
        hue=tuple(s["hue"]),
    ),
    "gaussian_blur": lambda s: v2.GaussianBlur(BLUR_TAPS, tuple(s["sigma"])),
    "gaussian_noise": lambda s: v2.GaussianNoise(sigma=s["std"][0]),
    "erasing": lambda s: v2.RandomErasing(1.0, tuple(s["scale"]), tuple(s["ratio"])),
}


def version() -> str:
    """Of torchvision, and of torch."""
    return f"{torchvision.__version__}, torch {torch.__version__}"


def _one(pipeline: list[dict[str, Any]]) -> One:
    torch.set_num_threads(1)
    transforms = v2.Compose(steps(STEPS, pipeline))

    @torch.inference_mode()
    def run(image: np.ndarray) -> np.ndarray:
        return transforms(torch.from_numpy(image).permute(2, 0, 1)).permute(1, 2, 0).numpy()

    return run


def make(pipeline: list[dict[str, Any]], images: np.ndarray) -> Run:
    """On uint8 tensors, as its authors advise."""
    return in_processes(_one, pipeline, images)
