"""Albumentations, image by image in one process a core, as in a `DataLoader`."""

import os
from functools import partial
from typing import Any

os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"  # otherwise it checks the network for a newer version

import albumentations as A
import cv2
import numpy as np

from benchmarks.peers import Peer, Run, pool, seconds, steps
from benchmarks.peers.pool import Function, in_processes
from benchmarks.recipes import BLUR_TAPS, SIZE

__all__ = ["PEERS", "A", "version"]  # A: for other modules, which do not set that variable
_SQUARE = (SIZE, SIZE)
_ZERO, _ONE = (0, 0), (1, 1)
_AREA: dict[str, Any] = {"area_for_downscale": "image"}  # ours and torchvision's average areas where an image shrinks

_STEPS = {
    "affine": lambda s: A.Affine(
        rotate=tuple(s["degrees"]),
        translate_percent={"x": tuple(s["translate_x"]), "y": tuple(s["translate_y"])},
        scale=tuple(s["scale"]),
        p=1.0,
    ),
    "autocontrast": lambda s: A.AutoContrast(p=1.0),
    "box_blur": lambda s: A.Blur(_odd(s["radius"]), p=1.0),
    "brightness": lambda s: A.RandomBrightnessContrast(_about_zero(s["factor"]), _ZERO, p=1.0),
    "center_crop": lambda s: A.CenterCrop(*_SQUARE),
    "channel_dropout": lambda s: A.ChannelDropout(tuple(s["count"]), p=1.0),
    "channel_shuffle": lambda s: A.ChannelShuffle(p=1.0),
    "clahe": lambda s: A.CLAHE(tuple(map(float, s["clip_limit"])), p=1.0),
    "coarse_dropout": lambda s: A.CoarseDropout(tuple(s["holes"]), tuple(s["height"]), tuple(s["width"]), p=1.0),
    "color_jitter": lambda s: A.ColorJitter(
        brightness=tuple(s["brightness"]),
        contrast=tuple(s["contrast"]),
        saturation=tuple(s["saturation"]),
        hue=tuple(s["hue"]),
        p=1.0,
    ),
    "color_shift": lambda s: A.RGBShift(*[tuple(255 * limit for limit in s["shift"])] * 3, p=1.0),
    "contrast": lambda s: A.RandomBrightnessContrast(_ZERO, _about_zero(s["factor"]), p=1.0),
    "defocus": lambda s: A.Defocus(tuple(s["radius"]), tuple(s["alias"]), p=1.0),
    "dihedral": lambda s: A.D4(p=1.0),
    "downsample": lambda s: A.Downscale(tuple(s["scale"]), p=1.0),
    "emboss": lambda s: A.Emboss(tuple(s["alpha"]), tuple(s["strength"]), p=1.0),
    "equalize": lambda s: A.Equalize(p=1.0),
    "erasing": lambda s: A.Erasing(tuple(s["scale"]), tuple(s["ratio"]), p=1.0),
    "fancy_pca": lambda s: A.FancyPCA(p=1.0),
    "gamma": lambda s: A.RandomGamma(tuple(100 * limit for limit in s["gamma"]), p=1.0),
    "gaussian_blur": lambda s: A.GaussianBlur((BLUR_TAPS, BLUR_TAPS), tuple(s["sigma"]), p=1.0),
    "gaussian_noise": lambda s: A.GaussNoise(std_range=tuple(s["std"]), p=1.0),
    "grayscale": lambda s: A.ToGray(p=1.0),
    "horizontal_flip": lambda s: A.HorizontalFlip(p=s.get("p", 1.0)),
    "hue_saturation_value": lambda s: A.HueSaturationValue(
        tuple(180 * turns for turns in s["hue"]), (20, 20), (20, 20), p=1.0
    ),
    "invert": lambda s: A.InvertImg(p=1.0),
    "jpeg": lambda s: A.ImageCompression("jpeg", tuple(s["quality"]), p=1.0),
    "laplace_noise": lambda s: A.AdditiveNoise(
        "laplace", "per_pixel", {"mean_range": _ZERO, "scale_range": tuple(std / 2**0.5 for std in s["std"])}, p=1.0
    ),
    "letterbox": lambda s: A.Sequential([A.LongestMaxSize(SIZE, **_AREA), A.PadIfNeeded(*_SQUARE)], p=1.0),
    "median_blur": lambda s: A.MedianBlur(_odd(s["radius"]), p=1.0),
    "motion_blur": lambda s: A.MotionBlur(
        tuple(s["length"]), allow_shifted=False, angle_range=tuple(s["degrees"]), direction_range=_ZERO, p=1.0
    ),
    "perspective": lambda s: A.Perspective(tuple(distortion / 2 for distortion in s["distortion"]), p=1.0),
    "pixel_dropout": lambda s: A.PixelDropout(s["rate"][0], p=1.0),
    "planckian_jitter": lambda s: A.PlanckianJitter(p=1.0),
    "posterize": lambda s: A.Posterize(4, p=1.0),
    "rand_augment": lambda s: A.SomeOf(_rand_augment_table(), 2, replace=True, p=1.0),
    "random_crop": lambda s: A.RandomCrop(*_SQUARE),
    "random_resized_crop": lambda s: A.RandomResizedCrop(_SQUARE, **_AREA),
    "resize": lambda s: A.Sequential([A.SmallestMaxSize(256, **_AREA), A.CenterCrop(*_SQUARE)], p=1.0),
    "rotate90": lambda s: A.RandomRotate90(p=1.0),
    "rotation": lambda s: A.Rotate(limit=tuple(s["degrees"]), border_mode=cv2.BORDER_CONSTANT, p=1.0),
    "salt_and_pepper": lambda s: A.SaltAndPepper(tuple(s["amount"]), tuple(s["salt"]), p=1.0),
    "saturation": lambda s: A.ColorJitter(_ONE, _ONE, tuple(s["factor"]), _ZERO, p=1.0),
    "scale_jitter": lambda s: A.Sequential(
        [A.LongestMaxSize(round(SIZE * s["scale"][0]), **_AREA), A.RandomCrop(*_SQUARE, pad_if_needed=True)], p=1.0
    ),
    "sepia": lambda s: A.ToSepia(p=1.0),
    "sharpen": lambda s: A.Sharpen((0.5, 0.5), _ONE, p=1.0),
    "shadow": lambda s: A.RandomShadow((0, 0, 1, 1), tuple(s["shadows"]), 5, tuple(s["intensity"]), p=1.0),
    "shear": lambda s: A.Affine(shear={"x": tuple(s["x"]), "y": tuple(s["y"])}, p=1.0),
    "shortest_side": lambda s: A.Sequential(
        [A.SmallestMaxSize(s["pixels"][0], **_AREA), A.CenterCrop(*_SQUARE)], p=1.0
    ),
    "shot_noise": lambda s: A.ShotNoise(tuple(1 / photons for photons in s["photons"]), p=1.0),
    "snow": lambda s: A.RandomSnow(s["brightness"][0], tuple(2 * (v - 1 / 3) for v in s["amount"]), p=1.0),
    "solarize": lambda s: A.Solarize(p=1.0),
    "speckle_noise": lambda s: A.MultiplicativeNoise(
        (1 - s["std"][0], 1 + s["std"][0]), per_channel=True, elementwise=True, p=1.0
    ),
    "tone_curve": lambda s: A.RandomToneCurve(p=1.0),
    "translate": lambda s: A.Affine(translate_percent={"x": tuple(s["x"]), "y": tuple(s["y"])}, p=1.0),
    "transpose": lambda s: A.Transpose(p=1.0),
    "uniform_noise": lambda s: A.AdditiveNoise(
        "uniform", "per_pixel", {"ranges": [(-s["amplitude"][0], s["amplitude"][0])]}, p=1.0
    ),
    "vertical_flip": lambda s: A.VerticalFlip(p=1.0),
    "xy_masking": lambda s: A.XYMasking(1, 1, (22, 22), (22, 22), p=1.0),
    "zoom_out": lambda s: A.Sequential(
        [A.Resize(SIZE // 2, SIZE // 2, **_AREA), A.PadIfNeeded(*_SQUARE, position="random")], p=1.0
    ),
}


def _odd(radius: list[int]) -> tuple[int, int]:
    """A radius as the side of a window."""
    return 2 * radius[0] + 1, 2 * radius[1] + 1


def _about_zero(factor: list[float]) -> tuple[float, float]:
    """A factor about 1 as a limit about 0."""
    return factor[0] - 1, factor[1] - 1


def _rand_augment_table() -> list[Any]:
    """torchvision's fourteen operations at magnitude 9 of 31 bins; Albumentations has no RandAugment."""
    signed = [
        [A.Affine(shear={"x": (sign * 5.14, sign * 5.14), "y": _ZERO}, p=1.0) for sign in (1, -1)],
        [A.Affine(shear={"x": _ZERO, "y": (sign * 5.14, sign * 5.14)}, p=1.0) for sign in (1, -1)],
        [A.Affine(translate_px={"x": (sign * 30, sign * 30), "y": _ZERO}, p=1.0) for sign in (1, -1)],
        [A.Affine(translate_px={"x": _ZERO, "y": (sign * 30, sign * 30)}, p=1.0) for sign in (1, -1)],
        [A.Rotate((sign * 9, sign * 9), p=1.0) for sign in (1, -1)],
        [A.ColorJitter((factor, factor), _ONE, _ONE, _ZERO, p=1.0) for factor in (0.73, 1.27)],
        [A.ColorJitter(_ONE, _ONE, (factor, factor), _ZERO, p=1.0) for factor in (0.73, 1.27)],
        [A.ColorJitter(_ONE, (factor, factor), _ONE, _ZERO, p=1.0) for factor in (0.73, 1.27)],
    ]
    others = [
        A.NoOp(),
        A.Sharpen((0.27, 0.27), _ONE),
        A.Posterize(7),
        A.Solarize((0.7, 0.7)),
        A.AutoContrast(),
        A.Equalize(),
    ]
    for transform in others:
        transform.p = 1.0
    return [A.OneOf(pair, p=1.0) for pair in signed] + others


def version() -> str:
    """Albumentations' and OpenCV's."""
    return f"{A.__version__}, OpenCV {cv2.__version__}"


def _image_function(pipeline: list[dict[str, Any]], threads: int) -> Function:
    cv2.setNumThreads(threads)
    transforms = A.Compose(steps(_STEPS, pipeline))
    return lambda image: transforms(image=image)["image"]


def make(pipeline: list[dict[str, Any]], images: np.ndarray) -> Run:
    """On uint8 arrays, with OpenCV's default threads or without threads, as its users are advised: whichever is faster."""
    times = {}
    for threads in (-1, 0):
        run = in_processes(partial(_image_function, threads=threads), pipeline, images)
        run()
        times[threads] = min(seconds(run) for _ in range(3))
    best = min(times, key=lambda threads: times[threads])
    return in_processes(partial(_image_function, threads=best), pipeline, images)


PEERS = {"albumentations": Peer("Albumentations, one process a core", version, make, close=pool.close)}
