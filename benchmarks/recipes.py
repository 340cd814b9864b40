"""The images and the pipelines. Where peers are compared every parameter is pinned, so that all do the same work.

A pipeline is written as `augsvc` takes it; each peer maps its steps to its own operations.
"""

from typing import Any

import numpy as np
import skimage.data

from augsvc.ops.operation import Kind
from augsvc.ops.registry import registry

Step = dict[str, Any]
Pipeline = list[Step]

ROTATION: Step = {"op": "rotation", "degrees": [15, 15]}
FLIP: Step = {"op": "horizontal_flip", "p": 1.0}
JITTER: Step = {
    "op": "color_jitter", "brightness": [1.2, 1.2], "contrast": [0.8, 0.8], "saturation": [1.2, 1.2], "hue": [0.05, 0.05],
}  # fmt: skip
BLUR: Step = {"op": "gaussian_blur", "sigma": [0.65, 0.65]}  # cut off at ⌈3σ⌉ = 2: five taps, as set for all peers
NOISE: Step = {"op": "gaussian_noise", "std": [0.03, 0.03]}
AFFINE: Step = {
    "op": "affine", "degrees": [10, 10], "translate_x": [0.05, 0.05], "translate_y": [0.05, 0.05], "scale": [1.1, 1.1],
}  # fmt: skip
TWICE: Pipeline = [  # ROTATION as two moves: the cost of a pass depends on the composed matrix
    {"op": "rotation", "degrees": [10, 10]},
    {"op": "affine", "degrees": [5, 5], "translate_x": [0, 0], "translate_y": [0, 0], "scale": [1, 1]},
]
GAMMA: Step = {"op": "gamma", "gamma": [1.2, 1.2]}
ERASING: Step = {"op": "erasing", "scale": [0.1, 0.1], "ratio": [1, 1], "place_x": [0.5, 0.5], "place_y": [0.5, 0.5]}
DROPOUT: Step = {"op": "pixel_dropout", "rate": [0.05, 0.05]}
SHIFT: Step = {"op": "color_shift", "shift": [0.05, 0.05]}
BLUR_TAPS = 5

PIPELINE = [ROTATION, FLIP, JITTER, BLUR, NOISE]
PIPELINE_QUIET = [ROTATION, FLIP, JITTER, BLUR]
PINNED = [ROTATION, FLIP, AFFINE, JITTER, SHIFT, GAMMA, BLUR, NOISE, DROPOUT, ERASING]  # also 1 … 10 of them, in order
CLASSIFICATION: Pipeline = [{"op": "random_resized_crop"}, {"op": "horizontal_flip", "p": 0.5}, {"op": "rand_augment"}]
BATCH, SIZE = 64, 224
SOURCE = 432  # pixels of a side where a frame crops SIZE: as many pixels as 500 × 375

_ALONE: dict[str, Step] = {  # of the operations that peers have too and that PINNED has not
    "box_blur": {"radius": [1, 1]},
    "brightness": {"factor": [1.2, 1.2]},
    "channel_dropout": {"count": [1, 1]},
    "clahe": {"clip_limit": [2, 2]},
    "coarse_dropout": {"holes": [2, 2], "height": [0.2, 0.2], "width": [0.2, 0.2]},
    "contrast": {"factor": [1.2, 1.2], "pivot": "mean"},
    "defocus": {"radius": [3, 3], "alias": [0.3, 0.3]},
    "downsample": {"scale": [0.5, 0.5]},
    "emboss": {"alpha": [0.3, 0.3], "strength": [0.5, 0.5]},
    "hue_saturation_value": {"hue": [0.01, 0.01], "saturation": [1.2, 1.2], "value": [1.1, 1.1]},
    "jpeg": {"quality": [50, 50]},
    "laplace_noise": {"std": [0.03, 0.03]},
    "median_blur": {"radius": [1, 1]},
    "motion_blur": {"length": [9, 9], "degrees": [30, 30]},
    "perspective": {"distortion": [0.3, 0.3]},
    "plasma": {"intensity": [0.3, 0.3], "roughness": [0.5, 0.5]},
    "rain": {"drops": [400, 400], "length": [10, 10], "slant": [3, 3]},
    "salt_and_pepper": {"amount": [0.05, 0.05], "salt": [0.5, 0.5]},
    "saturation": {"factor": [1.2, 1.2]},
    "scale_jitter": {"scale": [1.5, 1.5]},
    "sharpen": {"amount": [0.5, 0.5]},
    "shadow": {"shadows": [2, 2], "intensity": [0.5, 0.5]},
    "shear": {"x": [10, 10], "y": [10, 10]},
    "shortest_side": {"pixels": [256]},
    "shot_noise": {"photons": [50, 50]},
    "snow": {"amount": [0.4, 0.4], "brightness": [2, 2]},
    "speckle_noise": {"std": [0.1, 0.1]},
    "translate": {"x": [0.05, 0.05], "y": [0.05, 0.05]},
    "uniform_noise": {"amplitude": [0.05, 0.05]},
    "xy_masking": {"length_x": [0.1, 0.1], "length_y": [0.1, 0.1]},
    "zoom_out": {"side": [2, 2]},
}


def operations() -> Pipeline:
    """Every registered image operation as a step on every image: pinned where peers have it, otherwise with its first example."""
    pinned = {step["op"]: step for step in PINNED} | {
        name: {"op": name, **settings} for name, settings in _ALONE.items()
    }
    return [
        pinned.get(name, {"op": name, **operation.examples[0]}) | {"p": 1.0}
        for name, operation in registry().items()
        if operation.media == "image"
    ]


def has_frame(pipeline: Pipeline) -> bool:
    """Whether a pipeline maps its sources to a canvas of SIZE by itself."""
    first = registry().get(pipeline[0]["op"]) if pipeline else None
    return first is not None and first.kind is Kind.FRAME


def images(count: int, size: int) -> np.ndarray:
    """Different crops of scikit-image's photographs (N, H, W, 3); nothing is downloaded.

    A crop larger than a photograph is extended by reflection.
    """
    photos = [getattr(skimage.data, name)() for name in ("astronaut", "coffee", "chelsea")]
    crops = np.empty((count, size, size, 3), np.uint8)
    for index in range(count):
        photo = photos[index % len(photos)]
        pad = [(0, max(0, size + 64 - side)) for side in photo.shape[:2]] + [(0, 0)]
        wide = np.pad(photo, pad, mode="symmetric")
        top, left = (index * 37) % (wide.shape[0] - size), (index * 53) % (wide.shape[1] - size)
        crops[index] = wide[top : top + size, left : left + size]
    return crops
