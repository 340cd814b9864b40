"""Screenshots of the page for the docs: `python -m tests.http.screenshots` regenerates docs/page_*.png.

Starts a server and two small training jobs for the live figures, and uses the installed Chromium.
"""

import tempfile
import threading
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

from PIL import Image

from augsvc_client import Client
from tests.http.browsing import Windows, chromium, fragment
from tests.http.serving import Serving

DOCS = Path(__file__).parents[2] / "docs"
PHOTOS = {"dataset": "photos/train", "pipeline": "standard", "epoch": 3, "start": 40, "chosen": 0}
SHAPES = {
    "dataset": "shapes/train",
    "pipeline": "standard",
    "size": [96, 96],
    "epoch": 1,
    "start": 40,
    "chosen": 1,
    "overlays": ["mask", "boxes", "keypoints"],
}
VIEWS = {
    "page_light": (PHOTOS, {"width": 1440, "height": 1280, "color_scheme": "light"}),
    "page_dark": (SHAPES, {"width": 1440, "height": 1280, "color_scheme": "dark"}),
    "page_phone": (SHAPES, {"width": 360, "height": 900, "color_scheme": "light", "device_scale_factor": 2}),
}
JOBS = {"digits-cnn/seed-0": ("digits/train", 64, 0.004), "shapes-unet/seed-3": ("shapes/train", 16, 0.019)}


def take(browser, serving: Serving, folder: Path) -> list[Path]:
    """Takes the screenshots, each with an adaptive palette of 256 colours."""
    paths, windows = [], Windows(browser)
    for name, (state, options) in VIEWS.items():
        window = windows.take(serving.url, **options)
        try:
            window.go(fragment(**state)).settled()
            window.find("#jobs tr.running").nth(len(JOBS) - 1).wait_for()
            with Image.open(BytesIO(window.page.screenshot())) as screenshot:
                reduced = screenshot.convert("RGB").quantize(256, dither=Image.Dither.NONE)
            paths.append(folder / f"{name}.png")
            reduced.save(paths[-1], optimize=True)
            window.assert_no_errors()
        finally:
            window.close()
    return paths


@contextmanager
def jobs(serving: Serving):
    """Runs training jobs that fetch batches and report their wait times."""
    stopped = threading.Event()

    def train(name: str, dataset: str, count: int, waited_s: float) -> None:
        with Client(serving.url, job=name) as client:
            stream = client.stream({"dataset": dataset, "pipeline": "light"})
            for step in range(10**9):
                if stopped.wait(0.05):
                    return
                stream.batch(0, count * (step % 8), count, waited_s=waited_s)

    training = [threading.Thread(target=train, args=(name, *what)) for name, what in JOBS.items()]
    for one in training:
        one.start()
    try:
        yield
    finally:
        stopped.set()
        for one in training:
            one.join()


def main() -> None:
    """Writes the screenshots to docs/."""
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        serving = Serving(Path(folder)).ready()
        try:
            with jobs(serving):
                for path in take(browser, serving, DOCS):
                    print(f"{path.name}: {path.stat().st_size:,} bytes")
        finally:
            serving.stop()


if __name__ == "__main__":
    main()
