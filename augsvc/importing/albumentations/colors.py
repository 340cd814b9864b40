"""Colours: contrast of RandomBrightnessContrast is about black, of ColorJitter about the mean; hues are OpenCV's 0 to 179."""

from collections.abc import Mapping

from augsvc.importing.builder import Builder, Entry, Normalisation
from augsvc.importing.common import level, nothing
from augsvc.importing.parameters import Parameters, Refused, scaled

_HUES = 180.0  # of OpenCV: half degrees
_WHITE = 255.0


def _color_jitter(given: Parameters, build: Builder) -> None:
    settings: dict[str, object] = {
        name: given.limits(name, (0.8, 1.2), 1.0, 0.0) for name in ("brightness", "contrast", "saturation")
    }
    settings["hue"] = given.limits("hue", (-0.5, 0.5))
    settings |= {"pivot": "mean", "order": [0, 23], "space": "hsv"}
    build.add("color_jitter", given.p(0.5), settings)


def _brightness_contrast(given: Parameters, build: Builder) -> None:
    """v · (1 + contrast) + brightness: both parts in one step, as values are clamped once."""
    given.require("brightness_by_max", (True,), "adds a fraction of the image's mean; brightness adds one of white")
    given.require("ensure_safe_range", (False,), "values are clamped, not the draws")
    contrast = scaled(given.limits("contrast_limit", 0.2), 1.0, 1.0)
    settings = {"factor": contrast, "add": given.limits("brightness_limit", 0.2)}
    build.add("brightness", given.p(0.5), settings)


def _hue_saturation_value(given: Parameters, build: Builder) -> None:
    build.differs("turns hue continuously; OpenCV's bytes have 180 hues: 0.5 levels on average")
    settings = {
        "hue": scaled(given.limits("hue_shift_limit", 20.0), 1.0 / _HUES),
        "saturation": 1.0,
        "value": 1.0,
        "saturation_shift": scaled(given.limits("sat_shift_limit", 30.0), 1.0 / _WHITE),
        "value_shift": scaled(given.limits("val_shift_limit", 20.0), 1.0 / _WHITE),
    }
    build.add("hue_saturation_value", given.p(0.5), settings)


def _rgb_shift(given: Parameters, build: Builder) -> None:
    given.ignore("approximation", "noise_params", "noise_type", "spatial_mode")
    limits = [given.limits(f"{channel}_shift_limit", 20.0) for channel in "rgb"]
    if len(set(limits)) > 1:
        raise Refused("shifts the channels by different ranges; color_shift has one range")
    is_bytes = max(map(abs, limits[0])) > 1.0
    build.add("color_shift", given.p(0.5), {"shift": scaled(limits[0], 1.0 / _WHITE if is_bytes else 1.0)})


def _gamma(given: Parameters, build: Builder) -> None:
    build.add("gamma", given.p(0.5), {"gamma": scaled(given.limits("gamma_limit", (80.0, 120.0)), 0.01)})


def _to_gray(given: Parameters, build: Builder) -> None:
    given.require("num_output_channels", (3,), "set `channels: 1` in the specification for one channel")
    method = given.word("method", "weighted_average")
    weights = {"weighted_average": "luma", "average": "mean"}.get(method)
    if weights is None:
        raise Refused(f"method {method}: grayscale takes the luma or the mean")
    build.add("grayscale", given.p(0.5), {"weights": weights})


def _posterize(given: Parameters, build: Builder) -> None:
    build.add("posterize", given.p(0.5), {"bits": given.range("num_bits", (4.0, 4.0))})


def _solarize(given: Parameters, build: Builder) -> None:
    build.add("solarize", given.p(0.5), {"threshold": given.range("threshold_range", (0.5, 0.5))})


def _equalize(given: Parameters, build: Builder) -> None:
    given.require("by_channels", (True,), "equalizes luma alone")
    given.require("mask", (), "equalizes under a mask")
    given.ignore("mask_params")
    build.differs(f"equalizes as Pillow does: mode {given.word('mode', 'cv')} is 2 to 8 levels from it on average")
    build.add("equalize", given.p(0.5))


def _auto_contrast(given: Parameters, build: Builder) -> None:
    given.require(
        "method", ("pil",), "cdf equalizes rather than stretches, 22 to 70 levels apart: use method='pil' or Equalize"
    )
    if "method" not in given.node.parameters:
        raise Refused("its default method, cdf, equalizes rather than stretches: use method='pil' or Equalize")
    given.require("ignore", (), "leaves out one level")
    build.add("autocontrast", given.p(0.5), {"cutoff": given.number("cutoff", 0.0, 0.0, 50.0)})


