"""Translators of Kornia's augmentations."""

from augsvc.importing.builder import Table

KORNIA = Table({}, {}, {})
