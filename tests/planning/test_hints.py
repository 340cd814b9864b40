"""Hints name what exists where the mistake is, and what applies to the samples' medium."""

import pytest

from augsvc.errors import SpecInvalid
from augsvc.planning.spec import validate_spec
from augsvc_client.specification import specification
from augsvc_client.trainer.recipe import parse_recipe


def refusal(fields, media=None):
    with pytest.raises(SpecInvalid) as refused:
        validate_spec({"dataset": "some", **fields}, media_of=lambda _: media)
    return refused.value.message


@pytest.mark.parametrize(
    ("fields", "media", "hint"),
    [
        ({"pipeline": [{"op": "noise"}]}, "audio", "did you mean background_noise?"),
        ({"pipeline": [{"op": "gaussian_noise"}, {"op": "timeshift"}]}, "audio", "did you mean time_shift?"),
        ({"pipeline": [{"op": "pixel_drop"}]}, "audio", "list them"),
        ({"pipeline": [{"op": "time_shft"}]}, "image", "list them"),
        ({"pipeline": [{"op": "gausian_noise"}]}, "image", "did you mean gaussian_noise?"),
        ({"pipeline": "sounds"}, "audio", "one of none, sound, speech, words; did you mean sound?"),
        ({"pipeline": "sounds"}, "image", "one of none, light, standard, strong"),
        ({"pipeline": "ko.yaml"}, "image", "files are not read here: load it"),
        ({"pipeline": "timm_deit"}, "image", "timm_deit is a recipe: `augsvc recipes timm_deit` prints its fields"),
        ({"pipeline": "timm_deit"}, "image", "augsvc-train takes the list of its pipeline as --pipeline"),
        ({"pipeline": {"pipeline": [], "size": [8, 8]}}, "image", "pass them beside `dataset`, in Python as **fields"),
        ({"pipeline": "sound"}, "image", "the preset sound is not for image samples; those that are: none, light"),
        ({"pipeline": "strong"}, "audio", "the preset strong is not for audio samples; those that are: none, sound"),
        ({"output": "float32"}, "image", 'output must be an object, like {"dtype": "float32"}'),
        ({"subset": 10}, "image", 'subset must be an object, like {"per_class": 10}'),
        ({"output": {"dtype": "float32", "mean": [123.7], "std": [58.4]}}, "image", "divide a mean of 0 to 255 by 255"),
        ({"pipeline": [{"op": "aug_mix"}, {"op": "mixup"}]}, "image", "aug_mix and mixup are both mixes"),
        ({"pipeline": [{"op": "mosaic"}, {"op": "mosaic"}]}, "image", "remove all but one, or put them into a one_of"),
        ({"second": 1.0}, "audio", "did you mean seconds?"),
        ({"sample_rates": 8000}, "image", "known fields"),
        ({"fits": "cover"}, "audio", "known fields"),
        ({"subset": {"per_class": 3, "sed": 1}}, None, "did you mean seed?"),
        ({"subset": {"per_class": 3, "size": 3}}, None, "known fields: per_class, seed"),
        ({"output": {"data_type": "uint8"}}, "image", "did you mean dtype?"),
        ({"output": {"sizes": 3}}, "image", "known fields: dtype, layout, mean, std"),
        ({"pipeline": [{"op": "rotation", "degree": 3}]}, "image", "did you mean degrees?"),
        ({"pipeline": [{"op": "flip"}]}, "image", "did you mean horizontal_flip or vertical_flip?"),
        ({"pipeline": [{"op": "HorizontalFlip"}]}, "image", "did you mean horizontal_flip?"),
        ({"pipeline": [{"op": "GAUSSIAN-BLUR"}]}, "image", "did you mean gaussian_blur?"),
        ({"pipeline": [{"op": "gauss"}]}, "image", "did you mean gaussian_"),
        ({"pipeline": [{"op": "shift"}]}, "audio", "did you mean time_shift?"),
        ({"pipeline": [{"op": "hflip"}]}, "image", "did you mean horizontal_flip?"),
        ({"pipeline": [{"op": "cutout"}]}, "image", "did you mean coarse_dropout?"),
        ({"pipeline": [{"op": "random_erasing"}]}, "image", "did you mean erasing?"),
        ({"pipeline": [{"op": "ToGray"}]}, "image", "did you mean grayscale?"),
        ({"pipeline": [{"op": "vignetting"}]}, "image", "did you mean vignette?"),
        ({"pipeline": [{"op": "hflip"}]}, "audio", "list them"),
        ({"pipeline": [{"op": "fl"}]}, "image", "list them"),
    ],
)
def test_of_a_specification(fields, media, hint):
    message = refusal(fields, media)
    assert hint in message
    if hint == "known fields":
        absent = ("seconds", "sample_rate") if media == "image" else ("size", "fit", "output")
        assert not set(absent) & set(message.partition("known fields: ")[2].split(", "))
    if hint == "list them":
        assert "did you mean" not in message


@pytest.mark.parametrize("size", [[3, 96, 96], 96, "96"])
def test_a_size_of_another_form_is_refused_with_the_form(size):
    assert refusal({"size": size}) == "size must be [height, width] in pixels, like [96, 96]"


def test_of_a_client_s_arguments():
    """The client does not know the medium of the samples."""
    with pytest.raises(ValueError, match=r'"rotation", .*for sound .*"gain"'):
        specification({"dataset": "some", "pipeline": [1]})


@pytest.mark.parametrize(
    ("recipe", "hint"),
    [
        ({"data": {"dataset": "d", "lr": 1}}, "data.lr: unknown field; did you mean optimiser.lr?"),
        ({"optimizer": {"lr": 1}}, "optimizer: unknown field; did you mean optimiser?"),
        ({"lr": 1}, "lr: unknown field; did you mean optimiser.lr?"),
        ({"data": {"dataset": "d", "pipelin": "none"}}, "did you mean data.pipeline?"),
        ({"model": {"pipelin": "none"}}, "model.pipelin: unknown field"),
        ({"evaluation": {"tests": {"a": {"dataset": "d", "unsen": True}}}}, "tests.a.unsen: unknown field"),
    ],
)
def test_of_a_recipe(recipe, hint):
    with pytest.raises(ValueError) as refused:
        parse_recipe({"data": {"dataset": "d"}, **recipe})
    assert str(refused.value).endswith(hint)
