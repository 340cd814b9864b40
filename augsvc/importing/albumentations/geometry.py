"""Flips, rotations, crops and resizes: rotations are counter-clockwise, shears the reverse of ours, borders OpenCV's numbers."""

from collections.abc import Mapping

from augsvc.importing.builder import Builder, Entry
from augsvc.importing.common import (
    CORNER_PIXEL,
    CUBIC_MOVE,
    add_children,
    fill_color,
    flip,
    frame_fill,
    mask_border,
    nothing,
)
from augsvc.importing.node import Value
from augsvc.importing.parameters import Parameters, Range, Refused, negated, scaled
from augsvc.importing.steps import validated

_BORDERS = ("constant", "edge", "reflect", None, "reflect101")
_INTERPOLATIONS = (
    "nearest neighbour",
    "bilinearly",
    "bicubically",
    "by area",
    "by Lanczos's kernel",
    "bilinearly",
    "nearest neighbour",
)
_NAMES = {0: "nearest", 2: "bicubic", 6: "nearest"}
_WHOLE_PIXELS = "translates by fractions of a pixel, not by whole pixels: 1.3 levels on average"
_STILL: dict[str, object] = {
    "degrees": 0.0, "translate_x": 0.0, "translate_y": 0.0, "scale": 1.0, "shear_x": 0.0, "shear_y": 0.0,
}  # fmt: skip


def move_interpolation(given: Parameters, build: Builder) -> dict[str, object]:
    """The interpolation of a move, by OpenCV's number."""
    mode, of_masks = given.whole("interpolation", 1, 0, 6), given.whole("mask_interpolation", 0, 0, 6)
    if mode in (3, 4):
        build.differs(f"interpolates bilinearly, not {_INTERPOLATIONS[mode]}")
    if mode == 2:
        build.differs(CUBIC_MOVE)
    if of_masks not in (0, 6):
        build.differs(f"samples masks by nearest neighbour, not {_INTERPOLATIONS[of_masks]}")
    if given.word("rotate_method", "largest_box") == "ellipse":
        build.differs("boxes hold their moved corners, not an ellipse")
    return {"interpolation": _NAMES[mode]} if mode in _NAMES else {}


def _border_mode(given: Parameters, build: Builder, shows: bool = True) -> tuple[str, dict[str, object]]:
    """The border, and the class of masks there if it `shows`."""
    border, masks = _BORDERS[given.whole("border_mode", 0, 0, 4)], given.take("fill_mask")
    if border is None:
        raise Refused("border_mode wrap has no counterpart")
    if border == "constant" and shows:
        return border, mask_border(build, 0 if masks is None else masks)
    return border, {}


def move_border(given: Parameters, build: Builder) -> dict[str, object]:
    """The border of a move; only a constant one has a colour."""
    (border, masks), fill = _border_mode(given, build), given.take("fill")
    if border != "constant":
        return {"border": border}
    return {"border": border, "fill": fill_color(build, fill), **masks}


def _rotate(given: Parameters, build: Builder) -> None:
    given.require("crop_border", (False,), "a rotated image keeps its canvas here")
    own = move_interpolation(given, build)
    degrees = given.limits("limit", 90.0)
    build.add("rotation", given.p(0.5), {"degrees": degrees, **own, **move_border(given, build)})


def _axes(given: Parameters, name: str, default: Range, middle: float = 0.0) -> tuple[Range, Range]:
    """The ranges along x and y of a parameter that is a number, a range, or a mapping of both."""
    value = given.node.parameters.get(name)
    if not isinstance(value, Mapping):
        limits = given.limits(name, default, middle)
        return limits, limits
    given.ignore(name)
    if not set(value) <= {"x", "y"}:
        raise Refused(f"{name} must have x and y alone")
    return _axis(given, value, name, "x", default), _axis(given, value, name, "y", default)


def _axis(given: Parameters, axes: Mapping[str, Value], name: str, axis: str, default: Range) -> Range:
    value = axes.get(axis)
    given.put(f"{name}.{axis}", list(default) if value is None else value)
    return given.range(f"{name}.{axis}")


def _affine(given: Parameters, build: Builder) -> None:
    own = move_interpolation(given, build)
    given.require("fit_output", (False,), "a transformed image keeps its canvas here")
    given.require("balanced_scale", (False,), "scale is uniform over its range")
    scale = _one_scale(given, build, _axes(given, "scale", (1.0, 1.0)), given.flag("keep_ratio", False))
    shear_x, shear_y = _axes(given, "shear", (0.0, 0.0))
    degrees = given.limits("rotate", 0.0)
    if any(shear_x) and any(shear_y):
        build.differs("shears along x, then along y; Albumentations along both in one matrix")
    translate_x, translate_y = _translation(given, build)
    last: dict[str, object] = {"translate_x": translate_x, "translate_y": translate_y}
    last |= {"shear_x": negated(shear_x), "shear_y": negated(shear_y), **own, **move_border(given, build)}
    turned: dict[str, object] = {"degrees": degrees, "scale": scale}
    if not (any((*shear_x, *shear_y)) and any(degrees)):
        build.add("affine", given.p(0.5), _STILL | turned | last)
        return
    # theirs shears after it rotates, ours before: two steps, which become one matrix
    steps = [
        validated({"op": "affine", **_STILL, **turned, **_border_of(last)}),
        validated({"op": "affine", **_STILL, **last}),
    ]
    if (p := given.p(0.5)) < 1.0:
        add_children(build, "random_apply", p, steps, {})
    else:
        build.steps += steps


