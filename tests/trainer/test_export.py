"""A trained network in other forms says what it said; files are seen as the service shows them in training."""

import io
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import soundfile
import torch
from PIL import Image
from typer.testing import CliRunner

from augsvc_client import Client
from augsvc_client.trainer.cli.main import app
from augsvc_client.trainer.experiments.run import run
from augsvc_client.trainer.export import onnx as export
from augsvc_client.trainer.export.card import EXPORTS, Card, load_model
from augsvc_client.trainer.export.onnx import to_onnx
from augsvc_client.trainer.export.predict import load_clip, prepare_image
from augsvc_client.trainer.models.build import Inputs
from augsvc_client.trainer.recipe import ModelChoice, load_recipe

pytestmark = pytest.mark.usefixtures("blank_figures")


def command(*words):
    done = CliRunner().invoke(app, [str(word) for word in words])
    return done


@pytest.fixture(scope="module")
def digits(url, tmp_path_factory):
    out = tmp_path_factory.mktemp("digits")
    done = command("--url", url, "--dataset", "digits/train", "--epochs", 3, "--out", out, "--set", "model.width=0.5")
    assert done.exit_code == 0, done.output
    return out


@pytest.fixture(scope="module")
def tones(url, tmp_path_factory):
    out = tmp_path_factory.mktemp("tones")
    few = ("--set", "model.width=0.75", "--set", "data.sample_rate=8000")
    done = command("--url", url, "--dataset", "tones/train", "--epochs", 2, "--out", out, *few)
    assert done.exit_code == 0, done.output
    return out


def batch(url, dataset, **fields):
    with Client(url) as client:
        return client.stream({"dataset": dataset, "shuffle": False, **fields}).batch(0, 0, 64)


def test_a_run_on_other_classes_is_not_exported(digits, url, tmp_path):
    """As after a reload that moved the labels: the accuracies would be of other classes."""
    shutil.copytree(digits, tmp_path / "run")
    card = json.loads((tmp_path / "run/model.json").read_text())
    card["classes"] = card["classes"][1:] + card["classes"][:1]
    (tmp_path / "run/model.json").write_text(json.dumps(card))
    done = command("export", tmp_path / "run", "--url", url)
    assert done.exit_code == 2
    assert "digits/train has other classes now than those that" in done.output
    assert not (tmp_path / "run/export.json").exists()


# The exporter's own tools use what torch and NumPy are about to drop.
exporters_own = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")


@exporters_own
@pytest.mark.parametrize("kind", ["digits", pytest.param("tones", marks=pytest.mark.slow)])
def test_every_form_gives_the_trained_network_s_answers(kind, url, request):
    out = request.getfixturevalue(kind)
    done = command("export", out, "--url", url)
    assert done.exit_code == 0, done.output
    forms = {form["name"]: form for form in json.loads((out / "export.json").read_text())}
    assert set(forms) == {"model.safetensors", "model-fp16.safetensors", "model.onnx", "model-int8.onnx"}
    assert all(form["n_bytes"] == (out / name).stat().st_size for name, form in forms.items())
    assert forms["model-fp16.safetensors"]["n_bytes"] < 0.7 * forms["model.safetensors"]["n_bytes"]
    assert forms["model-int8.onnx"]["n_bytes"] < forms["model.onnx"]["n_bytes"]
    assert forms["model.onnx"]["n_bytes"] < forms["model.safetensors"]["n_bytes"] + 100_000, (
        "graph, window and mel bands"
    )
    model, card = load_model(out)
    name, fields = (
        ("audio", {"seconds": 1.0, "sample_rate": 8000}) if kind == "tones" else ("image", {"size": [32, 32]})
    )
    arrays = batch(url, f"{kind}/test", **fields)
    inputs = arrays[name] if kind == "tones" else arrays[name].astype(np.float32) / 127.5 - 1
    with torch.inference_mode():
        wanted = model(torch.from_numpy(np.array(inputs))).numpy()
    for form, apart in (("model.onnx", 1e-3), ("model-int8.onnx", None)):
        session = onnxruntime.InferenceSession(str(out / form), providers=["CPUExecutionProvider"])
        for count in (1, 7, 64):
            logits = session.run(["logits"], {"input": np.ascontiguousarray(inputs[:count])})[0]
            assert logits.shape == (count, len(card.classes))
            if apart is not None:
                np.testing.assert_allclose(logits, wanted[:count], atol=apart)
            elif count == 64:
                assert (logits.argmax(1) == wanted.argmax(1)).mean() >= 0.9


