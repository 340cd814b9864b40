"""Both sides run on photographs. What the verdict "equal" promises is measured where the libraries are installed."""

import importlib.util

import kornia.augmentation as K
import pytest
from typer.testing import CliRunner

from augsvc.cli import app
from augsvc.importing import import_text, import_transform
from augsvc.importing.compare import compare
from tests.importing.forms import albumentations, kornia

MEAN = 1.0  # levels, of what is equal: docs/import.md


def measured(transform) -> list[float]:
    """The means of a transform's only line."""
    result = import_transform(K.AugmentationSequential(transform, data_keys=["input"]))
    (comparison,) = compare(result).values()
    assert not comparison.reason
    return [difference.mean for difference in comparison.differences]


@pytest.mark.parametrize(
    "transform",
    [
        K.RandomAffine((-10.0, 30.0), scale=(0.8, 1.2), shear=(5.0, 15.0)),
        K.RandomRotation((-10.0, 30.0)),
        K.RandomShear((5.0, 15.0)),
        K.ColorJitter(0.3, 0.3, 0.3, 0.1),
        K.ColorJiggle(0.3, 0.3, 0.3, 0.1),
        K.RandomBrightness((0.8, 1.2)),
        K.RandomContrast((0.8, 1.2)),
        K.RandomSaturation((0.5, 1.5)),
        K.RandomHue((-0.1, 0.1)),
        K.RandomSolarize(0.1, 0.1),
        K.RandomPosterize((3.0, 6.0)),
        K.RandomSharpness((0.0, 2.0)),
        K.RandomGaussianBlur((3, 3), (0.5, 2.0)),
    ],
    ids=lambda transform: type(transform).__name__,
)
def test_signs_pivots_and_units_are_those_of_kornia(transform):
    """A wrong sign, pivot or unit is 5 to 60 levels apart."""
    means = measured(transform)
    assert len(means) in (3, 9, 12)
    assert max(means) < MEAN


def test_what_is_still_random_is_not_compared():
    (comparison,) = compare(import_transform(K.AugmentationSequential(K.RandomErasing(), data_keys=["input"]))).values()
    assert (comparison.differences, "places" in comparison.reason) == ((), True)


def test_parts_of_one_frame_are_compared_together():
    result = import_transform(K.AugmentationSequential(K.Resize((96, 128)), K.RandomInvert(), data_keys=["input"]))
    assert sorted(compare(result)) == [0, 1]


def test_the_table_has_the_distances():
    text = repr(K.AugmentationSequential(K.RandomGamma((0.8, 1.2)), data_keys=["input"]))
    result = CliRunner().invoke(app, ["import", "-", "--compare"], input=text, env={"COLUMNS": "200"})
    assert result.exit_code == 0
    assert "mean, 99.9 % (levels)" in result.stderr
    assert "0.0, " in result.stderr


def test_a_library_that_is_not_installed_is_named():
    if importlib.util.find_spec("albumentations"):
        pytest.skip("it is installed")
    text = '{"__version__": "2.0.8", "transform": {"__class_fullname__": "InvertImg", "p": 0.5}}'
    result = CliRunner().invoke(app, ["import", "-", "--compare"], input=text)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "albumentations is not installed: pip install albumentations" in result.stderr
    assert import_text(text).fields() == {"pipeline": [{"op": "invert"}]}


def test_a_refused_transform_is_not_run():
    assert compare(kornia("RandomJigsaw(p=0.5)")) == {}
    assert not albumentations().refused
