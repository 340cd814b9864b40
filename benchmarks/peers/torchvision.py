"""torchvision's v2 transforms: image by image in one process a core, as in a `DataLoader`; and over whole batches on a GPU.

torchvision on PyPI is built for CUDA, and its C++ extension cannot be loaded beside a CPU build of torch. The transforms are
Python over torch; all they need of the extension is that the names of two operators exist.
"""

from typing import Any

import numpy as np
import torch

from benchmarks.peers import Peer, Run, on_gpu, pool, steps
from benchmarks.peers.pool import Function, in_processes
from benchmarks.recipes import BLUR_TAPS, SIZE

try:
    import torchvision
except RuntimeError:
    _library = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]
    for name in ("nms", "qnms"):
        _library.define(name + "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")  # type: ignore[no-untyped-call]
    import torchvision
from torchvision.transforms import v2

__all__ = ["PEERS", "STEPS", "v2", "version"]  # v2: for other modules, whose import of torchvision would fail
_BILINEAR = v2.InterpolationMode.BILINEAR

STEPS = {
    "affine": lambda s: v2.RandomAffine(
        tuple(s["degrees"]), (s["translate_x"][0], s["translate_y"][0]), tuple(s["scale"]), interpolation=_BILINEAR
    ),
    "autocontrast": lambda s: v2.RandomAutocontrast(1.0),
    "brightness": lambda s: v2.ColorJitter(brightness=tuple(s["factor"])),
    "center_crop": lambda s: v2.CenterCrop(SIZE),
    "channel_shuffle": lambda s: v2.RandomChannelPermutation(),
    "color_jitter": lambda s: v2.ColorJitter(
        brightness=tuple(s["brightness"]),
        contrast=tuple(s["contrast"]),
        saturation=tuple(s["saturation"]),
        hue=tuple(s["hue"]),
    ),
    "contrast": lambda s: v2.ColorJitter(contrast=tuple(s["factor"])),
    "equalize": lambda s: v2.RandomEqualize(1.0),
    "erasing": lambda s: v2.RandomErasing(1.0, tuple(s["scale"]), tuple(s["ratio"])),
    "gaussian_blur": lambda s: v2.GaussianBlur(BLUR_TAPS, tuple(s["sigma"])),
    "gaussian_noise": lambda s: v2.GaussianNoise(sigma=s["std"][0]),
    "grayscale": lambda s: v2.RandomGrayscale(1.0),
    "horizontal_flip": lambda s: v2.RandomHorizontalFlip(s.get("p", 1.0)),
    "invert": lambda s: v2.RandomInvert(1.0),
    "perspective": lambda s: v2.RandomPerspective(s["distortion"][0], 1.0, interpolation=_BILINEAR),
    "photometric_distort": lambda s: v2.RandomPhotometricDistort(),
    "posterize": lambda s: v2.RandomPosterize(4, 1.0),
    "rand_augment": lambda s: v2.RandAugment(),
    "random_crop": lambda s: v2.RandomCrop(SIZE),
    "random_resized_crop": lambda s: v2.RandomResizedCrop(SIZE),
    "resize": lambda s: v2.Compose([v2.Resize(256), v2.CenterCrop(SIZE)]),
    "rotation": lambda s: v2.RandomRotation(tuple(s["degrees"]), interpolation=_BILINEAR),
    "saturation": lambda s: v2.ColorJitter(saturation=tuple(s["factor"])),
    "scale_jitter": lambda s: v2.Compose(
        [v2.ScaleJitter((SIZE, SIZE), tuple(s["scale"])), v2.RandomCrop(SIZE, pad_if_needed=True)]
    ),
    "sharpen": lambda s: v2.RandomAdjustSharpness(1 + s["amount"][0], 1.0),
    "shear": lambda s: v2.RandomAffine(0, shear=(*s["x"], *s["y"]), interpolation=_BILINEAR),
    "shortest_side": lambda s: v2.Compose([v2.RandomShortestSize(s["pixels"]), v2.CenterCrop(SIZE)]),
    "solarize": lambda s: v2.RandomSolarize(128, 1.0),
    "translate": lambda s: v2.RandomAffine(0, (s["x"][0], s["y"][0]), interpolation=_BILINEAR),
    "vertical_flip": lambda s: v2.RandomVerticalFlip(1.0),
    "zoom_out": lambda s: v2.Compose([v2.RandomZoomOut(side_range=tuple(s["side"]), p=1.0), v2.Resize((SIZE, SIZE))]),
}


def version() -> str:
    """torchvision's and torch's."""
    return f"{torchvision.__version__}, torch {torch.__version__}"


def _image_function(pipeline: list[dict[str, Any]]) -> Function:
    torch.set_num_threads(1)
    transforms = v2.Compose(steps(STEPS, pipeline))

    @torch.inference_mode()
    def run(image: np.ndarray) -> np.ndarray:
        result: torch.Tensor = transforms(torch.from_numpy(image).permute(2, 0, 1))
        return result.permute(1, 2, 0).numpy()

    return run


def make(pipeline: list[dict[str, Any]], images: np.ndarray) -> Run:
    """On uint8 tensors, as its authors advise."""
    return in_processes(_image_function, pipeline, images)


def changes(pipeline: list[dict[str, Any]]) -> dict[str, on_gpu.Change]:
    """Over a batch, one draw for all its images: less work than the others do. On bytes, as its authors advise, and on floats,
    which a GPU may prefer."""
    transforms = v2.Compose(steps(STEPS, pipeline))
    return {"bytes": transforms, "floats": lambda batch: transforms(on_gpu.to_floats(batch))}


PEERS = {
    "torchvision": Peer("torchvision v2, one process a core", version, make, close=pool.close),
    **on_gpu.gpu_peers("torchvision", "torchvision v2, one draw a batch", version, changes),
}
