"""The faults of this folder again, with the server on Ray Serve: through HAProxy, and from its replica's own address."""

import tempfile
from pathlib import Path

import pytest

from tests.deploy.cluster import FORMS, Cluster, reach
from tests.faults.epochs import IMAGES, SOUND, Undisturbed

# the tests and their fixtures; here they find the `calm`, `images` and `sound` below
from tests.faults.test_bytes import *  # noqa: F403
from tests.faults.test_elastic import (  # noqa: F401
    test_a_state_is_resumed_in_one_round_trip_wherever_it_was,
    test_batch_size_and_world_size_change_mid_epoch,
)
from tests.faults.test_far import *  # noqa: F403
from tests.faults.test_many import test_64_clients_on_one_server, test_a_throttled_loader_beside_a_fast_one  # noqa: F401
from tests.faults.test_slow_line import *  # noqa: F403
from tests.http.serving import Serving

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def cluster():
    with tempfile.TemporaryDirectory(prefix="ray", dir="/tmp") as folder:
        found = Cluster(Path(folder), 1, "HAProxy", tokens=None)
        try:
            yield found
        finally:
            found.stop()


@pytest.fixture(scope="module", params=FORMS)
def calm(cluster, request):
    return reach(cluster, request.param)


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """A server without Ray: what it delivers is right."""
    serving = Serving(tmp_path_factory.mktemp("plain"))
    try:
        yield serving.ready()
    finally:
        serving.stop()


@pytest.fixture(scope="module")
def images(plain):
    return Undisturbed.from_server(plain, IMAGES)


@pytest.fixture(scope="module")
def sound(plain):
    return Undisturbed.from_server(plain, SOUND)