def _channel_dropout(given: Parameters, build: Builder) -> None:
    settings = {"count": given.range("channel_drop_range", (1.0, 1.0)), "value": level(given, build, "fill")}
    build.add("channel_dropout", given.p(0.5), settings)


def _planckian(given: Parameters, build: Builder) -> None:
    mode = given.word("mode", "blackbody")
    given.require("sampling_method", ("uniform",), "draws temperatures from a normal law")
    temperature = given.range("temperature_limit", (3000.0, 15000.0) if mode == "blackbody" else (4000.0, 15000.0))
    build.differs("draws temperatures uniformly; there 40 % of them lie below 6,000 K")
    build.add("planckian_jitter", given.p(0.5), {"mode": mode, "temperature": temperature})


def _tone_curve(given: Parameters, build: Builder) -> None:
    given.require("per_channel", (False,), "bends each channel by another curve; tone_curve bends all by one")
    spread = given.number("scale", 0.1, 0.0, 1.0)
    reach = min(0.3, round(spread * 3.0**0.5, 6))
    build.differs(f"draws the points uniformly within {reach:g}, the same spread; there from a normal law")
    limits = {"shadows": (-1 / 12 - reach, -1 / 12 + reach), "highlights": (1 / 12 - reach, 1 / 12 + reach)}
    build.add("tone_curve", given.p(0.5), {name: _clamped(*ends) for name, ends in limits.items()})


def _clamped(low: float, high: float) -> tuple[float, float]:
    return round(max(-0.3, low), 6), round(min(0.3, high), 6)


def _fancy_pca(given: Parameters, build: Builder) -> None:
    build.differs("along the principal colours of the dataset, not of each image; needs fitted statistics")
    build.add("fancy_pca", given.p(0.5), {"alpha": given.number("alpha", 0.1)})


def _normalize(given: Parameters, build: Builder) -> None:
    """(v − mean · max) / (std · max) of bytes v, which is ours where max is 255."""
    normalization = given.word("normalization", "standard")
    if normalization == "image":
        raise Refused("normalises each image by its own mean: whitening does, to a mean of 0.5 and a deviation of 0.25")
    if normalization != "standard" or given.p(1.0) < 1.0:
        raise Refused("is done to all samples, with fixed numbers: normalization='standard', p=1")
    white = given.number("max_pixel_value", _WHITE, 1e-6)
    mean = given.numbers("mean", (1, 3)) or [0.485, 0.456, 0.406]
    std = given.numbers("std", (1, 3)) or [0.229, 0.224, 0.225]
    if build.normalisation or build.depth or min(std) <= 0.0:
        raise Refused("needs std above 0, once, outside of containers")
    factor = white / _WHITE
    build.normalisation = Normalisation(
        tuple(round(v * factor, 9) for v in mean * 3)[:3], tuple(round(v * factor, 9) for v in std * 3)[:3]
    )


def _to_float(given: Parameters, build: Builder) -> None:
    given.require("max_value", (_WHITE, 255), "floats are on [0, 1]")
    if given.p(1.0) < 1.0:
        raise Refused("is done to all samples: use p=1")
    build.is_float = True


def _simple(op: str, p: float = 0.5) -> Entry:
    return Entry(lambda given, build: build.add(op, given.p(p)), op)


COLORS: Mapping[str, Entry] = {
    "AutoContrast": Entry(_auto_contrast, "autocontrast"),
    "ChannelDropout": Entry(_channel_dropout, "channel_dropout"),
    "ChannelShuffle": _simple("channel_shuffle"),
    "ColorJitter": Entry(_color_jitter, "color_jitter"),
    "Equalize": Entry(_equalize, "equalize"),
    "FancyPCA": Entry(_fancy_pca, "fancy_pca"),
    "HueSaturationValue": Entry(_hue_saturation_value, "hue_saturation_value"),
    "InvertImg": _simple("invert"),
    "Normalize": Entry(_normalize, "whitening"),
    "PlanckianJitter": Entry(_planckian, "planckian_jitter"),
    "Posterize": Entry(_posterize, "posterize"),
    "RGBShift": Entry(_rgb_shift, "color_shift"),
    "RandomBrightnessContrast": Entry(_brightness_contrast, "brightness"),
    "RandomGamma": Entry(_gamma, "gamma"),
    "RandomToneCurve": Entry(_tone_curve, "tone_curve"),
    "Solarize": Entry(_solarize, "solarize"),
    "ToFloat": Entry(_to_float),
    "ToGray": Entry(_to_gray, "grayscale"),
    "ToRGB": nothing("images have three channels, unless `channels` says otherwise"),
    "ToSepia": _simple("sepia"),
}
