"""What becomes of masks: outside the image a stream's are 255 or a `mask_fill`, and no erasing changes them."""

import pytest

from tests.importing.forms import a, albumentations, kornia, notes, torchvision, verdicts

OUTSIDE = "masks are 255 outside the image, not"
MOVES = ("Affine", "Rotate", "ShiftScaleRotate", "Perspective")
HOLES = {
    "CoarseDropout": {},
    "Erasing": {},
    "XYMasking": {"num_masks_x": 1, "mask_x_length": 8},
}


@pytest.mark.parametrize("name", MOVES)
def test_the_default_fill_of_masks_is_named_and_another_one_is_set(name):
    assert f"{OUTSIDE} 0: set mask_fill to 0, or give the loss ignore_index=255" in notes(albumentations(a(name)))
    result = albumentations(a(name, fill_mask=7))
    assert OUTSIDE not in notes(result) and result.pipeline[0]["mask_fill"] == 7
    assert OUTSIDE not in notes(albumentations(a(name, fill_mask=255.0)))
    assert OUTSIDE not in notes(albumentations(a(name, border_mode=4, fill_mask=7)))


def test_only_one_class_fills_masks():
    assert verdicts(albumentations(a("Rotate", fill_mask=0.0)))["Rotate"] == "equal"
    assert verdicts(albumentations(a("Rotate", fill_mask=255.0)))["Rotate"] == "equal"
    assert verdicts(albumentations(a("Rotate", fill_mask=7.0)))["Rotate"] == "equal"
    assert f"{OUTSIDE} 7.5" in notes(albumentations(a("Rotate", fill_mask=7.5)))
    assert verdicts(albumentations(a("Rotate", fill_mask=[0, 7])))["Rotate"] == "near"


@pytest.mark.parametrize("name", HOLES)
def test_erased_masks_are_near(name):
    for value in (0, 255.0):
        result = albumentations(a(name, fill_mask=value, **HOLES[name]), size=(64, 64))
        assert f"leaves masks as they are; there fill_mask {value} erases them" in notes(result)
        assert verdicts(result)[name] == "near"
    assert "masks" not in notes(albumentations(a(name, **HOLES[name]), size=(64, 64)))


def test_dropped_pixels_of_masks_are_near():
    assert verdicts(albumentations(a("PixelDropout", mask_drop_value=0)))["PixelDropout"] == "near"
    assert verdicts(albumentations(a("PixelDropout")))["PixelDropout"] == "equal"


def test_masks_that_are_interpolated_are_near():
    result = albumentations(a("Rotate", fill_mask=255, mask_interpolation=1))
    assert notes(result) == "samples masks by nearest neighbour, not bilinearly"
    assert notes(albumentations(a("Rotate", fill_mask=255, mask_interpolation=0))) == ""
    assert "samples masks" in notes(albumentations(a("Resize", height=96, width=96, mask_interpolation=2)))


def test_padded_frames():
    crop = {"height": 32, "width": 32, "fill_mask": 7}
    assert albumentations(a("RandomCrop", pad_if_needed=True, **crop)).pipeline[0]["mask_fill"] == 7
    assert "mask_fill" not in albumentations(a("RandomCrop", **crop)).pipeline[0]
    pad = a("PadIfNeeded", min_height=64, min_width=64, fill_mask=7)
    assert albumentations(a("LongestMaxSize", max_size=64), pad).pipeline[0]["mask_fill"] == 7
    assert OUTSIDE in notes(torchvision("RandomCrop(size=(32, 32), padding=4)"))
    assert OUTSIDE not in notes(torchvision("RandomCrop(size=(32, 32), padding=4, padding_mode=reflect)"))
    assert OUTSIDE not in notes(torchvision("RandomCrop(size=(32, 32))"))
    assert OUTSIDE in notes(torchvision("RandomZoomOut(p=0.5, fill=0, side_range=(1.0, 4.0))", "Resize(size=[32, 32])"))
    assert OUTSIDE in notes(kornia("RandomCrop(size=(32, 32), padding=4, p=1.0)"))


def test_torchvision_fills_masks_as_images_or_by_type():
    assert f"{OUTSIDE} 0" in notes(torchvision("RandomAffine(degrees=[0.0, 9.0], interpolation=bilinear, fill=0)"))
    by_type = "RandomPerspective(p=0.5, interpolation=bilinear, fill={'Image': 0, 'Mask': MASK})"
    assert OUTSIDE not in notes(torchvision(by_type.replace("MASK", "255")))
    assert torchvision(by_type.replace("MASK", "7")).pipeline[0]["mask_fill"] == 7
    assert OUTSIDE not in notes(torchvision("TrivialAugmentWide(num_magnitude_bins=31, fill=None)"))


def test_kornia_fills_masks_with_zero_and_erases_them():
    rotation = "RandomRotation(degrees=(-9.0, 9.0), p=0.5, padding_mode=zeros)"
    assert f"{OUTSIDE} 0" in notes(kornia(rotation))
    assert OUTSIDE not in notes(kornia(rotation.replace("zeros", "border")))
    assert "Kornia erases them to 0" in notes(kornia("RandomErasing(p=0.5, value=0.0)"))
