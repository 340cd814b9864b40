"""The bytes of `fused` are constants: the same on every CPU, with any number of threads, optimised or not.

After a deliberate change: `make golden`, and a line in CHANGELOG.md.
"""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from augsvc.ops.registry import registry
from augsvc.selftest import SelfTest
from tests.harness import open_cpu

ROOT = Path(__file__).parent.parent.parent
GOLDEN = ROOT / "tests" / "golden_pixels.json"


def everything(executor=None):
    """Digests of the self-test's pictures and labels: canvas, borders, presets, and each operation at its ends."""
    test = SelfTest.run(executor or open_cpu("fused"))
    pictures = {name for name, operation in registry().items() if operation.media == "image"} - test.opaque
    return {"frame": test.frames["image"], "operations": {name: test.operations[name] for name in sorted(pictures)}}


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_equal_to_the_golden_file_with_any_number_of_threads(threads):
    golden, now = json.loads(GOLDEN.read_text()), everything(replace(open_cpu("fused"), threads=threads))
    assert now["operations"] == golden["operations"], "an operation changed, or is new: see the head of this file"
    assert now["frame"] == golden["frame"]


def test_equal_for_a_cpu_without_extensions():
    """In a process of its own: the compiler is told its CPU once."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.executors.test_golden_pixels"],
        cwd=ROOT, env=os.environ | {"NUMBA_CPU_NAME": "generic"}, capture_output=True, check=True,
    )  # fmt: skip
    assert json.loads(done.stdout) == json.loads(GOLDEN.read_text())


if __name__ == "__main__":
    json.dump(everything(), sys.stdout, indent=1)
    print()
