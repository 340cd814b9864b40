"""Resizes and crops: one frame, as the first step, or the stream's `fit`."""

import pytest

from tests.importing.forms import a, albumentations, notes, torchvision, verdicts


def frame(result):
    return result.pipeline[0], result.size, result.fit


def test_the_crop_of_evaluation():
    result = torchvision("Resize(size=[256], interpolation=bilinear, antialias=True)", "CenterCrop(size=(224, 224))")
    assert frame(result) == ({"op": "resize", "side": "shortest", "pixels": 256}, (224, 224), None)


def test_a_random_crop_of_a_resized_image_has_its_law():
    step, size, _ = frame(torchvision("Resize(size=[256])", "RandomCrop(size=(224, 224))"))
    assert (step["op"], step["scale"], step["base"], size) == ("scale_jitter", 1.0, [16384, 256], (224, 224))


def test_the_crop_of_cifar():
    step, size, _ = frame(torchvision("RandomCrop(size=(32, 32), padding=[4, 4, 4, 4], fill=0, padding_mode=reflect)"))
    assert (step["op"], step["padding"], step["border"], size) == ("random_crop", 4, "reflect101", (32, 32))


def test_a_resize_of_both_sides_stretches():
    assert torchvision("Resize(size=[96, 64])").fields() == {"size": [96, 64], "fit": "stretch", "pipeline": []}
    result = albumentations(a("Resize", height=96, width=64, interpolation=1))
    assert (result.size, result.fit) == ((96, 64), "stretch")


def test_a_crop_of_a_stretched_image_shows_the_same_area():
    step, size, fit = frame(torchvision("Resize(size=[256, 256])", "RandomCrop(size=(224, 224))"))
    assert (size, fit) == ((224, 224), "stretch")
    assert step["scale"] == pytest.approx(256 / 224)
    assert step["translate_x"] == pytest.approx([-16 / 224, 16 / 224])


def test_a_crop_of_a_stretched_image_that_is_too_small_is_refused():
    result = torchvision("Resize(size=[4096, 4096])", "CenterCrop(size=(1, 1))")
    assert verdicts(result) == {"Resize": "near", "CenterCrop": "refused"}


def test_a_shift_by_padding_of_a_stretched_image():
    step, size, _ = frame(torchvision("Resize(size=[32, 32])", "RandomCrop(size=(32, 32), padding=4)"))
    assert (step["op"], step["x_pixels"], size) == ("translate", [-4, 4], (32, 32))


def test_a_pad_after_a_resize_of_the_longest_side_is_one_frame():
    result = albumentations(
        a("LongestMaxSize", max_size=320, interpolation=1),
        a("PadIfNeeded", min_height=320, min_width=320, border_mode=0, fill=114.0, position="center"),
    )
    step, size, _ = frame(result)
    assert (step["op"], step["side"], step["pixels"], size) == ("resize", "longest", 320, (320, 320))
    assert step["fill"] == pytest.approx(114 / 255, abs=1e-6)


def test_a_resize_without_a_crop_is_refused_with_the_cure():
    result = torchvision("Resize(size=[256])", "RandomHorizontalFlip(p=0.5)")
    assert verdicts(result) == {"Resize": "refused", "RandomHorizontalFlip": "equal"}
    assert "add a CenterCrop or RandomCrop" in notes(result)


def test_a_second_crop_is_refused():
    result = torchvision("RandomCrop(size=(64, 64))", "RandomCrop(size=(32, 32))")
    assert "one frame" in notes(result)
    assert result.size == (64, 64)


def test_transforms_before_the_frame_act_on_the_canvas_and_it_is_noted():
    result = torchvision("RandomRotation(degrees=[-9.0, 9.0], fill=0)", "RandomResizedCrop(size=(64, 64))")
    assert [step["op"] for step in result.pipeline] == ["random_resized_crop", "rotation"]
    assert "comes first here" in notes(result)
    flips = torchvision("RandomHorizontalFlip(p=0.5)", "RandomResizedCrop(size=(64, 64))")
    assert "comes first here" not in notes(flips)  # a flip and a crop of a random place commute


