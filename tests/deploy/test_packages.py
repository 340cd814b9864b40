"""The distributions: one version, all files, and a client that needs no torch; and the files that a forge reads."""

import ast
import os
import shutil
import subprocess
import sys
import tarfile
import tomllib
import venv
import zipfile
from importlib.metadata import requires, version
from pathlib import Path

import numpy as np
import pytest
import typer.testing
import xxhash
import yaml
from packaging.requirements import Requirement

import augsvc
import augsvc_client
from augsvc.cli import app, commands
from augsvc.streams import preview

ROOT = Path(__file__).parents[2]
VERSION = (ROOT / "client/VERSION").read_text(encoding="utf-8").strip()
PACKAGES = {"augsvc": ROOT / "augsvc", "augsvc_client": ROOT / "client/augsvc_client"}
PROJECTS = {"augsvc": ROOT / "pyproject.toml", "augsvc_client": ROOT / "client/pyproject.toml"}
GITHUB = ROOT / ".github"


def run(*command, **options):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def project(name):
    return tomllib.loads(PROJECTS[name].read_text(encoding="utf-8"))


def package_files(name):
    """All files of a package, relative to the folder that holds it."""
    root = PACKAGES[name]
    files = (path for path in root.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {path.relative_to(root.parent).as_posix() for path in files}


def test_both_distributions_have_the_version_of_one_file():
    assert {augsvc.__version__, augsvc_client.__version__, version("augsvc"), version("augsvc-client")} == {VERSION}
    for name in PACKAGES:
        assert project(name)["project"]["dynamic"] == ["version"]
        assert (PROJECTS[name].parent / project(name)["tool"]["setuptools"]["dynamic"]["version"]["file"]).samefile(
            ROOT / "client/VERSION"
        )
    needed = {each.name: each for each in map(Requirement, project("augsvc")["project"]["dependencies"])}
    assert str(needed["augsvc-client"].specifier) == f"=={VERSION}"
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))["version"] == VERSION


def test_the_command_line_prints_the_version():
    assert typer.testing.CliRunner().invoke(app, ["--version"]).stdout == f"augsvc {VERSION}\n"


@pytest.mark.parametrize(
    ("line", "found"), [("", "doctor"), ("check --", "--strict"), ("datasets inspect --", "--html")]
)
def test_help_and_completion_import_no_command(line, found):
    """They answer in two tenths of a second of CPU time, not in the 4 that torch and the commands take."""
    code = "import atexit, sys; atexit.register(lambda: print(sorted(sys.modules))); from augsvc.cli import app; app()"
    words = {
        "COMP_WORDS": f"augsvc {line}",
        "COMP_CWORD": str(line.count(" ") + 1),
        "_AUGSVC_COMPLETE": "complete_bash",
    }
    for variables, arguments in ((words, []), ({}, [*line.split()[:-1], "--help"])):
        done = subprocess.run(
            [sys.executable, "-c", code.replace("app()", "app(prog_name='augsvc')"), *arguments],
            env={**os.environ, **variables}, capture_output=True, text=True, check=True,
        )  # fmt: skip
        text, _, modules = done.stdout.rstrip().rpartition("\n")
        assert found in text
        heavy = {"torch", "numpy", "augsvc.cli.common"}
        assert not heavy & set(ast.literal_eval(modules))


def test_commands_know_the_limits_of_a_preview():
    assert (commands.COLUMNS, commands.MAX_PREVIEW_SAMPLES) == (preview.COLUMNS, preview.MAX_PREVIEW_SAMPLES)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
@pytest.mark.parametrize("command", ["augsvc", "augsvc-train"])
def test_shells_complete_commands(command, shell, monkeypatch):
    from augsvc_client.trainer.cli.main import app as trainer

    line = f"{command} --res" if command == "augsvc-train" else f"{command} reci"
    words = {"bash": {"COMP_WORDS": line, "COMP_CWORD": "1"}}.get(shell, {"_TYPER_COMPLETE_ARGS": line})
    variable = f"_{command.replace('-', '_').upper()}_COMPLETE"
    runner, environment = typer.testing.CliRunner(), {**words, "_TYPER_COMPLETE_FISH_ACTION": "get-args"}
    result = runner.invoke(
        app if command == "augsvc" else trainer,
        [],
        env={**environment, variable: f"complete_{shell}"},
        prog_name=command,
    )
    assert ("--resume" if command == "augsvc-train" else "recipes") in result.stdout


@pytest.mark.parametrize("name", PACKAGES)
def test_package_data_names_every_file(name):
    """A wheel without a page's assets or fitted statistics would start, and fail later."""
    patterns = project(name)["tool"]["setuptools"]["package-data"][name]
    data = {path for path in package_files(name) if not path.endswith(".py")}
    listed = {
        path.relative_to(PACKAGES[name].parent).as_posix()
        for pattern in patterns
        for path in PACKAGES[name].glob(pattern)
        if path.is_file()
    }
    assert data == listed


