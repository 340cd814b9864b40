"""Who has no token, a wrong one, one that was taken away, or has used up its quota gets no sample; the others get all."""

import re
from concurrent.futures import ThreadPoolExecutor

import pytest
import yaml

from augsvc_client import Client, RemoteDataLoader, Unauthorized
from tests.http.serving import Serving

GOOD, OTHER, METERED = ("a-token-of-the-first-run", "a-token-of-the-second", "a-token-with-a-quota")
BYTES_PER_S = 50_000
TOKENS = {
    "first": {"token": GOOD},
    "second": {"token": OTHER},
    "metered": {"token": METERED, "bytes_per_s": BYTES_PER_S},
}


def write(path, **clients):
    """As an editor does it: whole, and at once."""
    new = path.with_suffix(".new")
    new.write_text(yaml.safe_dump(clients), encoding="utf-8")
    new.replace(path)


@pytest.fixture(scope="module")
def tokens(tmp_path_factory):
    return tmp_path_factory.mktemp("tokens") / "tokens.yaml"


@pytest.fixture(scope="module")
def guarded(tokens, tmp_path_factory):
    write(tokens, **TOKENS)
    serving = Serving(tmp_path_factory.mktemp("guarded"), {"tokens_file": str(tokens)})
    serving.token = GOOD
    try:
        yield serving.ready()
    finally:
        serving.stop()


def loader_on(serving, images, token, **more):
    return RemoteDataLoader(
        serving.url, **images.spec, batch_size=10, scale=None, wait_s=120, prefetch=2, token=token, **more
    )


@pytest.mark.parametrize("token", [None, "a-token-without-a-client", GOOD[:-1], GOOD + "x"])
def test_missing_or_wrong(guarded, images, token):
    with loader_on(guarded, images, token) as loader, pytest.raises(Unauthorized) as error:
        next(iter(loader))
    assert GOOD not in str(error.value)
    assert error.value.status == 401


def test_the_right_one(guarded, images):
    with loader_on(guarded, images, GOOD) as loader:
        images.assert_delivered(loader)


def test_revoked_mid_epoch(guarded, tokens, images):
    """The run whose token is gone stops with that error; the other one's epoch goes on, whole."""
    with (
        loader_on(guarded, images, GOOD) as mine,
        loader_on(guarded, images, OTHER) as theirs,
    ):
        running, stopping = iter(mine), iter(theirs)
        batches = [next(running), next(running)]
        next(stopping)
        write(tokens, first=TOKENS["first"], metered=TOKENS["metered"])
        with pytest.raises(Unauthorized):
            list(stopping)
        images.assert_delivered([*batches, *running])


def test_over_quota(guarded, images):
    """A limited client waits for Retry-After and loses nothing; clients without a quota are not delayed."""
    with Client(guarded.url, token=METERED, wait_s=120) as metered:
        stream = metered.stream(images.spec)
        images.assert_delivered([stream.batch(0, 0, 60)])  # 150 kB, of which a second has saved a third
        with ThreadPoolExecutor(1) as thread:
            waiting = thread.submit(stream.batch, 1, 0, 60)
            with loader_on(guarded, images, GOOD) as free:
                images.assert_delivered(free)
            images.assert_delivered([waiting.result()], 1)
    metrics = guarded.get("/metrics", Authorization=f"Bearer {GOOD}").body.decode()
    assert re.search(r'^augsvc_errors_total{code="over_quota"} [1-9]', metrics, re.MULTILINE), "it is there from 0"
