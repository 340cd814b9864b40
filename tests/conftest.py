"""Hypothesis settings, the order of the test files, and the executors of pixel tests."""

from pathlib import Path

import pytest
from hypothesis import settings

from tests.harness import using

ROOT = Path(__file__).parent
LONG = (
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

    def rank(item):
        name = item.path.relative_to(ROOT).parts[0]
        return LONG.index(name) if name in LONG else len(LONG)

    items.sort(key=rank)


@pytest.fixture(scope="module", params=["fused", "kornia"])
def each_executor(request):
    """Runs the module's tests on both executors."""
    with using(request.param):
        yield request.param
