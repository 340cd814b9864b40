"""Faults of operators on Ray: replicas with other data, without their data, and more of them than the cluster can hold."""

import shutil
import tempfile
from pathlib import Path

import pytest

from augsvc_client import Client, RemoteDataLoader
from augsvc_client.wire import SPEC_HEADER
from tests.deploy.cluster import TOKEN, Cluster
from tests.http.serving import TRIES, ask, write_image_folder

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
SPEC = {"dataset": "flowers", "pipeline": "light", "size": [16, 16]}


@pytest.fixture(scope="module")
def cluster():
    with tempfile.TemporaryDirectory(prefix="ray", dir="/tmp") as name:
        folder = Path(name)
        write_image_folder(folder / "flowers", {"daisy": 6, "tulip": 6})
        found = Cluster(folder, 1, "HAProxy", {"flowers": {"format": "image_folder", "path": "flowers"}})
        found.folder = folder / "flowers"
        try:
            yield found
        finally:
            found.stop()


def replicas(cluster, count, known=()):
    """The addresses, when `count` are listed and the known ones among them: one that reports late is left out for a moment."""
    with Client(cluster.url, token=TOKEN) as client:
        lists = (client.replicas() for _ in range(TRIES))
        return next(urls for urls in lists if len(urls) == count and set(known) <= set(urls))


def test_replicas_whose_data_differ_answer_409_and_clients_pass_them_over(cluster):
    (first,) = replicas(cluster, 1)
    shutil.copy(
        cluster.folder / "daisy" / "000.png", cluster.folder / "daisy" / "more.png"
    )  # on the next replica's node
    cluster.tell("scale 2")
    own = replicas(cluster, 2, [first])
    (second,) = set(own) - {first}
    with RemoteDataLoader(first, **SPEC, token=TOKEN, batch_size=3, scale=None, drop_last=False) as loader:
        whole = [batch["index"].tolist() for batch in loader]
    path = f"/v1/streams/{loader.id}/epochs/0?start=0&count=3"
    with Client(first, token=TOKEN) as client:
        headers = {"Authorization": f"Bearer {TOKEN}", SPEC_HEADER: client.stream(SPEC).header}
    error = ask(second, "GET", path, headers).refused(409, "stream_mismatch")
    assert error["dataset_version"] != loader.dataset.version
    # by the replicas' addresses, and through the proxy, whose replicas take turns
    for urls in (own, [cluster.url]):
        with RemoteDataLoader(
            urls, **SPEC, token=TOKEN, id=loader.id, batch_size=3, scale=None, drop_last=False, wait_s=60
        ) as again:
            assert [batch["index"].tolist() for batch in again] == whole


def test_a_full_cluster_says_what_it_lacks(cluster):
    said = cluster.tell("attempt 100 Resources")["message"]
    assert '{"CPU": 100.0}' in said


def test_a_replica_that_cannot_see_its_data_says_which(cluster):
    cluster.folder.rename(cluster.folder.with_name("elsewhere"))
    said = cluster.tell("attempt 1 flowers")["message"]
    assert "dataset 'flowers': " in said
    assert "flowers is not a directory (`path`)" in said