@exporters_own
def test_without_samples_to_test_on_forms_are_compared_all_the_same(digits, url, tmp_path, monkeypatch):
    out = tmp_path / "run"
    shutil.copytree(digits, out)
    trained_on = {"val": {"dataset": "digits/train", "unseen": True}}
    load_recipe(out / "recipe.yaml", {"evaluation.tests": trained_on}).save(out / "recipe.yaml")
    done = command("export", out, "--url", url)
    assert done.exit_code == 0, done.output
    assert "no samples" in done.output
    assert [form["accuracy"] for form in json.loads((out / "export.json").read_text())] == [None] * 4

    def other_network(model, inputs, path):
        with torch.no_grad():
            model.head.bias.add_(1.0)
        to_onnx(model, inputs, path)
        with torch.no_grad():
            model.head.bias.sub_(1.0)

    monkeypatch.setattr(export, "to_onnx", other_network)
    refused = command("export", out, "--url", url)
    assert refused.exit_code == 2
    assert "differs from the trained one by 1" in refused.output


@exporters_own
@pytest.mark.parametrize("dataset", ["digits", pytest.param("tones", marks=pytest.mark.slow)])
def test_an_ensemble_is_exported_as_one_network(url, tmp_path, monkeypatch, dataset):
    monkeypatch.setattr("augsvc_client.trainer.cli.train.render_run_page", lambda *_, **__: "")
    tiny = ("--per-class", 2, "--steps", 4, "--device", "cpu", "--set", "model.width=0.25")
    canvas = ("--size", 8) if dataset == "digits" else ("--set", "data.sample_rate=8000")
    done = command("--url", url, "--dataset", f"{dataset}/train", "--out", tmp_path, *tiny, *canvas, "--ensemble", 2)
    assert done.exit_code == 0, done.output
    done = command("export", tmp_path, "--url", url)
    assert done.exit_code == 0, done.output
    whole, _, full, int8 = json.loads((tmp_path / "export.json").read_text())
    weights = [(tmp_path / f"member-{i}" / "model.safetensors").stat().st_size for i in range(2)]
    assert (whole["name"], whole["n_bytes"]) == ("2 × model.safetensors", sum(weights))
    fields = {"size": [8, 8]} if dataset == "digits" else {"seconds": 1.0, "sample_rate": 8000}
    arrays = batch(url, f"{dataset}/test", **fields)
    inputs = arrays["audio"] if dataset == "tones" else arrays["image"].astype(np.float32) / 127.5 - 1
    with torch.inference_mode():
        members = [load_model(tmp_path / f"member-{i}")[0](torch.tensor(inputs)).softmax(dim=1) for i in range(2)]
    for form, tolerance in ((full, 1e-4), (int8, 0.2)):
        session = onnxruntime.InferenceSession(str(tmp_path / form["name"]), providers=["CPUExecutionProvider"])
        logits = torch.tensor(session.run(["logits"], {"input": np.ascontiguousarray(inputs)})[0])
        torch.testing.assert_close(logits.softmax(dim=1), torch.stack(members).mean(dim=0), atol=tolerance, rtol=0)
    assert int8["n_bytes"] != full["n_bytes"]
    graph = onnx.load(str(tmp_path / int8["name"])).graph
    assert sum(node.op_type == "QuantizeLinear" for node in graph.node) > 4, (
        "the final logarithm leaves layers in 8 bits"
    )


def test_files_are_named_as_the_same_samples_of_the_service_are(digits, url, tmp_path):
    """The files are the stored digits; the canvas is Pillow's here and the service's there."""
    stored = batch(url, "digits/test", size=[8, 8])
    shown = batch(url, "digits/test", size=[32, 32])
    for number, pixels in enumerate(stored["image"]):
        Image.fromarray(pixels[0]).save(tmp_path / f"{number:02}.png")
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    listed = tmp_path / "named.json"
    done = command("predict", digits, tmp_path, "--json", listed)
    assert done.exit_code == 0, done.output
    *named, broken = json.loads(listed.read_text())
    assert "cannot be read" in broken["error"]
    assert len(named) == 64
    model, card = load_model(digits)
    with torch.inference_mode():
        logits = model(torch.from_numpy(shown["image"].astype(np.float32) / 127.5 - 1))
    wanted = [card.classes[number] for number in logits.argmax(dim=1).tolist()]
    found = [max(one["classes"], key=one["classes"].get) for one in named]
    assert np.mean([a == b for a, b in zip(found, wanted, strict=True)]) >= 0.98
    assert all(sum(one["classes"].values()) == pytest.approx(1, abs=1e-5) for one in named)


