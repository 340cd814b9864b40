"""TIFFs whose tags state other pixels than their strips hold, or whose data are damaged: refused, and in whose words."""

import io
import re
import struct
import subprocess
import sys

import numpy as np
import pytest
import tifffile
from PIL import Image

from augsvc.errors import Undecodable
from augsvc_client.decoding.image import read_numbers

HEIGHT, WIDTH = 64, 48
NUMBERS = np.cumsum(np.random.default_rng(0).integers(-3, 4, (HEIGHT, WIDTH)), axis=1).astype(np.uint16) + 1000


def tiff(**options):
    out = io.BytesIO()
    tifffile.imwrite(out, NUMBERS, **options)
    return out.getvalue()


def with_tag(data, tag, value):
    """The file with another value of a tag that has one."""
    (at,) = struct.unpack_from("<L", data, 4)
    (count,) = struct.unpack_from("<H", data, at)
    entries = range(at + 2, at + 2 + 12 * count, 12)
    entry = next(entry for entry in entries if struct.unpack_from("<H", data, entry)[0] == tag)
    return data[: entry + 2] + struct.pack("<HLL", 4, 1, value) + data[entry + 12 :]


FILES = {
    "plain": tiff(),
    "strips": tiff(rowsperstrip=7),
    "tiles": tiff(tile=(16, 16)),
    "deflate": tiff(compression="zlib"),
    "deflate, predictor": tiff(compression="zlib", predictor=True),
    "deflate, strips": tiff(compression="zlib", rowsperstrip=7),
    "deflate, tiles": tiff(compression="zlib", tile=(16, 16)),
}


@pytest.mark.parametrize("name", FILES)
def test_tags_that_state_other_pixels_than_the_strips_hold_are_refused(name):
    """A width of one pixel less sheared the image, and a smaller height cut it."""
    np.testing.assert_array_equal(read_numbers(FILES[name], 10_000)[..., 0], NUMBERS)
    for tag, values in ((256, (24, 47, 49, 96)), (257, (32, 56, 65, 128))):
        for value in values:
            tiles_fit = "tiles" in name and ((tag, value) in ((256, 47), (257, 56)))
            if tiles_fit:  # a tile may reach beyond the image
                continue
            with pytest.raises(Undecodable, match=r"more pixels than its header|damaged|far larger"):
                read_numbers(with_tag(FILES[name], tag, value), 10_000)


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_a_padded_last_strip_is_read(compression):
    """As some programs write it: 63 rows in strips of 16, the last one whole."""
    data = with_tag(tiff(rowsperstrip=16, compression=compression), 257, 63)
    np.testing.assert_array_equal(read_numbers(data, 10_000)[..., 0], NUMBERS[:63])


@pytest.mark.parametrize("name", [name for name in FILES if "deflate" in name])
def test_a_changed_bit_of_deflated_numbers_is_undecodable(name):
    """The checksum is behind the last number, which 12 % of such files reached with other numbers."""
    data, random = FILES[name], np.random.default_rng(1)
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        start, n_bytes = file.pages[0].dataoffsets[0], file.pages[0].databytecounts[0]
    for at in random.integers(start, start + n_bytes, 100):
        changed = data[:at] + bytes([data[at] ^ 1 << int(random.integers(8))]) + data[at + 1 :]
        try:
            same = (read_numbers(changed, 10_000)[..., 0] == NUMBERS).all()
        except Undecodable:
            continue
        assert same


# libtiff prints through a handler of the whole process, which Pillow has no switch for.
PRINTED = re.compile(rb"(?:(?:tempfile\.tif|(?:LZW|PackBits)Decode\w*): [ \w.,()-]+\n)*")


def test_what_libtiff_prints_holds_nothing_of_a_file(tmp_path):
    """It sees a directory that is written here, with neither names nor texts of the file."""
    random = np.random.default_rng(2)
    for compression in ("tiff_lzw", "packbits"):
        out = io.BytesIO()
        image = Image.fromarray(NUMBERS)
        image.save(out, "TIFF", compression=compression, software="\x1b]0;owned\x07", description="\x1b[31mred")
        data = out.getvalue()
        for number in range(100):
            at = int(random.integers(8, len(data)))
            (tmp_path / f"{compression}{number}.tif").write_bytes(data[:at] + random.bytes(8) + data[at + 8 :])
    code = (
        "import sys, pathlib\nfrom augsvc_client.decoding.image import read_numbers\n"
        "from augsvc_client.decoding.errors import Undecodable\n"
        "for path in pathlib.Path(sys.argv[1]).iterdir():\n"
        "    try:\n        read_numbers(path.read_bytes(), 10_000)\n    except Undecodable:\n        pass\n"
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, check=True)
    assert done.stderr, "libtiff has become silent: settings.md need not mention it"
    assert PRINTED.fullmatch(done.stderr), done.stderr[:2000]
    assert not done.stdout