def _border_of(settings: Mapping[str, object]) -> dict[str, object]:
    return {name: settings[name] for name in ("border", "fill", "mask_fill", "interpolation") if name in settings}


def _translation(given: Parameters, build: Builder) -> tuple[Range, Range]:
    """Fractions of the sides; pixels by the size at this point."""
    pixels_x, pixels_y = _axes(given, "translate_px", (0.0, 0.0))
    if any((*pixels_x, *pixels_y)):
        height, width = build.framing.require_size("translate_px")
        build.differs(_WHOLE_PIXELS)
        return scaled(pixels_x, 1.0 / width), scaled(pixels_y, 1.0 / height)
    fractions = _axes(given, "translate_percent", (0.0, 0.0))
    if any(map(any, fractions)):
        build.differs(_WHOLE_PIXELS)
    return fractions


def _one_scale(given: Parameters, build: Builder, scale: tuple[Range, Range], keep_ratio: bool) -> Range:
    scale_x, scale_y = scale
    if scale_x != scale_y and not keep_ratio:
        raise Refused("scales width and height by different ranges; affine has one scale")
    if scale_x[0] < scale_x[1] and not keep_ratio:
        build.differs("scales both sides by one number; there each by its own, with keep_ratio=False")
    return scale_x


def _shift_scale_rotate(given: Parameters, build: Builder) -> None:
    own = move_interpolation(given, build)
    shift = given.limits("shift_limit", 0.0625)
    settings = {
        "degrees": given.limits("rotate_limit", 45.0),
        "translate_x": given.limits("shift_limit_x", shift),
        "translate_y": given.limits("shift_limit_y", shift),
        "scale": scaled(given.limits("scale_limit", 0.1), 1.0, 1.0),
        "shear_x": 0.0,
        "shear_y": 0.0,
    }
    build.differs("scales both sides by one number; there each by its own")
    build.differs(_WHOLE_PIXELS)
    build.add("affine", given.p(0.5), settings | own | move_border(given, build))


def _perspective(given: Parameters, build: Builder) -> None:
    given.require("keep_size", (True,), "an image keeps its canvas here")
    given.require("fit_output", (False,), "an image keeps its canvas here")
    own = move_interpolation(given, build)
    low, high = given.limits("scale", (0.05, 0.1), 0.0, 0.0)
    build.differs(
        "moves corners by uniform distances of the same root mean square; there by the modulus of normal ones"
    )
    settings = {"distortion": scaled((low, high), 2.0 * 3.0**0.5), **own, **move_border(given, build)}
    build.add("perspective", given.p(0.5), settings)


def _random_resized_crop(given: Parameters, build: Builder) -> None:
    _require_always(given)
    own = _resampling(given, build)
    build.before_frame()
    ratio = given.range("ratio", (0.75, 4 / 3))
    build.framing.random_resized_crop(given.size("size"), given.range("scale", (0.08, 1.0)), ratio, own)


def _resampling(given: Parameters, build: Builder) -> dict[str, object]:
    """The interpolation of a frame, with what differs where it shrinks."""
    by_area = given.word("area_for_downscale", "") in ("image", "image_mask")
    own = move_interpolation(given, build)
    if own == {"interpolation": "nearest"}:
        if given.node.parameters.get("interpolation") == 0:
            build.differs(CORNER_PIXEL)
    elif own and not by_area:
        build.differs("weighs all pixels where it shrinks; OpenCV weighs sixteen")
    elif own:
        build.differs("weighs all pixels where it shrinks; there areas are averaged")
    elif not by_area:
        build.differs(
            "averages areas where it shrinks; OpenCV samples four pixels: 3.5 levels on average from 512 pixels to 96"
        )
    return own


def _require_always(given: Parameters) -> None:
    if given.p(1.0) < 1.0:
        raise Refused("with p below 1 images of two sizes leave it; use p=1")


def _resize(given: Parameters, build: Builder) -> None:
    _require_always(given)
    own = _resampling(given, build)
    build.before_frame()
    build.framing.resize(given.size("height", "width"), own)


