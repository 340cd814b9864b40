"""A shared server, and a factory of further ones."""

import os

import pytest

from tests.http import browsing
from tests.http.serving import Serving, spoil, write_image_folder


@pytest.fixture(scope="session", autouse=True)
def _without_user_settings():
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith("AUGSVC_"):
                patch.delenv(name)
        yield


@pytest.fixture(scope="session")
def folders(tmp_path_factory):
    """Image folders: intact, with one damaged file, with many, and one whose files change."""
    root = tmp_path_factory.mktemp("datasets")
    write_image_folder(root / "pets", {"cat": 11, "dog": 9})
    write_image_folder(root / "hurt", {"a": 6, "b": 6}, seed=1)
    spoil(root / "hurt" / "a" / "005.png")
    write_image_folder(root / "ruin", {"b": 3}, seed=2)
    for number in range(70):
        spoil(root / "ruin" / "a" / f"{number:03}.png")
    write_image_folder(root / "fleet", {"a": 4, "b": 4}, seed=3)
    return root


@pytest.fixture(scope="session")
def settings(folders):
    """The settings of a server with those datasets; files are read again each time."""
    return {
        "datasets": {
            name: {"format": "image_folder", "path": str(folders / name)} for name in ("pets", "hurt", "ruin", "fleet")
        },
        "cache_bytes": 0,
        "max_request_bytes": 200_000,
        "shutdown_timeout_s": 60,
    }


@pytest.fixture(scope="session")
def server(settings, tmp_path_factory):
    """Shared by tests that do not change its state."""
    serving = Serving(tmp_path_factory.mktemp("server"), settings)
    try:
        yield serving.ready()
    finally:
        serving.stop()
    assert "Traceback" not in serving.output(), "one of the tests made the shared server log an internal error"


@pytest.fixture(scope="module")
def serve(settings, tmp_path_factory):
    """Starts further servers, with these settings over the usual ones; does not wait until they are ready."""
    made = []

    def make(port: int = 0, **changes) -> Serving:
        made.append(Serving(tmp_path_factory.mktemp("replica"), settings | changes, port))
        return made[-1]

    try:
        yield make
    finally:
        for serving in made:
            serving.stop()


@pytest.fixture(scope="module")
def chromium():
    """A headless browser; skips where the machine has none."""
    with browsing.chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def windows(chromium):
    return browsing.Windows(chromium)


@pytest.fixture
def visit(windows, server):
    """Opens the page of a server (default: the shared one) in a window; fails on unexpected console errors."""
    taken = []

    def go(fragment: str = "", serving: Serving = server, **options) -> browsing.Visit:
        taken.append(windows.take(serving.url, **options))
        return taken[-1].go(fragment)

    try:
        yield go
        for window in taken:
            window.assert_no_errors()
    finally:
        for window in taken:
            windows.give_back(window)
