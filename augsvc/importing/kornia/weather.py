"""Weather, light and tiles: drops, snow and fractal light have Kornia's formulas, with other fields."""

from collections.abc import Mapping

from augsvc.importing.builder import Builder, Entry
from augsvc.importing.kornia.common import p
from augsvc.importing.parameters import Parameters, Refused, negated

_OTHER_FIELD = "adds octaves of noise on lattices; there squares and diamonds are displaced"


def _clahe(given: Parameters, build: Builder) -> None:
    """Each channel; sides that tiles do not divide are extended otherwise."""
    given.ignore("slow_and_differentiable")
    grid = set(given.numbers("grid_size", (1, 2))) or {8.0}
    if len(grid) > 1:
        raise Refused("grid_size must be one number of tiles for both axes")
    build.differs("rounds as OpenCV, 0.4 levels from Kornia on average")
    settings = {
        "clip_limit": given.range("clip_limit_factor", (40.0, 40.0)),
        "tiles": int(grid.pop()),
        "space": "rgb",
    }
    build.add("clahe", p(given, build, 0.5), settings)


def _rain(given: Parameters, build: Builder) -> None:
    settings = {
        "drops": given.range("number_of_drops", (1000.0, 2000.0)),
        "length": given.range("drop_height", (5.0, 20.0)),
        "slant": given.range("drop_width", (-5.0, 5.0)),
    }
    build.add("rain", p(given, build, 0.5), settings)


def _snow(given: Parameters, build: Builder) -> None:
    settings = {
        "amount": given.range("snow_coefficient", (0.5, 0.5)),
        "brightness": given.range("brightness", (2.0, 2.0)),
    }
    build.add("snow", p(given, build, 1.0), settings)


def _plasma_brightness(given: Parameters, build: Builder) -> None:
    build.differs(_OTHER_FIELD)
    settings = {
        "roughness": given.range("roughness", (0.1, 0.7)),
        "intensity": given.range("intensity", (0.0, 1.0)),
    }
    build.add("plasma", p(given, build, 0.5), settings)


def _plasma_contrast(given: Parameters, build: Builder) -> None:
    build.differs(_OTHER_FIELD)
    settings = {"mode": "contrast", "roughness": given.range("roughness", (0.1, 0.7)), "intensity": 1.0}
    build.add("plasma", p(given, build, 0.5), settings)


def _plasma_shadow(given: Parameters, build: Builder) -> None:
    build.differs(_OTHER_FIELD)
    settings = {
        "mode": "shadow",
        "roughness": given.range("roughness", (0.1, 0.7)),
        "intensity": negated(given.range("shade_intensity", (-1.0, 0.0))),
        "quantity": given.range("shade_quantity", (0.0, 1.0)),
    }
    build.add("plasma", p(given, build, 0.5), settings)


WEATHER: Mapping[str, Entry] = {
    "RandomClahe": Entry(_clahe, "clahe"),
    "RandomPlasmaBrightness": Entry(_plasma_brightness, "plasma"),
    "RandomPlasmaContrast": Entry(_plasma_contrast, "plasma"),
    "RandomPlasmaShadow": Entry(_plasma_shadow, "plasma"),
    "RandomRain": Entry(_rain, "rain"),
    "RandomSnow": Entry(_snow, "snow"),
}
