"""Imported once by the process that tests/forked.py forks commands from."""

import charset_normalizer  # noqa: F401
import skimage.data  # noqa: F401
import torch
import uvloop  # noqa: F401

import augsvc.cli.main  # noqa: F401
from augsvc.executors.factory import open_executor
from augsvc.executors.fused.kernel_cache import default_folder
from augsvc.ops.registry import registry
from augsvc.streams.selftest import SelfTest

# A pool of threads would not survive the fork.
threads = torch.get_num_threads()
torch.set_num_threads(1)
SelfTest(open_executor("fused", torch.device("cpu"), default_folder()), registry()).digests()
torch.set_num_threads(threads)
