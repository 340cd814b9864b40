"""JPEGs and WebPs whose data are damaged, which their decoders repair or overlook: undecodable unless `strict` is off."""

import io

import numpy as np
import pytest
import simplejpeg
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

from augsvc.data.cache import DecodedCache
from augsvc.data.formats.image_folder import ImageFolderSettings, open_image_folder
from augsvc.errors import Undecodable
from augsvc_client.decoding.image import decode_image

MAX_PIXELS = 1 << 20


def photograph():
    """Smooth structure with noise, as a camera's."""
    random = np.random.default_rng(3)
    y, x = np.mgrid[:240, :320] / 40
    base = np.stack([np.sin(x + y), np.cos(2 * x - y), np.sin(x * y / 4)], axis=-1) * 80 + 128
    return (base + random.normal(0, 12, base.shape)).clip(0, 255).astype(np.uint8)


def jpeg(mode="RGB", size=(320, 240), **options):
    out = io.BytesIO()
    Image.fromarray(photograph()).crop((0, 0, *size)).convert(mode).save(out, "JPEG", quality=85, **options)
    return out.getvalue()


FILES = {
    "baseline": jpeg(),
    "progressive": jpeg(progressive=True),
    "optimized": jpeg(optimize=True),
    "without subsampling": jpeg(subsampling=0),
    "restarts": jpeg(restart_marker_rows=1),
    "grey": jpeg("L"),
    "cmyk": jpeg("CMYK"),
}
WHOLE = FILES | {
    "halved columns": jpeg(subsampling=1),
    "RGB": jpeg(keep_rgb=True),
    "odd size": jpeg(size=(83, 51)),
}


def scan(data):
    """Where the data of the first scan begin."""
    return data.index(b"\xff\xda") + 14


def undecodable(data):
    try:
        decode_image(data, 3, MAX_PIXELS)
    except Undecodable:
        return True
    return False


@pytest.mark.parametrize("name", WHOLE)
@pytest.mark.parametrize("channels", [1, 3])
def test_what_is_whole_is_decodable_with_the_pixels_of_pillow(name, channels):
    with Image.open(io.BytesIO(WHOLE[name])) as image:
        expected = np.asarray(image.convert("RGB") if channels == 3 else image.convert("RGB").convert("L"))
    for strict in (True, False):
        decoded = decode_image(WHOLE[name], channels, MAX_PIXELS, strict)
        np.testing.assert_array_equal(decoded, expected.reshape(decoded.shape))


@pytest.mark.parametrize("name", sorted(set(WHOLE) - {"cmyk"}))
def test_what_is_whole_is_decoded_once(name, monkeypatch):
    """It was decoded by Pillow, and at an eighth to find damage: 500 × 375 took twice as long."""
    decode, calls = simplejpeg.decode_jpeg, []
    monkeypatch.setattr(simplejpeg, "decode_jpeg", lambda *args, **options: calls.append(1) or decode(*args, **options))
    monkeypatch.setattr(JpegImageFile, "load", lambda image: calls.append(2))
    decode_image(WHOLE[name], 3, MAX_PIXELS)
    assert calls == [1]


@pytest.mark.parametrize("transform", [0, 1, 2, 77])
@pytest.mark.parametrize("version", [1, 7])
def test_segments_of_colours_are_read_as_pillow_reads_them(transform, version):
    """An unknown transform or version is a warning, but no damage."""
    adobe = b"\xff\xee\x00\x0eAdobe\x00\x64\0\0\0\0%c" % transform
    whole = WHOLE["halved columns"].replace(b"JFIF\0\1", b"JFIF\0%c" % version)
    for data in (whole[:2] + adobe + whole[20:], whole[:20] + adobe + whole[20:]):
        with Image.open(io.BytesIO(data)) as image:
            np.testing.assert_array_equal(decode_image(data, 3, MAX_PIXELS), np.asarray(image.convert("RGB")))


@pytest.mark.parametrize("name", FILES)
def test_a_half_that_is_zero_or_missing_is_undecodable(name):
    data = FILES[name]
    half = scan(data) + (len(data) - scan(data)) // 2
    assert undecodable(data[:half] + bytes(len(data) - half - 2) + data[-2:])
    assert undecodable(data[:half] + data[-2:])
    assert undecodable(data[:half] + data[half + 500 :])


@pytest.mark.parametrize(
    ("name", "least"),
    [
        ("baseline", 55),
        ("progressive", 65),
        ("optimized", 25),
        ("without subsampling", 65),
        ("restarts", 50),
        ("grey", 55),
        ("cmyk", 35),
    ],
)
def test_overwritten_bytes_are_undecodable_where_they_leave_a_trace(name, least):
    """In percent; of 200, 67, 79, 34, 78, 62, 67 and 48 % were detected (optimized tables have no unused codes)."""
    data, random = FILES[name], np.random.default_rng(4)
    starts = random.integers(scan(data), len(data) - 20, 60)
    changed = [data[:at] + random.bytes(16) + data[at + 16 :] for at in starts]
    assert sum(map(undecodable, changed)) >= least * len(changed) / 100


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("filler", [bytes(1), bytes(2), bytes(18), bytes(5000), b"\xff" * 18])
def test_zeros_and_fill_bytes_before_the_end_are_no_damage(name, filler):
    """Some cameras write zeros there."""
    data = FILES[name]
    filled = data[:-2] + filler + data[-2:]
    np.testing.assert_array_equal(decode_image(filled, 3, MAX_PIXELS), decode_image(data, 3, MAX_PIXELS))


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("missing", [30, 300, 3000])
def test_zeros_in_place_of_data_are_damage(name, missing):
    data = FILES[name]
    assert undecodable(data[: -2 - missing] + bytes(missing) + data[-2:])
    assert undecodable(data[: -2 - missing] + bytes(18) + data[-2:])


