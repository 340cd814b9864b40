"""Each recipe on images of several sizes: the laws, its published numbers, and how far it is from Pillow's version of it."""

import json

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from augsvc.cli.main import app
from augsvc.ops.recipes import RECIPES
from augsvc.planning.spec import validate_spec
from tests.harness import patch, photo, run

IMAGES = [photo("coffee"), photo("chelsea"), patch("astronaut", 300, 300), patch("astronaut", 40, 200)]
EVERY = pytest.mark.parametrize("name", RECIPES)


@EVERY
@pytest.mark.usefixtures("each_executor")
def test_a_recipe_holds_the_laws(name):
    recipe = RECIPES[name]
    output = {"dtype": "float32", "layout": "NHWC", "mean": list(recipe.mean), "std": list(recipe.std)}
    for fields in ({}, {"output": output}):
        stream, again = (run(recipe.pipeline, IMAGES, size=list(recipe.size), **fields) for _ in range(2))
        batch = stream.images(epoch=3)
        assert batch.shape == (len(IMAGES), *recipe.size, 3)
        assert batch.tobytes() == again.images(epoch=3).tobytes()
        for position in range(len(IMAGES)):
            assert stream.images(epoch=3, start=position, count=1).tobytes() == batch[position].tobytes()
        is_random = any(operation.parameters() or operation.p < 1.0 for operation in stream.stream.plan.operations)
        assert (stream.images(epoch=4) != batch).any() == is_random
    assert len(stream.stream.plan.passes) == 1


@EVERY
def test_a_recipe_is_one_pass_with_a_source_and_a_normalisation(name):
    recipe = RECIPES[name]
    assert recipe.source and recipe.title
    assert len(recipe.mean) == len(recipe.std) == 3


@EVERY
def test_the_fields_of_a_recipe_are_a_specification(name):
    spec = validate_spec({"dataset": "photos/train", **RECIPES[name].fields()})
    assert (spec.output.mean, spec.output.std) == (RECIPES[name].mean, RECIPES[name].std)


def evaluated(image, pixels):
    """Resize(pixels), CenterCrop(224), by Pillow with the rounding that torchvision documents."""
    height, width = image.shape[:2]
    long = int(pixels * max(height, width) / min(height, width))
    size = (long, pixels) if width > height else (pixels, long)
    resized = Image.fromarray(image).resize(size, Image.Resampling.BILINEAR)
    left, top = (round((side - 224) / 2) for side in size)
    return np.asarray(resized.crop((left, top, left + 224, top + 224)))


@pytest.mark.parametrize(
    ("name", "pixels"), [("torchvision_imagenet_eval", 256), ("torchvision_imagenet_eval_v2", 232)]
)
def test_an_evaluation_is_pillows_to_a_level_on_average(name, pixels):
    shown = run(RECIPES[name].pipeline, IMAGES[:3], size=[224, 224]).images()
    for image, ours in zip(IMAGES[:3], shown, strict=True):
        assert np.abs(ours.astype(int) - evaluated(image, pixels)).mean() < 1.5


def test_a_crop_of_cifar_is_slicing_and_flips_half_of_them():
    images = [patch("coffee", 32, 32, top=k) for k in range(200)]
    stream = run(RECIPES["cifar10_train"].pipeline, images, size=[32, 32])
    flipped = stream.selected(1)
    assert 70 < flipped.sum() < 130
    for position, shown in enumerate(stream.images()[:20]):
        draws = stream.draws(position)
        top, left = (int(draws[f"place_{axis}"] * 9) for axis in "yx")
        crop = np.pad(images[position], ((4, 4), (4, 4), (0, 0)))[top : top + 32, left : left + 32]
        np.testing.assert_array_equal(shown, crop[:, ::-1] if flipped[position] else crop)


def test_the_command_lists_recipes_and_prints_one_as_a_specification():
    listed = CliRunner().invoke(app, ["recipes"], env={"COLUMNS": "200"})
    assert listed.exit_code == 0 and all(name in listed.stdout for name in RECIPES)
    shown = CliRunner().invoke(app, ["recipes", "cifar10_train"])
    assert json.loads(shown.stdout) == json.loads(json.dumps(RECIPES["cifar10_train"].fields()))
    assert "He et al. 2016" in shown.stderr
    assert json.loads(shown.stdout)["output"] == {
        "dtype": "float32",
        "mean": [0.4914, 0.4822, 0.4465],
        "std": [0.2023, 0.1994, 0.2010],
    }
    shown = CliRunner().invoke(app, ["recipes", "mae_pretrain"])
    assert "differs: bilinear instead of bicubic" in shown.stderr
    unknown = CliRunner().invoke(app, ["recipes", "cifar_train"])
    assert unknown.exit_code == 2 and "did you mean" in unknown.stderr
