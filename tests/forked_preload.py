"""Imported once by the process that tests/forked.py forks commands from.

Servers forked from it do not measure again what it has measured with the same code: 1.75 of the 2 CPU seconds of a start.
Servers that start as users' do measure everything, as do those of other executors, operations and kernels.
"""

import gc
from collections.abc import Callable
from importlib import import_module
from pkgutil import iter_modules

import charset_normalizer  # noqa: F401
import skimage.data  # noqa: F401
import torch
import uvloop  # noqa: F401

from augsvc import cli
from augsvc.executors.factory import open_executor
from augsvc.ops.registry import registry
from augsvc.settings import default_kernel_cache
from augsvc.streams.selftest import Section, SelfTest
from tests.kernels import compile_kernels

for module in iter_modules(cli.__path__):
    import_module(f"augsvc.cli.{module.name}")
# A pool of threads would not survive the fork.
compile_kernels()
threads = torch.get_num_threads()
torch.set_num_threads(1)
measured = SelfTest(open_executor("fused", torch.device("cpu"), default_kernel_cache()), registry())
measured.digests()
torch.set_num_threads(threads)


def reuse(compute: Callable[[SelfTest, Section, str], str | None]) -> Callable[[SelfTest, Section, str], str | None]:
    """`compute` for what differs from what was measured here."""

    def digest(self: SelfTest, section: Section, name: str) -> str | None:
        is_same = self._executor.name == "fused" and self._steps.get(name) is measured._steps.get(name)
        return measured._results[section, name].result() if is_same else compute(self, section, name)

    return digest


SelfTest._compute = reuse(SelfTest._compute)
gc.freeze()  # a collection in a forked process would visit, and so copy, every object of this one
