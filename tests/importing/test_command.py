"""The command: JSON to the standard output, the table to the standard error."""

import json

import pytest
from typer.testing import CliRunner

from augsvc.cli import app
from augsvc.cli.convert import format_fields
from augsvc.cli.shown import read_pipeline
from augsvc.errors import SpecInvalid
from augsvc.importing import Verdict
from augsvc_client.specification import specification
from tests.http import serving
from tests.importing.forms import a

TEXT = "Compose(\n    RandomResizedCrop(size=(48, 48))\n    RandomHorizontalFlip(p=0.5)\n    ToTensor()\n)"


def command(*arguments: str, text: str | None = None):
    return CliRunner().invoke(app, ["import", *arguments], input=text)


def test_the_pipeline_can_be_previewed(tmp_path):
    file, pipeline, sheet = tmp_path / "transform.txt", tmp_path / "pipeline.json", tmp_path / "sheet.png"
    file.write_text(TEXT)
    result = command(str(file))
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["size"] == [48, 48]
    assert [
        line.split()[:2]
        for line in result.stderr.splitlines()
        if line.split()[1:2] in ([Verdict.EQUAL], [Verdict.NEAR])
    ] == [
        ["RandomResizedCrop", "near"],
        ["RandomHorizontalFlip", "equal"],
        ["ToTensor", "equal"],
    ]
    assert specification({"dataset": "photos/train", **json.loads(result.stdout)})["size"] == [48, 48]
    pipeline.write_text(result.stdout)
    options = ("--pipeline", pipeline, "--out", sheet, "--count", 2)
    preview = serving.command("preview", "--dataset", "photos/train", *options, cwd=tmp_path)
    assert preview.returncode == 0, preview
    assert sheet.read_bytes().startswith(b"\x89PNG")


def test_a_refused_transform_prints_no_pipeline_unless_it_is_skipped():
    text = json.dumps({"__version__": "2.0.8", "transform": a("Compose", a("GridDropout"), a("InvertImg", p=0.5))})
    result = command("-", text=text)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "the nearest operation is coarse_dropout" in " ".join(result.stderr.split())
    assert "refused: GridDropout" in result.stderr
    skipped = command("-", "--skip-refused", text=text)
    assert (skipped.exit_code, json.loads(skipped.stdout)) == (0, {"pipeline": [{"op": "invert"}]})


def test_the_size_that_enters_is_an_option():
    text = json.dumps({"__version__": "2.0.8", "transform": a("Affine", translate_px={"x": [-5, 5], "y": [0, 0]})})
    result = command("-", "--size", "50x100", text=text)
    assert json.loads(result.stdout)["pipeline"][0]["translate_x"] == [-0.05, 0.05]


def test_a_file_that_cannot_be_read(tmp_path):
    file = tmp_path / "transform.pkl"
    file.write_bytes(b"\x80\x04\x95\xff\xfe")
    result = command(str(file))
    assert (result.exit_code, "pickled" in result.stderr) == (2, True)
    assert command(str(tmp_path / "none.txt")).exit_code == 2


def test_names_in_the_table_are_escaped():
    text = json.dumps({"__version__": "2.0.8", "transform": a("[red]x\u001b[31m", p=0.5)})
    result = command("-", text=text)
    assert "\x1b" not in result.stderr
    assert "[red]x" in result.stderr


def test_a_pipeline_file_that_is_none(tmp_path):
    file = tmp_path / "p.yaml"
    for text, reason in (("a: 1", "with `pipeline`"), ("[", "cannot be read")):
        file.write_text(text)
        result = CliRunner().invoke(
            app, ["preview", "--dataset", "photos/train", "--pipeline", str(file), "--out", str(tmp_path / "x.png")]
        )
        assert (result.exit_code, reason in result.stderr) == (2, True), result.stderr


def test_small_numbers_of_a_json_file_stay_numbers(tmp_path):
    """PyYAML reads 1e-05 as text."""
    file = tmp_path / "p.json"
    file.write_text(format_fields({"pipeline": [{"op": "gaussian_noise", "std": [1e-05, 0.1]}]}))
    assert read_pipeline(str(file)) == json.loads(file.read_text())
    file.write_text("[")
    with pytest.raises(SpecInvalid, match="is not JSON"):
        read_pipeline(str(file))


def test_the_output_has_one_operation_a_line():
    result = command("-", text=TEXT)
    operations = [line.strip().rstrip(",") for line in result.stdout.splitlines() if '"op"' in line]
    assert [json.loads(line)["op"] for line in operations] == ["random_resized_crop", "horizontal_flip"]


def test_numbers_are_printed_without_the_last_digits_of_arithmetic():
    steps = [{"op": "one_of", "weights": [0.7, 1 - 0.7]}, {"op": "erasing", "fill": 114 / 255, "std": (1 - 0.8, 1e-05)}]
    text = format_fields({"pipeline": steps})
    assert '"weights": [0.7, 0.3]' in text and '"std": [0.2, 1e-05]' in text
    assert f'"fill": {114 / 255}' in text, "a fraction of 255 is exact"
