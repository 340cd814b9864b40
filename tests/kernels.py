"""The CPU's kernels, compiled once for all processes of the suite. `python -m tests.kernels` compiles them."""

import fcntl
import gc
import tempfile
from functools import cache
from pathlib import Path

import torch

from augsvc.executors.factory import open_executor
from augsvc.executors.fused.kernel_cache import code_digest, is_compiled
from augsvc.settings import default_kernel_cache
from augsvc.streams.selftest import SelfTest


@cache
def compile_kernels() -> None:
    """Fills the kernel cache, or waits for the process that does: 66 CPU seconds, which every other one would spend too."""
    folder = default_kernel_cache()
    if folder is None:
        return
    with (Path(tempfile.gettempdir()) / f"augsvc-tests-{code_digest()}").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not is_compiled(folder):
            SelfTest(open_executor("fused", torch.device("cpu"), folder)).warm_up()


if __name__ == "__main__":
    gc.disable()  # collections took 10 of 66 CPU seconds
    compile_kernels()
