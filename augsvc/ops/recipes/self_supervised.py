"""Recipes for self-supervised learning: a batch has the views of each sample as `image`, `image1`, …"""

from augsvc.ops.operation import Settings
from augsvc.ops.recipes.recipe import CROP_IS_INTERPOLATED, FLIP, IMAGENET, TENSORFLOW_SKIPS, Recipe, Recipes

_ALONE = ("clamps values after a colour jitter, not between its parts", CROP_IS_INTERPOLATED)
_GREY: Settings = {"op": "grayscale", "p": 0.2}


def _jitter(strength: float, saturation: float, hue: float) -> Settings:
    """torchvision's ColorJitter(strength, strength, saturation, hue) under p 0.8."""
    factors, saturations = _around_one(strength), _around_one(saturation)
    return {
        "op": "color_jitter", "p": 0.8, "brightness": factors, "contrast": factors, "saturation": saturations,
        "hue": [-hue, hue], "pivot": "mean", "order": [0, 23], "space": "hsv",
    }  # fmt: skip


def _around_one(strength: float) -> list[float]:
    return [round(1 - strength, 6), round(1 + strength, 6)]  # 1 - 0.8 is 0.19999999999999996


def _blur(p: float, views: list[int] | None = None) -> Settings:
    step: Settings = {"op": "gaussian_blur", "sigma": [0.1, 2.0], "p": p}
    return step if views is None else {**step, "views": views}


def _crop(low: float, high: float = 1.0) -> Settings:
    return {"op": "random_resized_crop", "scale": [low, high]}


def _cubic_crop(low: float, high: float = 1.0) -> Settings:
    return {**_crop(low, high), "interpolation": "bicubic"}


_BYOL_STEPS = (
    FLIP, _jitter(0.4, 0.2, 0.1), _GREY, _blur(1.0, [0]), _blur(0.1, [1]), {"op": "solarize", "p": 0.2, "views": [1]},
)  # fmt: skip
# the flip, published as the last step, changes nothing if it comes before the colours, and saves a pass
_MOCO_STEPS = (_crop(0.2), FLIP, _jitter(0.4, 0.4, 0.1), _GREY, _blur(0.5))

SELF_SUPERVISED: Recipes = {
    "mae_pretrain": Recipe(
        "masked autoencoders, pre-training on ImageNet",
        "facebookresearch/mae, main_pretrain.py; He et al. 2022",
        (224, 224),
        (_cubic_crop(0.2), FLIP),
        *IMAGENET,
        (CROP_IS_INTERPOLATED,),
    ),
    "simclr": Recipe(
        "SimCLR on ImageNet, both views",
        "google-research/simclr, data_util.py; Chen et al. 2020, appendix A",
        (224, 224),
        (_cubic_crop(0.08), FLIP, _jitter(0.8, 0.8, 0.2), _GREY, _blur(0.5)),
        *IMAGENET,
        (TENSORFLOW_SKIPS, *_ALONE),
        views=2,
    ),
    "moco_v2": Recipe(
        "MoCo v2 on ImageNet, both views",
        "facebookresearch/moco, main_moco.py, --aug-plus; Chen et al. 2020",
        (224, 224),
        _MOCO_STEPS,
        *IMAGENET,
        _ALONE,
        views=2,
    ),
    "simsiam": Recipe(
        "SimSiam on ImageNet, both views",
        "facebookresearch/simsiam, main_simsiam.py; Chen and He 2021",
        (224, 224),
        _MOCO_STEPS,
        *IMAGENET,
        _ALONE,
        views=2,
    ),
    "moco_v3": Recipe(
        "MoCo v3 on ImageNet: view 0 is blurred, view 1 is solarized",
        "facebookresearch/moco-v3, main_moco.py; Chen et al. 2021",
        (224, 224),
        (_crop(0.08), *_BYOL_STEPS),
        *IMAGENET,
        _ALONE,
        views=2,
    ),
    "byol": Recipe(
        "BYOL on ImageNet: view 0 is blurred, view 1 is solarized",
        "Grill et al. 2020, appendix B, table 6",
        (224, 224),
        (_cubic_crop(0.08), *_BYOL_STEPS),
        *IMAGENET,
        (TENSORFLOW_SKIPS, *_ALONE),
        views=2,
    ),
    "barlow_twins": Recipe(
        "Barlow Twins on ImageNet: view 0 is blurred, view 1 is solarized",
        "facebookresearch/barlowtwins, main.py, Transform; Zbontar et al. 2021",
        (224, 224),
        (_cubic_crop(0.08), *_BYOL_STEPS),
        *IMAGENET,
        _ALONE,
        views=2,
    ),
    "swav_global": Recipe(
        "SwAV on ImageNet, the two large views",
        "facebookresearch/swav, src/multicropdataset.py; Caron et al. 2020",
        (224, 224),
        (_crop(0.14), FLIP, _jitter(0.8, 0.8, 0.2), _GREY, _blur(0.5)),
        *IMAGENET,
        _ALONE,
        views=2,
    ),
    "dino_global": Recipe(
        "DINO on ImageNet, the two global views: view 0 is blurred, view 1 is solarized",
        "facebookresearch/dino, main_dino.py, DataAugmentationDINO; Caron et al. 2021",
        (224, 224),
        (_cubic_crop(0.4), *_BYOL_STEPS),
        *IMAGENET,
        _ALONE,
        views=2,
    ),
    "dino_local": Recipe(
        "DINO on ImageNet, the eight local views, in a second stream: with `dino_global` by MultiViewLoader",
        "facebookresearch/dino, main_dino.py, DataAugmentationDINO; Caron et al. 2021",
        (96, 96),
        (_cubic_crop(0.05, 0.4), FLIP, _jitter(0.4, 0.2, 0.1), _GREY, _blur(0.5)),
        *IMAGENET,
        _ALONE,
        views=8,
        view_from=2,
    ),
    "supcon_cifar10": Recipe(
        "supervised contrastive learning on CIFAR-10, both views",
        "HobbitLong/SupContrast, main_supcon.py; Khosla et al. 2020",
        (32, 32),
        (_crop(0.2), FLIP, _jitter(0.4, 0.4, 0.1), _GREY),
        (0.4914, 0.4822, 0.4465),
        (0.2023, 0.1994, 0.2010),
        _ALONE,
        views=2,
    ),
}