def test_a_frame_in_a_container_is_refused():
    result = torchvision(
        "RandomChoice(transforms=[CenterCrop(size=(64, 64)), RandomCrop(size=(64, 64))], p=[0.5, 0.5])"
    )
    assert "outside the container" in notes(result)


def test_a_frame_with_p_below_one_is_refused():
    assert "images of two sizes" in notes(albumentations(a("RandomCrop", height=64, width=64, p=0.5)))


@pytest.mark.parametrize(
    "text",
    [
        "Resize(size=[0])",
        "Resize(size=[-3, 4])",
        "Resize(size=[5000, 4])",
        "Resize(size=[96.5])",
        "Resize(size=[1, 2, 3])",
        "Resize(size=nan)",
        "CenterCrop(size=(0, 4))",
        "CenterCrop()",
        "RandomCrop(size=(8, 8), padding=-1)",
        "RandomCrop(size=(8, 8), padding=1.5)",
        "RandomCrop(size=(8, 8), padding=[1, 2, 3, 4])",
        "RandomCrop(size=(8, 8), fill=300)",
        "RandomResizedCrop(size=(8, 8), scale=(0.0, 1.0))",
        "RandomResizedCrop(size=(8, 8), scale=(0.5, 7))",
        "RandomResizedCrop(size=(8, 8), ratio=(-1, 1))",
        "RandomIoUCrop(options=[3.0])",
        "RandomZoomOut(side_range=(0.5, 90))",
    ],
)
def test_sizes_outside_the_limits_refuse_their_transform(text):
    result = torchvision(text, "RandomInvert(p=0.5)")
    assert [str(line.verdict) for line in result.lines] == ["refused", "equal"]
    assert result.fields() == {"pipeline": [{"op": "invert"}]}


def test_a_compose_in_a_compose_stands_in_its_place():
    inner = "Compose(\n RandomResizedCrop(size=(64, 64))\n Normalize(mean=[0.5, 0.5, 0.5], std=[0.2, 0.2, 0.2])\n)"
    result = torchvision("RandomHorizontalFlip(p=0.5)", inner)
    assert (result.size, [step["op"] for step in result.pipeline]) == (
        (64, 64),
        ["random_resized_crop", "horizontal_flip"],
    )
    assert "output" in result.fields()
    nested = albumentations(a("Sequential", a("RandomCrop", height=8, width=8), p=1.0), a("InvertImg", p=0.5))
    assert (nested.size, [step["op"] for step in nested.pipeline]) == ((8, 8), ["random_crop", "invert"])


def test_detection():
    assert frame(torchvision("RandomIoUCrop(trials=40)", "Resize(size=[300, 300])"))[0]["op"] == "iou_crop"
    step, size, fit = frame(
        torchvision("RandomZoomOut(p=0.5, fill=0, side_range=(1.0, 4.0))", "Resize(size=[300, 300])")
    )
    assert (step["op"], step["p"], size, fit) == ("zoom_out", 0.5, (300, 300), "stretch")


@pytest.mark.parametrize("crop", ["RandomZoomOut(p=0.5, fill=0, side_range=(1.0, 4.0))", "RandomIoUCrop()", ""])
@pytest.mark.parametrize(("mode", "ours"), [("BICUBIC", "bicubic"), ("NEAREST_EXACT", "nearest"), ("BILINEAR", None)])
def test_a_resize_gives_its_interpolation_to_the_frame_before_it(crop, mode, ours):
    resize = f"Resize(size=[300, 300], interpolation=InterpolationMode.{mode})"
    result = torchvision(*([crop] if crop else []), resize)
    assert [step.get("interpolation") for step in result.pipeline] == ([ours] if crop or ours else [])
    assert mode == "BILINEAR" or verdicts(result)["Resize"] == "equal"


def test_a_second_resize_gives_its_interpolation():
    result = torchvision("Resize(size=[320])", "Resize(size=[300, 300], interpolation=InterpolationMode.BICUBIC)")
    assert result.pipeline[0]["interpolation"] == "bicubic" and "without the resize before it" in notes(result)
