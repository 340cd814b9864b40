"""Bad input: every text has a clear error, and none is evaluated."""

import json
import time

import pytest

from augsvc.importing import CannotRead, import_text, import_transform
from augsvc.importing.node import MAX_TEXT
from tests.importing.forms import a, albumentations, notes, torchvision


def read(text: str) -> str:
    with pytest.raises(CannotRead) as caught:
        import_text(text)
    return caught.value.message


def test_a_deeply_nested_text():
    assert "nested over" in read("Compose(" * 200 + ")" * 200)
    assert "nested too deeply" in read("[" * 5000)
    assert "nested over" in read("Compose(x=" + "[" * 200)
    node = a("InvertImg")
    for _ in range(40):
        node = a("Sequential", node, p=1.0)
    assert "nested over 16 deep" in read(json.dumps({"__version__": "2.0.8", "transform": node}))
    for _ in range(50_000):
        node = {"x": node}
    assert read("{" * 100_000)


def test_containers_deeper_than_a_pipeline_holds():
    node = a("InvertImg", p=0.5)
    for _ in range(6):
        node = a("Sequential", node, p=0.5)
    result = albumentations(node)
    assert "nested at most 4 deep" in notes(result)
    assert result.pipeline == ()


def test_a_long_text_is_refused_before_it_is_parsed():
    start = time.process_time()
    assert "characters, over 1,000,000" in read("[" + "1," * 5_000_000 + "1]")
    assert time.process_time() - start < 2.0


def test_many_transforms():
    with pytest.raises(CannotRead, match="over 512 transforms"):
        albumentations(*[a("InvertImg")] * 600)
    with pytest.raises(CannotRead, match="over 64 operations"):
        albumentations(*[a("InvertImg")] * 65)


def test_a_bomb_of_aliases():
    lines = ["a0: &a0 [1, 1]"] + [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 12)]
    assert "aliases" in read("\n".join(lines))


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_numbers_that_are_not_finite_name_their_parameter(number):
    text = '{"__version__": "2.0.8", "transform": {"__class_fullname__": "RandomGamma", "p": NUMBER}}'
    assert notes(import_text(text.replace("NUMBER", number))) == "p must be a finite number, at most 1e9"


@pytest.mark.parametrize("value", [[0.5], {"x": 1}, "0.5", True])
def test_other_types_than_numbers_name_their_parameter(value):
    assert notes(albumentations(a("HorizontalFlip", p=value))).startswith("p must be a number")


def test_wrong_types_of_what_is_read_first():
    assert "must be a list" in read(
        '{"__version__": "2.0.8", "transform": {"__class_fullname__": "Compose", "transforms": 3}}'
    )
    assert "__class_fullname__" in read('{"__version__": "2.0.8", "transform": {"p": 3}}')
    assert "__class_fullname__" in read(
        '{"__version__": "2.0.8", "transform": {"__class_fullname__": "Compose", "transforms": [3]}}'
    )
    assert "no serialised transform" in read('{"transform": 3}')
    assert "no serialised transform" in read("[1, 2]")
    assert "no serialised transform" in read("pipeline: []")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is empty"),
        ("   \n", "is empty"),
        ('{"a": 1, "a": 2}', "a key is repeated"),
        ('{"a": ', "line 1: is not JSON"),
        ("a: [1", "line 1"),
        ("Compose(\n  RandomInvert(p=0.5\n", "stands where"),
        ("Compose(RandomInvert(p=))", "line 1: ')' stands where a value is expected"),
        ("Compose(RandomInvert(p=0.5)) import os", "stands where the end is expected"),
        ("Compose(RandomInvert(p=0.5, p=0.6))", "p is given twice"),
        ("Compose(\n $ )", "line 2: '$' is in no printed transform"),
        ("Compose([\n  HorizontalFlip(p=0.5),\n])", "Albumentations' printed form"),
        ("month: 2020-13-01", "month must be in"),
        ("import torch\nfrom torchvision.transforms import v2\nt = v2.Compose([])", "is Python code"),
        ("# mine\n\nfrom albumentations import *\n", "is Python code"),
        ("t = v2.Compose([v2.Resize(256)])\nprint(t)", "is Python code"),
        ("transforms.Compose([transforms.Resize(256)])", "import what print(transform) shows"),
        ("def make():\n    return Compose([])", "is Python code"),
        ("{'train': Compose(\n    RandomInvert(p=0.5)\n)}", "print(transforms['train'])"),
        ("{'__version__': '2.0.8', 'transform': {}}", "json.dumps(albumentations.to_dict(transform))"),
        ('{"cells": [], "nbformat": 4}', "is a notebook"),
        ('{"size": [8, 8], "pipeline": []}', "use it as it is"),
        ('[{"op": "rotation"}]', "use it as it is"),
        ('{"do_resize": true}', "of torchvision and Kornia, import what print(transform) shows"),
    ],
)
def test_texts_that_are_no_transform(text, reason):
    assert reason in read(text)


def test_calls_in_a_text_are_names_only():
    assert "is in no printed transform" in read("RandomInvert(p=__import__('os').system('false'))")
    assert "p must be a number" in notes(torchvision("RandomInvert(p=exit(3))"))


def test_an_object_of_another_library():
    with pytest.raises(CannotRead, match=r"is a builtins\.dict"):
        import_transform({"op": "rotation"})


def test_the_limit_of_the_text_holds_a_transform_of_64_operations():
    text = json.dumps(
        {"__version__": "2.0.8", "transform": a("Compose", *[a("Affine", shear={"x": [1, 2], "y": [0, 0]})] * 64)}
    )
    assert len(text) * 20 < MAX_TEXT


def test_a_printed_list_is_a_compose():
    steps = "Resize(size=256, interpolation=bilinear, max_size=None, antialias=True), CenterCrop(size=(224, 224))"
    assert import_text(f"[{steps}]").fields() == import_text(f"Compose({steps})").fields()
    assert import_text(f"[{steps}]").size == (224, 224)


def test_the_transforms_of_weights_are_their_parts():
    text = """ImageClassification(
    crop_size=[224]
    resize_size=[232]
    mean=[0.485, 0.456, 0.406]
    std=[0.229, 0.224, 0.225]
    interpolation=InterpolationMode.BILINEAR
)"""
    result = import_text(text)
    parts = ["Resize", "CenterCrop", "ConvertImageDtype", "Normalize"]
    assert [line.name for line in result.lines] == ["ImageClassification", *parts]
    assert not result.refused
    steps = "Resize(size=[232], interpolation=bilinear)\nCenterCrop(size=[224])\nToTensor()\n"
    steps += "Normalize(mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225])"
    assert result.fields() == import_text(f"Compose({steps})").fields()
    assert import_text("ObjectDetection()").fields()["output"]["dtype"] == "float32"


def test_an_unknown_transform_names_the_library_and_the_nearest():
    assert notes(torchvision("HorizontalFlip(p=0.5)")).startswith(
        "is no transform that is known of torchvision; did you mean RandomHorizontalFlip?"
    )
