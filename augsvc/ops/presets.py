"""Presets: pipelines with a name, as a client would write them in JSON.

A preset never changes once released. Its name is in no canonical form, only its operations are, so an improved preset takes
a new name. No preset flips images: a flipped digit or word is a different one. `sound`, `speech` and `words` are for audio, the
others are for images; `none` is for both. `letters` is for characters on an even ground: what is beyond the edges is as the edge,
and strokes become thinner or thicker, by a blur, a power, and a contrast that makes edges hard again. docs/trainer.md has
the gains of `light`, `standard` and `strong` on five samples of each digit, of `standard` and `letters` on letters of unseen
typefaces, and of `words` on spoken digits by unseen voices, where `sound` and `speech` show none.
"""

from collections.abc import Mapping
from types import MappingProxyType

from augsvc.ops.operation import Settings

FILE_ENDINGS = (".yaml", ".yml", ".json")  # of files with a pipeline or with fields of a specification

PRESETS: Mapping[str, tuple[Settings, ...]] = MappingProxyType(
    {
        "none": (),
        "light": (
            {"op": "affine", "degrees": [-7, 7],
             "translate_x": [-0.05, 0.05], "translate_y": [-0.05, 0.05], "scale": [0.95, 1.05]},
            {"op": "color_jitter", "brightness": [0.9, 1.1], "contrast": [0.9, 1.1], "saturation": [0.9, 1.1], "hue": 0},
            {"op": "gaussian_noise", "std": [0, 0.02]},
        ),
        "standard": (
            {"op": "affine", "degrees": [-15, 15],
             "translate_x": [-0.1, 0.1], "translate_y": [-0.1, 0.1], "scale": [0.85, 1.15]},
            {"op": "color_jitter", "brightness": [0.8, 1.2], "contrast": [0.8, 1.2], "saturation": [0.8, 1.2],
             "hue": [-0.05, 0.05]},
            {"op": "gaussian_blur", "sigma": [0.1, 1.5], "p": 0.5},
            {"op": "gaussian_noise", "std": [0, 0.05]},
        ),
        "strong": (
            {"op": "affine", "degrees": [-30, 30], "translate_x": [-0.15, 0.15], "translate_y": [-0.15, 0.15],
             "scale": [0.7, 1.3], "shear_x": [-10, 10], "shear_y": [-10, 10]},
            {"op": "color_jitter", "brightness": [0.6, 1.4], "contrast": [0.6, 1.4], "saturation": [0.5, 1.5],
             "hue": [-0.1, 0.1]},
            {"op": "color_shift", "shift": [-0.1, 0.1]},
            {"op": "gamma", "gamma": [0.67, 1.5], "p": 0.5},
            {"op": "gaussian_blur", "sigma": [0.1, 2.0], "p": 0.5},
            {"op": "downsample", "scale": [0.4, 1.0], "p": 0.25},
            {"op": "gaussian_noise", "std": [0, 0.1]},
            {"op": "erasing", "scale": [0.02, 0.2], "p": 0.25},
        ),
        "letters": (
            {"op": "affine", "degrees": [-10, 10], "translate_x": [-0.05, 0.05], "translate_y": [-0.05, 0.05],
             "scale": [0.85, 1.15], "shear_x": [-15, 15], "shear_y": [-5, 5], "border": "edge"},
            {"op": "gaussian_blur", "sigma": [0.6, 1.2], "p": 0.5},
            {"op": "gamma", "gamma": [0.4, 2.5]},
            {"op": "contrast", "factor": [1.5, 4.0]},
            {"op": "gaussian_noise", "std": [0, 0.05]},
        ),
        "sound": (
            {"op": "time_shift", "shift": [-0.1, 0.1]},
            {"op": "gain", "gain": [-6, 6]},
            {"op": "distortion", "mode": "tanh", "amount": [0, 0.3], "p": 0.3},
            {"op": "white_noise", "snr": [10, 40], "p": 0.5},
        ),
        "speech": (
            {"op": "time_shift", "shift": [-0.1, 0.1]},
            {"op": "white_noise", "snr": [30, 60], "p": 0.5},
        ),
        "words": (
            {"op": "time_shift", "shift": [-0.1, 0.1]},
            {"op": "speed", "speed": [0.9, 1.1]},
        ),
    }
)  # fmt: skip
