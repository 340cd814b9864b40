"""Transforms with ranges whose ends differ, so that a wrong sign, pivot or unit shows: those that docs/import.md measures."""

from collections.abc import Iterator
from types import ModuleType
from typing import Any

from augsvc.importing import Verdict, import_transform
from augsvc.importing.compare import compare


def of_torchvision(v2: ModuleType) -> list[list[Any]]:
    bilinear = v2.InterpolationMode.BILINEAR
    return [
        [v2.Resize((96, 128))],
        [v2.Resize(200), v2.CenterCrop(160)],
        [v2.Resize((256, 256)), v2.CenterCrop(224)],
        [v2.RandomHorizontalFlip()],
        [v2.RandomRotation((-10, 30))],
        [v2.RandomRotation((-10, 30), interpolation=bilinear, fill=(255, 0, 0))],
        [v2.RandomAffine((-10, 30), shear=(5, 15), scale=(0.8, 1.2), interpolation=bilinear, fill=100)],
        [v2.ColorJitter(0.4, 0.4, 0.4, 0.1)],
        [v2.RandomGrayscale()],
        [v2.RandomInvert()],
        [v2.RandomPosterize(4)],
        [v2.RandomSolarize(128)],
        [v2.RandomEqualize()],
        [v2.RandomAutocontrast()],
        [v2.RandomAdjustSharpness(2)],
        [v2.RandomAdjustSharpness(0.2)],
        [v2.GaussianBlur(9, (0.5, 2.0))],
        [v2.GaussianBlur(3, (0.5, 2.0))],
    ]


def of_albumentations(a: ModuleType) -> list[list[Any]]:
    along_x = {"x": (5, 15), "y": (0, 0)}
    return [
        [a.Resize(96, 128)],
        [a.SmallestMaxSize(200), a.CenterCrop(160, 160)],
        [a.LongestMaxSize(200), a.PadIfNeeded(200, 200)],
        [a.HorizontalFlip()],
        [a.Rotate((-10, 30), border_mode=4)],
        [a.Affine(rotate=(-10, 30), shear=along_x, scale=(0.8, 1.2), keep_ratio=True, fill=100)],
        [a.Affine(translate_percent=(-0.1, 0.1))],
        [a.ShiftScaleRotate()],
        [a.ColorJitter(hue=(-0.1, 0.1))],
        [a.RandomBrightnessContrast()],
        [a.HueSaturationValue()],
        [a.RGBShift()],
        [a.RandomGamma((70, 150))],
        [a.ToGray()],
        [a.ToSepia()],
        [a.InvertImg()],
        [a.Posterize((2, 6))],
        [a.Solarize((0.3, 0.7))],
        [a.Equalize(mode="cv")],
        [a.Equalize(mode="pil")],
        [a.AutoContrast(method="pil")],
        [a.Blur((3, 7))],
        [a.MedianBlur((3, 7))],
        [a.GaussianBlur()],
        [a.GaussianBlur((3, 3))],
        [a.MotionBlur((3, 7), allow_shifted=False, direction_range=(0, 0), angle_range=(20, 60))],
        [a.Defocus((2, 6))],
        [a.Emboss()],
        [a.ImageCompression(quality_range=(30, 80))],
        [a.Downscale((0.25, 0.75), interpolation_pair={"downscale": 3, "upscale": 1})],
        [a.Downscale((0.25, 0.75))],
        [a.CLAHE((1, 4))],
        [a.OpticalDistortion((-0.05, 0.15))],
        [a.RandomSnow(snow_point_range=(0.1, 0.3))],
    ]


def of_kornia(k: ModuleType) -> list[list[Any]]:
    return [
        [k.Resize((96, 128), antialias=True)],
        [k.Resize((96, 128))],
        [k.CenterCrop((128, 128))],
        [k.RandomHorizontalFlip()],
        [k.RandomRotation((-10.0, 30.0))],
        [k.RandomAffine((-10.0, 30.0), scale=(0.8, 1.2), shear=(5.0, 15.0))],
        [k.RandomShear((5.0, 15.0))],
        [k.RandomTranslate((-0.1, 0.1), None)],
        [k.ColorJitter(0.3, 0.3, 0.3, 0.1)],
        [k.ColorJiggle(0.3, 0.3, 0.3, 0.1)],
        [k.RandomBrightness((0.8, 1.2))],
        [k.RandomContrast((0.8, 1.2))],
        [k.RandomSaturation((0.5, 1.5))],
        [k.RandomHue((-0.1, 0.1))],
        [k.RandomGamma((0.7, 1.3))],
        [k.RandomGrayscale()],
        [k.RandomInvert()],
        [k.RandomPosterize((3.0, 6.0))],
        [k.RandomSolarize(0.1, 0.1)],
        [k.RandomEqualize()],
        [k.RandomAutoContrast()],
        [k.RandomRGBShift(0.1, 0.1, 0.1)],
        [k.RandomSharpness((0.0, 2.0))],
        [k.RandomGaussianBlur((9, 9), (0.5, 2.0))],
        [k.RandomGaussianBlur((3, 3), (0.5, 2.0))],
        [k.RandomBoxBlur((5, 5))],
        [k.RandomMedianBlur()],
        [k.RandomMotionBlur(5, (-40.0, 40.0), 0.0)],
        [k.RandomJPEG((30.0, 80.0))],
        [k.RandomClahe((2.0, 8.0))],
        [k.RandomSnow((0.3, 0.6), (1.5, 2.5))],
    ]


def measure(library: str, module: ModuleType) -> Iterator[tuple[str, str, str]]:
    """The transforms, their verdict, and the worst mean and 99.9th percentile of their parameters."""
    make = {"torchvision": of_torchvision, "albumentations": of_albumentations, "kornia": of_kornia}[library]
    for transforms in make(module):
        whole = (
            module.AugmentationSequential(*transforms, data_keys=["input"])
            if library == "kornia"
            else module.Compose(transforms)
        )
        result = import_transform(whole)
        (comparison,) = compare(result).values()
        verdict = Verdict.NEAR if any(line.verdict is Verdict.NEAR for line in result.lines) else Verdict.EQUAL
        names = " + ".join(f"`{line.name}`" for line in result.lines)
        yield names, str(verdict), comparison.worst
