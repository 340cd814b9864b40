"""Translators of Kornia's augmentations, by the parameters that they print.

The meanings are those of Kornia 0.9, kornia/augmentation. Draws of a whole batch, such as the order of ColorJitter, are draws
of a sample here.
"""

from augsvc.importing.builder import Table
from augsvc.importing.kornia.choices import CHOICES
from augsvc.importing.kornia.colors import COLORS
from augsvc.importing.kornia.filters import FILTERS
from augsvc.importing.kornia.geometry import GEOMETRY
from augsvc.importing.kornia.weather import WEATHER

_FIELD = "displaces pixels by a random field"
_POLICY = "has tables that differ from torchvision's, and draws for a whole batch"
_BASE = "the base of the augmentations"
KORNIA = Table(
    library="Kornia",
    translators={**GEOMETRY, **COLORS, **FILTERS, **WEATHER, **CHOICES},
    refused={
        "AutoAugment": (_POLICY, "auto_augment"),
        "Denormalize": ("undoes a normalisation: leave out both", None),
        "PatchMix": ("exchanges square patches with a partner", "cutmix"),
        "PatchSequential": ("augments a grid of patches separately", "random_apply"),
        "RandAugment": (_POLICY, "rand_augment"),
        "RandomDissolving": ("runs a Stable Diffusion model", None),
        "RandomElasticTransform": (_FIELD, "perspective"),
        "RandomFisheye": (_FIELD, "perspective"),
        "RandomGaussianIllumination": ("brightens by a Gaussian field", "brightness"),
        "RandomJigsaw": ("exchanges tiles of the image", "cutmix"),
        "RandomLinearCornerIllumination": ("brightens along a gradient", "brightness"),
        "RandomLinearIllumination": ("brightens along a gradient", "brightness"),
        "RandomThinPlateSpline": (_FIELD, "perspective"),
        "RandomTransplantation": ("pastes objects of other images of the batch", "cutmix"),
        "TrivialAugment": (_POLICY, "trivial_augment_wide"),
    },
    out_of_scope={
        "AugmentationBase2D": _BASE,
        "GeometricAugmentationBase2D": _BASE,
        "IntensityAugmentationBase2D": _BASE,
        "ManyToManyAugmentationDispather": "runs several pipelines on several inputs",
        "ManyToOneAugmentationDispather": "runs several pipelines on one input: make one stream for each",
        "MixAugmentationBaseV2": _BASE,
        "RigidAffineAugmentationBase2D": _BASE,
        "VideoSequential": "augments videos",
    },
)

__all__ = ["KORNIA"]
