"""Colours, blurs, noise and erasing: contrast is about the mean, the ratio of RandomErasing is height / width."""

from collections.abc import Mapping
from math import inf, log

from augsvc.importing.builder import Builder, Entry, Normalisation
from augsvc.importing.common import blur, erase_color, erase_noise
from augsvc.importing.framing import Size
from augsvc.importing.parameters import Parameters, Range, Refused, scaled

_AREAS = 256  # steps of a numerical integral


def _color_jitter(given: Parameters, build: Builder) -> None:
    names = ("brightness", "contrast", "saturation")
    settings: dict[str, object] = {name: given.limits(name, (1.0, 1.0), 1.0, 0.0) for name in names}
    settings["hue"] = given.limits("hue", (0.0, 0.0))
    build.add("color_jitter", 1.0, settings | {"pivot": "mean", "order": [0, 23], "space": "hsv"})


def _photometric_distort(given: Parameters, build: Builder) -> None:
    settings: dict[str, object] = {
        "brightness": given.range("brightness", (0.875, 1.125)),
        "contrast": given.range("contrast", (0.5, 1.5)),
        "saturation": given.range("saturation", (0.5, 1.5)),
        "hue": given.range("hue", (-0.05, 0.05)),
        "chance": given.p(0.5),
    }
    build.add("photometric_distort", 1.0, settings | {"pivot": "mean"})


def _solarize(given: Parameters, build: Builder) -> None:
    """The threshold has the scale of the values: levels up to 255 of bytes, up to 1 of floats."""
    white = 1.0 if build.is_float else 255.0
    threshold = given.number("threshold", None, 0.0, white)
    if 0.0 < threshold <= 1.0 < white:
        build.remark(
            "its threshold is a level of 255, as images are bytes at this point: put ToDtype before it for floats"
        )
    build.add("solarize", given.p(0.5), {"threshold": threshold / white})


def _posterize(given: Parameters, build: Builder) -> None:
    build.add("posterize", given.p(0.5), {"bits": given.whole("bits", None, 0, 8)})


def _sharpness(given: Parameters, build: Builder) -> None:
    amount = given.number("sharpness_factor", None, 0.0, 9.0) - 1.0
    build.differs("filters the outermost pixels too, which torchvision copies: up to 0.3 levels on average")
    build.add("sharpen", given.p(0.5), {"amount": amount})


def _gaussian_blur(given: Parameters, build: Builder) -> None:
    kernel = given.numbers("kernel_size", (1, 2))
    blur(build, 1.0, kernel, given.range("sigma", (0.1, 2.0)))


def _gaussian_noise(given: Parameters, build: Builder) -> None:
    given.require("mean", (0.0, 0), "gaussian_noise has the mean 0")
    given.require("clip", (True,), "values are clamped")
    build.add("gaussian_noise", 1.0, {"std": given.number("sigma", 0.1, 0.0)})


def _jpeg(given: Parameters, build: Builder) -> None:
    build.add("jpeg", 1.0, {"quality": given.range("quality")})


def _grayscale(given: Parameters, build: Builder) -> None:
    if given.whole("num_output_channels", 3 if "p" in given.node.parameters else 1) == 1:
        build.differs("keeps three equal channels; set `channels: 1` in the specification for one")
    build.add("grayscale", given.p(1.0 if given.node.name == "Grayscale" else 0.1))


def _erasing(given: Parameters, build: Builder) -> None:
    given.ignore("inplace")
    low, high = given.range("ratio", (0.3, 3.3))
    if low <= 0.0:
        raise Refused("ratio must be above 0")
    value = given.take("value")
    scale = given.range("scale", (0.02, 0.33))
    share = 100.0 * _too_large(scale, (low, high), build.framing.size or (1, 1))
    note = build.differs if share >= 1.0 else build.remark
    if share >= 0.1:
        image = "the image" if build.framing.size else "a square image"
        note(f"cuts rectangles as high or wide as {image}, {share:.1f} % of those drawn; there they are drawn again")
    settings: dict[str, object] = {"scale": scale, "ratio": scaled((1.0 / high, 1.0 / low), 1.0)}
    if value == "random":
        build.add("noise_erasing", given.p(0.5), settings | erase_noise(build))
    else:
        color = erase_color(build, 0.0 if value is None else value)
        build.add("erasing", given.p(0.5), settings | {"value": color})