def _resize_side(side: str) -> Entry:
    def translate(given: Parameters, build: Builder) -> None:
        _require_always(given)
        own = _resampling(given, build)
        given.require("max_size_hw", (), "limits height and width separately")
        build.before_frame()
        build.framing.wait_for_crop({"op": "resize", "side": side, "pixels": given.whole("max_size", None, 1), **own})

    return Entry(translate, "resize")


def _padding(given: Parameters, build: Builder) -> tuple[str, bool, dict[str, object]]:
    """The border of a crop where the source is smaller, whether that is filled, and the class of masks there."""
    given.require("pad_position", ("center",), "pads on both sides")
    pads = given.flag("pad_if_needed", False)
    if pads:
        build.remark("pads smaller images")
    border, masks = _border_mode(given, build, pads)
    return border, pads and border == "constant", masks


def _random_crop(given: Parameters, build: Builder) -> None:
    _require_always(given)
    border, fills, masks = _padding(given, build)
    build.before_frame(fills=fills)
    fill = frame_fill(build, given.take("fill"))
    build.framing.random_crop(given.size("height", "width"), 0, border, fill)
    build.framing.fill_masks(masks)


def _center_crop(given: Parameters, build: Builder) -> None:
    _require_always(given)
    fill, pads = frame_fill(build, given.take("fill")), given.node.parameters.get("pad_if_needed")
    border, fills, masks = _padding(given, build)
    build.differs("rounds half a pixel to an even one; Albumentations down: crops of an odd rest may lie a pixel apart")
    build.before_frame(fills=fills)
    build.framing.center_crop(given.size("height", "width"), *((border, fill) if pads else ()))
    build.framing.fill_masks(masks)


def _pad_if_needed(given: Parameters, build: Builder) -> None:
    _require_always(given)
    given.ignore("padding")
    given.require("position", ("center",), "pads on both sides")
    for name in ("pad_height_divisor", "pad_width_divisor"):
        given.require(name, (), "images of many sizes leave it")
    border, masks = _border_mode(given, build)
    build.before_frame(fills=border == "constant")
    build.framing.pad_to(given.size("min_height", "min_width"), border, frame_fill(build, given.take("fill")))
    build.framing.fill_masks(masks)


def _crop_and_pad(given: Parameters, build: Builder) -> None:
    """Each side by its own number: negative ones crop, positive ones pad."""
    _require_always(given)
    given.require("px", (), "counts pixels of images of many sizes; use percent")
    given.require("keep_size", (True,), "leaves images of many sizes")
    given.require("sample_independently", (True,), "draws one number for all sides")
    sides = given.numbers("percent", (1, 2))
    if not sides:
        raise Refused("percent must be a number, or a range for all sides")
    framing = build.framing
    if framing.frame is not None or framing.pending is not None or framing.size is None:
        raise Refused("leaves images of the size of its source: put a Resize to height and width before it")
    own, (border, masks) = _resampling(given, build), _border_mode(given, build)
    build.before_frame(fills=border == "constant")
    build.differs("crops and pads the source itself, not the resized image")
    percent = given.draws("percent", sides[0], sides[-1])
    settings = {"op": "crop_and_pad", "percent": percent, "border": border, **own, **masks}
    framing.frame = validated({**settings, "fill": frame_fill(build, given.take("fill"))})


def _square(op: str, p: float) -> Entry:
    """A symmetry of a square."""

    def translate(given: Parameters, build: Builder) -> None:
        build.remark("a canvas that is not square keeps its shape: it turns about its centre")
        build.add(op, given.p(p))

    return Entry(translate, op)


GEOMETRY: Mapping[str, Entry] = {
    "Affine": Entry(_affine, "affine"),
    "CenterCrop": Entry(_center_crop, "center_crop"),
    "CropAndPad": Entry(_crop_and_pad, "crop_and_pad"),
    "D4": _square("dihedral", 1.0),
    "HorizontalFlip": flip("horizontal_flip"),
    "LongestMaxSize": _resize_side("longest"),
    "PadIfNeeded": Entry(_pad_if_needed, "letterbox"),
    "Perspective": Entry(_perspective, "perspective"),
    "RandomCrop": Entry(_random_crop, "random_crop"),
    "RandomResizedCrop": Entry(_random_resized_crop, "random_resized_crop"),
    "RandomRotate90": _square("rotate90", 1.0),
    "Resize": Entry(_resize, "resize"),
    "Rotate": Entry(_rotate, "rotation"),
    "ShiftScaleRotate": Entry(_shift_scale_rotate, "affine"),
    "SmallestMaxSize": _resize_side("shortest"),
    "SquareSymmetry": _square("dihedral", 1.0),
    "TimeReverse": flip("horizontal_flip"),
    "ToTensorV2": nothing("batches are tensors"),
    "Transpose": _square("transpose", 0.5),
    "VerticalFlip": flip("vertical_flip"),
}