def test_both_distributions_carry_the_license():
    assert (ROOT / "client/LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()


@pytest.mark.parametrize(
    ("schema", "files"),
    [
        ("github-workflows", sorted((GITHUB / "workflows").glob("*.yml"))),
        (
            "github-issue-forms",
            sorted({*(GITHUB / "ISSUE_TEMPLATE").glob("*.yml")} - {GITHUB / "ISSUE_TEMPLATE/config.yml"}),
        ),
        ("github-issue-config", [GITHUB / "ISSUE_TEMPLATE/config.yml"]),
        ("citation-file-format", [ROOT / "CITATION.cff"]),
    ],
)
def test_the_forge_s_files_keep_to_their_schemas(schema, files):
    assert files
    run(sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{schema}", *files)


def test_workflows_run_the_repository_s_own_checks():
    for name in ("ci.yml", "release.yml"):
        workflow = yaml.safe_load((GITHUB / "workflows" / name).read_text(encoding="utf-8"))
        commands = [step.get("run", "") for job in workflow["jobs"].values() for step in job["steps"]]
        assert ".ci/run" in commands, name
        assert workflow["permissions"] == {"contents": "read"}, name


@pytest.fixture(scope="module")
def distributions(tmp_path_factory):
    """Both distributions' wheels, built from their source distributions as `make dist` does, in a copy of the tree."""
    copy, dist = tmp_path_factory.mktemp("tree"), tmp_path_factory.mktemp("dist")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    for name in ("augsvc", "client"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info", "build"))
    for folder in (copy / "client", copy):
        run(sys.executable, "-m", "build", "--no-isolation", "--outdir", dist, folder)
    return dist


@pytest.mark.slow
def test_distributions_are_complete(distributions):
    run(sys.executable, "-m", "twine", "check", "--strict", *distributions.iterdir())
    for name in PACKAGES:
        stem = f"{name}-{VERSION}"
        with zipfile.ZipFile(distributions / f"{stem}-py3-none-any.whl") as wheel:
            contents = {path for path in wheel.namelist() if not path.startswith(f"{stem}.dist-info/")}
            assert contents == package_files(name)
            assert any(path.endswith("licenses/LICENSE") for path in wheel.namelist())
        with tarfile.open(distributions / f"{stem}.tar.gz") as source:
            assert {path.partition("/")[2] for path in source.getnames()} >= package_files(name)
    assert len(list(distributions.iterdir())) == 4


def fresh(folder, wheels):
    """A new environment with these wheels and nothing else; its Python, which ignores the caller's paths."""
    venv.create(folder, with_pip=False)
    python = folder / "bin/python"
    run(sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-index", "--no-deps", *wheels)
    return python


def site_packages(python):
    return Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip())


@pytest.mark.slow
def test_the_client_runs_without_torch(distributions, tmp_path):
    python = fresh(tmp_path / "venv", distributions.glob("augsvc_client-*.whl"))
    installed = site_packages(python)
    for package in (np, xxhash):  # all that it needs
        folder = Path(package.__file__).parent
        for path in (folder, folder.with_name(f"{folder.name}.libs")):
            if path.exists():
                (installed / path.name).symlink_to(path)
    code = (
        "import sys, augsvc_client\n"
        "assert 'torch' not in sys.modules\n"
        "augsvc_client.Client('http://127.0.0.1:9')\n"
        "try:\n"
        "    augsvc_client.RemoteDataLoader('http://127.0.0.1:9', dataset='a', batch_size=1)\n"
        "except augsvc_client.NotInstalled as err:\n"
        "    print(err, augsvc_client.__version__)\n"
    )
    shown = run(python, "-I", "-c", code, cwd=tmp_path)
    assert "torch" in shown
    assert VERSION in shown
    needs = {each.name for each in map(Requirement, requires("augsvc-client") or ()) if each.marker is None}
    assert needs == {"numpy", "xxhash"}
    missing = subprocess.run([python.with_name("augsvc-train"), "--help"], capture_output=True, text=True)
    assert missing.returncode == 2
    assert "augsvc-client[train]" in missing.stderr


@pytest.mark.slow
def test_the_server_runs_from_its_wheel(distributions, tmp_path):
    """The package's own files, over the tested versions of its dependencies."""
    python = fresh(tmp_path / "venv", distributions.glob("*.whl"))
    paths = "\n".join(path for path in sys.path if path.endswith(("site-packages", "dist-packages")))
    (site_packages(python) / "dependencies.pth").write_text(paths, encoding="utf-8")
    command = python.with_name("augsvc")
    assert run(command, "--version", cwd=tmp_path) == f"augsvc {VERSION}\n"
    where = run(python, "-I", "-c", "import augsvc; print(augsvc.__file__)", cwd=tmp_path)
    assert where.startswith(str(tmp_path))
    assert "digits/train" in run(command, "datasets", cwd=tmp_path)
    assert "timm_deit" in run(command, "recipes", cwd=tmp_path)
