"""Albumentations, image by image in one process a core, as in a `DataLoader`."""

import os
from functools import partial
from typing import Any

os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"  # otherwise it checks the network for a newer version

import albumentations as A
import cv2
import numpy as np

from benchmarks.peers import Peer, Run, pool, seconds, steps
from benchmarks.peers.pool import ImageFunction, in_processes
from benchmarks.recipes import BLUR_TAPS

_STEPS = {
    "rotation": lambda s: A.Rotate(limit=tuple(s["degrees"]), border_mode=cv2.BORDER_CONSTANT, p=1.0),
    "horizontal_flip": lambda s: A.HorizontalFlip(p=1.0),
    "affine": lambda s: A.Affine(
        rotate=tuple(s["degrees"]),
        translate_percent={"x": tuple(s["translate_x"]), "y": tuple(s["translate_y"])},
        scale=tuple(s["scale"]),
        p=1.0,
    ),
    "color_jitter": lambda s: A.ColorJitter(
        brightness=tuple(s["brightness"]),
        contrast=tuple(s["contrast"]),
        saturation=tuple(s["saturation"]),
        hue=tuple(s["hue"]),
        p=1.0,
    ),
    "color_shift": lambda s: A.RGBShift(*[tuple(255 * limit for limit in s["shift"])] * 3, p=1.0),
    "gamma": lambda s: A.RandomGamma(tuple(100 * limit for limit in s["gamma"]), p=1.0),
    "gaussian_blur": lambda s: A.GaussianBlur((BLUR_TAPS, BLUR_TAPS), tuple(s["sigma"]), p=1.0),
    "gaussian_noise": lambda s: A.GaussNoise(std_range=tuple(s["std"]), p=1.0),
    "pixel_dropout": lambda s: A.PixelDropout(s["rate"][0], p=1.0),
    "erasing": lambda s: A.Erasing(tuple(s["scale"]), tuple(s["ratio"]), p=1.0),
}


def version() -> str:
    """Albumentations' and OpenCV's."""
    return f"{A.__version__}, OpenCV {cv2.__version__}"


def _image_function(pipeline: list[dict[str, Any]], threads: int | None) -> ImageFunction:
    if threads is not None:
        cv2.setNumThreads(threads)
    transforms = A.Compose(steps(_STEPS, pipeline))
    return lambda image: transforms(image=image)["image"]


def make(pipeline: list[dict[str, Any]], images: np.ndarray) -> Run:
    """On uint8 arrays, with OpenCV's default threads or without threads, as its users are advised: whichever is faster."""
    times = {}
    for threads in (None, 0):
        run = in_processes(partial(_image_function, threads=threads), pipeline, images)
        run()
        times[threads] = min(seconds(run) for _ in range(3))
    best = min(times, key=lambda threads: times[threads])
    return in_processes(partial(_image_function, threads=best), pipeline, images)


PEERS = {"albumentations": Peer("Albumentations, one process a core", version, make, close=pool.close)}
