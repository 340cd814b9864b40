"""How long the longest decode takes, by construction: the work that the bounds allow, times the time of a unit of it."""

import pytest

from augsvc_client.decoding import tiff
from augsvc_client.decoding.audio import USUAL_CHANNELS
from augsvc_client.decoding.containers import jpeg, mp3, ogg
from augsvc_client.decoding.limits import MAX_FRAMES, MAX_IMAGE_BYTES, MAX_PIXELS

LONGEST_S = 6  # docs/settings.md has the seconds that were measured

# Units, and nanoseconds of a core for each as measured on files at the bounds: a change of a bound changes the table there.
WORK = {
    "JPEG, pixels of usual scans": (jpeg.USUAL_SCANS * MAX_PIXELS, 2.7),
    "JPEG, pixels of many scans": (jpeg.MAX_SCANNED_PIXELS, 3.1),
    "PNG and WebP, bytes of pixels": (3 * MAX_PIXELS, 11.2),
    "PNG of 16 bits, bytes that are decompressed": (3 * MAX_PIXELS, 16.0),
    "TIFF, bytes of numbers": (3 * MAX_PIXELS, 12.7),
    "TIFF, strips": (tiff.MAX_CHUNKS, 293_000),
    "files, bytes": (MAX_IMAGE_BYTES, 10.0),
    "Opus, values of all channels": (USUAL_CHANNELS * MAX_FRAMES, 45.0),
    "Vorbis, values of all channels": (USUAL_CHANNELS * MAX_FRAMES, 16.0),
    "FLAC, values of all channels": (USUAL_CHANNELS * MAX_FRAMES, 12.0),
    "MP3, values of two channels": (2 * MAX_FRAMES, 16.0),
    "MP3, frames": (mp3.MAX_MP3_FRAMES, 1_000),
    "Ogg, pages": (ogg.MAX_PAGES, 5_000),
}


@pytest.mark.parametrize("kind", WORK)
def test_the_longest_decode_is_bounded(kind):
    """The refusals beyond each bound are tests of the containers."""
    units, each_ns = WORK[kind]
    assert units * each_ns * 1e-9 < LONGEST_S
