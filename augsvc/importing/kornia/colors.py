"""Colours: contrast of RandomContrast and ColorJiggle is about black, their brightness adds, their saturation is HSV's."""

from collections.abc import Mapping

from augsvc.importing.builder import Builder, Entry, Normalisation
from augsvc.importing.common import add_children
from augsvc.importing.kornia.common import around, p, simple
from augsvc.importing.parameters import Parameters, Range, Refused, scaled
from augsvc.importing.steps import validated
from augsvc.ops.operation import Settings

_ORDER = "draws the order for each sample; there for a batch"


def _color_jitter(given: Parameters, build: Builder) -> None:
    build.differs(_ORDER)
    settings: dict[str, object] = {
        name: around(given, name, 1.0, 0.0) for name in ("brightness", "contrast", "saturation")
    }
    settings |= {"hue": around(given, "hue"), "pivot": "mean", "order": [0, 23], "space": "hsv"}
    build.add("color_jitter", p(given, build, 1.0), settings)


def _color_jiggle(given: Parameters, build: Builder) -> None:
    """Brightness adds, contrast is about black, saturation is HSV's: four steps in a random order."""
    build.differs(_ORDER)
    brightness, contrast = around(given, "brightness", 1.0, 0.0), around(given, "contrast", 1.0, 0.0)
    saturation, hue = around(given, "saturation", 1.0, 0.0), around(given, "hue")
    steps: list[Settings] = [
        {"op": "brightness", "factor": 1.0, "add": scaled(brightness, 1.0, -1.0)},
        {"op": "contrast", "factor": contrast, "pivot": "black"},
        _hsv(saturation=saturation),
        _hsv(hue=hue),
    ]
    neutral = [(1.0, 1.0), (1.0, 1.0), (1.0, 1.0), (0.0, 0.0)]
    given_limits = (brightness, contrast, saturation, hue)
    kept = [step for step, limits, none in zip(steps, given_limits, neutral, strict=True) if limits != none]
    add_children(build, "random_order", p(given, build, 1.0), [validated(step) for step in kept], {})


def _hsv(hue: Range = (0.0, 0.0), saturation: Range = (1.0, 1.0)) -> Settings:
    shifts = {"saturation_shift": 0.0, "value_shift": 0.0}
    return {"op": "hue_saturation_value", "hue": hue, "saturation": saturation, "value": 1.0, **shifts}


def _add(build: Builder, probability: float, step: Settings) -> None:
    build.add(str(step["op"]), probability, {name: value for name, value in step.items() if name != "op"})


def _brightness(given: Parameters, build: Builder) -> None:
    """v + factor − 1."""
    limits = given.range("brightness_factor", (1.0, 1.0))
    build.add("brightness", p(given, build, 1.0), {"factor": 1.0, "add": scaled(limits, 1.0, -1.0)})


def _contrast(given: Parameters, build: Builder) -> None:
    settings = {"factor": given.range("contrast_factor", (1.0, 1.0)), "pivot": "black"}
    build.add("contrast", p(given, build, 1.0), settings)


def _saturation(given: Parameters, build: Builder) -> None:
    _add(build, p(given, build, 1.0), _hsv(saturation=given.range("saturation_factor", (1.0, 1.0))))


def _hue(given: Parameters, build: Builder) -> None:
    """In turns."""
    _add(build, p(given, build, 1.0), _hsv(hue=given.range("hue_factor", (0.0, 0.0))))


def _gamma(given: Parameters, build: Builder) -> None:
    if given.range("gain_factor", (1.0, 1.0)) != (1.0, 1.0):
        raise Refused("gain_factor: gamma has no gain; add brightness after it")
    build.add("gamma", p(given, build, 1.0), {"gamma": given.range("gamma_factor", (1.0, 1.0))})


