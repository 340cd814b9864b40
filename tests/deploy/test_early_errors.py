"""Mistakes in settings, addresses and options are reported before torch, a compiler or a web framework is imported."""

import json
import os
import socket
import subprocess
import sys
from contextlib import closing

import pytest

# Runs commands in one process, and states for each its exit status, its error, and which heavy modules are there afterwards.
RUN = """
import contextlib, io, json, sys
from augsvc.cli import app
from augsvc_client.trainer.cli.main import app as trainer

HEAVY = {"torch", "numba", "kornia", "scipy", "fastapi", "uvicorn", "matplotlib"}
results = []
for words in json.load(sys.stdin):
    error, status = io.StringIO(), 0
    with contextlib.redirect_stderr(error), contextlib.redirect_stdout(io.StringIO()) as output:
        try:
            (trainer if words[0] == "augsvc-train" else app)(words[1:], prog_name=words[0])
        except SystemExit as end:
            status = end.code
    results.append([status, error.getvalue() + output.getvalue(), sorted(HEAVY & set(sys.modules))])
print(json.dumps(results))
"""


@pytest.fixture(scope="module")
def commands(tmp_path_factory):
    """Name → the words of a command, and what it says."""
    folder = tmp_path_factory.mktemp("mistakes")
    files = {
        "yaml": "port: [",
        "unknown": "prot: 8000",
        "absent": "port: 0\ndatasets: {pets: {format: image_folder, path: absent}}",
        "recipe": "data: {dataset: a}\ntraining: {epoch: 3}",
    }
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    path = {name: str(folder / f"{name}.yaml") for name in files}
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = str(taken.getsockname()[1])
        yield {
            "a busy port": (["augsvc", "serve", "--port", port], f"port {port} is in use"),
            "YAML": (["augsvc", "serve", "--config", path["yaml"]], "invalid YAML"),
            "a setting": (["augsvc", "serve", "--config", path["unknown"]], "prot"),
            "a device": (["augsvc", "serve", "--device", "gpu"], "device"),
            "a folder": (["augsvc", "serve", "--config", path["absent"]], "absent"),
            "a folder to check": (["augsvc", "check", "--config", path["absent"]], "absent"),
            "a name to check": (["augsvc", "check", "pest"], "no dataset has this name"),
            "settings of doctor": (["augsvc", "doctor", "--config", path["unknown"]], "prot"),
            "settings of ops": (["augsvc", "ops", "--config", path["unknown"]], "prot"),
            "a dataset": (["augsvc", "preview", "--dataset", "a", "--out", "a.png"], "no dataset has this name"),
            "a size": (["augsvc", "preview", "--dataset", "a", "--out", "a.png", "--size", "x"], "--size takes"),
            "a folder for a sheet": (
                ["augsvc", "preview", "--dataset", "photos/train", "--out", "absent/a.png"], "--out: there is no folder"),
            "a folder for statistics": (
                ["augsvc", "fit", "photos/train", "--out", "absent/a.json"], "--out: there is no folder"),
            "a folder for a page": (
                ["augsvc", "datasets", "inspect", "photos", "--html", "absent/a.html"], "--html: there is no folder"),
            "a recipe's name": (["augsvc", "recipes", "imagenet-resnet5"], "unknown recipe"),
            "an option": (["augsvc", "serve", "--prot", "1"], "No such option"),
            "a field": (["augsvc-train", "--url", "http://x", "--out", "o", "--recipe", path["recipe"]], "epoch"),
            "no server": (["augsvc-train", "--dataset", "a"], "--url"),
            "no folder": (["augsvc-train", "--url", "http://x", "--dataset", "a"], "--out"),
            "an option of the trainer": (["augsvc-train", "--epoch", "3"], "No such option"),
            "help of the trainer": (["augsvc-train", "--help"], "Passes over the dataset"),
            "datasets": (["augsvc", "datasets"], "photos/train"),
            "recipes": (["augsvc", "recipes"], "pipeline"),
        }  # fmt: skip


@pytest.fixture(scope="module")
def results(commands):
    environment = {name: text for name, text in os.environ.items() if not name.startswith("AUGSVC_")}
    done = subprocess.run(
        [sys.executable, "-c", RUN],
        input=json.dumps([words for words, _ in commands.values()]),
        capture_output=True, text=True, check=True, env=environment | {"COLUMNS": "200"},
    )  # fmt: skip
    return json.loads(done.stdout)


def test_mistakes_and_help_need_no_torch(commands, results):
    for (name, (_, said)), (status, text, heavy) in zip(commands.items(), results, strict=True):
        assert heavy == [], name
        assert said in text, (name, text)
        assert status == {"settings of doctor": 1, "help of the trainer": 0, "datasets": 0, "recipes": 0}.get(name, 2)
