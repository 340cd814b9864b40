"""A network of timm, as examples/timm_network registers it: it starts from weights in a file, is trained, and is loaded again."""

import json
import tomllib
import warnings
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from augsvc_client.trainer.cli.main import app
from augsvc_client.trainer.experiments.folder import load_network

EXAMPLE = Path(__file__).parents[2] / "examples" / "timm_network"
pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("blank_figures")]


@pytest.fixture
def timm(tmp_path, monkeypatch):
    """timm, and the example as if it were installed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            import timm
        except (ImportError, RuntimeError) as err:  # a torchvision of another build of torch than this one
            pytest.skip(f"timm cannot be imported: {err}")
    about = tmp_path / "timm_network-1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: timm-network\nVersion: 1\n")
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]
    lines = [f"{name} = {target}\n" for name, target in project["entry-points"]["augsvc_client.models"].items()]
    (about / "entry_points.txt").write_text(f"[augsvc_client.models]\n{''.join(lines)}")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.syspath_prepend(EXAMPLE)
    return timm


def test_a_network_of_timm_is_fine_tuned_from_a_file(timm, url, tmp_path):
    torch.manual_seed(0)
    given = timm.create_model("mobilenetv3_small_050", in_chans=1, num_classes=7).state_dict()
    save_file(given, tmp_path / "given.safetensors")
    options = ["--dataset", "digits/train", "--per-class", "2", "--batch-size", "10", "--steps", "2", "--lr", "1e-8"]
    options += ["--set", f"training.initial_weights={tmp_path / 'given.safetensors'}", "--set", "training.threads=1"]
    choice = ["--set", "model.name=timm_mobilenet", "--max-size", "10MB", "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(app, ["--url", url, *options, *choice])
    assert done.exit_code == 0, done.output
    assert "except classifier.weight, classifier.bias" in " ".join(done.output.split())
    trained = load_file(tmp_path / "out" / "model.safetensors")
    assert trained["classifier.weight"].shape == (10, 1024)
    assert torch.allclose(trained["conv_stem.weight"], given["conv_stem.weight"], atol=1e-6)
    assert not torch.equal(trained["conv_stem.weight"], given["conv_stem.weight"])
    network, card = load_network(tmp_path / "out")
    assert type(network).__name__ == "MobileNetV3"
    assert network(card.inputs.example(2)).shape == (2, 10)
    assert json.loads((tmp_path / "out" / "result.json").read_text())["parameters"] > 500_000
