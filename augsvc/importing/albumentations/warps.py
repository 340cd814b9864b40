"""Warps: maps of OpenCV that lie up to a pixel beside the formula's."""

from collections.abc import Mapping

from augsvc.importing.albumentations.geometry import move_border, move_interpolation
from augsvc.importing.builder import Builder, Entry
from augsvc.importing.parameters import Parameters, Refused


def _optical_distortion(given: Parameters, build: Builder) -> None:
    """OpenCV takes (W − 1) / 2 as the centre of the result, and Albumentations W / 2 as that of the source."""
    given.require("mode", ("camera",), "distorts by a fisheye model")
    given.ignore("keypoint_remapping_method")
    settings = {**move_interpolation(given, build), **move_border(given, build)}
    build.differs("keeps the centre in its place; there all is shifted by half a pixel: 4 levels on average")
    build.add("optical_distortion", given.p(0.5), {"k": given.limits("distort_limit", (-0.05, 0.05)), **settings})


def _grid_distortion(given: Parameters, build: Builder) -> None:
    given.require("normalized", (True,), "leaves the image at its edges")
    given.ignore("keypoint_remapping_method")
    settings = {**move_interpolation(given, build), **move_border(given, build)}
    limits = given.limits("distort_limit", (-0.3, 0.3))
    if max(map(abs, limits)) > 0.33:
        raise Refused(f"distort_limit must be from −0.33 to 0.33, not {limits[0]:g} to {limits[1]:g}")
    build.differs(
        "divides the sides evenly; there at whole pixels, with lines up to a pixel away and a column for the rest"
    )
    steps = given.whole("num_steps", 5, 1, 16)
    build.add("grid_distortion", given.p(0.5), {"steps": steps, "stretch_x": limits, "stretch_y": limits, **settings})


WARPS: Mapping[str, Entry] = {
    "GridDistortion": Entry(_grid_distortion, "grid_distortion"),
    "OpticalDistortion": Entry(_optical_distortion, "optical_distortion"),
}
