"""Previews of a stream as one PNG: originals above, the same samples augmented below; audio as waveforms and spectrograms."""

from collections.abc import Callable
from concurrent.futures import Executor as Workers
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image

from augsvc.arrays import U8
from augsvc.errors import BatchTooLarge
from augsvc.streams.media import MEDIA, medium_of
from augsvc.streams.stream import Body, Phases, Range, Stream, finish
from augsvc.timing import Stages
from augsvc_client.wire import digest, parse

COLUMNS = 8  # pairs per line
MAX_PREVIEW_SAMPLES = 64
MAX_PIXELS = 1 << 25  # of all images of a preview: one pair on the largest canvas, eight of 1448 × 1448
_GAP = 2
_PAIR_GAP = 10
_PNG_OVERHEAD = 1 << 17  # bytes of blocks, and of the last one, which is written twice


def preview(
    stream: Stream, epoch: int, start: int, count: int, view: int, workers: Workers, check: Callable[[], None]
) -> Body:
    """The PNG of `count` positions from `start` on; raises as Stream.produce does."""
    rendered = finish(look(stream, Range(epoch, start, count, view), workers, workers, check, Stages()))
    return draw(rendered, check)


def sheet_bytes(stream: Stream, count: int) -> int:
    """Bytes that drawing `count` samples takes beside their two batches, at its peak: the sheet, Pillow's copy of it with
    four bytes a pixel, and the PNG, which noise makes as large as the sheet.

    Raises:
        BatchTooLarge: the images have more than MAX_PIXELS.
    """
    name, (_, augmented) = stream.source.info.media, stream.for_display()
    figure = MEDIA[name].figure(augmented.layout.tensors[name].row)
    size, channels = figure.size, figure.channels
    most = MAX_PIXELS // (2 * size[0] * size[1])
    if count > most:
        raise BatchTooLarge(f"a preview of this stream has at most {most} samples", field="count")
    height, width = _sheet_size(count, size)
    return height * width * (2 * channels + (4 if channels == 3 else 1)) + _PNG_OVERHEAD


def look(
    stream: Stream, batch: Range, workers: Workers, helpers: Workers, check: Callable[[], None], stages: Stages
) -> Phases[tuple[U8, U8]]:
    """The bytes of two batches of the same samples, as stored and augmented; as Stream.phases."""
    plain, augmented = stream.for_display()
    before = yield from plain.phases(batch, workers, helpers, check, stages)
    after = yield from augmented.phases(batch, workers, helpers, check, stages)
    return before.buffer, after.buffer


def draw(rendered: tuple[U8, U8], check: Callable[[], None]) -> Body:
    """Two batches' bytes as a PNG. `check` is called for each image and each 64 kB of the PNG, and may raise.

    MAX_PIXELS of noise take 3.6 s.
    """
    originals, augmented = (parse(body)[0] for body in rendered)
    medium = medium_of(originals)
    figure, n = medium.figure(originals[medium.name].shape[1:]), len(originals["index"])
    sheet = np.full((*_sheet_size(n, figure.size), figure.channels), 255, dtype=np.uint8)
    height, width = figure.size
    for index in range(n):
        line, column = divmod(index, COLUMNS)
        left, top = column * (width + _GAP), line * (2 * height + _GAP + _PAIR_GAP)
        for arrays, y in ((originals, top), (augmented, top + height + _GAP)):
            check()
            # one at a time: enlarged copies of all would not be counted
            sheet[y : y + height, left : left + width] = figure.draw(arrays[medium.name][index])
    out = _CheckedFile(check)
    Image.fromarray(sheet[..., 0] if sheet.shape[2] == 1 else sheet).save(out, "PNG", compress_level=1)
    content = np.frombuffer(out.getbuffer(), dtype=np.uint8)
    return Body(content, digest(content), n, ())


class _CheckedFile(BytesIO):
    """Memory to write to. Pillow writes a PNG in blocks, so that a large one can be interrupted."""

    def __init__(self, check: Callable[[], None]) -> None:
        super().__init__()
        self._check = check

    def write(self, block: Any, /) -> int:
        """Writes a block after a check."""
        self._check()
        return super().write(block)


def _sheet_size(count: int, size: tuple[int, int]) -> tuple[int, int]:
    """Height and width of a sheet of `count` pairs of images of that size; white where the last line has fewer."""
    lines, columns = -(-count // COLUMNS), min(count, COLUMNS)
    return lines * (2 * size[0] + _GAP + _PAIR_GAP) - _PAIR_GAP, columns * (size[1] + _GAP) - _GAP
