"""Recipes: published training and evaluation pipelines by their names, with their source and what differs here.

A recipe is the part of a stream's specification that a paper or a library publishes: the canvas, the operations, and the
normalisation. That is its `output`; without it bytes travel, at a quarter of the size, and the training device normalises.
"""

from types import MappingProxyType

from augsvc.ops.recipes.classification import CLASSIFICATION
from augsvc.ops.recipes.dense import DENSE
from augsvc.ops.recipes.recipe import Recipe, Recipes
from augsvc.ops.recipes.self_supervised import SELF_SUPERVISED

__all__ = ["RECIPES", "Recipe"]

RECIPES: Recipes = MappingProxyType({**CLASSIFICATION, **SELF_SUPERVISED, **DENSE})
