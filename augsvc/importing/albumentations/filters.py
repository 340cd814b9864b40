"""Blurs, noise, compression and erasing: kernels are whole odd sides, standard deviations fractions of white."""

from collections.abc import Mapping

from augsvc.importing.builder import Builder, Entry
from augsvc.importing.common import blur, erase_color, level
from augsvc.importing.parameters import Parameters, Range, Refused, scaled, show


def _odd_sides(given: Parameters, default: Range) -> tuple[int, int]:
    """The smallest and the largest side of a kernel; a number n is 3 to n."""
    sides = given.numbers("blur_limit", (1, 2)) or [float(side) for side in default]
    low, high = (3.0, sides[0]) if len(sides) == 1 else sides
    if not (0 <= low <= high <= 1023 and low.is_integer() and high.is_integer()):
        raise Refused(f"blur_limit must be whole numbers, the lower first, not {low:g} and {high:g}")
    given.draws("blur_limit", low, high)
    return int(low), int(high)


def _radii(given: Parameters, build: Builder, default: Range) -> Range:
    low, high = _odd_sides(given, default)
    return (max(low, 1) - 1) / 2, (max(high, 1) - 1) / 2


def _box_blur(given: Parameters, build: Builder) -> None:
    low, high = _radii(given, build, (3, 7))
    if low < high:
        build.differs("draws the radius continuously, not of whole sides")
    build.add("box_blur", given.p(0.5), {"radius": (low, high)})


def _median_blur(given: Parameters, build: Builder) -> None:
    low, high = _radii(given, build, (3, 7))
    build.add("median_blur", given.p(0.5), {"radius": (float(int(low + 0.5)), float(int(high)))})


def _gaussian_blur(given: Parameters, build: Builder) -> None:
    """`blur_limit` 0 takes the side that sigma needs; another is cut to it."""
    low, high = _odd_sides(given, (0, 0))
    if low != high:
        build.differs(f"keeps the largest kernel, of {high} pixels; there its side is drawn from {low} on")
    blur(build, given.p(0.5), (float(high),), given.limits("sigma_limit", (0.5, 3.0), 0.0, 0.0))


def _motion_blur(given: Parameters, build: Builder) -> None:
    low, high = _odd_sides(given, (3, 7))
    angles, direction = given.range("angle_range", (0.0, 360.0)), given.range("direction_range", (-1.0, 1.0))
    given.ignore("allow_shifted")
    if any(direction) or low < high:
        build.differs(
            "blurs along a centred line of continuous length; there its ends and centre are drawn, and sides are odd"
        )
    build.add("motion_blur", given.p(0.5), {"length": (float(low), float(high)), "degrees": (-angles[1], -angles[0])})


def _defocus(given: Parameters, build: Builder) -> None:
    settings = {"radius": given.range("radius", (3.0, 10.0)), "alias": given.range("alias_blur", (0.1, 0.5))}
    if settings["radius"][0] < settings["radius"][1]:
        build.differs("draws the radius continuously, not of whole pixels")
    build.add("defocus", given.p(0.5), settings)


def _emboss(given: Parameters, build: Builder) -> None:
    settings = {"alpha": given.range("alpha", (0.2, 0.5)), "strength": given.range("strength", (0.2, 0.7))}
    build.add("emboss", given.p(0.5), settings)


def _gauss_noise(given: Parameters, build: Builder) -> None:
    if any(given.range("mean_range", (0.0, 0.0))):
        raise Refused("mean_range: gaussian_noise has the mean 0")
    given.require("per_channel", (True,), "adds the same noise to all channels")
    given.require("noise_scale_factor", (1, 1.0), "makes noise of larger cells")
    build.add("gaussian_noise", given.p(0.5), {"std": given.range("std_range", (0.2, 0.44))})


def _shot_noise(given: Parameters, build: Builder) -> None:
    """`scale` is that of one photon."""
    low, high = given.range("scale_range", (0.1, 0.3))
    if low <= 0.0:
        raise Refused("scale_range must be above 0")
    build.differs("adds normal noise to values as they are; there Poisson noise in linear light, of gamma 2.2")
    build.add("shot_noise", given.p(0.5), {"photons": (float(f"{1 / high:.9g}"), float(f"{1 / low:.9g}"))})


def _salt_and_pepper(given: Parameters, build: Builder) -> None:
    settings = {"amount": given.range("amount", (0.01, 0.06)), "salt": given.range("salt_vs_pepper", (0.4, 0.6))}
    build.add("salt_and_pepper", given.p(0.5), settings)


def _erased_masks(given: Parameters, build: Builder, name: str = "fill_mask") -> None:
    """Notes masks that are erased with the image."""
    if (value := given.take(name)) is not None:
        build.differs(f"leaves masks as they are; there {name} {show(value)} erases them")


