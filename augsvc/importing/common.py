"""What the translators of several libraries share."""

from collections.abc import Mapping, Sequence
from math import exp, sqrt

from augsvc.importing.builder import NOTHING, Builder, Entry
from augsvc.importing.node import Value
from augsvc.importing.parameters import Parameters, Range, Refused, show
from augsvc.ops.operation import Settings

CUBIC_MOVE = "has cubic weights with a = −0.5; there −0.75, which sharpens more"
CORNER_PIXEL = "takes the pixel at the middle of a canvas pixel; there that at its upper left corner"


def nothing(reason: str) -> Entry:
    """A transform that a stream does not need."""

    def translate(given: Parameters, build: Builder) -> None:
        given.ignore(*given.node.parameters)
        build.remark(reason)

    return Entry(translate)


def flip(op: str) -> Entry:
    """A flip with probability `p`."""
    return Entry(lambda given, build: build.add(op, given.p(0.5)), op)


def interpolation(given: Parameters, build: Builder, default: str, name: str = "interpolation") -> dict[str, object]:
    """The interpolation of a move, by its name in torch."""
    mode = mode_word(given, default, name)
    if mode == "bicubic":
        build.differs(CUBIC_MOVE)
    return interpolated(build, mode)


def mode_word(given: Parameters, default: str, name: str = "interpolation") -> str:
    """An interpolation by its name in torch, which prints nearest-exact as NEAREST_EXACT."""
    return given.word(name, default).replace("_", "-")


def interpolated(build: Builder, mode: str) -> dict[str, object]:
    """The setting for an interpolation; one that has no counterpart is bilinear, with a note."""
    names = {"nearest": "nearest", "nearest-exact": "nearest", "bicubic": "bicubic"}
    if mode in names:
        return {"interpolation": names[mode]}
    if mode not in ("bilinear", "linear"):
        build.differs(f"interpolates bilinearly, not {mode.replace('-', ' ')}")
    return {}


def border(given: Parameters, build: Builder) -> dict[str, object]:
    """The constant border of a move."""
    fill, masks = fills_of(given)
    return {"border": "constant", "fill": fill_color(build, fill), **mask_border(build, masks)}


def fills_of(given: Parameters) -> tuple[Value, Value]:
    """The fill of images and that of masks, which may be in a mapping by the type of input; 0 by default."""
    fill = masks = given.take("fill")
    if isinstance(fill, Mapping):
        fill, masks = (fill.get(kind, fill.get("others")) for kind in ("Image", "Mask"))
    return fill, 0 if masks is None else masks


def fill_color(build: Builder, fill: Value) -> list[float]:
    """The colour on [0, 1] of a fill; None is black."""
    return colors_after(build, "fill", 0.0 if fill is None else fill)


def frame_fill(build: Builder, fill: Value) -> float | list[float]:
    """The same of a frame, which comes before the normalisation: a number where the channels are equal."""
    colors = fill_color(build, fill)
    return colors[0] if len(set(colors)) == 1 else colors


def mask_border(build: Builder, value: Value) -> dict[str, object]:
    """The class of masks beyond a constant border, 255 here; the libraries' default 0 is a remark, as images may have none."""
    values = set(value) if isinstance(value, list | tuple) else {value}
    level = values.pop() if len(values) == 1 else None
    if level == 0:
        build.remark("masks are 255 outside the image, not 0: set mask_fill to 0, or give the loss ignore_index=255")
    if level in (0, 255):
        return {}
    if isinstance(level, int | float) and level in range(256):
        return {"mask_fill": int(level)}
    build.differs(f"masks are 255 outside the image, not {show(value)}: mask_fill takes one class from 0 to 255")
    return {}


def level(given: Parameters, build: Builder, name: str) -> float:
    """A level on [0, 1], from one of 255 if values are bytes; 0 by default."""
    return given.number(name, 0.0, 0.0, 1.0) if build.is_float else given.number(name, 0.0, 0.0, 255.0) / 255.0


