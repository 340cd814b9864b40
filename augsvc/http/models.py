"""The models of the Open Inference Protocol: presets and recipes, as pipelines that augment a client's own samples."""

from collections.abc import Mapping
from dataclasses import dataclass

from augsvc.errors import UnknownModel
from augsvc.ops.pipeline import needing_fitted, needing_partners, parse_pipeline
from augsvc.ops.presets import PRESETS
from augsvc.ops.recipes import IMAGE_RECIPES
from augsvc.validation import nearest

VERSION = "1"  # the only one: presets and recipes never change
_INDEX = {"name": "index", "datatype": "INT64", "shape": [-1]}


@dataclass(frozen=True, slots=True)
class Model:
    """One pipeline. `fields` are those of a push request (streams/push.py) that it sets; `datatype` and `size` are those of
    the images that it returns, −1 where the request determines a side.
    """

    name: str
    media: str
    fields: Mapping[str, object]
    datatype: str = "UINT8"
    size: tuple[int, int] = (-1, -1)

    def metadata(self) -> dict[str, object]:
        """Its description in the protocol's form; N, and other sides that a request determines, are −1."""
        if self.media == "audio":
            received = sent = {"name": "audio", "datatype": "FP32", "shape": [-1, -1]}
        else:
            received = {"name": "image", "datatype": "UINT8", "shape": [-1, -1, -1, -1]}
            sent = {"name": "image", "datatype": self.datatype, "shape": [-1, -1, *self.size]}
        return {
            "name": self.name,
            "versions": [VERSION],
            "platform": "augsvc",
            "inputs": [received, _INDEX],
            "outputs": [sent, _INDEX],
        }


def build_models() -> dict[str, Model]:
    """Name → model, of the presets, and of the recipes for images that return one view and need no dataset."""
    models = {}
    for name, preset in PRESETS.items():
        steps = parse_pipeline(name)
        media = "audio" if any(step.media == "audio" for step in steps) else "image"
        models[name] = Model(name, media, {"pipeline": preset})
    for name, recipe in IMAGE_RECIPES.items():
        steps = parse_pipeline(recipe.pipeline)
        if recipe.views == 1 and needing_fitted(steps) is None and needing_partners(steps) is None:
            models[name] = Model(name, "image", recipe.fields(), "FP32", recipe.size)
    return models


def find_model(models: Mapping[str, Model], name: str, version: str = VERSION) -> Model:
    """The model of that name; raises UnknownModel."""
    if name not in models:
        if name in IMAGE_RECIPES:
            raise UnknownModel(
                "this recipe is no model: it has several views, or needs a dataset; create a stream of it"
            )
        similar = [known for known in models if known != "none"]  # as "nope" is, to letters
        raise UnknownModel(f"no such model{nearest(name, similar) or '; GET /v2/models lists them'}")
    if version != VERSION:
        raise UnknownModel(f"the models have version {VERSION} only")
    return models[name]
