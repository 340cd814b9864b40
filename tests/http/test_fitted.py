"""Whitening by colour over HTTP, what is said where statistics or a dataset lack, and the commands `fit` and `explain`."""

import json
import re

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from augsvc.cli import app
from augsvc.data.catalog import open_catalog
from augsvc.data.fit import fit
from augsvc.numerics.color_statistics import read_statistics
from augsvc_client import RequestRefused
from tests.http.serving import command

COLOR = [{"op": "whitening", "mode": "color", "strength": [0.2, 1.0]}]
WIDE = {"COLUMNS": "200"}


def invoke(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments], env=WIDE)


@pytest.fixture
def config(folders, tmp_path):
    """Settings of two folders beside their file."""
    path = tmp_path / "settings.yaml"
    names = ("pets", "hurt")
    path.write_text(
        yaml.safe_dump({"datasets": {n: {"format": "image_folder", "path": str(folders / n)} for n in names}})
    )
    return path


def name_statistics(config, dataset, file):
    content = yaml.safe_load(config.read_text())
    content["datasets"][dataset]["statistics"] = file
    config.write_text(yaml.safe_dump(content))


# --- over HTTP


def test_a_dataset_with_statistics_is_whitened_alike_in_any_company(server):
    with server.client() as client:
        stream = client.stream({"dataset": "photos/test", "pipeline": COLOR})
        whole = stream.batch(2, 0, 9)
        for at in range(9):
            assert stream.batch(2, at, 1)["image"].tobytes() == whole["image"][at : at + 1].tobytes()
        strengths = [stream.receipt(2, at)["operations"][0]["draws"]["strength"] for at in range(9)]
    assert len(set(strengths)) == 9
    assert len(server.open({"dataset": "photos/test", "pipeline": COLOR})["passes"]) == 1


def test_a_dataset_without_them_says_so(server):
    reply = server.post({"dataset": "pets", "size": [8, 8], "pipeline": [{"op": "gamma"}, *COLOR]})
    error = reply.refused(422, "needs_statistics")
    assert error["field"] == "pipeline.1"
    assert "augsvc fit pets" in error["message"]
    with server.client() as client, pytest.raises(RequestRefused, match="needs_statistics"):
        client.stream({"dataset": "pets", "size": [8, 8], "pipeline": COLOR})


def test_pushed_samples_have_no_dataset(server):
    tensors = {"image": np.full((3, 6, 5, 3), 90, np.uint8), "index": np.arange(3)}
    with server.client() as client:
        with pytest.raises(RequestRefused, match="needs_dataset"):
            client.augment(tensors, pipeline=COLOR)
        client.augment(tensors, pipeline=[{"op": "whitening"}])


def test_a_client_names_no_file(server):
    spec = {"dataset": "photos/test", "pipeline": [COLOR[0] | {"statistics": "/etc/passwd"}]}
    assert server.post(spec).refused(422, "spec_invalid")["field"] == "pipeline.0.statistics"
    assert (
        server.post(spec | {"pipeline": COLOR, "statistics": "x"}).refused(422, "spec_invalid")["field"] == "statistics"
    )


@pytest.mark.slow
def test_replicas_with_other_statistics_are_other_streams(serve, settings, config, tmp_path):
    pets = settings["datasets"]["pets"]
    files = [tmp_path / "one.json", tmp_path / "other.json"]
    invoke("fit", "pets", "--out", files[0], "--config", config)
    found = read_statistics(files[0])
    files[1].write_text(found.model_copy(update={"sums": tuple(total - 1 for total in found.sums)}).text())
    replicas = [serve(datasets={"pets": pets | {"statistics": str(file)}}).ready() for file in files]
    spec = {"dataset": "pets", "size": [8, 8], "pipeline": COLOR}
    streams = [replica.open(spec) for replica in replicas]
    assert streams[0]["id"] != streams[1]["id"]
    assert replicas[0].batch(streams[0], 0, 0, 4).status == 200
    replicas[1].batch(streams[0], 0, 0, 4).refused(409, "stream_mismatch")


# --- augsvc fit


