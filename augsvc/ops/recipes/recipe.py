"""What a recipe is."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from augsvc.ops.operation import Settings


@dataclass(frozen=True, slots=True)
class Recipe:
    """A published pipeline."""

    title: str
    source: str  # where it is published
    size: tuple[int, int]  # H, W
    pipeline: tuple[Settings, ...]
    mean: tuple[float, ...]  # of the normalisation (v / 255 − mean) / std, one number per channel
    std: tuple[float, ...]
    differences: tuple[str, ...] = field(default=())  # what is not as published
    views: int = 1  # of each sample in a batch
    view_from: int = 0

    def fields(self) -> dict[str, object]:
        """The fields of a specification, as JSON has them."""
        output = {"dtype": "float32", "mean": list(self.mean), "std": list(self.std)}
        fields: dict[str, object] = {"size": list(self.size), "pipeline": list(self.pipeline), "output": output}
        if self.views > 1:
            fields |= {"views": self.views, "view_from": self.view_from}
        return fields


Recipes = Mapping[str, Recipe]

IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # mean and standard deviation
BYTES = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)  # values on [0, 1], not normalised
FLIP: Settings = {"op": "horizontal_flip"}

SHRINKS_BY_AREA = "averages areas where it shrinks, 0.4 to 0.8 grey levels from Pillow's triangle filter on average"
CROP_IS_INTERPOLATED = "interpolates with the pixels around a crop, where torchvision repeats the crop's edge"
TENSORFLOW_SKIPS = "weighs all pixels where it shrinks, as Pillow; TensorFlow's bicubic resize skips some"
MIX_PER_SAMPLE = "MixUp and CutMix draw weight and partner for each sample, not one weight for a batch"