def colors_after(build: Builder, name: str, value: Value) -> list[float]:
    """The colour on [0, 1] of a fill in levels of 255, or on [0, 1] of floats; after a normalisation, of one in its units."""
    values = list(value) if isinstance(value, list | tuple) else [value] * 3
    values = values * 3 if len(values) == 1 else values
    if len(values) != 3 or not all(isinstance(v, int | float) and not isinstance(v, bool) for v in values):
        raise Refused(f"{name} must be a number or three, not {show(value)}")
    levels = [float(v) for v in values if isinstance(v, int | float)]
    if build.normalisation is not None:
        return build.normalisation.undo(levels)
    return [round(level if build.is_float else level / 255.0, 6) for level in levels]


def erase_color(build: Builder, value: Value) -> Range | float:
    """The grey that fills rectangles: of a colour its mean, noted with the distance."""
    if value in ("random", "random_uniform"):
        if value == "random":
            build.differs("fills with one random colour, not with noise")
        elif build.normalisation:
            build.differs("fills with any colour; there, after Normalize, with one up to a deviation above the mean")
        return 0.0, 1.0
    colors = colors_after(build, "value", value)
    grey = round(sum(colors) / 3.0, 6)
    if distance := max(abs(color - grey) for color in colors):
        build.differs(f"fills with the grey {grey:.3f}: a channel is up to {255 * distance:.0f} levels apart")
    return grey


def erase_noise(build: Builder) -> dict[str, object]:
    """The noise of mean 0 and deviation 1 that fills rectangles, before a normalisation."""
    build.differs("clamps the noise to [0, 1], of one mean and deviation for all channels")
    if build.normalisation is None:
        return {"mean": 0.0, "std": 1.0}
    return {
        "mean": round(sum(build.normalisation.mean) / 3.0, 6),
        "std": round(sum(build.normalisation.std) / 3.0, 6),
    }


def blur(build: Builder, p: float, kernel: Sequence[float], sigma: Range) -> None:
    """A Gaussian blur with the strength that a kernel of `kernel` pixels leaves of `sigma`; 0 or none is not cut."""
    sides = {side for side in kernel if side > 0}
    if len(sides) > 1:
        raise Refused("kernels of different sides along x and y; gaussian_blur has one sigma")
    if not all(side.is_integer() and side <= 1023 and side % 2 for side in sides):
        raise Refused("the kernel's side must be an odd number up to 1023")
    if not sides:
        build.add("gaussian_blur", p, {"sigma": sigma})
        return
    side = int(sides.pop())
    low, high = (round(effective_sigma(side, limit), 4) for limit in sigma)
    if high < 0.98 * sigma[1]:
        build.differs(
            f"a kernel of {side} pixels cuts sigma {sigma[1]:g} to {high:.2f}: blurs with {low:.2f} to {high:.2f}"
        )
    build.add("gaussian_blur", p, {"sigma": (low, high)})


def effective_sigma(side: int, sigma: float) -> float:
    """The standard deviation of a Gaussian kernel of `side` taps, exp(−x² / 2σ²) normalised."""
    if sigma <= 0.0:
        return 0.0
    taps = range(-(side // 2), side // 2 + 1)
    weights = [exp(-0.5 * (tap / sigma) ** 2) for tap in taps]
    variance = sum(weight * tap * tap for weight, tap in zip(weights, taps, strict=True)) / sum(weights)
    return sqrt(variance)


def one_child(steps: Sequence[Settings]) -> Settings:
    """A child of a choice: several steps in one, none as one that changes nothing."""
    if len(steps) == 1:
        return steps[0]
    return {"op": "random_apply", "p": 1.0, "of": list(steps)} if steps else NOTHING


def add_children(build: Builder, op: str, p: float, steps: Sequence[Settings], settings: Settings) -> None:
    """A container of the steps; of none it is nothing."""
    if any(step != NOTHING for step in steps):
        build.add(op, p, {**settings, "of": list(steps)})