def test_fit_makes_the_file_that_the_settings_name(config, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = invoke("fit", "hurt", "--config", config)
    assert done.exit_code == 0, done.output
    assert "11 samples" in done.output
    assert "1 skipped" in done.output
    assert "statistics:" in done.output
    found = read_statistics(tmp_path / "hurt.json")
    assert (found.samples, found.left_out, found.dataset) == (11, 1, "hurt")
    name_statistics(config, "hurt", "hurt.json")  # relative to the settings file, wherever the server starts
    monkeypatch.chdir("/")
    done = invoke("datasets", "--config", config)
    rows = {line.split()[0]: line.split() for line in done.output.splitlines() if line.strip()}
    assert rows["hurt"][-1] == found.digest[:12]
    assert rows["pets"][-1] == "-"
    assert (
        rows["photos/train"][-1]
        == rows["photos/test"][-1]
        == open_catalog({}, 0).get("photos/train").info.colors.digest[:12]
    )


def test_fit_is_not_stopped_by_the_file_that_it_is_to_make(config, tmp_path):
    name_statistics(config, "pets", "pets.json")
    done = invoke("datasets", "--config", config)
    assert done.exit_code == 2
    assert "augsvc fit" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert invoke("fit", "pets", "--out", tmp_path / "pets.json", "--config", config).exit_code == 0
    assert invoke("datasets", "--config", config).exit_code == 0


def test_fit_of_an_embedded_dataset_is_what_ships(tmp_path):
    assert invoke("fit", "digits/train", "--out", tmp_path / "digits.json").exit_code == 0
    assert read_statistics(tmp_path / "digits.json") == fit(open_catalog({}, 0).get("digits/train"))


def test_check_says_that_statistics_are_of_older_data(config, folders, tmp_path):
    invoke("fit", "pets", "--out", tmp_path / "pets.json", "--config", config)
    name_statistics(config, "pets", "pets.json")
    found = read_statistics(tmp_path / "pets.json")
    assert "another version" not in command("check", "--config", config, cwd=tmp_path).stdout
    (tmp_path / "pets.json").write_text(found.model_copy(update={"dataset_version": "older"}).text())
    done = command("check", "--config", config, cwd=tmp_path)
    assert done.returncode == 0
    assert "fitted on another version" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["fit", "nothing"], "no dataset has this name"),
        (["fit", "digits/train", "--out", "no/such/folder/x.json"], "--out: there is no folder"),
        (["explain", "--dataset", "digits/test", "--epoch", 0, "--position", 445], "445 samples"),
        (["explain", "--dataset", "digits/test", "--epoch", -1, "--position", 0], "an epoch is"),
        (["explain", "--dataset", "digits/test", "--epoch", 0, "--position", 0, "--view", 256], "a view is"),
        (["explain", "--dataset", "digit/test", "--epoch", 0, "--position", 0], "did you mean digits/test"),
        (
            ["explain", "--dataset", "digits", "--epoch", 0, "--position", 0],
            "did you mean digits/train or digits/test?",
        ),
        (["explain", "--dataset", "digits/test", "--epoch", 0, "--position", 0, "--pipeline", "[1"], "not JSON"),
        (
            ["explain", "--dataset", "digits/test", "--epoch", 0, "--position", 0, "--pipeline", "standart"],
            "did you mean standard?",
        ),
        (["explain", "--dataset", "digits/test", "--epoch", 0, "--position", 0, "--pipeline", "loud"], "pipeline"),
    ],
)
def test_errors_are_reported_in_one_line(arguments, said):
    done = invoke(*arguments)
    assert done.exit_code == 2
    assert said in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


# --- augsvc explain


def test_explain_is_the_servers_receipt(server):
    pipeline = [
        *COLOR,
        {"op": "rotation", "degrees": [-30, 30], "p": 0.5, "id": "mine"},
        {"op": "color_shift", "shift": [-0.2, 0.2]},
        {"op": "gamma", "gamma": 2},
    ]
    spec = {"dataset": "photos/test", "pipeline": pipeline, "size": [32, 32], "aug_seed": 7, "order_seed": 2}
    with server.client() as client:
        stream = client.stream(spec)
        receipts = [stream.receipt(4, position, 1) for position in range(6)]
    assert len({receipt["operations"][1]["selected"] for receipt in receipts}) == 2
    for position, receipt in enumerate(receipts):
        done = invoke(
            "explain", "--dataset", "photos/test", "--epoch", 4, "--position", position, "--view", 1, "--size", 32, 32,
            "--aug-seed", 7, "--order-seed", 2, "--pipeline", json.dumps(pipeline),
        )  # fmt: skip
        assert done.exit_code == 0, done.output
        text = " ".join(done.output.split())
        assert f"sample {receipt['index']}, {receipt['source']}" in text
        strength, turn, shift, _ = (entry["draws"] for entry in receipt["operations"])
        assert f"strength {strength['strength']:.6g} [0.2, 1]" in text
        assert f"degrees {turn['degrees']:.6g} [-30, 30]" in text
        assert f"shift {' '.join(f'{value:.6g}' for value in shift['shift'])} [-0.2, 0.2]" in text
        assert "gamma 2 fixed" in text
        assert "mode color setting" in text
        selected = "yes" if receipt["operations"][1]["selected"] else "no"
        assert f"mine (rotation) {selected} (p 0.5)" in text


def test_explain_of_a_sample_that_was_replaced(config, server):
    for position in range(12):
        done = invoke(
            "explain", "--dataset", "hurt", "--epoch", 0, "--position", position, "--size", 8, 8, "--config", config
        )
        assert done.exit_code == 0, done.output
        replaced = re.search(r"replaced by +(\d+), (\S+)", done.output)
        if "a/005.png" in done.output.partition("replaced by")[0]:
            assert replaced and replaced[2] == "b/000.png"
            return
        assert not replaced
    raise AssertionError("the damaged sample is in every epoch")


def test_explain_without_operations():
    done = invoke("explain", "--dataset", "digits/test", "--epoch", 0, "--position", 0, "--pipeline", "none")
    assert done.exit_code == 0
    assert "the stored sample" in done.output
