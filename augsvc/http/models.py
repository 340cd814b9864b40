"""The models of the Open Inference Protocol: presets and recipes, as pipelines that augment a client's own samples."""

from collections.abc import Mapping
from dataclasses import dataclass

from augsvc.errors import UnknownModel
from augsvc.ops.pipeline import needing_fitted, needing_partners, parse_pipeline
from augsvc.ops.presets import PRESETS
from augsvc.ops.recipes import IMAGE_RECIPES
from augsvc.streams.media import MEDIA
from augsvc.streams.medium import Medium
from augsvc.validation import nearest
from augsvc_client.wire import TensorSpec

VERSION = "1"  # the only one: presets and recipes never change
_DATATYPES = {"uint8": "UINT8", "float32": "FP32"}  # the protocol's names
_INDEX = {"name": "index", "datatype": "INT64", "shape": [-1]}


@dataclass(frozen=True, slots=True)
class Model:
    """One pipeline. `fields` are those of a push request (streams/push_request.py) that it sets; `sent` is the tensor that it
    returns, without N, −1 where the request determines a side.
    """

    name: str
    medium: Medium
    fields: Mapping[str, object]
    sent: TensorSpec

    def metadata(self) -> dict[str, object]:
        """Its description in the protocol's form; N, and other sides that a request determines, are −1."""
        return {
            "name": self.name,
            "versions": [VERSION],
            "platform": "augsvc",
            "inputs": [_describe_tensor(self.medium.name, self.medium.pushed), _INDEX],
            "outputs": [_describe_tensor(self.medium.name, self.sent), _INDEX],
        }


def _describe_tensor(name: str, tensor: TensorSpec) -> dict[str, object]:
    return {"name": name, "datatype": _DATATYPES[tensor.dtype], "shape": [-1, *tensor.row]}


def build_models() -> dict[str, Model]:
    """Name → model, of the presets, and of the recipes for images that return one view and need no dataset."""
    models = {}
    for name, preset in PRESETS.items():
        media = [step.media for step in parse_pipeline(name) if step.media]
        medium = MEDIA[media[0] if media else "image"]
        models[name] = Model(name, medium, {"pipeline": preset}, medium.pushed)
    for name, recipe in IMAGE_RECIPES.items():
        steps = parse_pipeline(recipe.pipeline)
        if recipe.views == 1 and needing_fitted(steps) is None and needing_partners(steps) is None:
            sent = TensorSpec("float32", (-1, *recipe.size))
            models[name] = Model(name, MEDIA["image"], recipe.fields(), sent)
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
