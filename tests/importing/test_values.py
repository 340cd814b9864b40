"""Colours are in the units of the values at that point: levels of 255, floats on [0, 1], or normalised ones."""

import pytest

from tests.importing.forms import a, albumentations, kornia, notes, only, torchvision, verdicts

NORMALIZE = "Normalize(mean=[0.5, 0.4, 0.3], std=[0.1, 0.1, 0.1])"
MEAN = [0.5, 0.4, 0.3]
ROTATION = "RandomRotation(degrees=[0.0, 9.0], interpolation=bilinear, fill=0.5)"
ERASING = "RandomErasing(p=1.0, scale=(0.02, 0.2), ratio=(0.5, 2.0), value=[0.5])"


@pytest.mark.parametrize("container", ["RandomApply(p=0.5 {})", "RandomChoice({})(p=[1.0])", "RandomOrder({})"])
@pytest.mark.parametrize(("child", "name", "color"), [(ROTATION, "fill", [0.5] * 3), (ERASING, "value", 0.5)])
def test_colours_of_floats_are_floats_in_containers_as_well(container, child, name, color):
    step = only(torchvision("ToTensor()", container.format(child)))["of"][0]
    assert step[name] == color


def test_colours_of_normalised_values_are_normalised_in_containers_as_well():
    step = only(torchvision("ToTensor()", NORMALIZE, f"RandomApply(p=0.5 {ROTATION.replace('0.5', '0')})"))["of"][0]
    assert step["fill"] == MEAN


@pytest.mark.parametrize("conversion", ["ToPILImage()", "ConvertImageDtype(dtype=torch.uint8)"])
def test_colours_are_levels_again_after_a_conversion_to_bytes(conversion):
    result = torchvision("ToTensor()", conversion, ROTATION.replace("0.5", "51"))
    assert only(result)["fill"] == [0.2] * 3
    assert "output" not in result.fields()
    assert "before Normalize" in notes(torchvision("ToTensor()", NORMALIZE, conversion))


def test_a_conversion_of_some_images_is_refused():
    result = torchvision("RandomApply(p=0.5 ToTensor())", ROTATION.replace("0.5", "51"))
    assert verdicts(result)["RandomApply"] == "refused"
    assert only(result)["fill"] == [0.2] * 3
    assert "use p=1" in notes(albumentations(a("ToFloat", p=0.5)))
    refused = albumentations(a("ToFloat", p=1.0, unknown=3), a("ChannelDropout", fill=51, p=1.0))
    assert only(refused)["value"] == 0.2


@pytest.mark.parametrize(
    "frame", ["RandomCrop(size=(32, 32), padding=4, fill=0)", "RandomZoomOut(p=0.5, fill=0)\nResize(size=[32, 32])"]
)
def test_a_frame_after_normalize_fills_with_the_mean(frame):
    assert only(torchvision("ToTensor()", NORMALIZE, frame))["fill"] == MEAN
    shift = torchvision("Resize(size=[32, 32])", NORMALIZE, "RandomCrop(size=(32, 32), padding=4, fill=0)")
    assert only(shift)["fill"] == MEAN
    images = torchvision(NORMALIZE, frame.replace("fill=0", "fill={'Image': 1.0, 'Mask': 0}"))
    assert only(images)["fill"] == pytest.approx([0.6, 0.5, 0.4])


def test_frames_of_albumentations_after_normalize_fill_with_the_mean():
    normalize = a("Normalize", mean=MEAN, std=[0.1] * 3, max_pixel_value=255.0, p=1.0)
    crop = a("RandomCrop", height=8, width=8, pad_if_needed=True, border_mode=0, fill=0.0, p=1.0)
    assert only(albumentations(normalize, crop))["fill"] == MEAN
    pad = a("PadIfNeeded", min_height=8, min_width=8, border_mode=0, fill=0.0, p=1.0)
    assert only(albumentations(a("LongestMaxSize", max_size=8), normalize, pad))["fill"] == MEAN
    erased = albumentations(normalize, a("Erasing", fill="random_uniform", p=1.0))
    assert "up to a deviation above the mean" in notes(erased)


