"""Translators of Albumentations' transforms, with the meanings of version 2.0."""

from augsvc.importing.albumentations.choices import CHOICES
from augsvc.importing.albumentations.colors import COLORS
from augsvc.importing.albumentations.filters import FILTERS
from augsvc.importing.albumentations.geometry import GEOMETRY
from augsvc.importing.albumentations.refused import OUT_OF_SCOPE, REFUSED
from augsvc.importing.albumentations.warps import WARPS
from augsvc.importing.albumentations.weather import WEATHER
from augsvc.importing.builder import Table

ALBUMENTATIONS = Table(
    "Albumentations", {**GEOMETRY, **COLORS, **FILTERS, **WARPS, **WEATHER, **CHOICES}, REFUSED, OUT_OF_SCOPE
)

__all__ = ["ALBUMENTATIONS"]
