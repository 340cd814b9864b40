"""Each recipe on images of several sizes: the laws, its published numbers, and how far it is from Pillow's version of it."""

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from augsvc.cli.main import app
from augsvc.numerics.geometry import Canvas
from augsvc.numerics.rng import Address
from augsvc.ops.pipeline import parse_pipeline
from augsvc.ops.recipes import IMAGE_RECIPES, RECIPES, SPEECH
from augsvc.ops.registry import containers
from augsvc.ops.tree import Tree
from augsvc.planning.image_plan import Plan
from augsvc.planning.spec import validate_spec
from augsvc.streams.probes import SoundProbe
from augsvc.streams.stream import Stream
from tests.harness import Run, executor, labelled, patch, photo, run

IMAGES = [
    patch("coffee", 160, 240),
    patch("chelsea", 150, 100),
    patch("astronaut", 300, 300),
    patch("astronaut", 40, 200),
]
PHOTOS = [photo("coffee"), photo("chelsea"), patch("astronaut", 300, 300)]


def suited(recipe):
    """Samples with the labels that a recipe carries: averages refuse masks, those of moved copies all labels."""
    names = Tree.of(parse_pipeline(recipe.pipeline)).names
    if "aug_mix" in names:
        return IMAGES
    return [replace(sample, mask=None) for sample in SAMPLES] if "mixup" in names else SAMPLES


SAMPLES = [labelled(image, keypoints=17) for image in IMAGES]  # as COCO's
EVERY = pytest.mark.parametrize("name", IMAGE_RECIPES)


@EVERY
@pytest.mark.usefixtures("each_executor")
def test_a_recipe_holds_the_laws(name):
    recipe = RECIPES[name]
    most = 96 if executor().name == "kornia" else 2048  # the reference takes 2 s for a batch of 1333²
    size = [min(side, most) for side in recipe.size]
    samples = suited(recipe)
    stream, again = (run(recipe.pipeline, samples, size=size) for _ in range(2))
    views = 2 if any("views" in step for step in recipe.pipeline) else 1
    for view in range(views):
        batch = stream.batch(epoch=3, view=view)
        assert batch["image"].shape == (len(IMAGES), *size, 3)
        assert all(array.tobytes() == batch[key].tobytes() for key, array in again.batch(epoch=3, view=view).items())
        alone = stream.batch(epoch=3, start=1, count=1, view=view)
        assert all(array.tobytes() == batch[key][1:2].tobytes() for key, array in alone.items())
    tree = stream.stream.plan.tree
    is_random = bool(tree.containers) or any(step.parameters() or step.p < 1.0 for step in tree.operations)
    assert (stream.images(epoch=4, view=views - 1) != batch["image"]).any() == is_random


@EVERY
def test_a_recipe_has_a_source_a_normalisation_and_few_passes(name):
    recipe = RECIPES[name]
    assert recipe.source and recipe.title
    assert len(recipe.mean) == len(recipe.std) == 3
    plan = Plan.of(parse_pipeline(recipe.pipeline), Canvas(*recipe.size, 3), "cover")
    layers = {
        "rand_augment": 2,
        "auto_augment": 2,
        "trivial_augment_wide": 1,
        "one_of": 1,
        "solarize": 2,
        "median_blur": 2,
    }
    # a contrast about the mean opens a pass, and after a hue that is turned in HSV another
    extra = sum(layers.get(str(step["op"]), 0) + ("pivot" in step) + ("order" in step) for step in recipe.pipeline)
    assert len(plan.passes) <= 1 + extra


def test_yolox_ends_its_mosaic_16_epochs_before_the_last():
    """yolox/core/trainer.py closes it before the epoch, counted from 0, where epoch + 1 == 300 - 15."""
    limits = [step["epochs"] for step in RECIPES["yolox_train"].pipeline if "epochs" in step]
    assert limits == [[[0, 283]]] * 3


def test_there_are_recipes_for_every_task():
    assert len(IMAGE_RECIPES) >= 25
    assert sum(step["op"] in containers() for recipe in IMAGE_RECIPES.values() for step in recipe.pipeline) >= 8


def test_the_two_views_of_byol_differ_by_their_steps():
    tree = run(RECIPES["byol"].pipeline, IMAGES[:1], size=[32, 32]).stream.plan.tree
    for view, rates in enumerate(({"gaussian_blur": 1.0}, {"gaussian_blur#2": 0.1, "solarize": 0.2})):
        draws = tree.draw(0, Address(np.arange(2000), 0, view))
        for leaf, draw in zip(tree.leaves, draws, strict=True):
            if leaf.id in ("gaussian_blur", "gaussian_blur#2", "solarize"):
                assert abs(draw.selected.mean() - rates.get(leaf.id, 0.0)) < 0.03


@EVERY
def test_the_fields_of_a_recipe_are_a_specification(name):
    spec = validate_spec({"dataset": "photos/train", **RECIPES[name].fields()})
    assert (spec.output.mean, spec.output.std) == (RECIPES[name].mean, RECIPES[name].std)


@pytest.mark.parametrize("name", SPEECH)
def test_a_recipe_for_speech_is_a_pipeline_over_clips(name):
    recipe = SPEECH[name]
    assert recipe.source and recipe.title and recipe.differences
    stream = Stream.open(
        validate_spec({"dataset": "sound_probe", **recipe.fields(), "seconds": 0.1}), SoundProbe(), executor()
    )
    result = Run(stream).batch(epoch=1)
    assert np.isfinite(result["audio"]).all()
    assert ("time_masks" in result) == any(step["op"] == "spec_mask" for step in recipe.pipeline)


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
    shown = run(RECIPES[name].pipeline, PHOTOS, size=[224, 224]).images()
    for image, ours in zip(PHOTOS, shown, strict=True):
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
    assert "differs: interpolates with the pixels around a crop" in " ".join(shown.stderr.split())
    unknown = CliRunner().invoke(app, ["recipes", "cifar_train"])
    assert unknown.exit_code == 2 and "did you mean" in unknown.stderr
