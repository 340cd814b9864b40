"""No kernel reads or writes beyond an array: the whole self-test, compiled with Numba's bounds checks."""

import os
import subprocess
import sys

import pytest

SELF_TEST = """
import torch
from augsvc.executors.factory import open_executor
from augsvc.settings import default_kernel_cache
from augsvc.streams.selftest import SelfTest
print(SelfTest(open_executor("fused", torch.device("cpu"), default_kernel_cache())).whole())
"""


@pytest.mark.slow  # 70 s of compilation: the checks are part of the code
@pytest.mark.timeout(900)
def test_the_self_test_stays_within_its_arrays(tmp_path):
    """Warps on canvases below 256 pixels read up to 2 kB beyond a row of positions, which ended a server once."""
    environment = {**os.environ, "NUMBA_BOUNDSCHECK": "1", "XDG_CACHE_HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", SELF_TEST], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "IndexError" not in done.stderr
