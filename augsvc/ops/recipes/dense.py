"""Recipes for detection, segmentation and pose."""

from augsvc.ops.operation import Settings
from augsvc.ops.recipes.recipe import BYTES, FLIP, IMAGENET, SHRINKS_BY_AREA, Recipe, Recipes

_DETECTION = "pytorch/vision, references/detection/presets.py, DetectionPresetTrain"
_ONE_CANVAS = "all samples have one canvas, with the rest of it black"
_GREY = 114 / 255
_YOLO_SHRINKS = "averages areas where it shrinks; OpenCV's bilinear skips pixels"
_YOLO: tuple[Settings, ...] = (
    {
        "op": "affine",
        "degrees": 0,
        "scale": [0.5, 1.5],
        "translate_x": [-0.1, 0.1],
        "translate_y": [-0.1, 0.1],
        "border": "constant",
        "fill": _GREY,
    },
    # before the colours, which changes nothing; a border as that of the affine shares its pass
    {**FLIP, "border": "constant", "fill": _GREY},
    {"op": "hue_saturation_value"},
)

DENSE: Recipes = {
    "yolov5_eval": Recipe(
        "YOLOv5 evaluation: a letterbox of 640",
        "ultralytics/yolov5, utils/augmentations.py, letterbox",
        (640, 640),
        ({"op": "letterbox"},),
        *BYTES,
        (_YOLO_SHRINKS,),
    ),
    "yolo_train": Recipe(
        "YOLOv5 and YOLOv8 training of the last epochs, without mosaic: scale, translation, HSV, flip",
        "ultralytics/ultralytics, cfg/default.yaml",
        (640, 640),
        ({"op": "letterbox"}, *_YOLO),
        *BYTES,
        ("without mosaic, which the first epochs have", _YOLO_SHRINKS),
    ),
    "yolo_mosaic_train": Recipe(
        "YOLOv5 and YOLOv8 training: mosaic but for the last 10 of 100 epochs, scale, translation, HSV, flip",
        "ultralytics/ultralytics, cfg/default.yaml; Bochkovskiy et al. 2020",
        (640, 640),
        ({"op": "letterbox"}, {"op": "mosaic", "epochs": [[0, 89]]}, *_YOLO),
        *BYTES,
        ("keeps a box of which a tenth is visible, whatever its sides", _YOLO_SHRINKS),
    ),
    "yolox_train": Recipe(
        "YOLOX training but for the last 16 of 300 epochs: mosaic, affine, HSV, flip, MixUp",
        "Megvii-BaseDetection/YOLOX, yolox: exp/yolox_base.py, core/trainer.py, data/datasets/mosaicdetection.py; Ge et al. 2021",
        (640, 640),
        (
            {"op": "letterbox"},
            {"op": "mosaic", "epochs": [[0, 283]]},
            {
                "op": "affine",
                "degrees": [-10, 10],
                "scale": [0.1, 2.0],
                "shear_x": [-2, 2],
                "shear_y": [-2, 2],
                "translate_x": [-0.1, 0.1],
                "translate_y": [-0.1, 0.1],
                "border": "constant",
                "fill": _GREY,
                "epochs": [[0, 283]],
            },
            {**FLIP, "border": "constant", "fill": _GREY},
            {
                "op": "hue_saturation_value",
                "hue": [-5 / 180, 5 / 180],
                "saturation": 1,
                "value": 1,
                "saturation_shift": [-30 / 255, 30 / 255],
                "value_shift": [-30 / 255, 30 / 255],
            },
            {"op": "mixup", "alpha": 64, "epochs": [[0, 283]]},
        ),
        *BYTES,
        (
            "MixUp comes last: its partner, one image through the affine, draws its own flip and colours",
            "MixUp's weight is 0.5 ± 0.04, not 0.5, and its partner is scaled by 0.1 to 2, not 0.5 to 1.5",
            "shifts hue, saturation and value always, not with probability 0.5 each",
            "keeps a box of which a tenth is visible, whatever its sides",
            _YOLO_SHRINKS,
        ),
    ),
    "torchvision_ssdlite": Recipe(
        "SSDlite on COCO",
        f"{_DETECTION}, ssdlite; Liu et al. 2016",
        (320, 320),
        ({"op": "iou_crop"}, FLIP),
        *BYTES,
        (
            "keeps a box of which a tenth is visible; torchvision drops one whose centre is outside the crop",
            SHRINKS_BY_AREA,
        ),
    ),
    "retinanet_coco": Recipe(
        "RetinaNet and Faster R-CNN on COCO: shortest side 800, longest 1333",
        f"{_DETECTION}, hflip; Lin et al. 2017",
        (1333, 1333),
        ({"op": "shortest_side", "pixels": [800]}, FLIP),
        *IMAGENET,
        (_ONE_CANVAS, SHRINKS_BY_AREA),
    ),
    "detr_coco": Recipe(
        "DETR on COCO: multi-scale, shortest side 480 to 800",
        "facebookresearch/detr, datasets/coco.py, make_coco_transforms; Carion et al. 2020",
        (1333, 1333),
        ({"op": "shortest_side"}, FLIP),
        *IMAGENET,
        ("without the crop of half of the images before they are resized", _ONE_CANVAS, SHRINKS_BY_AREA),
    ),
    "large_scale_jitter": Recipe(
        "large scale jitter on COCO, scale 0.1 to 2 of a canvas of 1024",
        f"{_DETECTION}, lsj; Ghiasi et al. 2021",
        (1024, 1024),
        ({"op": "scale_jitter", "scale": [0.1, 2.0]}, FLIP),
        *BYTES,
        ("without copy-paste", SHRINKS_BY_AREA),
    ),
    "mmseg_cityscapes": Recipe(
        "semantic segmentation of Cityscapes: scale 0.5 to 2, a crop with at most 75 % of one class",
        "open-mmlab/mmsegmentation, configs/_base_/datasets/cityscapes.py",
        (512, 1024),
        (
            {"op": "mask_crop", "scale": [0.5, 2.0], "base": [1024, 2048], "max_fraction": 0.75},
            FLIP,
            {
                "op": "photometric_distort",
                "pivot": "black",
                "brightness": 1,
                "brightness_shift": [-32 / 255, 32 / 255],
                "hsv_saturation": True,
                "hue": [-0.1, 0.1],
                "permutation": 0,
            },
        ),
        *IMAGENET,
        (
            "values are clamped before HSV and after a distortion, not after each of its parts",
            SHRINKS_BY_AREA,
        ),
    ),
    "rtmpose_coco": Recipe(
        "RTMPose on COCO: half body, scale, rotation, HSV, blur, one hole",
        "open-mmlab/mmpose, configs/body_2d_keypoint/rtmpose/coco; Jiang et al. 2023",
        (256, 192),
        (
            {"op": "instance_crop", "scale": [0.6, 1.4], "degrees": [-80, 80], "upper_body": list(range(11))},
            FLIP,
            {
                "op": "hue_saturation_value",
                "hue": [-5 / 180, 5 / 180],
                "saturation": 1,
                "value": 1,
                "saturation_shift": [-30 / 255, 30 / 255],
                "value_shift": [-30 / 255, 30 / 255],
            },
            {"op": "box_blur", "radius": [1, 3], "p": 0.1},
            {"op": "median_blur", "radius": [1, 3], "p": 0.1},
            {"op": "coarse_dropout", "holes": 1, "height": [0.2, 0.4], "width": [0.2, 0.4]},
        ),
        *IMAGENET,
        ("shifts hue, saturation and value always, not with probability 0.5 each",),
    ),
}
