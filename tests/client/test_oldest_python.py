"""The client runs in a training image as it is: Python 3.10 and torch 2.4, of which it replaces nothing."""

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

CLIENT = Path(__file__).parent.parent.parent / "client"
PROJECT = tomllib.loads((CLIENT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
FILES = sorted((CLIENT / "augsvc_client").rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(CLIENT)))
def test_the_syntax_is_that_of_python_3_10(path):
    ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 10))


def test_the_standard_library_is_that_of_python_3_10():
    vermin = [
        sys.executable,
        "-W",
        "ignore",
        "-c",
        "from vermin.main import main; main()",
        "--target=3.10-",
        "--violations",
        "--eval-annotations",
    ]
    done = subprocess.run([*vermin, "--no-tips", CLIENT / "augsvc_client"], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout


def test_the_requirements_leave_python_3_10_and_torch_2_4_alone():
    assert PROJECT["requires-python"] == ">=3.10"
    alone = {Requirement(line).name for line in PROJECT["dependencies"]}
    assert alone == {"numpy", "xxhash"}
    (torch,) = map(Requirement, PROJECT["optional-dependencies"]["torch"])
    assert torch.specifier.contains("2.4.0")
