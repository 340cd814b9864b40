"""Hypothesis settings, the order of the test files, garbage collection, kernels, and the executors of pixel tests."""

import gc
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from hypothesis import settings

gc.disable()  # until everything is collected: it took 4 of the 19 CPU seconds of that
ROOT = Path(__file__).parent
ORDER = (
    "executors/test_grid.py",  # its simulator needs no compiled kernels, nor do these folders: the others find them compiled
    "data",
    "client",
    "trainer",
    "faults",
    "http",
    "data/test_image_variants.py",
    "data/test_subset.py",
    "importing",
    "deploy",
    "executors",
    "ops",
    "test_laws.py",
    "test_extremes.py",
    "engine",
    "streams/test_selftest.py",
    "planning/test_labels.py",
    "planning/test_warped_labels.py",
    "test_golden.py",
    "test_settings_files.py",
)  # files and folders; the longest name that fits counts

settings.register_profile(
    "augsvc", deadline=None, derandomize=True, max_examples=40
)  # reproducible, without time limits
settings.load_profile("augsvc")
compiler = pytest.StashKey[subprocess.Popen]()


def pytest_configure(config):
    """Under `-n`, compiles the kernels while the workers collect and run the first files."""
    if config.getoption("dist", "no") != "no" and not hasattr(config, "workerinput"):
        command = [sys.executable, "-m", "tests.kernels"]
        config.stash[compiler] = subprocess.Popen(command, cwd=ROOT.parent, start_new_session=True)


def pytest_unconfigure(config):
    """Ends that process, should it still run."""
    if process := config.stash.get(compiler, None):
        process.terminate()
        process.wait()


def pytest_collection_modifyitems(items):
    """Files in that order, long ones first: with `--dist loadfile`, short ones then fill the end evenly."""

    @cache
    def rank(path):
        names = [name for name in ORDER if path.is_relative_to(ROOT / name)]
        return ORDER.index(max(names, key=len)) if names else len(ORDER)

    items.sort(key=lambda item: rank(item.path))


def pytest_collection_finish():
    """Excludes libraries and tests from garbage collection: 1.5 million objects, which a full collection visited each time."""
    gc.collect()
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="module", params=["fused", "kornia"])
def each_executor(request):
    """Runs the module's tests on both executors."""
    from tests.harness import using  # not by xdist's controller: 2 s before the workers begin

    with using(request.param):
        yield request.param


@pytest.fixture(scope="module")
def blank_figures():
    """Figures of runs are not drawn, and those of pages not made: 7 of the 8 CPU seconds of a small run. Those of
    tests/trainer/test_report.py are."""
    from matplotlib.figure import Figure

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Figure, "savefig", lambda figure, file, **options: file.write(b""))
        yield