def _too_large(scale: Range, ratio: Range, size: Size) -> float:
    """The share of rectangles, of a uniform area and a log-uniform height / width, that have a side as long as the image's."""
    low, high = log(ratio[0]), log(ratio[1])
    middle = log(size[0] / size[1])
    fits = 0.0
    for step in range(_AREAS):
        area = scale[0] + (scale[1] - scale[0]) * (step + 0.5) / _AREAS
        reach = -log(area) if area > 0.0 else inf
        if low == high:
            fits += abs(low - middle) < reach
        else:
            fits += max(0.0, min(high, middle + reach) - max(low, middle - reach)) / (high - low)
    return 1.0 - fits / _AREAS


def _normalize(given: Parameters, build: Builder) -> None:
    given.ignore("inplace")
    mean, std = given.numbers("mean", (1, 3)), given.numbers("std", (1, 3))
    if build.normalisation or build.depth or not mean or not std or min(std) <= 0.0:
        raise Refused("needs one mean and one std above 0, once, outside of containers")
    build.normalisation = Normalisation(tuple(mean * 3)[:3], tuple(std * 3)[:3])


def _to_float(given: Parameters, build: Builder) -> None:
    """ToTensor, ToDtype, ConvertImageDtype: floats on [0, 1], if they scale to them."""
    dtype = given.word("dtype", "float32")
    given.ignore("inplace")
    if given.node.name == "ToDtype":
        if given.flag("scale", False) is False:
            raise Refused("scale=False: values of images stay bytes or become floats up to 255; use scale=True")
        if "dtype" not in given.node.parameters:
            build.differs("its printed form leaves out the dtype: float32 is taken")
    if dtype == "uint8":
        _to_bytes(given, build)
        return
    if dtype not in ("float32", "float"):
        raise Refused(f"dtype {dtype}: set output.dtype in the specification")
    build.is_float = True


def _to_bytes(given: Parameters, build: Builder) -> None:
    """ToPILImage and conversions to uint8: fills and thresholds after it are levels of 255 again."""
    given.ignore("mode")
    if build.normalisation:
        raise Refused("makes bytes of normalised values: put it before Normalize, or leave it out")
    build.is_float = False
    build.remark("batches are tensors")


def _simple(op: str, p: float) -> Entry:
    return Entry(lambda given, build: build.add(op, given.p(p)), op)


COLORS: Mapping[str, Entry] = {
    "ColorJitter": Entry(_color_jitter, "color_jitter"),
    "ConvertImageDtype": Entry(_to_float),
    "GaussianBlur": Entry(_gaussian_blur, "gaussian_blur"),
    "GaussianNoise": Entry(_gaussian_noise, "gaussian_noise"),
    "Grayscale": Entry(_grayscale, "grayscale"),
    "JPEG": Entry(_jpeg, "jpeg"),
    "Normalize": Entry(_normalize, "whitening"),
    "RandomAdjustSharpness": Entry(_sharpness, "sharpen"),
    "RandomErasing": Entry(_erasing, "erasing"),
    "RandomGrayscale": Entry(_grayscale, "grayscale"),
    "RandomPhotometricDistort": Entry(_photometric_distort, "photometric_distort"),
    "RandomPosterize": Entry(_posterize, "posterize"),
    "RandomSolarize": Entry(_solarize, "solarize"),
    "ToDtype": Entry(_to_float),
    "ToPILImage": Entry(_to_bytes),
    "ToTensor": Entry(_to_float),
    "RandomAutocontrast": _simple("autocontrast", 0.5),
    "RandomChannelPermutation": _simple("channel_shuffle", 1.0),
    "RandomEqualize": _simple("equalize", 0.5),
    "RandomInvert": _simple("invert", 0.5),
}
