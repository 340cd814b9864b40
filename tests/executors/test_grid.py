"""CUDA's grid gives the CPU's bits: seen on Numba's simulator; and what its kernels compile to, without a GPU."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.executors.grid_cases import CASES, pictures
from tests.harness import open_cpu

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    """What tests/executors/simulated.py found, in a process of its own. Its functions are not optimised: half of the time."""
    results = tmp_path_factory.mktemp("simulator") / "results.npz"
    variables = os.environ | {"NUMBA_ENABLE_CUDASIM": "1", "NUMBA_OPT": "0"}
    done = subprocess.run(
        [sys.executable, "-m", "tests.executors.simulated", results],
        cwd=ROOT, env=variables, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    with np.load(results) as found:
        return dict(found)


def launches(simulated, name):
    return simulated["launches of " + name].tolist()


@pytest.mark.parametrize("name", CASES)
def test_the_grid_gives_the_bits_of_the_cpu(simulated, name):
    expected = pictures(CASES[name], open_cpu("fused"))
    assert simulated[name].shape == expected.shape
    different = np.argwhere(simulated[name] != expected)
    assert not len(different), f"{len(different)} of {expected.size} differ, first {different[:5].tolist()}"


def test_a_pass_is_one_launch_and_three_with_a_filter(simulated):
    assert launches(simulated, "several noises and rectangles") == ["draw"]
    assert launches(simulated, "tones after tones") == ["draw"]
    assert launches(simulated, "noises after a filter") == ["draw", "across", "down"]
    assert launches(simulated, "only filters that nobody wants") == ["draw"]


def test_a_slab_that_there_is_no_memory_for_is_cut_in_two(simulated):
    expected = pictures(CASES["statistics"], open_cpu("fused"))
    assert simulated["little memory"].tobytes() == expected.tobytes()
    assert simulated["released"] == 2, "three samples, then two of them"


def test_without_memory_for_one_sample_it_is_refused_and_lives(simulated):
    assert simulated["refused"] == "device_out_of_memory"
    expected = pictures(CASES["statistics"], open_cpu("fused"))
    assert simulated["memory again"].tobytes() == expected.tobytes()
