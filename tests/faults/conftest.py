"""One server that nothing happens to, proxies in front of servers, and what is right."""

import os
from contextlib import ExitStack

import pytest

from augsvc_client.client import retry
from tests.faults.epochs import IMAGES, SOUND, Undisturbed
from tests.faults.proxy import Plan, Proxy
from tests.http.serving import Serving


@pytest.fixture(scope="session", autouse=True)
def _no_settings_of_the_person():
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith("AUGSVC_"):
                patch.delenv(name)
        yield


@pytest.fixture(scope="session")
def calm(tmp_path_factory):
    """A server that is never disturbed itself."""
    serving = Serving(tmp_path_factory.mktemp("calm"))
    try:
        yield serving.ready()
    finally:
        serving.stop()
    assert "Traceback" not in serving.output(), "something made the server log an internal error"


@pytest.fixture(scope="session")
def images(calm):
    return Undisturbed.from_server(calm, IMAGES)


@pytest.fixture(scope="session")
def sound(calm):
    return Undisturbed.from_server(calm, SOUND)


@pytest.fixture
def before():
    """Puts a proxy in front of a server, under a plan."""
    with ExitStack() as stack:

        def make(serving: Serving, plan: Plan | None = None, buffer_bytes: int | None = None) -> Proxy:
            at = ("127.0.0.1", int(serving.url.rpartition(":")[2]))
            return stack.enter_context(Proxy(at, plan or Plan({}), buffer_bytes, serving))

        yield make


@pytest.fixture
def impatient(monkeypatch):
    """A hanging attempt is abandoned after a moment; each further round has twice the time, so none is too short."""
    monkeypatch.setattr(retry, "_FIRST_PATIENCE_S", 0.3)