@pytest.mark.parametrize("fit", ["cover", "contain", "stretch"])
@pytest.mark.parametrize("size", [(96, 96), (60, 100)], ids=str)
def test_the_canvas_is_the_service_s_to_a_few_levels(url, fit, size):
    stored = batch(url, "photos/test", size=[200, 140], fit="cover")["image"][:4]
    with Client(url) as client:
        pushed = {"image": np.ascontiguousarray(stored.transpose(0, 2, 3, 1)), "index": np.arange(4)}
        wanted = client.augment(pushed, size=size, fit=fit).arrays["image"]
    card = Card(ModelChoice(), Inputs(channels=3, size=size), ["a"], (0.0, 255.0), fit)
    found = np.stack([prepare_image(Image.fromarray(image.transpose(1, 2, 0)), card) for image in stored])
    assert np.abs(found - wanted).mean() < 2.5


@pytest.mark.parametrize("side", [49, 98, 107, 1999])
@pytest.mark.parametrize("fit", ["cover", "contain"])
def test_a_white_square_stays_white_to_its_rim(side, fit):
    card = Card(ModelChoice(), Inputs(channels=1, size=(32, 32)), ["a"], (0.0, 255.0), fit)
    assert (prepare_image(Image.new("L", (side, side), 255), card) == 255).all()


def test_damaged_files_lose_themselves_alone(digits, tmp_path):
    whole = io.BytesIO()
    Image.effect_noise((24, 24), 60).save(whole, "PNG")
    generator = np.random.default_rng(0)
    for number in range(150):
        data = bytearray(whole.getvalue())
        for place in generator.integers(8, len(data), 3):
            data[place] = generator.integers(256)
        (tmp_path / f"{number}.png").write_bytes(data)
    (tmp_path / "good.png").write_bytes(whole.getvalue())
    broken = b"".join((whole.getvalue()[:33], b"\0\0\0\x05\0\0\0\0", bytes(9), whole.getvalue()[33:]))
    (tmp_path / "chunk.png").write_bytes(broken)  # Pillow raises SyntaxError for it; the service drops such chunks
    (tmp_path / "cut.png").write_bytes(whole.getvalue()[:-40])
    done = command("predict", digits, tmp_path, "--json", tmp_path / "named.json")
    assert done.exit_code == 0, done.output
    named = {Path(one["file"]).name: one for one in json.loads((tmp_path / "named.json").read_text())}
    assert len(named) == 153
    assert named["good.png"]["error"] is None
    assert named["chunk.png"]["classes"] == named["good.png"]["classes"]
    assert "cannot be read" in named["cut.png"]["error"]


def test_a_folder_knows_whether_it_holds_an_ensemble(url, tmp_path, monkeypatch):
    members = []

    def one_then_lost(*arguments, **more):
        if members:
            raise OSError("broken off")
        members.append(run(*arguments, **more))
        return members[0]

    tiny = ("--dataset", "digits/train", "--per-class", 1, "--size", 8, "--epochs", 1, "--device", "cpu")
    monkeypatch.setattr("augsvc_client.trainer.experiments.ensemble.run", one_then_lost)
    assert "broken off" in command("--url", url, "--out", tmp_path, *tiny, "--ensemble", 2).output
    monkeypatch.undo()
    assert {"result.json", "report.html", "model.json"} <= {path.name for path in (tmp_path / "member-0").iterdir()}
    monkeypatch.setattr(
        "augsvc_client.trainer.cli.train.render_run_page", lambda *_, **__: ""
    )  # seconds each, and seen above
    wrong = command("export", tmp_path, "--url", url)
    assert wrong.exit_code == 2
    assert f"a member of the ensemble, {tmp_path / 'member-0'}" in " ".join(wrong.output.split())
    assert command("--url", url, "--out", tmp_path, "--resume", "--ensemble", 2).exit_code == 0
    found = json.loads((tmp_path / "ensemble.json").read_text())
    single = [json.loads((tmp_path / f"member-{n}" / "result.json").read_text())["accuracy"]["test"] for n in (0, 1)]
    assert found["members"] == 2
    assert found["tests"]["test"]["members"] == single
    assert found["tests"]["test"]["gain"] == pytest.approx(found["tests"]["test"]["accuracy"] - sum(single) / 2)
    for options in ((*tiny, "--overwrite"), ("--resume",)):  # a single run in the same folder
        done = command("--url", url, "--out", tmp_path, *options)
        assert done.exit_code == 0, done.output
    assert command("--url", url, "--out", tmp_path, "--resume", "--ensemble", 2).exit_code == 2


