"""The client in an environment of Python 3.10, as pip makes it, receives the batches that it receives here."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CLIENT = Path(__file__).parents[2] / "client"
CODE = """
import hashlib, sys
from augsvc_client import Client
with Client(sys.argv[1]) as client:
    for dataset, fields in (("digits/train", {"pipeline": "standard"}), ("tones/train", {"pipeline": "words"})):
        stream = client.stream({"dataset": dataset, **fields})
        digest = hashlib.sha256()
        for position in range(0, 96, 32):
            for name, array in sorted(stream.batch(1, position, 32).items()):
                digest.update(name.encode() + array.tobytes())
        print(dataset, stream.id, digest.hexdigest())
    try:
        client.stream({"dataset": "digit/train"})
    except Exception as err:
        print(type(err).__name__, err)
"""


def oldest():
    """An interpreter of Python 3.10: on the path, or of pyenv."""
    pyenv = Path(os.environ.get("PYENV_ROOT", "~/.pyenv")).expanduser() / "versions"
    for found in (shutil.which("python3.10"), *pyenv.glob("3.10.*/bin/python3.10")):
        if found and subprocess.run([found, "-c", "import venv"], capture_output=True).returncode == 0:
            return found
    return None


@pytest.mark.slow
def test_the_client_of_python_3_10_receives_the_same_batches(server, tmp_path):
    if (interpreter := oldest()) is None:
        pytest.skip("no Python 3.10 here")
    made = [
        [interpreter, "-m", "venv", tmp_path / "venv"],
        [tmp_path / "venv/bin/python", "-m", "pip", "install", "--quiet", CLIENT],
    ]
    for command in made:
        subprocess.run(command, check=True, capture_output=True, timeout=300)
    shown = [
        subprocess.run([python, "-c", CODE, server.url], check=True, capture_output=True, text=True, timeout=120).stdout
        for python in (sys.executable, tmp_path / "venv/bin/python")
    ]
    assert shown[0] == shown[1]
    assert len(shown[0].splitlines()) == 3
    assert "did you mean digits/train" in shown[0]
