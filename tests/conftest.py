"""Settings that every test shares, and the executors that tests of pixels run on."""

import pytest
from hypothesis import settings

from tests.harness import using

settings.register_profile("augsvc", deadline=None, derandomize=True, max_examples=40)  # no test depends on time or luck
settings.load_profile("augsvc")


@pytest.fixture(scope="module", params=["fused", "kornia"])
def each_executor(request):
    """Everything in the module, once on each executor."""
    with using(request.param):
        yield request.param
