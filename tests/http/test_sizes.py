"""One form of a canvas on all command lines, HEIGHTxWIDTH; the forms of other places are understood."""

import pytest
from typer.testing import CliRunner

from augsvc.cli.main import app
from augsvc_client.specification import read_size
from augsvc_client.trainer.recipe import parse_recipe

FORMS = ["32x48", "32X48", "32×48", "[32, 48]", "32,48", "32 48", " 32 x 48 "]
WRONG = ["wide", "", "32x", "x48", "32x48x3", "3.5", "-1", "٣x٤", "[32", "1" * 10, "32x48\x1b"]


def explain(*size):
    address = ("--dataset", "digits/train", "--epoch", "0", "--position", "0", "--pipeline", "none")
    return CliRunner().invoke(app, ["explain", *address, "--size", *size])


@pytest.mark.parametrize("text", FORMS)
def test_a_size_is_height_and_width(text):
    assert read_size(text) == (32, 48)
    assert parse_recipe({"data": {"dataset": "a", "size": text}}).data.size == (32, 48)


def test_a_single_side_is_a_square():
    assert read_size("96") == (96, 96)


@pytest.mark.parametrize("text", WRONG)
def test_other_texts_are_no_size(text):
    assert read_size(text) is None


@pytest.mark.parametrize("size", [("32x48",), ("32",), ("32", "48"), ("[32, 48]",)])
def test_the_command_takes_each_form(size):
    result = explain(*size)
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize("size", [("wide",), ("32x48", "3"), ("32x",)])
def test_the_command_names_the_form(size):
    result = explain(*size)
    assert result.exit_code == 2
    assert "--size takes SIDE or HEIGHTxWIDTH in pixels, for example 96x64" in result.output
