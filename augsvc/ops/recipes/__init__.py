"""Recipes: published training and evaluation pipelines by their names, with their source and what differs here.

A recipe is the part of a stream's specification that a paper or a library publishes: the canvas, the operations, and the
normalisation. That is its `output`; without it bytes travel, at a quarter of the size, and the training device normalises. A
recipe for speech has the length of clips and the operations.
"""

from collections.abc import Mapping
from types import MappingProxyType

from augsvc.ops.recipes.classification import CLASSIFICATION
from augsvc.ops.recipes.dense import DENSE
from augsvc.ops.recipes.recipe import Recipe
from augsvc.ops.recipes.self_supervised import SELF_SUPERVISED
from augsvc.ops.recipes.speech import SPEECH, AnyRecipe

__all__ = ["IMAGE_RECIPES", "RECIPES", "SPEECH", "Recipe"]

IMAGE_RECIPES: Mapping[str, Recipe] = MappingProxyType({**CLASSIFICATION, **SELF_SUPERVISED, **DENSE})
RECIPES: Mapping[str, AnyRecipe] = MappingProxyType({**IMAGE_RECIPES, **SPEECH})