def _pixel_dropout(given: Parameters, build: Builder) -> None:
    _erased_masks(given, build, "mask_drop_value")
    settings = {"rate": given.number("dropout_prob", 0.01), "value": level(given, build, "drop_value")}
    build.add("pixel_dropout", given.p(0.5), {**settings, "per_channel": given.flag("per_channel", False)})


def _jpeg(given: Parameters, build: Builder) -> None:
    given.require("compression_type", ("jpeg",), "compresses to WebP")
    low, high = given.range("quality_range", (99.0, 100.0))
    if low >= 99.0:
        build.remark("its default quality, 99 to 100, hardly changes an image")
    build.differs("compresses as libjpeg does through Pillow, 2 to 3 levels from OpenCV on average")
    build.add("jpeg", given.p(0.5), {"quality": (low, high)})


def _downscale(given: Parameters, build: Builder) -> None:
    pair = given.take("interpolation_pair")
    modes = dict(pair) if isinstance(pair, Mapping) else {}
    down, up = modes.get("downscale", 0), modes.get("upscale", 0)
    if (down, up) != (3, 1):
        build.differs(f"averages areas and enlarges bilinearly (OpenCV's 3 and 1), not {show(down)} and {show(up)}")
    build.add("downsample", given.p(0.5), {"scale": given.range("scale_range", (0.25, 0.25))})


def _erasing(given: Parameters, build: Builder) -> None:
    """The ratio is width / height, as ours."""
    _erased_masks(given, build)
    build.differs(
        "draws the ratio log-uniformly, and clamps rectangles that do not fit; there uniformly, of those that fit"
    )
    settings = {
        "scale": given.range("scale", (0.02, 0.33)),
        "ratio": given.range("ratio", (0.3, 3.3)),
        "value": _fill(given, build),
    }
    build.add("erasing", given.p(0.5), settings)


def _fill(given: Parameters, build: Builder) -> Range | float:
    value = given.take("fill")
    if isinstance(value, str) and not value.startswith("random"):
        raise Refused(f"fill {show(value)} paints from the surroundings; a colour or 'random_uniform' does not")
    return erase_color(build, 0.0 if value is None else value)


def _fractions(given: Parameters, build: Builder, name: str, axis: int) -> Range:
    """A range in fractions of the side; from 1 on it is in pixels."""
    low, high = given.range(name, (0.1, 0.2))
    if high < 1.0:
        return low, high
    return scaled((low, high), 1.0 / build.framing.require_size(name)[axis])


def _coarse_dropout(given: Parameters, build: Builder) -> None:
    _erased_masks(given, build)
    settings = {
        "holes": given.range("num_holes_range", (1.0, 2.0)),
        "height": _fractions(given, build, "hole_height_range", 0),
        "width": _fractions(given, build, "hole_width_range", 1),
        "value": _fill(given, build),
    }
    build.add("coarse_dropout", given.p(0.5), settings)


def _xy_masking(given: Parameters, build: Builder) -> None:
    _erased_masks(given, build)
    size = build.framing.require_size("a mask's length")
    settings: dict[str, object] = {"value": _fill(given, build)}
    for axis, side in (("x", size[1]), ("y", size[0])):
        stripes = given.range(f"num_masks_{axis}", (0.0, 0.0))
        length = given.range(f"mask_{axis}_length", (0.0, 0.0))
        settings |= {f"stripes_{axis}": stripes, f"length_{axis}": scaled(length, 1.0 / side)}
    build.add("xy_masking", given.p(0.5), settings)


FILTERS: Mapping[str, Entry] = {
    "Blur": Entry(_box_blur, "box_blur"),
    "CoarseDropout": Entry(_coarse_dropout, "coarse_dropout"),
    "Defocus": Entry(_defocus, "defocus"),
    "Downscale": Entry(_downscale, "downsample"),
    "Emboss": Entry(_emboss, "emboss"),
    "Erasing": Entry(_erasing, "erasing"),
    "GaussNoise": Entry(_gauss_noise, "gaussian_noise"),
    "GaussianBlur": Entry(_gaussian_blur, "gaussian_blur"),
    "ImageCompression": Entry(_jpeg, "jpeg"),
    "MedianBlur": Entry(_median_blur, "median_blur"),
    "MotionBlur": Entry(_motion_blur, "motion_blur"),
    "PixelDropout": Entry(_pixel_dropout, "pixel_dropout"),
    "SaltAndPepper": Entry(_salt_and_pepper, "salt_and_pepper"),
    "ShotNoise": Entry(_shot_noise, "shot_noise"),
    "XYMasking": Entry(_xy_masking, "xy_masking"),
}
