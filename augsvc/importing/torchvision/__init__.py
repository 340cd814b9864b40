"""Translators of torchvision's transforms, v2 and v1, whose attributes have the same names.

The meanings are those of torchvision 0.28, torchvision/transforms/v2.
"""

from augsvc.importing.builder import Table
from augsvc.importing.common import nothing
from augsvc.importing.torchvision.choices import CHOICES
from augsvc.importing.torchvision.colors import COLORS
from augsvc.importing.torchvision.geometry import GEOMETRY

_LABELS = nothing("a stream's boxes and keypoints follow their image, clipped to it")
_TENSORS = nothing("batches are tensors")
TORCHVISION = Table(
    library="torchvision",
    translators={
        **GEOMETRY,
        **COLORS,
        **CHOICES,
        "ClampBoundingBoxes": _LABELS,
        "ClampKeyPoints": _LABELS,
        "ConvertBoundingBoxFormat": _LABELS,
        "Identity": nothing("changes nothing"),
        "PILToTensor": _TENSORS,
        "RGB": nothing("images have three channels, unless `channels` says otherwise"),
        "SanitizeBoundingBoxes": _LABELS,
        "SanitizeKeyPoints": _LABELS,
        "SetClampingMode": _LABELS,
        "ToImage": _TENSORS,
        "ToPureTensor": _TENSORS,
    },
    refused={
        "ElasticTransform": ("displaces pixels by a smoothed random field", "perspective"),
        "FiveCrop": ("makes five images of one; `views` makes several draws of one", "random_crop"),
        "Lambda": ("holds code, which is never run; write an operation, as examples/own_operation.py does", None),
        "LinearTransformation": (
            "multiplies all pixels with one matrix; fitted statistics whiten colours",
            "whitening",
        ),
        "Pad": ("pads images of many sizes; RandomCrop has a padding", "random_crop"),
        "RandomResize": ("images of many sizes leave it", "shortest_side"),
        "RandomShortestSize": ("images of many sizes leave it", "shortest_side"),
        "TenCrop": ("makes ten images of one; `views` makes several draws of one", "random_crop"),
    },
    out_of_scope={
        "Transform": "the base of the transforms",
        "UniformTemporalSubsample": "samples frames of videos",
        "OpticalFlow": "is for pairs of images",
        "StereoMatching": "is for pairs of images",
        "VideoClassification": "is for videos",
    },
)