def _posterize(given: Parameters, build: Builder) -> None:
    """A number n draws from n to 8 bits."""
    bits = given.numbers("bits", (1, 2)) or [3.0]
    low, high = given.draws("bits", bits[0], bits[1] if len(bits) == 2 else 8.0)
    if not (low.is_integer() and high.is_integer()):
        raise Refused("bits must be whole numbers")
    if low < high:
        build.differs("draws all numbers of bits with equal probability; there the first and the last with half of it")
    build.add("posterize", p(given, build, 0.5), {"bits": (low, high)})


def _solarize(given: Parameters, build: Builder) -> None:
    """A threshold n is 0.5 ± n; an addition n is ± n, and comes first."""
    thresholds, additions = given.limits("thresholds", 0.1, 0.5), given.limits("additions", 0.1)
    build.add("solarize", p(given, build, 0.5), {"threshold": thresholds, "addition": additions})


def _grayscale(given: Parameters, build: Builder) -> None:
    given.require("rgb_weights", (), "weights the channels otherwise; grayscale takes the luma or the mean")
    build.add("grayscale", p(given, build, 0.1))


def _invert(given: Parameters, build: Builder) -> None:
    given.require("max_val", (1.0, 1), "inverts about another white")
    build.add("invert", p(given, build, 0.5))


def _rgb_shift(given: Parameters, build: Builder) -> None:
    limits = {around(given, f"{channel}_shift") for channel in "rgb"}
    if len(limits) > 1:
        raise Refused("shifts the channels by different ranges; color_shift has one range")
    build.add("color_shift", p(given, build, 0.5), {"shift": limits.pop()})


def _channel_dropout(given: Parameters, build: Builder) -> None:
    if not given.node.printed or "fill_value" not in given.node.parameters:
        build.remark("its printed form leaves out fill_value: black is taken")
    settings = {"count": given.whole("num_drop_channels", 1), "value": given.number("fill_value", 0.0)}
    build.add("channel_dropout", p(given, build, 0.5), settings)


def _planckian(given: Parameters, build: Builder) -> None:
    build.differs("draws temperatures of 3,000 to 15,000 K; its printed form leaves out the mode, blackbody is taken")
    build.add("planckian_jitter", p(given, build, 0.5))


def _normalize(given: Parameters, build: Builder) -> None:
    given.ignore("same_on_batch")
    mean, std = given.numbers("mean", (1, 3)), given.numbers("std", (1, 3))
    if p(given, build, 1.0) < 1.0 or build.normalisation or build.depth or not mean or not std or min(std) <= 0.0:
        raise Refused("needs one mean and one std above 0, with p=1, once, outside of containers")
    build.normalisation = Normalisation(tuple(mean * 3)[:3], tuple(std * 3)[:3])


COLORS: Mapping[str, Entry] = {
    "ColorJiggle": Entry(_color_jiggle, "color_jitter"),
    "ColorJitter": Entry(_color_jitter, "color_jitter"),
    "Normalize": Entry(_normalize, "whitening"),
    "RandomAutoContrast": simple("autocontrast", 1.0),
    "RandomBrightness": Entry(_brightness, "brightness"),
    "RandomChannelDropout": Entry(_channel_dropout, "channel_dropout"),
    "RandomChannelShuffle": simple("channel_shuffle", 0.5),
    "RandomContrast": Entry(_contrast, "contrast"),
    "RandomEqualize": simple("equalize", 0.5),
    "RandomGamma": Entry(_gamma, "gamma"),
    "RandomGrayscale": Entry(_grayscale, "grayscale"),
    "RandomHue": Entry(_hue, "hue_saturation_value"),
    "RandomInvert": Entry(_invert, "invert"),
    "RandomPlanckianJitter": Entry(_planckian, "planckian_jitter"),
    "RandomPosterize": Entry(_posterize, "posterize"),
    "RandomRGBShift": Entry(_rgb_shift, "color_shift"),
    "RandomSaturation": Entry(_saturation, "hue_saturation_value"),
    "RandomSolarize": Entry(_solarize, "solarize"),
}
