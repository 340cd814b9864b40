"""The tables of published policies: how strong each operation is at a level.

Those of torchvision 0.28 (transforms/v2/_auto_augment.py) and timm 1.0 (data/auto_augment.py). Operations have the meaning that
they have there: contrast is about the mean luma, shears are about the upper left corner, by their tangent.
"""

from collections.abc import Callable
from functools import lru_cache

import numpy as np

from augsvc.arrays import F64
from augsvc.ops.image.blur.sharpen import Sharpen
from augsvc.ops.image.color.autocontrast import Autocontrast
from augsvc.ops.image.color.brightness import Brightness
from augsvc.ops.image.color.contrast import Contrast
from augsvc.ops.image.color.equalize import Equalize
from augsvc.ops.image.color.invert import Invert
from augsvc.ops.image.color.posterize import Posterize
from augsvc.ops.image.color.saturation import Saturation
from augsvc.ops.image.color.solarize import Solarize
from augsvc.ops.image.geometric.rotation import Rotation
from augsvc.ops.image.geometric.shear import Shear
from augsvc.ops.image.geometric.translate import Translate
from augsvc.ops.policy import Entry, Table

TIMM_LEVELS = 10.0
AUG_MIX_LEVELS = 10


def _linear(most: float, levels: float) -> Callable[[F64], F64]:
    return lambda level: most * level / levels


def _moves(shear: float, degrees: float, translate_x: Entry, translate_y: Entry, levels: float) -> Table:
    tangent = _linear(shear, levels)
    return {
        "shear_x": Entry(Shear(unit="tangent", origin="corner", x=(-shear, shear), y=0), "x", 0.0, tangent, True),
        "shear_y": Entry(Shear(unit="tangent", origin="corner", x=0, y=(-shear, shear)), "y", 0.0, tangent, True),
        "translate_x": translate_x,
        "translate_y": translate_y,
        "rotate": Entry(Rotation(degrees=(-degrees, degrees)), "degrees", 0.0, _linear(degrees, levels), True),
    }


def _enhancers(most: float, levels: float, least: float = 0.0) -> Table:
    """Pillow's ImageEnhance with factors 1 ± `most`; that of `sharpen` is its amount plus 1."""
    change, factor = _linear(most, levels), (1.0 - most, 1.0 + most)
    return {
        "brightness": Entry(Brightness(factor=factor), "factor", 1.0, change, True, least),
        "color": Entry(Saturation(factor=factor), "factor", 1.0, change, True, least),
        "contrast": Entry(Contrast(factor=factor, pivot="mean"), "factor", 1.0, change, True, least),
        "sharpness": Entry(Sharpen(amount=(-most, most)), "amount", 0.0, change, True, least - 1.0),
    }


def _translate(axis: str, most: float, levels: float, whole: bool, unit: str = "") -> Entry:
    """A move along one axis by up to `most` of the side, or `unit` "_pixels"."""
    settings = {"x": 0, "y": 0, "whole": whole, axis + unit: (-most, most)}
    return Entry(Translate.model_validate(settings), axis + unit, 0.0, _linear(most, levels), True)


def _posterize(least: int, most: int, levels: float) -> Entry:
    """From `most` bits at level 0 to `least`."""
    step = levels / (most - least)
    return Entry(Posterize(bits=(least, most)), "bits", float(most), lambda level: -np.rint(level / step))


@lru_cache(maxsize=64)
def torchvision_table(bins: int, is_wide: bool = False) -> Table:
    """RandAugment's table, at levels 0 to bins − 1; TrivialAugmentWide's if `is_wide`.

    Translations are in whole pixels. A level at or above a solarize threshold is inverted, so that is rounded upwards.
    """
    levels = bins - 1.0
    shear, degrees, strength, bits = (0.99, 135.0, 0.99, 6) if is_wide else (0.3, 30.0, 0.9, 4)
    side, unit = (32.0, "_pixels") if is_wide else (150.0 / 331.0, "")
    across, down = (_translate(axis, side, levels, True, unit) for axis in "xy")
    return {
        "identity": None,
        **_moves(shear, degrees, across, down, levels),
        **_enhancers(strength, levels),
        "posterize": _posterize(8 - bits, 8, levels),
        "solarize": Entry(
            Solarize(threshold=(0, 1)),
            "threshold",
            0.0,
            lambda level: np.ceil(255.0 * (levels - level) / levels) / 255.0,
        ),
        "autocontrast": Entry(Autocontrast()),
        "equalize": Entry(Equalize()),
    }


@lru_cache(maxsize=1)
def auto_augment_table(bins: int) -> Table:
    """AutoAugment's, without the identity and with Invert."""
    table = {name: entry for name, entry in torchvision_table(bins).items() if entry}
    return {**table, "invert": Entry(Invert(p=1.0))}


@lru_cache(maxsize=2)
def aug_mix_table(all_ops: bool) -> Table:
    """AugMix's, at levels 0 to AUG_MIX_LEVELS − 1; the enhancers with `all_ops` alone."""
    levels = AUG_MIX_LEVELS - 1.0
    across, down = (_translate(axis, 1.0 / 3.0, levels, True) for axis in "xy")
    common = torchvision_table(AUG_MIX_LEVELS)
    return {
        **_moves(0.3, 30.0, across, down, levels),
        "posterize": _posterize(0, 4, levels),
        **{name: common[name] for name in ("solarize", "autocontrast", "equalize")},
        **(_enhancers(0.9, levels) if all_ops else {}),
    }


@lru_cache(maxsize=1)
def timm_increasing_table() -> Table:
    """timm's `_RAND_INCREASING_TRANSFORMS`, at levels 0 to TIMM_LEVELS: strength grows with the level in all of them."""
    across, down = (_translate(axis, 0.45, TIMM_LEVELS, False) for axis in "xy")
    return {
        "autocontrast": Entry(Autocontrast()),
        "equalize": Entry(Equalize()),
        "invert": Entry(Invert(p=1.0)),
        "posterize": Entry(Posterize(bits=(0, 4)), "bits", 4.0, lambda level: -np.floor(level / TIMM_LEVELS * 4.0)),
        "solarize": Entry(
            Solarize(threshold=(0, 1)),
            "threshold",
            256.0 / 255.0,
            lambda level: -np.floor(level / TIMM_LEVELS * 256.0) / 255.0,
        ),
        "solarize_add": Entry(
            Solarize(above="keep", threshold=128.0 / 255.0, addition=(0, 0.5)),
            "addition",
            0.0,
            lambda level: np.floor(level / TIMM_LEVELS * 110.0) / 255.0,
        ),
        **_enhancers(0.9, TIMM_LEVELS, least=0.1),
        **_moves(0.3, 30.0, across, down, TIMM_LEVELS),
    }
