"""Flips, rotations, crops and resizes: RandomAffine is clockwise, RandomRotation counter-clockwise."""

from collections.abc import Mapping

from augsvc.importing.builder import Builder, Entry
from augsvc.importing.common import mask_border
from augsvc.importing.kornia.common import around, colors, frame, moves, p, simple
from augsvc.importing.parameters import Parameters, Range, Refused, choose, negated, ordered

_PADDINGS = {"constant": "constant", "reflect": "reflect101", "replicate": "edge"}


def _rotation(given: Parameters, build: Builder) -> None:
    settings = {"degrees": around(given, "degrees"), **moves(given, build)}
    build.add("rotation", p(given, build, 0.5), settings)


def _rotate90(given: Parameters, build: Builder) -> None:
    moves(given, build)
    low, high = given.range("times")
    if not (low >= 0 and high <= 3):
        raise Refused("times must be from 0 to 3: rotate90 turns counter-clockwise by as many right angles")
    build.add("rotate90", p(given, build, 0.5), {"turns": (low, high)})


def _shears(given: Parameters) -> tuple[Range, Range]:
    """The ranges along x and y of Kornia's angles, negated: theirs move the lower half to the left."""
    shear = given.numbers("shear", (1, 2, 4)) or [0.0]
    if len(shear) == 1:
        shear = [-abs(shear[0]), abs(shear[0])]
    if len(shear) == 2:
        given.draws("shear", *shear)
    shear = [*shear, 0.0, 0.0][:4]
    return negated(ordered("shear", shear[0], shear[1])), negated(ordered("shear", shear[2], shear[3]))


def _affine(given: Parameters, build: Builder) -> None:
    translate = given.numbers("translate", (2,)) or [0.0, 0.0]
    shear_x, shear_y = _shears(given)
    settings = {
        "degrees": negated(around(given, "degrees")),
        "translate_x": (-translate[0], translate[0]),
        "translate_y": (-translate[1], translate[1]),
        "scale": given.range("scale", (1.0, 1.0)),
        "shear_x": shear_x,
        "shear_y": shear_y,
    }
    build.add("affine", p(given, build, 0.5), settings | moves(given, build))


def _shear(given: Parameters, build: Builder) -> None:
    shear_x, shear_y = _shears(given)
    build.add("shear", p(given, build, 0.5), {"x": shear_x, "y": shear_y, **moves(given, build)})


def _translate(given: Parameters, build: Builder) -> None:
    settings = {"x": given.range("translate_x", (0.0, 0.0)), "y": given.range("translate_y", (0.0, 0.0))}
    build.add("translate", p(given, build, 0.5), settings | moves(given, build))


def _perspective(given: Parameters, build: Builder) -> None:
    given.require("sampling_method", ("basic",), "moves corners in any direction; perspective moves them inwards")
    settings = {"distortion": given.number("distortion_scale", 0.5), **moves(given, build)}
    build.add("perspective", p(given, build, 0.5), settings)


def _random_resized_crop(given: Parameters, build: Builder) -> None:
    """Prints its ratio as `resize_to`."""
    frame(given, build)
    given.ignore("padding_mode")
    build.differs("averages where it shrinks; Kornia does not")
    scale, ratio = given.range("scale", (0.08, 1.0)), given.range("resize_to", (0.75, 4 / 3))
    build.framing.random_resized_crop(given.size("size"), scale, ratio, {})


def _random_crop(given: Parameters, build: Builder) -> None:
    padding = given.numbers("padding", (1, 2, 4)) or [0.0]
    if len(set(padding)) > 1 or not padding[0].is_integer():
        raise Refused("pads the sides differently; random_crop pads all by the same number")
    if pads := given.flag("pad_if_needed", False):
        build.remark("pads smaller images")
    border = choose(_PADDINGS, given.word("padding_mode", "constant"), "padding_mode")
    fill, shows = given.number("fill", 0.0), border == "constant" and (any(padding) or pads)
    masks = mask_border(build, fill) if shows else {}
    frame(given, build, fills=shows)
    fill_color = colors(build, [fill])
    build.framing.random_crop(given.size("size"), int(padding[0]), border, fill_color)
    build.framing.fill_masks(masks)


