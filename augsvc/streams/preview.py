"""Seeing a stream: originals above, the same samples augmented below, as one PNG; sound as waveforms and spectrograms."""

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

COLUMNS = 8  # pairs beside one another
MOST = 64  # samples of one picture
MOST_PIXELS = 1 << 25  # of one picture: a pair on the largest canvas, eight on 1448 x 1448
_GAP = 2
_PAIR_GAP = 10
_SMALLEST = 64  # a smaller picture is shown enlarged by a whole number, its pixels unchanged


def preview(
    stream: Stream, epoch: int, start: int, count: int, view: int, workers: Workers, check: Callable[[], None]
) -> Body:
    """The PNG of `count` positions from `start` on, as the bytes that are sent; raises as Stream.produce does."""
    return draw(look(stream, epoch, start, count, view, workers, check))


def pixels(stream: Stream, count: int) -> int:
    """How many the pictures of so many samples have, both lines together.

    Raises:
        BatchTooLarge: more than MOST_PIXELS.
    """
    if stream.source.info.media == "audio":
        height, width = WAVE_HEIGHT + SPECTRUM_HEIGHT, WIDTH
    else:
        height, width = (side * _times(stream.spec.canvas_size) for side in stream.spec.canvas_size)
    most = MOST_PIXELS // (2 * height * width)
    if count > most:
        raise BatchTooLarge(f"a preview of this stream has at most {most} samples", field="count")
    return 2 * count * height * width


def look(
    stream: Stream, epoch: int, start: int, count: int, view: int, workers: Workers, check: Callable[[], None]
) -> tuple[U8, U8]:
    """The same samples as two batches' bytes: as stored, and augmented; raises as Stream.produce does."""
    plain, augmented = (part.produce(epoch, start, count, view, workers, check).buffer for part in stream.for_display())
    return plain, augmented


def draw(seen: tuple[U8, U8]) -> Body:
    """What was looked at as a PNG: its numbers are not made smaller than takes little time (MOST_PIXELS of noise: 3.6 s)."""
    originals, augmented = map(_pictures, seen)
    rows = []
    for at in range(0, len(originals), COLUMNS):
        rows += [_row(originals[at : at + COLUMNS]), _blank(_GAP, originals)]
        rows += [_row(augmented[at : at + COLUMNS]), _blank(_PAIR_GAP, originals)]
    picture = np.concatenate(rows[:-1])
    out = BytesIO()
    Image.fromarray(picture[..., 0] if picture.shape[2] == 1 else picture).save(out, "PNG", compress_level=1)
    content = np.frombuffer(out.getvalue(), dtype=np.uint8)
    return Body(content, digest(content), len(originals), ())


def _pictures(body: U8) -> U8:
    arrays = parse(body)[0]
    if "audio" in arrays:
        return draw_clips(arrays["audio"])
    images: U8 = arrays["image"]
    times = _times(images.shape[1:3])
    return images.repeat(times, axis=1).repeat(times, axis=2)


def _times(size: tuple[int, ...]) -> int:
    return max(1, _SMALLEST // min(size))


def _row(images: U8) -> U8:
    """One line of pictures, white where there are fewer than COLUMNS of a picture with several lines."""
    _, height, width, channels = images.shape
    row = np.full((height, COLUMNS * (width + _GAP) - _GAP, channels), 255, dtype=np.uint8)
    for place, image in enumerate(images):
        row[:, place * (width + _GAP) : place * (width + _GAP) + width] = image
    return row


def _blank(height: int, images: U8) -> U8:
    _, _, width, channels = images.shape
    return np.full((height, COLUMNS * (width + _GAP) - _GAP, channels), 255, dtype=np.uint8)
