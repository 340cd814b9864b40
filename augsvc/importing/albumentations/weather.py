"""Weather and tiles: snow bleaches by lightness, a shadow's region is x1 y1 x2 y2, CLAHE works on the lightness of LAB."""

from collections.abc import Mapping

from augsvc.importing.builder import Builder, Entry
from augsvc.importing.parameters import Parameters, Refused, scaled


def _clahe(given: Parameters, build: Builder) -> None:
    grid = set(given.numbers("tile_grid_size", (2,))) or {8.0}
    if len(grid) > 1:
        raise Refused("tile_grid_size must be the same number of tiles along both axes")
    limits = given.numbers("clip_limit", (1, 2)) or [4.0]
    low, high = given.draws("clip_limit", 1.0 if len(limits) == 1 else limits[0], limits[-1])
    build.differs("equalizes Rec. 601 luma; there the lightness of LAB")
    build.add("clahe", given.p(0.5), {"clip_limit": (low, high), "tiles": int(grid.pop())})


def _snow(given: Parameters, build: Builder) -> None:
    """A snow point s is the lightness s / 2 + 1 / 3."""
    given.require("method", ("bleach",), "draws a texture of snow")
    build.differs("changes lightness in values; there HLS of 8 bits, hue in steps of 2 degrees")
    points = scaled(given.range("snow_point_range", (0.1, 0.3)), 0.5, 1 / 3)
    build.add("snow", given.p(0.5), {"amount": points, "brightness": given.number("brightness_coeff", 2.5, 1.0)})


def _shadow(given: Parameters, build: Builder) -> None:
    region = given.numbers("shadow_roi", (4,)) or [0.0, 0.5, 1.0, 1.0]
    given.require("shadow_dimension", (5,), "draws polygons of another number of corners than five")
    build.differs("places corners anywhere; there at whole pixels")
    settings = {
        "shadows": given.range("num_shadows_limit", (1.0, 2.0)),
        "intensity": given.range("shadow_intensity_range", (0.5, 0.5)),
        "x": (region[0], region[2]),
        "y": (region[1], region[3]),
    }
    build.add("shadow", given.p(0.5), settings)


WEATHER: Mapping[str, Entry] = {
    "CLAHE": Entry(_clahe, "clahe"),
    "RandomShadow": Entry(_shadow, "shadow"),
    "RandomSnow": Entry(_snow, "snow"),
}