def test_without_strict_the_damaged_image_is_served():
    data = FILES["baseline"]
    half = scan(data) + (len(data) - scan(data)) // 2
    damaged = data[:half] + bytes(len(data) - half - 2) + data[-2:]
    assert decode_image(damaged, 3, MAX_PIXELS, strict=False).shape == (240, 320, 3)


def test_metadata_bytes_before_and_behind_the_image_are_no_damage():
    data = FILES["baseline"]
    whole = decode_image(data, 3, MAX_PIXELS)
    for trailer in (bytes(100), b"SEFT" * 50, data):
        np.testing.assert_array_equal(decode_image(data + trailer, 3, MAX_PIXELS), whole)
    odd_version = data.replace(b"JFIF\0\x01", b"JFIF\0\x07")
    np.testing.assert_array_equal(decode_image(odd_version, 3, MAX_PIXELS), whole)
    assert undecodable(data[:-2])


def open_folder(path, **options):
    settings = ImageFolderSettings(format="image_folder", path=path, **options)
    return open_image_folder("photos", settings, DecodedCache(0))[0]


def test_strict_is_a_setting_of_the_folder_and_of_its_version_only_if_it_is_off(tmp_path):
    (tmp_path / "cat").mkdir()
    data = FILES["baseline"]
    (tmp_path / "cat" / "a.jpg").write_bytes(data[: len(data) // 2] + bytes(len(data) - len(data) // 2))
    strict, lenient = open_folder(tmp_path), open_folder(tmp_path, strict=False)
    with pytest.raises(Undecodable):
        strict.read(0)
    assert strict.info.version != lenient.info.version
    (tmp_path / "cat" / "a.jpg").write_bytes(data[:-2] + data[-2:])
    assert open_folder(tmp_path, strict=True).info.version == strict.info.version


def test_sixteen_bits_are_warned_about_once(tmp_path, caplog):
    (tmp_path / "cat").mkdir()
    for name in "ab":
        Image.fromarray(np.full((4, 4), 1100, dtype=np.uint16)).save(tmp_path / "cat" / f"{name}.png")
    Image.fromarray(photograph()).save(tmp_path / "cat" / "c.png")
    folder = open_folder(tmp_path)
    folder.read(2)
    assert not caplog.records
    folder.read(0)
    folder.read(1)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "16 bits" in caplog.text and "photos" in caplog.text


@pytest.mark.parametrize("name", ["baseline", "progressive", "grey"])
@pytest.mark.parametrize(("padding", "most"), [(0, 1), (4, 2), (4000, 2)])
def test_a_damaged_file_is_decoded_once_for_its_verdict(name, padding, most, monkeypatch):
    """Twice where zeros may be all that is left over; with zeros before the end it was decoded four times."""
    data = FILES[name]
    middle = scan(data) + (len(data) - scan(data)) // 2
    data = data[:middle] + np.random.default_rng(1).bytes(16) + data[middle + 16 : -2] + bytes(padding) + data[-2:]
    decode, calls = simplejpeg.decode_jpeg, []
    monkeypatch.setattr(simplejpeg, "decode_jpeg", lambda *args, **options: calls.append(0) or decode(*args, **options))
    assert undecodable(data) and len(calls) <= most


# --- WebP, whose data have no checksum either


def webp(size=(320, 240), mode="RGB", **options):
    out = io.BytesIO()
    Image.fromarray(photograph()).crop((0, 0, *size)).convert(mode).save(out, "WEBP", **options)
    return out.getvalue()


@pytest.mark.parametrize("quality", [1, 30, 80, 100])
@pytest.mark.parametrize("size", [(1, 1), (3, 5), (17, 16), (320, 240)], ids=str)
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L"])
def test_a_whole_webp_is_read_to_its_end(quality, size, mode):
    for method in (0, 4, 6):
        assert not undecodable(webp(size, mode, quality=quality, method=method))
    assert not undecodable(webp(size, mode, lossless=True))


def test_images_without_details_are_read_to_their_end():
    half = photograph()
    half[60:] = 7
    for pixels in (half, np.zeros((90, 300, 3), np.uint8), np.full((1, 900, 3), 255, np.uint8)):
        out = io.BytesIO()
        Image.fromarray(pixels).save(out, "WEBP", quality=80)
        assert not undecodable(out.getvalue())


def test_a_webp_animation_is_decoded():
    frames = [Image.fromarray(np.full((40, 40, 3), level, np.uint8)) for level in (9, 99, 199)]
    out = io.BytesIO()
    frames[0].save(out, "WEBP", save_all=True, append_images=frames[1:], lossless=False)
    assert not undecodable(out.getvalue())


@pytest.mark.parametrize("quality", [40, 80, 95])
def test_damage_in_lossy_webp_is_detected_unless_the_dataset_allows_it(quality):
    data, random = webp(quality=quality), np.random.default_rng(1)
    kinds = {"random": lambda n: random.integers(0, 256, n, np.uint8).tobytes(), "zeros": bytes}
    for name, make in kinds.items():
        for n_bytes in (16, 512):
            places = random.integers(len(data) // 8, len(data) - 600, 15)
            damaged = [data[:at] + make(n_bytes) + data[at + n_bytes :] for at in places]
            found = sum(map(undecodable, damaged))
            assert found >= 12, (name, n_bytes, found)
    assert any(decode_image(each, 3, MAX_PIXELS, strict=False).size for each in damaged)
