"""Hypothesis settings, the order of the test files, garbage collection, and the executors of pixel tests."""

import gc
from functools import cache
from pathlib import Path

import pytest
from hypothesis import settings

from tests.harness import using

ROOT = Path(__file__).parent
LONG = (
    "executors/test_grid.py",  # its simulator needs no compiled kernels, nor do the datasets: the others find them compiled
    "data",
    "trainer",
    "faults",
    "http",
    "deploy",
    "executors",
    "ops",
    "test_laws.py",
    "test_extremes.py",
)  # files and folders

settings.register_profile(
    "augsvc", deadline=None, derandomize=True, max_examples=40
)  # reproducible, without time limits
settings.load_profile("augsvc")


def pytest_collection_modifyitems(items):
    """Long files first: with `--dist loadfile`, short ones then fill the end evenly."""

    @cache
    def rank(path):
        return min((k for k, name in enumerate(LONG) if path.is_relative_to(ROOT / name)), default=len(LONG))

    items.sort(key=lambda item: rank(item.path))


def pytest_collection_finish():
    """Excludes libraries and tests from garbage collection: 1.5 million objects, which a full collection visited each time."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="module", params=["fused", "kornia"])
def each_executor(request):
    """Runs the module's tests on both executors."""
    with using(request.param):
        yield request.param
