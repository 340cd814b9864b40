"""Small recipes for the tests of their fields."""

from augsvc_client.trainer.recipe import parse_recipe
from augsvc_client.trainer.training.data import training_loader

ABSENT = "http://127.0.0.1:9"  # the discard port: no server listens there
BASE = {
    "data": {"dataset": "digits/train", "size": 8, "per_class": 2, "batch_size": 10, "pipeline": "none"},
    "training": {"device": "cpu", "epochs": 2},
    "evaluation": {"tests": {"test": {"dataset": "digits/test"}}, "every": 1},
}


def recipe(**values):
    """The base with fields by group__field."""
    return parse_recipe(BASE).override({name.replace("__", "."): value for name, value in values.items()})


def first(url, **values):
    with training_loader(recipe(**values), url) as loader:
        return next(iter(loader))


def spec(url, **values):
    with training_loader(recipe(**values), url) as loader:
        return loader.stream.spec