def test_a_sound_is_cut_in_its_middle_and_followed_by_zeros(tmp_path):
    clip = np.sin(np.arange(8000) * 0.05).astype(np.float32) * 0.5
    soundfile.write(tmp_path / "a.wav", clip, 8000, subtype="FLOAT")
    np.testing.assert_array_equal(load_clip(tmp_path / "a.wav", 8000, 4000), clip[2000:6000])
    np.testing.assert_array_equal(load_clip(tmp_path / "a.wav", 8000, 9000)[8000:], 0)
    assert load_clip(tmp_path / "a.wav", 16000, 16000).shape == (16000,)


def test_sounds_are_named(tmp_path, url):
    tiny = ("--per-class", 2, "--epochs", 1, "--set", "data.sample_rate=8000")
    assert command("--url", url, "--dataset", "tones/train", "--out", tmp_path, *tiny).exit_code == 0
    clips = batch(url, "tones/test", seconds=1.0, sample_rate=8000)
    folder = tmp_path / "clips"
    folder.mkdir()
    for number in range(8):
        soundfile.write(folder / f"{number}.wav", clips["audio"][number], 8000, subtype="FLOAT")
    done = command("predict", tmp_path, folder, "--json", tmp_path / "named.json")
    assert done.exit_code == 0, done.output
    assert len(json.loads((tmp_path / "named.json").read_text())) == 8


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda out: (out / "model.json").unlink(), "has no model.json"),
        (lambda out: (out / "model.json").write_text("{}"), "not a model card"),
        (
            lambda out: (out / "model.json").write_text('{"version": "1"}'),
            'has version "1"; this program reads version 1',
        ),
        (lambda out: (out / "model.json").write_text('{"version": true}'), "has version true"),
        (lambda out: (out / "model.safetensors").write_bytes(b"nothing"), "does not contain the weights"),
    ],
    ids=["not a model card", "another file", "version in text", "a version that is none", "broken weights"],
)
def test_a_folder_that_holds_no_network(digits, tmp_path, damage, words):
    for name in ("model.json", "model.safetensors"):
        (tmp_path / name).write_bytes((digits / name).read_bytes())
    damage(tmp_path)
    done = command("predict", tmp_path, tmp_path)
    assert done.exit_code == 2
    assert words in " ".join(done.output.split())


@exporters_own
@pytest.mark.parametrize("n_bytes", [20_000, 40_000], ids=["weights", "onnx"])
def test_a_full_disk_keeps_the_earlier_exports(digits, url, tmp_path, refused, n_bytes):
    out = tmp_path / "run"
    shutil.copytree(digits, out)
    for name in EXPORTS:
        (out / name).write_text("earlier")
    before = sorted(path.name for path in out.iterdir())
    assert "could not be written: File too large" in refused("export", out, "--url", url, file_bytes=n_bytes)
    assert sorted(path.name for path in out.iterdir()) == before
    assert all((out / name).read_text() == "earlier" for name in EXPORTS)


def test_latencies_are_of_one_thread(digits, tmp_path, monkeypatch):
    out = shutil.copytree(digits, tmp_path / "run")
    threads = []
    monkeypatch.setattr(export, "_latency_ms", lambda *_: threads.append(torch.get_num_threads()) or 1.0)
    monkeypatch.setattr(export, "_check_agreement", lambda *_: None)
    monkeypatch.setattr(export, "to_onnx", lambda model, inputs, path: path.write_bytes(b""))
    monkeypatch.setattr(export, "to_int8", lambda full, path, calibration: path.write_bytes(b""))
    monkeypatch.setattr(export, "onnx_runner", lambda path: None)
    monkeypatch.setattr(export, "_accuracy", lambda *_: None)
    torch.set_num_threads(2)
    model, card = load_model(out)
    export.export(out, model, card.inputs, [], [])
    assert threads == [1] * 4
    assert torch.get_num_threads() == 2


def test_what_is_not_installed_is_named(digits, url, monkeypatch, refused):
    for name in ("onnxruntime", *(name for name in sys.modules if name.startswith("onnxruntime."))):
        monkeypatch.setitem(sys.modules, name, None)
    assert "install augsvc-client[export]" in refused("export", digits, "--url", url)
    assert digits.is_dir()
