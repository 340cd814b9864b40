"""A server that is far away: more requests are in flight than at least, and what comes is the same."""

import threading

import pytest

from augsvc_client import AugmentingDataLoader, RemoteDataLoader
from tests.faults.proxy import Proxy


def prefetching():
    return {thread for thread in threading.enumerate() if thread.name.startswith("augsvc-prefetch-")}


@pytest.fixture
def far(calm):
    with Proxy(("127.0.0.1", int(calm.url.rpartition(":")[2])), delay_s=0.05) as found:
        yield found.url


def test_an_epoch_over_a_far_link(far, images):
    before = prefetching()
    with RemoteDataLoader(
        far, **images.spec, batch_size=2, drop_last=False, scale=None, prefetch=2, wait_s=120
    ) as loader:
        images.assert_delivered(loader)
        assert len(prefetching() - before) > 2


def test_pushed_batches_over_a_far_link(far, calm, images):
    """Requests that are on their way together are answered each with its own batch."""
    whole = images.whole[0]
    count = len(whole["index"])
    batches = [{name: whole[name][at : at + 2] for name in ("image", "label")} for at in range(0, count - 1, 2)]
    seen = {}
    for name, url, prefetch in (("near", calm.url, 1), ("far", far, 2)):
        with AugmentingDataLoader(
            batches,
            url,
            fields=("image", "label"),
            layout="NCHW",
            pipeline="standard",
            scale=None,
            prefetch=prefetch,
            wait_s=120,
        ) as loader:
            before = prefetching()
            seen[name] = [(batch["index"].tolist(), batch["image"].numpy().tobytes()) for batch in loader]
            if name == "far":
                assert len(prefetching() - before) > 2
    assert seen["near"] == seen["far"]
