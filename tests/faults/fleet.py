"""Replicas that tests kill, stop and replace: a few processes that a module shares, each test taking those that are up."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.faults.proxy import Fault, Proxy
from tests.http.serving import Serving


class Fleet:
    """Servers of one kind. A killed server is restarted immediately and awaited where it is needed."""

    def __init__(self, folder: Path, size: int) -> None:
        self._servers = [Serving(folder / str(number)) for number in range(size)]

    def take(self, how_many: int) -> list[Serving]:
        """Servers that are ready; the ones that were given longest ago come first."""
        taken, self._servers = self._servers[:how_many], self._servers[how_many:]
        self._servers += taken
        return [serving.ready() for serving in taken]

    def stop(self) -> None:
        """End all of them."""
        for serving in self._servers:
            serving.stop()

    @property
    def said(self) -> str:
        """All that they wrote."""
        return "".join(serving.output() for serving in self._servers)


@contextmanager
def fleet(folder: Path, size: int) -> Iterator[Fleet]:
    """They must not log a failure of their own."""
    found = Fleet(folder, size)
    try:
        yield found
    finally:
        found.stop()
    assert "Traceback" not in found.said


def restart(serving: Serving) -> None:
    """SIGKILL, and a new process at the same address, which is not awaited."""
    serving.kill()
    serving.begin()


def restart_the_serving_one(proxy: Proxy) -> None:
    """For a fault's `then`: what is behind this very connection."""
    restart(proxy.owner)


def killed_at(at: int) -> Fault:
    """The server dies after `at` bytes of the body, and restarts."""
    return Fault("cut", "body", at, then=restart_the_serving_one)