def test_a_centred_crop_after_normalize_pads_with_the_mean():
    assert only(torchvision("ToTensor()", NORMALIZE, "CenterCrop(size=(8, 8))"))["fill"] == MEAN
    resized = torchvision("Resize(size=[8])", "ToTensor()", NORMALIZE, "CenterCrop(size=(16, 16))")
    assert (only(resized)["op"], only(resized)["fill"]) == ("resize", MEAN)
    assert only(torchvision("CenterCrop(size=(8, 8))")) == {"op": "center_crop"}
    padded = {"height": 8, "width": 8, "pad_if_needed": True, "p": 1.0}
    assert only(albumentations(a("CenterCrop", **padded, border_mode=0, fill=51)))["fill"] == 0.2
    assert only(albumentations(a("CenterCrop", **padded, border_mode=1)))["border"] == "edge"
    assert only(albumentations(a("CenterCrop", height=8, width=8, border_mode=1))) == {"op": "center_crop"}


def test_borders_of_kornia_after_normalize_are_the_mean():
    move = "RandomRotation(degrees=9.0, p=1.0, padding_mode={})"
    assert only(kornia(NORMALIZE, move.format("zeros")))["fill"] == MEAN
    filled = only(kornia(NORMALIZE, move.format("fill, fill_value=[1.0]")))
    assert filled["fill"] == pytest.approx([0.6, 0.5, 0.4])
    assert only(kornia(NORMALIZE, "RandomCrop(size=(8, 8), padding=2, fill=0, p=1.0)"))["fill"] == MEAN
    assert only(kornia(move.format("zeros")))["border"] == "zeros"


@pytest.mark.parametrize(("name", "value"), [("ChannelDropout", "fill"), ("PixelDropout", "drop_value")])
def test_levels_of_floats_of_albumentations_are_floats(name, value):
    dropout = a(name, **{value: 0.5}, p=1.0)
    assert only(albumentations(a("ToFloat", p=1.0), dropout))["value"] == 0.5
    inside = only(albumentations(a("ToFloat", p=1.0), a("SomeOf", dropout, n=1, p=1.0)))
    assert inside["of"][0]["value"] == 0.5


def test_a_fill_that_colours_come_after_is_noted():
    crop = "RandomCrop(size=(32, 32), padding=4, fill=0, padding_mode={})"
    assert "change its fill" in notes(torchvision("RandomInvert(p=0.5)", crop.format("constant")))
    assert "change its fill" not in notes(torchvision("RandomInvert(p=0.5)", crop.format("reflect")))
    assert "change its fill" not in notes(torchvision(crop.format("constant"), "RandomInvert(p=0.5)"))
    assert "change its fill" in notes(
        kornia("RandomInvert(p=0.5)", "RandomCrop(size=(8, 8), padding=2, fill=0, p=1.0)")
    )


def test_a_size_is_known_in_containers():
    stripes = a("XYMasking", num_masks_x=[1, 1], mask_x_length=[8, 8], fill=0, p=1.0)
    step = albumentations(a("Resize", height=32, width=64), a("OneOf", stripes, p=1.0)).pipeline[0]
    assert step["of"][0]["length_x"] == [0.125, 0.125]


@pytest.mark.parametrize("fill", ["nan", "[nan]", "True", "[0, 0]", "'mean'", "1e400"])
def test_a_fill_that_is_no_colour_is_refused(fill):
    result = torchvision(f"RandomCrop(size=(32, 32), padding=4, fill={fill})", "RandomInvert(p=0.5)")
    assert [str(line.verdict) for line in result.lines] == ["refused", "equal"]
    result = torchvision("Resize(size=[32, 32])", f"RandomCrop(size=(32, 32), padding=4, fill={fill})")
    assert [str(line.verdict) for line in result.lines] == ["near", "refused"]


def test_noise_that_erases_has_the_mean_and_deviation_that_a_normalisation_undoes():
    erasing = ERASING.replace("[0.5]", "random")
    noise = only(torchvision("ToTensor()", "Normalize(mean=[0.5, 0.4, 0.3], std=[0.3, 0.2, 0.1])", erasing))
    assert (noise["op"], noise["mean"], noise["std"]) == ("noise_erasing", 0.4, 0.2)
    plain = only(torchvision("ToTensor()", erasing))
    assert (plain["mean"], plain["std"]) == (0.0, 1.0)
