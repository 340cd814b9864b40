"""Tokens and quotas again, with the server on Ray Serve: through HAProxy, and from its replica's own address."""

import tempfile
from pathlib import Path

import pytest

from tests.deploy.cluster import FORMS, Cluster, reach
from tests.faults.test_tokens import *  # noqa: F403
from tests.faults.test_tokens import GOOD, TOKENS, write

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def cluster():
    with tempfile.TemporaryDirectory(prefix="ray", dir="/tmp") as folder:
        found = Cluster(Path(folder), 1, "HAProxy", tokens=TOKENS)
        try:
            yield found
        finally:
            found.stop()


@pytest.fixture(scope="module", params=FORMS)
def guarded(cluster, request):
    return reach(cluster, request.param, GOOD)


@pytest.fixture
def tokens(cluster):
    yield cluster.tokens_file
    write(cluster.tokens_file, **TOKENS)