def _center_crop(given: Parameters, build: Builder) -> None:
    given.ignore("same_on_batch")
    frame(given, build)
    given.ignore("padding_mode")
    build.differs("rounds half a pixel to an even one; Kornia down: crops of an odd rest may lie a pixel apart")
    build.framing.center_crop(given.size("size"))


def _resize(given: Parameters, build: Builder) -> None:
    given.ignore("same_on_batch")
    frame(given, build)
    if not given.flag("antialias", False):
        build.differs(
            "averages where it shrinks; Kornia does not without antialias=True: 6.5 levels on average, to 96 pixels"
        )
    else:
        build.differs(
            "averages areas where it shrinks; Kornia filters by a Gaussian: 4 levels on average, to 96 pixels"
        )
    side = choose({"short": "shortest", "long": "longest"}, given.word("side", "short"), "side")
    sizes = given.sides("size")
    if len(sizes) == 2:
        build.framing.resize((sizes[0], sizes[1]), {})
    elif sizes:
        build.framing.wait_for_crop({"op": "resize", "side": side, "pixels": sizes[0]})
    else:
        raise Refused("size is missing")


def _pad_to(given: Parameters, build: Builder) -> None:
    frame(given, build)
    raise Refused("pads right and below to a size, and crops larger images there; letterbox pads both sides")


def _mosaic(given: Parameters, build: Builder) -> None:
    """The crop of a grid of whole images begins at a fraction r of an image: their seam is at 1 − r of the canvas."""
    if (given.numbers("mosaic_grid", (2,)) or [2.0, 2.0]) != [2.0, 2.0]:
        raise Refused("mosaic_grid must be 2 by 2: a mosaic has four images")
    given.require("padding_mode", ("constant",), "pads otherwise")
    given.ignore("resample", "align_corners", "cropping_mode")
    if given.number("min_bbox_size", 0.0):
        build.differs("keeps boxes of which a tenth is visible, whatever their size")
    size = given.sides("output_size")
    if size and (size[0], size[-1]) != build.framing.size:
        raise Refused("output_size is not that of the images: resize them to it before")
    low, high = given.range("start_ratio_range", (0.3, 0.7))
    build.differs("takes three other images from the dataset; there from the batch")
    seam = {name: (round(0.75 - high / 2.0, 9), round(0.75 - low / 2.0, 9)) for name in ("center_x", "center_y")}
    build.add("mosaic", p(given, build, 0.7), {**seam, "fill": 0.0})


GEOMETRY: Mapping[str, Entry] = {
    "CenterCrop": Entry(_center_crop, "center_crop"),
    "LongestMaxSize": Entry(_resize, "resize"),
    "PadTo": Entry(_pad_to, "letterbox"),
    "RandomAffine": Entry(_affine, "affine"),
    "RandomCrop": Entry(_random_crop, "random_crop"),
    "RandomHorizontalFlip": simple("horizontal_flip", 0.5),
    "RandomMosaic": Entry(_mosaic, "mosaic"),
    "RandomPerspective": Entry(_perspective, "perspective"),
    "RandomResizedCrop": Entry(_random_resized_crop, "random_resized_crop"),
    "RandomRotation": Entry(_rotation, "rotation"),
    "RandomRotation90": Entry(_rotate90, "rotate90"),
    "RandomShear": Entry(_shear, "shear"),
    "RandomTranslate": Entry(_translate, "translate"),
    "RandomVerticalFlip": simple("vertical_flip", 0.5),
    "Resize": Entry(_resize, "resize"),
    "SmallestMaxSize": Entry(_resize, "resize"),
}
