"""The page in a headless browser: the machine's own Chromium, driven by Playwright."""

import base64
import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from urllib.parse import urlencode

import numpy as np
import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")
WAIT_MS = 60_000  # a bound that a test run into is a failure, not a wait

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
    """The browser; the test skips, and says the cure, if there is none."""
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
    """Playwright's assertion that waits until it is true."""
    from playwright.sync_api import expect

    return expect(locator)


def fragment(**state: object) -> str:
    """The address's fragment that describes a view."""
    return "#" + urlencode({k: v if isinstance(v, str) else json.dumps(v) for k, v in state.items()})


class Visit:
    """One window on the page, and what it complained of."""

    def __init__(self, browser, url: str, width: int = 1440, height: int = 1000, **options) -> None:
        self.url = url
        self.context = browser.new_context(viewport={"width": width, "height": height}, **options)
        self.context.set_default_timeout(WAIT_MS)
        self.page = self.context.new_page()
        self.page.add_init_script(LISTEN)
        self.complaints: list[str] = []
        self.expected = ()  # parts of complaints that the test provokes
        self.page.on("console", lambda said: said.type in ("error", "warning") and self.complaints.append(said.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def go(self, fragment: str = "") -> "Visit":
        """Opens the page; what it shows is not awaited."""
        self.page.goto(f"{self.url}/{fragment}")
        return self

    def settled(self) -> "Visit":
        """Waits until it shows what was asked for last, or what is wrong with it."""
        self.page.locator("#sheet[aria-busy=false]").wait_for(state="attached")
        return self

    def is_content(self) -> None:
        """Nothing was said on the console but what the test provokes; no policy was violated."""
        expected = (*self.expected, "willReadFrequently")  # the tests read canvases back, the page never does
        unexpected = [said for said in self.complaints if not any(part in said for part in expected)]
        assert unexpected == []

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

    def pictures(self, role: str, where: str = "#sheet", layer: str = "pixels") -> np.ndarray:
        """What the canvases hold: N,H,W,4."""
        self.settled()
        canvases = self.find(f"{where} .picture:has([data-role={role}]) canvas.{layer}")
        return np.stack([canvas(one.evaluate(READ_CANVAS)) for one in canvases.all()])

    def shows(self, server, spec: Mapping[str, object], epoch=0, start=0, count=8, view=0) -> None:
        """What is seen are the bytes of the batch, and above them those of the same positions without operations."""
        with server.client() as client:
            for role, one in (("augmented", spec), ("original", {**spec, "pipeline": "none"})):
                stream = client.stream(one)
                assert role == "original" or stream.id == self.stream_id
                seen = self.pictures(role)
                expected = stream.batch(epoch, start, count, view)["image"].transpose(0, 2, 3, 1)
                assert (seen[..., :3] == expected).all()
                assert (seen[..., 3] == 255).all()


def canvas(read: tuple[int, int, str]) -> np.ndarray:
    height, width, data = read
    return np.frombuffer(base64.b64decode(data), dtype=np.uint8).reshape(height, width, 4)
