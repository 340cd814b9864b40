"""The page in a headless browser: the installed Chromium, driven by Playwright."""

import base64
import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from urllib.parse import urlencode

import numpy as np
import pytest

# The first is Debian's Chromium without windows: it took 21 CPU seconds for a file that takes the second 38.
NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
WAIT_MS = 60_000  # only failing tests wait that long

READ_CANVAS = """canvas => {
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  let text = "";
  for (let at = 0; at < data.length; at += 8192) text += String.fromCharCode(...data.subarray(at, at + 8192));
  return [canvas.height, canvas.width, btoa(text)];
}"""
LISTEN = """addEventListener("securitypolicyviolation",
  (event) => console.error(`violation of ${event.violatedDirective}: ${event.blockedURI}`));"""


@contextmanager
def chromium() -> Iterator[object]:
    """The browser; without one the test is skipped and names the package to install."""
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        pytest.skip("no Chromium on this machine: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


def expect(locator):
    """Playwright's assertion that waits until it is true; its 5 s were too few beside other load."""
    from playwright.sync_api import expect

    expect.set_options(timeout=WAIT_MS)
    return expect(locator)


def fragment(**state: object) -> str:
    """The URL fragment for a state of the page."""
    return "#" + urlencode({k: v if isinstance(v, str) else json.dumps(v) for k, v in state.items()})


class Windows:
    """Windows of a browser that tests use one after the other.

    A page in a new profile costs 1.6 CPU seconds, one in a window that was used before 0.7.
    """

    def __init__(self, browser) -> None:
        self._browser = browser
        self._idle: dict[str, list[Visit]] = {}  # by the options of their profile

    def take(self, url: str, width: int = 1440, height: int = 1000, **options) -> "Visit":
        """A window without a page; options are those of Playwright's `new_context`."""
        idle = self._idle.setdefault(json.dumps(options), [])
        window = idle.pop() if idle else Visit(self._browser, **options)
        window.url = url
        window.page.set_viewport_size({"width": width, "height": height})
        return window

    def give_back(self, window: "Visit") -> None:
        """Makes a window available to the next test."""
        if window.has_own_clock:
            window.close()
        else:
            self._idle[json.dumps(window.options)].append(window.clear())


class Visit:
    """One browser window with the page, and its console errors."""

    def __init__(self, browser, url: str = "", **options) -> None:
        self.url, self.options, self.has_own_clock = url, options, False
        self.context = browser.new_context(**options)
        self.context.set_default_timeout(WAIT_MS)
        self.page = self.context.new_page()
        self.page.add_init_script(LISTEN)
        self.errors: list[str] = []
        self.expected = ()  # substrings of the errors that the test provokes
        self.page.on(
            "console", lambda message: message.type in ("error", "warning") and self.errors.append(message.text)
        )
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))

    def go(self, fragment: str = "") -> "Visit":
        """Opens the page without waiting for its content."""
        self.page.goto(f"{self.url}/{fragment}")
        return self

    def settled(self) -> "Visit":
        """Waits until the page shows the batch requested last, or an error."""
        self.page.locator("#sheet[aria-busy=false]").wait_for(state="attached")
        return self

    def assert_no_errors(self) -> None:
        """Asserts that the console has only the errors that the test provokes; no policy was violated."""
        expected = (*self.expected, "willReadFrequently")  # only the tests read canvases back
        unexpected = [error for error in self.errors if not any(text in error for text in expected)]
        assert unexpected == []

    def install_clock(self) -> None:
        """From here on the page's timers wait for the test; a browser cannot take this back."""
        self.has_own_clock = True
        self.page.clock.install()

    def clear(self) -> "Visit":
        """Leaves the page, with nothing of the test that a later one would notice."""
        self.page.unroute_all(behavior="ignoreErrors")
        self.page.evaluate("sessionStorage.clear()")
        self.page.goto("about:blank")
        self.errors.clear()
        self.expected = ()
        return self

    def close(self) -> None:
        self.context.close()

    def find(self, selector: str, **options):
        return self.page.locator(selector, **options)

    @property
    def fragment(self) -> str:
        return self.page.url.partition("#")[2]

    @property
    def stream_id(self) -> str:
        """The stream whose batch is on the sheet."""
        return self.settled().find("#sheet").get_attribute("data-shown").partition("/")[0]

    def images(self, role: str, where: str = "#sheet", layer: str = "pixels") -> np.ndarray:
        """The pixels of the canvases: N,H,W,4."""
        self.settled()
        canvases = self.find(f"{where} .image:has([data-role={role}]) canvas.{layer}")
        return np.stack([canvas(one.evaluate(READ_CANVAS)) for one in canvases.all()])

    def shows(self, server, spec: Mapping[str, object], epoch=0, start=0, count=8, view=0) -> None:
        """Asserts that the page shows the bytes of the batch, below those of the same positions without operations."""
        with server.client() as client:
            for role, one in (("augmented", spec), ("original", {**spec, "pipeline": "none"})):
                stream = client.stream(one)
                assert role == "original" or stream.id == self.stream_id
                pixels = self.images(role)
                expected = stream.batch(epoch, start, count, view)["image"].transpose(0, 2, 3, 1)
                assert (pixels[..., :3] == expected).all()
                assert (pixels[..., 3] == 255).all()


def canvas(read: tuple[int, int, str]) -> np.ndarray:
    height, width, data = read
    return np.frombuffer(base64.b64decode(data), dtype=np.uint8).reshape(height, width, 4)
