"""Recipes for classification."""

from augsvc.ops.operation import Settings
from augsvc.ops.recipes.recipe import (
    CROP_IS_INTERPOLATED,
    FLIP,
    IMAGENET,
    MIX_PER_SAMPLE,
    SHRINKS_BY_AREA,
    Recipe,
    Recipes,
)

_REFERENCES = "pytorch/vision, references/classification/presets.py"
_TRAIN = f"{_REFERENCES}, ClassificationPresetTrain"
_CROP: Settings = {"op": "random_resized_crop"}
_CUBIC_CROP: Settings = {**_CROP, "interpolation": "bicubic"}
_CIFAR = (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)
_CIFAR_CROP: Settings = {"op": "random_crop", "padding": 4}
_CUTOUT: Settings = {"op": "coarse_dropout", "holes": 1, "height": 0.5, "width": 0.5, "value": 0.473}
_CUTOUT_INSIDE = (
    "the square lies inside the image (cutout's may reach over the edge) and is grey, not the mean of each channel"
)
_ERASED_GREY = "erases with the grey of 0.449, not with the mean of each channel"
_MIXES: Settings = {"op": "one_of", "of": [{"op": "mixup", "alpha": 0.2}, {"op": "cutmix", "alpha": 1.0}]}
_TIMM_MIXES: Settings = {"op": "one_of", "of": [{"op": "mixup", "alpha": 0.8}, {"op": "cutmix", "alpha": 1.0}]}
_INCREASING: Settings = {
    "op": "rand_augment", "table": "timm_increasing", "magnitude": 9, "magnitude_std": 0.5, "fill": IMAGENET[0],
    "interpolation": "bicubic",
}  # fmt: skip

