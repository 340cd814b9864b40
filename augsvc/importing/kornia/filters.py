"""Blurs, noise, compression and erasing: kernels cut sigma, the ratio of RandomErasing is height / width."""

from collections.abc import Mapping

from augsvc.importing.builder import Builder, Entry
from augsvc.importing.common import blur
from augsvc.importing.kornia.common import around, kernel_radius, p
from augsvc.importing.parameters import Parameters, Refused, scaled


def _gaussian_blur(given: Parameters, build: Builder) -> None:
    _border_type(given, build)
    given.ignore("separable")
    kernel = given.numbers("kernel_size", (1, 2))
    blur(build, p(given, build, 0.5), kernel, given.range("sigma"))


def _border_type(given: Parameters, build: Builder) -> None:
    border = given.word("border_type", "reflect")
    if border != "reflect":
        build.differs(f"reflects at the border; there {border}")


def _box_blur(given: Parameters, build: Builder) -> None:
    _border_type(given, build)
    given.require("normalized", (True,), "sums instead of averaging")
    build.add("box_blur", p(given, build, 0.5), {"radius": kernel_radius(given)})


def _median_blur(given: Parameters, build: Builder) -> None:
    build.differs("reflects at the border; there black")
    build.add("median_blur", p(given, build, 0.5), {"radius": kernel_radius(given)})


def _motion_blur(given: Parameters, build: Builder) -> None:
    given.ignore("border_type", "resample")
    sides = given.numbers("kernel_size", (1, 2))
    if not sides:
        raise Refused("kernel_size is missing")
    direction = around(given, "direction")
    if any(direction):
        build.differs("blurs along a centred line; there more to one of its ends")
    build.differs("averages along an exact line, reflecting at the border; there along the pixels next to it, in black")
    settings = {"length": (sides[0], sides[-1]), "degrees": around(given, "angle")}
    build.add("motion_blur", p(given, build, 0.5), settings)


def _sharpness(given: Parameters, build: Builder) -> None:
    """A number n draws factors from 0 to n: 1 changes nothing, below it blurs."""
    factors = given.numbers("sharpness", (1, 2)) or [0.5]
    limits = given.draws("sharpness", 0.0 if len(factors) == 1 else factors[0], factors[-1])
    build.differs("filters the outermost pixels too, which Kornia copies")
    build.add("sharpen", p(given, build, 0.5), {"amount": scaled(limits, 1.0, -1.0)})


def _gaussian_noise(given: Parameters, build: Builder) -> None:
    given.require("mean", (0.0, 0), "gaussian_noise has the mean 0")
    build.differs("clamps values to [0, 1]; Kornia does not")
    build.add("gaussian_noise", p(given, build, 0.5), {"std": given.number("std", 1.0, 0.0)})


def _salt_and_pepper(given: Parameters, build: Builder) -> None:
    settings = {"amount": given.range("amount", (0.01, 0.06)), "salt": given.range("salt_and_pepper", (0.4, 0.6))}
    build.add("salt_and_pepper", p(given, build, 0.5), settings)


def _jpeg(given: Parameters, build: Builder) -> None:
    build.differs("compresses as libjpeg does, with whole qualities; Kornia by a differentiable approximation")
    low, high = given.range("quality", (50.0, 50.0))
    build.add("jpeg", p(given, build, 1.0), {"quality": (float(round(low)), float(round(high)))})


def _erasing(given: Parameters, build: Builder) -> None:
    """Prints its ratio as `resize_to`."""
    low, high = given.range("resize_to", (0.3, 3.3))
    if low <= 0.0:
        raise Refused("ratio must be above 0")
    if low < high:
        build.differs("draws the ratio log-uniformly; there uniformly, below or above 1 with equal probability")
    build.remark("leaves masks as they are; Kornia erases them to 0")
    settings = {
        "scale": given.range("scale", (0.02, 0.33)),
        "ratio": scaled((1.0 / high, 1.0 / low), 1.0),
        "value": _level(build, given.number("value", 0.0)),
    }
    build.add("erasing", p(given, build, 0.5), settings)


def _level(build: Builder, value: float) -> float:
    """A level on [0, 1]; after a normalisation the mean of the channels."""
    if build.normalisation is None:
        return value
    levels = build.normalisation.undo([value] * 3)
    grey = round(sum(levels) / 3.0, 6)
    if distance := max(abs(level - grey) for level in levels):
        build.differs(f"fills with the grey {grey:.3f}: a channel is up to {255 * distance:.0f} levels apart")
    return grey


FILTERS: Mapping[str, Entry] = {
    "RandomBoxBlur": Entry(_box_blur, "box_blur"),
    "RandomErasing": Entry(_erasing, "erasing"),
    "RandomGaussianBlur": Entry(_gaussian_blur, "gaussian_blur"),
    "RandomGaussianNoise": Entry(_gaussian_noise, "gaussian_noise"),
    "RandomJPEG": Entry(_jpeg, "jpeg"),
    "RandomMedianBlur": Entry(_median_blur, "median_blur"),
    "RandomMotionBlur": Entry(_motion_blur, "motion_blur"),
    "RandomSaltAndPepperNoise": Entry(_salt_and_pepper, "salt_and_pepper"),
    "RandomSharpness": Entry(_sharpness, "sharpen"),
}
