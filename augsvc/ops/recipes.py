"""Recipes: published training and evaluation pipelines by their names, with their source and what differs here.

A recipe is the part of a stream's specification that a paper or a library publishes: the canvas, the operations, and the
normalisation. That is its `output`; without it bytes travel, at a quarter of the size, and the training device normalises.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

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

    def fields(self) -> dict[str, object]:
        """The fields of a specification, as JSON has them."""
        output = {"dtype": "float32", "mean": list(self.mean), "std": list(self.std)}
        return {"size": list(self.size), "pipeline": list(self.pipeline), "output": output}


_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet
_REFERENCES = "pytorch/vision, references/classification/presets.py"
_SHRINKS_BY_AREA = "averages areas where it shrinks, 0.4 to 0.8 grey levels from Pillow's triangle filter on average"
_CROP_IS_INTERPOLATED = "interpolates with the pixels around a crop, where torchvision repeats the crop's edge"
_FLIP: Settings = {"op": "horizontal_flip"}

RECIPES: Mapping[str, Recipe] = MappingProxyType(
    {
        "torchvision_imagenet_train": Recipe(
            "ImageNet training, without a policy",
            f"{_REFERENCES}, ClassificationPresetTrain",
            (224, 224),
            ({"op": "random_resized_crop"}, _FLIP),
            _MEAN,
            _STD,
            (_CROP_IS_INTERPOLATED, _SHRINKS_BY_AREA),
        ),
        "torchvision_imagenet_eval": Recipe(
            "ImageNet evaluation: resize to 256, centre crop of 224",
            f"{_REFERENCES}, ClassificationPresetEval",
            (224, 224),
            ({"op": "resize", "pixels": 256},),
            _MEAN,
            _STD,
            (_SHRINKS_BY_AREA,),
        ),
        "torchvision_imagenet_eval_v2": Recipe(
            "ImageNet evaluation of the V2 weights: resize to 232, centre crop of 224",
            "pytorch/vision, torchvision/models/resnet.py, ResNet50_Weights.IMAGENET1K_V2",
            (224, 224),
            ({"op": "resize", "pixels": 232},),
            _MEAN,
            _STD,
            (_SHRINKS_BY_AREA,),
        ),
        "mae_pretrain": Recipe(
            "masked autoencoders, pre-training on ImageNet",
            "facebookresearch/mae, main_pretrain.py; He et al. 2022",
            (224, 224),
            ({"op": "random_resized_crop", "scale": [0.2, 1.0]}, _FLIP),
            _MEAN,
            _STD,
            ("bilinear instead of bicubic", _CROP_IS_INTERPOLATED),
        ),
        "cifar10_train": Recipe(
            "CIFAR-10 training: a crop of 32 after padding by 4",
            "He et al. 2016, section 4.2; kuangliu/pytorch-cifar, main.py",
            (32, 32),
            ({"op": "random_crop", "padding": 4}, _FLIP),
            (0.4914, 0.4822, 0.4465),
            (0.2023, 0.1994, 0.2010),
        ),
        "yolov5_eval": Recipe(
            "YOLOv5 evaluation: a letterbox of 640",
            "ultralytics/yolov5, utils/augmentations.py, letterbox",
            (640, 640),
            ({"op": "letterbox"},),
            (0.0, 0.0, 0.0),
            (1.0, 1.0, 1.0),
            ("averages areas where it shrinks; OpenCV's bilinear skips pixels",),
        ),
    }
)