CLASSIFICATION: Recipes = {
    "torchvision_imagenet_train": Recipe(
        "ImageNet training, without a policy",
        _TRAIN,
        (224, 224),
        (_CROP, FLIP),
        *IMAGENET,
        (CROP_IS_INTERPOLATED, SHRINKS_BY_AREA),
    ),
    "torchvision_imagenet_ra": Recipe(
        "ImageNet training with RandAugment",
        f"{_TRAIN}, --auto-augment ra; Cubuk et al. 2019",
        (224, 224),
        (_CROP, FLIP, {"op": "rand_augment"}),
        *IMAGENET,
        (CROP_IS_INTERPOLATED, SHRINKS_BY_AREA),
    ),
    "torchvision_imagenet_aa": Recipe(
        "ImageNet training with AutoAugment",
        f"{_TRAIN}, --auto-augment imagenet; Cubuk et al. 2018",
        (224, 224),
        (_CROP, FLIP, {"op": "auto_augment"}),
        *IMAGENET,
        (CROP_IS_INTERPOLATED, SHRINKS_BY_AREA),
    ),
    "torchvision_imagenet_augmix": Recipe(
        "ImageNet training with AugMix",
        f"{_TRAIN}, --auto-augment augmix; Hendrycks et al. 2020",
        (224, 224),
        (_CROP, FLIP, {"op": "aug_mix"}),
        *IMAGENET,
        ("rounds the average, which torchvision truncates", CROP_IS_INTERPOLATED, SHRINKS_BY_AREA),
    ),
    "torchvision_imagenet_ta": Recipe(
        "ImageNet training of the V2 weights: TrivialAugment, a crop of 176, random erasing, MixUp, CutMix",
        f"{_TRAIN}, --auto-augment ta_wide --random-erase 0.1 --train-crop-size 176 --mixup-alpha 0.2 --cutmix-alpha 1.0",
        (176, 176),
        (_CROP, FLIP, {"op": "trivial_augment_wide"}, {"op": "erasing", "p": 0.1, "value": 0.449}, _MIXES),
        *IMAGENET,
        (MIX_PER_SAMPLE, _ERASED_GREY, CROP_IS_INTERPOLATED, SHRINKS_BY_AREA),
    ),
    "torchvision_imagenet_eval": Recipe(
        "ImageNet evaluation: resize to 256, centre crop of 224",
        f"{_REFERENCES}, ClassificationPresetEval",
        (224, 224),
        ({"op": "resize", "pixels": 256},),
        *IMAGENET,
        (SHRINKS_BY_AREA,),
    ),
    "torchvision_imagenet_eval_v2": Recipe(
        "ImageNet evaluation of the V2 weights: resize to 232, centre crop of 224",
        "pytorch/vision, torchvision/models/resnet.py, ResNet50_Weights.IMAGENET1K_V2",
        (224, 224),
        ({"op": "resize", "pixels": 232},),
        *IMAGENET,
        (SHRINKS_BY_AREA,),
    ),
    "timm_deit": Recipe(
        "DeiT, Swin and ConvNeXt on ImageNet: rand-m9-mstd0.5-inc1, random erasing, MixUp, CutMix",
        "huggingface/pytorch-image-models, timm/data/transforms_factory.py; facebookresearch/deit, main.py; Touvron et al. 2021",
        (224, 224),
        (
            _CUBIC_CROP,
            FLIP,
            _INCREASING,
            {"op": "noise_erasing", "p": 0.25, "scale": [0.02, 0.33], "ratio": [0.3, 3.3], "mean": 0.449, "std": 0.226},
            _TIMM_MIXES,
        ),
        *IMAGENET,
        (MIX_PER_SAMPLE, "clamps the noise of erasing to [0, 1]", CROP_IS_INTERPOLATED),
    ),
    "deit3_three_augment": Recipe(
        "DeiT III: grayscale, solarize or blur, then colour jitter, MixUp, CutMix",
        "facebookresearch/deit, augment.py, new_data_aug_generator; Touvron et al. 2022",
        (224, 224),
        (
            _CUBIC_CROP,
            FLIP,
            {
                "op": "one_of",
                "of": [{"op": "grayscale", "p": 1.0}, {"op": "solarize"}, {"op": "gaussian_blur", "sigma": [0.1, 2.0]}],
            },
            {
                "op": "color_jitter",
                "brightness": [0.7, 1.3],
                "contrast": [0.7, 1.3],
                "saturation": [0.7, 1.3],
                "hue": 0,
                "pivot": "mean",
                "order": [0, 23],
            },
            _TIMM_MIXES,
        ),
        *IMAGENET,
        (MIX_PER_SAMPLE, CROP_IS_INTERPOLATED),
    ),
    "cifar10_train": Recipe(
        "CIFAR-10 training: a crop of 32 after padding by 4",
        "He et al. 2016, section 4.2; kuangliu/pytorch-cifar, main.py",
        (32, 32),
        (_CIFAR_CROP, FLIP),
        *_CIFAR,
    ),
    "cifar10_cutout": Recipe(
        "CIFAR-10 training with cutout of 16",
        "DeVries and Taylor 2017; uoguelph-mlrg/Cutout, train.py",
        (32, 32),
        (_CIFAR_CROP, FLIP, _CUTOUT),
        *_CIFAR,
        (_CUTOUT_INSIDE,),
    ),
    "cifar10_auto_augment": Recipe(
        "CIFAR-10 training with AutoAugment and cutout of 16",
        "Cubuk et al. 2018, section 4.1",
        (32, 32),
        (_CIFAR_CROP, FLIP, {"op": "auto_augment", "policy": "cifar10"}, _CUTOUT),
        *_CIFAR,
        (_CUTOUT_INSIDE,),
    ),
    "cifar10_trivial_augment": Recipe(
        "CIFAR-10 training with TrivialAugment and cutout of 16",
        "Müller and Hutter 2021; automl/trivialaugment",
        (32, 32),
        (_CIFAR_CROP, FLIP, {"op": "trivial_augment_wide"}, _CUTOUT),
        *_CIFAR,
        (_CUTOUT_INSIDE,),
    ),
    "svhn_auto_augment": Recipe(
        "SVHN training with AutoAugment and cutout of 20",
        "Cubuk et al. 2018, section 4.1",
        (32, 32),
        (
            {"op": "auto_augment", "policy": "svhn"},
            {"op": "coarse_dropout", "holes": 1, "height": 0.625, "width": 0.625, "value": 0.45},
        ),
        (0.4377, 0.4438, 0.4728),
        (0.1980, 0.2010, 0.1970),
        (_CUTOUT_INSIDE,),
    ),
}
