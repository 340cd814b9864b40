"""What all of Kornia's augmentations share: `p`, draws of a batch, and padding by name."""

from augsvc.importing.builder import Builder, Entry
from augsvc.importing.common import interpolation, mask_border
from augsvc.importing.parameters import Parameters, Range, Refused, choose

_BORDERS = {"zeros": "zeros", "border": "edge", "reflection": "reflect"}


def p(given: Parameters, build: Builder, default: float) -> float:
    """The probability; draws of a batch are noted."""
    given.require("p_batch", (1.0, 1), "applies to a part of the batches; use p")
    given.ignore("keepdim")
    if given.flag("same_on_batch", False):
        build.differs("draws for each sample; there once for a batch")
    return given.p(default)


def moves(given: Parameters, build: Builder) -> dict[str, object]:
    """The border of a move, and its interpolation."""
    given.ignore("align_corners")
    own = interpolation(given, build, "bilinear", "resample")
    fill = given.numbers("fill_value", (1, 3))
    border = choose({**_BORDERS, "fill": "constant"}, given.word("padding_mode", "zeros"), "padding_mode")
    if border == "constant" and not fill:
        raise Refused("padding_mode fill needs a fill_value")
    if border in ("constant", "zeros"):
        own |= mask_border(build, fill[0] if border == "constant" and len(fill) == 1 else 0)
    if border == "constant":
        return {"border": "constant", "fill": colors(build, fill), **own}
    if border == "zeros" and build.normalisation:
        return {"border": "constant", "fill": colors(build, [0.0]), **own}
    return {"border": border, **own}


def colors(build: Builder, values: list[float]) -> list[float]:
    """The colour on [0, 1] of one value or three; after a normalisation, of values in its units."""
    triple = values if len(values) == 3 else values * 3
    return build.normalisation.undo(triple) if build.normalisation else triple


def frame(given: Parameters, build: Builder, *, fills: bool = False) -> None:
    """Reads what all crops and resizes have, before they change the size."""
    if p(given, build, 1.0) < 1.0:
        raise Refused("with p below 1 its images differ from the others; use p=1")
    given.ignore("align_corners", "cropping_mode", "output_size", "crop_size")
    mode = given.word("resample", "bilinear")
    if mode != "bilinear":
        build.differs(f"interpolates bilinearly, not {mode}")
    build.before_frame(fills=fills)


def around(given: Parameters, name: str, middle: float = 0.0, least: float = -1e9) -> Range:
    """The range of a generator: a number n is middle ± n."""
    return given.limits(name, (middle, middle), middle, least)


def simple(op: str, default: float) -> Entry:
    """An augmentation without parameters."""
    return Entry(lambda given, build: build.add(op, p(given, build, default)), op)


def kernel_radius(given: Parameters) -> float:
    """The radius of a square kernel of an odd side."""
    sides = set(given.numbers("kernel_size", (1, 2)))
    side = sides.pop() if len(sides) == 1 else 0.0
    if not (side.is_integer() and side % 2 and 1 <= side <= 1023):
        raise Refused("kernel_size must be one odd number")
    return (side - 1.0) / 2.0
