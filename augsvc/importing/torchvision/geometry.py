"""Rotations, crops and resizes: RandomAffine is clockwise, RandomRotation counter-clockwise."""

from collections.abc import Mapping

from augsvc.importing.builder import Builder, Entry
from augsvc.importing.common import (
    CORNER_PIXEL,
    border,
    fills_of,
    flip,
    frame_fill,
    interpolated,
    interpolation,
    mask_border,
    mode_word,
)
from augsvc.importing.parameters import Parameters, Range, Refused, choose, negated

_BORDERS = {"constant": "constant", "edge": "edge", "reflect": "reflect101", "symmetric": "reflect"}


def _rotation(given: Parameters, build: Builder) -> None:
    given.require("expand", (False,), "a rotated image keeps its canvas here; rotate without expand")
    given.require("center", (), "rotates about the centre only")
    settings = interpolation(given, build, "nearest") | border(given, build)
    build.add("rotation", 1.0, {"degrees": given.limits("degrees", 0.0), **settings})


def _affine(given: Parameters, build: Builder) -> None:
    given.require("center", (), "transforms about the centre only")
    own = interpolation(given, build, "nearest")
    shear = given.numbers("shear", (1, 2, 4))
    if len(shear) == 1:
        shear = [-abs(shear[0]), abs(shear[0])]
    if len(shear) == 2:
        given.draws("shear", *shear)
    shear_x, shear_y = (negated((low, high)) for low, high in _pairs([*shear, 0.0, 0.0, 0.0, 0.0][:4]))
    translate = given.numbers("translate", (2,)) or [0.0, 0.0]
    if any(translate):
        build.differs("translates by fractions of a pixel, not by whole pixels")
    settings = {
        "degrees": negated(given.limits("degrees", 0.0)),
        "translate_x": (-translate[0], translate[0]),
        "translate_y": (-translate[1], translate[1]),
        "scale": given.range("scale", (1.0, 1.0)),
        "shear_x": shear_x,
        "shear_y": shear_y,
    }
    build.add("affine", 1.0, settings | own | border(given, build))


def _pairs(numbers: list[float]) -> list[Range]:
    return list(zip(numbers[::2], numbers[1::2], strict=True))


def _perspective(given: Parameters, build: Builder) -> None:
    own = interpolation(given, build, "bilinear")
    distortion = given.number("distortion_scale", 0.5, 0.0, 1.0)
    build.add("perspective", given.p(0.5), {"distortion": distortion, **own, **border(given, build)})


def _resampling(given: Parameters, build: Builder) -> dict[str, object]:
    """The interpolation of a frame, with what differs where it shrinks."""
    mode, antialias = mode_word(given, "bilinear"), given.flag("antialias", True)
    if mode == "nearest":
        build.differs(CORNER_PIXEL)
    elif mode == "bicubic" and not antialias:
        build.differs(
            "weighs all pixels where it shrinks; without antialias torchvision weighs sixteen, with a = −0.75"
        )
    elif mode not in ("nearest-exact", "bicubic") and antialias:
        build.differs("averages areas where it shrinks, 1 to 2 levels from the triangle filter on average")
    elif mode not in ("nearest-exact", "bicubic"):
        build.differs("averages areas where it shrinks; without antialias torchvision samples four pixels")
    return interpolated(build, mode)


def _random_resized_crop(given: Parameters, build: Builder) -> None:
    own = _resampling(given, build)
    build.before_frame()
    ratio = given.range("ratio", (0.75, 4 / 3))
    build.framing.random_resized_crop(given.size("size"), given.range("scale", (0.08, 1.0)), ratio, own)


def _resize(given: Parameters, build: Builder) -> None:
    own = _resampling(given, build)
    build.before_frame()
    sides = given.sides("size")
    longest = given.take("max_size")
    if len(sides) == 2:
        build.framing.resize((sides[0], sides[1]), own)
    elif sides and longest is None:
        build.framing.wait_for_crop({"op": "resize", "side": "shortest", "pixels": sides[0], **own})
    elif not sides and isinstance(longest, int):
        build.framing.wait_for_crop({"op": "resize", "side": "longest", "pixels": longest, **own})
    else:
        raise Refused("size and max_size together: shortest_side takes both")


def _center_crop(given: Parameters, build: Builder) -> None:
    build.before_frame()
    build.framing.center_crop(given.size("size"), fill=frame_fill(build, 0))


def _random_crop(given: Parameters, build: Builder) -> None:
    padding = given.numbers("padding", (1, 2, 4)) or [0.0]
    if len(set(padding)) > 1 or not padding[0].is_integer():
        raise Refused("pads the sides differently; random_crop pads all by the same number")
    if pads := given.flag("pad_if_needed", False):
        build.differs("a smaller source lies anywhere on the canvas; there it is padded on both sides")
    mode = choose(_BORDERS, given.word("padding_mode", "constant"), "padding_mode")
    shows = mode == "constant" and (any(padding) or pads)
    build.before_frame(fills=shows)
    fill, masks = _fill(given, build, shows)
    build.framing.random_crop(given.size("size"), int(padding[0]), mode, fill)
    build.framing.fill_masks(masks)


def _fill(given: Parameters, build: Builder, shows: bool = True) -> tuple[float | list[float], dict[str, object]]:
    """The colour of a frame's constant border, and the class of masks there if it `shows`."""
    fill, masks = fills_of(given)
    return frame_fill(build, fill), mask_border(build, masks) if shows else {}


def _zoom_out(given: Parameters, build: Builder) -> None:
    build.before_frame(fills=True)
    fill, masks = _fill(given, build)
    side, p = given.range("side_range", (1.0, 4.0)), given.p(0.5)
    build.framing.wait_for_crop({"op": "zoom_out", "side": list(side), "fill": fill, "p": p, **masks})


def _iou_crop(given: Parameters, build: Builder) -> None:
    build.before_frame()
    given.ignore("trials")
    options = given.numbers("options") or [0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0]
    scale = given.number("min_scale", 0.3), given.number("max_scale", 1.0)
    ratio = given.number("min_aspect_ratio", 0.5), given.number("max_aspect_ratio", 2.0)
    step: dict[str, object] = {"op": "iou_crop", "overlaps": options, "scale": list(scale), "ratio": list(ratio)}
    build.framing.wait_for_crop(step)


def _scale_jitter(given: Parameters, build: Builder) -> None:
    own = _resampling(given, build)
    build.before_frame()
    height, width = given.size("target_size")
    if height != width:
        raise Refused("a target_size that is not square; scale_jitter's base has no orientation")
    scale = given.range("scale_range", (0.1, 2.0))
    build.framing.wait_for_crop({"op": "scale_jitter", "scale": list(scale), "base": [height, width], **own})


GEOMETRY: Mapping[str, Entry] = {
    "CenterCrop": Entry(_center_crop, "center_crop"),
    "RandomAffine": Entry(_affine, "affine"),
    "RandomCrop": Entry(_random_crop, "random_crop"),
    "RandomIoUCrop": Entry(_iou_crop, "iou_crop"),
    "RandomPerspective": Entry(_perspective, "perspective"),
    "RandomResizedCrop": Entry(_random_resized_crop, "random_resized_crop"),
    "RandomRotation": Entry(_rotation, "rotation"),
    "RandomZoomOut": Entry(_zoom_out, "zoom_out"),
    "Resize": Entry(_resize, "resize"),
    "ScaleJitter": Entry(_scale_jitter, "scale_jitter"),
    "RandomHorizontalFlip": flip("horizontal_flip"),
    "RandomVerticalFlip": flip("vertical_flip"),
}
