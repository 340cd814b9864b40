"""OpenCV by hand: moves as one matrix, colours as another, image by image on a thread a core."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from math import cos, pi, sin
from typing import Any

import cv2
import numpy as np

from augsvc.cpus import cores
from benchmarks.peers import Peer, Run, steps
from benchmarks.recipes import BLUR_TAPS

_LUMA = np.array([0.299, 0.587, 0.114])
_workers = ThreadPoolExecutor(cores())


def _jitter(step: dict[str, Any]) -> np.ndarray:
    """Brightness, contrast about the middle, saturation and a rotation about the grey axis, as one 3×4 matrix."""
    contrast, saturation, angle = step["contrast"][0], step["saturation"][0], 2 * pi * step["hue"][0]
    colors = saturation * np.eye(3) + (1 - saturation) * _LUMA[None, :]
    grey, cross = np.full((3, 3), 1 / 3), np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / 3**0.5
    colors = (cos(angle) * np.eye(3) + (1 - cos(angle)) * grey + sin(angle) * cross) @ colors
    return np.hstack((colors * step["brightness"][0] * contrast, colors.sum(1, keepdims=True) * 127.5 * (1 - contrast)))


def _rotation(step: dict[str, Any]) -> np.ndarray:
    matrix: np.ndarray = cv2.getRotationMatrix2D((0, 0), step["degrees"][0], 1.0)
    return matrix


_MOVES = {"rotation": _rotation, "horizontal_flip": lambda _: np.array([[-1.0, 0, 0], [0, 1, 0]])}
_REST = {
    "color_jitter": lambda s: partial(cv2.transform, m=_jitter(s)),
    "gaussian_blur": lambda s: (
        lambda image: cv2.GaussianBlur(image, (BLUR_TAPS, BLUR_TAPS), s["sigma"][0], borderType=cv2.BORDER_REFLECT_101)
    ),
    "gaussian_noise": lambda s: (
        lambda image: cv2.add(image, cv2.randn(np.empty(image.shape, np.int16), 0, 255 * s["std"][0]), dtype=cv2.CV_8U)
    ),
}


def make(pipeline: list[dict[str, Any]], images: np.ndarray) -> Run:
    """For pipelines whose moves come first."""
    cv2.setNumThreads(0)
    height, width = images.shape[1:3]
    moves = steps(_MOVES, [step for step in pipeline if step["op"] in _MOVES])
    rest = steps(_REST, [step for step in pipeline if step["op"] not in _MOVES])
    matrix = np.eye(3)
    for move in moves:
        matrix = np.vstack((move, [0, 0, 1])) @ matrix
    middle = np.array([[1, 0, (width - 1) / 2], [0, 1, (height - 1) / 2], [0, 0, 1]])
    matrix = (middle @ matrix @ np.linalg.inv(middle))[:2]
    out = np.empty_like(images)

    def augment(index: int) -> None:
        image = images[index]
        if moves:
            image = cv2.warpAffine(image, matrix, (width, height), flags=cv2.INTER_LINEAR)
        for step in rest:
            image = step(image)
        out[index] = image

    def run() -> np.ndarray:
        list(_workers.map(augment, range(len(images))))
        return out

    return run


PEERS = {"opencv": Peer("OpenCV by hand, a thread a core", lambda: str(cv2.__version__), make)}
