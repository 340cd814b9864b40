"""Every code block of the README, the start page, usage and the tutorials runs as it stands, but for the address."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import typer
import yaml
from typer.testing import CliRunner

from augsvc.cli import app
from augsvc.data.catalog import open_catalog
from augsvc.settings import load_settings
from augsvc_client.loaders.base import BaseLoader
from tests.http.serving import write_image_folder

DOCS = Path(__file__).parents[2] / "docs"
PAGES = {
    path.stem: path.read_text(encoding="utf-8") for path in (DOCS / "index.md", *(DOCS / "tutorials").glob("*.md"))
}
USAGE = [
    block
    for path in (DOCS.parent / "README.md", DOCS / "usage.md")
    for block in re.findall(r"^```python\n(.*?)^```", path.read_text(encoding="utf-8"), re.M | re.S)
]
URL = "http://127.0.0.1:8000"
DDP_S = 120.0


def blocks(name, language):
    return re.findall(rf"^```{language}\n(.*?)^```", PAGES[name], re.M | re.S)


@pytest.fixture(scope="module")
def flowers(tmp_path_factory):
    """The folder and the settings of "your own dataset"."""
    folder = tmp_path_factory.mktemp("own")
    write_image_folder(folder / "flowers", {"daisy": 10, "tulip": 10})
    (folder / "settings.yaml").write_text(blocks("dataset", "yaml")[0], encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def tutored(serve, flowers):
    """A server with that dataset besides the built-in ones."""
    datasets = load_settings(flowers / "settings.yaml", {}).datasets
    settings = {name: entry.model_dump(mode="json", exclude_unset=True) for name, entry in datasets.items()}
    return serve(datasets=settings, max_batch_bytes=64 << 20, max_request_bytes=64 << 20).ready(
        wait_for_self_test=False
    )


@pytest.mark.parametrize("name", sorted(PAGES.keys() - {"ddp"}))
def test_python_blocks_run(name, tutored, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    code = blocks(name, "python")
    assert code
    try:
        for block in code:
            exec(compile(block.replace(URL, tutored.url), f"{name}.md", "exec"), names)  # noqa: S102 - the page's own code
    finally:
        for value in names.values():
            if isinstance(value, BaseLoader):
                value.close()


def test_the_folder_that_a_manifest_of_speech_becomes_is_served(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec(blocks("speech", "python")[-1], {})  # noqa: S102 - the page's own code
    (tmp_path / "speech/clips").mkdir()
    soundfile.write(tmp_path / "speech/clips/1.wav", np.zeros(8000, np.float32), 8000)
    (tmp_path / "settings.yaml").write_text(blocks("speech", "yaml")[-1], encoding="utf-8")
    source = open_catalog(load_settings(tmp_path / "settings.yaml", {}).datasets, 0).get("speech")
    assert len(source) == 1
    sample = source.read(0)
    assert bytes(sample.target).rstrip(b"\0").decode() == "yes"
    assert len(sample.audio) == 8000


def test_the_code_of_the_readme_and_of_usage_runs(tutored, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "deit.json").write_text(CliRunner().invoke(app, ["recipes", "timm_deit"]).stdout)
    names: dict[str, object] = {}
    loaders = []
    for block in USAGE:
        exec(block.replace(URL, tutored.url), names)  # noqa: S102 - the document's own code
        loaders.append(names["loader"])
    assert len(USAGE) == 5
    assert names["mixed"]["target"].shape == (16, 3)
    assert names["clips"].shape == (64, 16000)
    assert names["images"].shape == (16, 96, 96, 3)
    assert len(names["batch"]["boxes"]) == 16
    assert "(16, 3, 96, 96)" in capsys.readouterr().out
    for loader in loaders:
        loader.close()
    names["stream"].client.close()


@pytest.mark.slow
def test_the_script_of_ddp_runs_on_two_ranks(tutored, tmp_path):
    (script,) = blocks("ddp", "python")
    (tmp_path / "train.py").write_text(script.replace(URL, tutored.url), encoding="utf-8")
    (line,) = blocks("ddp", "sh")
    command = [sys.executable, "-m", "torch.distributed.run", *line.split()[1:]]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=DDP_S)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", [name for name in sorted(PAGES) if blocks(name, "yaml")])
def test_settings_blocks_are_settings(name, tmp_path):
    for block in blocks(name, "yaml"):
        (tmp_path / "settings.yaml").write_text(block, encoding="utf-8")
        assert load_settings(tmp_path / "settings.yaml", {}).datasets


@pytest.mark.parametrize("name", [name for name in sorted(PAGES) if blocks(name, "sh")])
def test_commands_take_their_options(name, flowers, monkeypatch):
    monkeypatch.chdir(flowers)
    for line in "".join(blocks(name, "sh")).splitlines():
        command, *arguments = line.split()
        if command != "augsvc":
            assert command == "torchrun", line
            continue
        parsed = typer.main.get_command(app).make_context(command, arguments)
        while arguments := [*parsed._protected_args, *parsed.args]:
            _, inner, rest = parsed.command.resolve_command(parsed, arguments)
            parsed = inner.make_context(inner.name, rest, parent=parsed)


@pytest.mark.parametrize("document", sorted(DOCS.glob("*.md")), ids=lambda path: path.stem)
def test_blocks_of_other_documents_are_well_formed(document):
    """They need datasets of their own, or show parts; python, yaml and json at least parse."""
    read = {"python": lambda text: compile(text, document.name, "exec"), "yaml": yaml.safe_load, "json": json.loads}
    for language, block in re.findall(r"^```(python|yaml|json)\n(.*?)^```", document.read_text("utf-8"), re.M | re.S):
        read[language](block)
