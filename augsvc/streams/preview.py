"""Previews of a stream as one PNG: originals above, the same samples augmented below; audio as waveforms and spectrograms."""

from collections.abc import Callable
from concurrent.futures import Executor as Workers
from io import BytesIO

import numpy as np
from PIL import Image

from augsvc.arrays import U8
from augsvc.errors import BatchTooLarge
from augsvc.streams.clip_plot import SPECTRUM_HEIGHT, WAVE_HEIGHT, WIDTH, draw_clips
from augsvc.streams.stream import Body, Stream
from augsvc_client.wire import digest, parse

COLUMNS = 8  # pairs per line
MOST = 64  # samples per preview
MOST_PIXELS = 1 << 25  # per preview: one pair on the largest canvas, eight of 1448 × 1448
_GAP = 2
_PAIR_GAP = 10
_MIN_SIDE = 64  # smaller images are enlarged by an integer factor


def preview(
    stream: Stream, epoch: int, start: int, count: int, view: int, workers: Workers, check: Callable[[], None]
) -> Body:
    """The PNG of `count` positions from `start` on; raises as Stream.produce does."""
    return draw(look(stream, epoch, start, count, view, workers, check))


def pixels(stream: Stream, count: int) -> int:
    """The number of pixels of `count` samples, originals and augmented.

    Raises:
        BatchTooLarge: more than MOST_PIXELS.
    """
    if stream.source.info.media == "audio":
        height, width = WAVE_HEIGHT + SPECTRUM_HEIGHT, WIDTH
    else:
        height, width = (side * _enlargement(stream.spec.canvas_size) for side in stream.spec.canvas_size)
    most = MOST_PIXELS // (2 * height * width)
    if count > most:
        raise BatchTooLarge(f"a preview of this stream has at most {most} samples", field="count")
    return 2 * count * height * width


def look(
    stream: Stream, epoch: int, start: int, count: int, view: int, workers: Workers, check: Callable[[], None]
) -> tuple[U8, U8]:
    """The bytes of two batches of the same samples: as stored, and augmented; raises as Stream.produce does."""
    plain, augmented = (
        displayed.produce(epoch, start, count, view, workers, check).buffer for displayed in stream.for_display()
    )
    return plain, augmented


def draw(batches: tuple[U8, U8]) -> Body:
    """Draws the two batches of `look` as a PNG, lightly compressed (MOST_PIXELS of noise take 3.6 s)."""
    originals, augmented = map(_images, batches)
    rows = []
    for first in range(0, len(originals), COLUMNS):
        rows += [_row(originals[first : first + COLUMNS]), _blank(_GAP, originals)]
        rows += [_row(augmented[first : first + COLUMNS]), _blank(_PAIR_GAP, originals)]
    sheet = np.concatenate(rows[:-1])
    out = BytesIO()
    Image.fromarray(sheet[..., 0] if sheet.shape[2] == 1 else sheet).save(out, "PNG", compress_level=1)
    content = np.frombuffer(out.getvalue(), dtype=np.uint8)
    return Body(content, digest(content), len(originals), ())


def _images(body: U8) -> U8:
    arrays = parse(body)[0]
    if "audio" in arrays:
        return draw_clips(arrays["audio"])
    images: U8 = arrays["image"]
    factor = _enlargement(images.shape[1:3])
    return images.repeat(factor, axis=1).repeat(factor, axis=2)


def _enlargement(size: tuple[int, ...]) -> int:
    return max(1, _MIN_SIDE // min(size))


def _row(images: U8) -> U8:
    """One line of images, padded with white to COLUMNS."""
    _, height, width, channels = images.shape
    row = np.full((height, COLUMNS * (width + _GAP) - _GAP, channels), 255, dtype=np.uint8)
    for column, image in enumerate(images):
        row[:, column * (width + _GAP) : column * (width + _GAP) + width] = image
    return row


def _blank(height: int, images: U8) -> U8:
    _, _, width, channels = images.shape
    return np.full((height, COLUMNS * (width + _GAP) - _GAP, channels), 255, dtype=np.uint8)
