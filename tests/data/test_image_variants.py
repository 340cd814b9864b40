"""All variants of the image formats, from file to batch by the rules of docs/settings.md, or replaced."""

import io
import struct
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from augsvc.arrays import Sample
from augsvc.data.cache import DecodedCache
from augsvc.data.formats.image_folder import ImageFolderSettings, open_image_folder
from augsvc.errors import BodyMalformed, DatasetUnreadable, SpecInvalid
from augsvc.ops.registry import registry
from augsvc.streams.push import Push
from augsvc.timing import Stages
from augsvc_client.wire import parse
from tests.harness import ListSource, agree, executor, over, plain, to_levels, using

# A move, a tone, a filter, a noise and an erase.
PIPELINE = [
    {"op": "rotation", "degrees": 90, "border": "edge"},
    {"op": "color_jitter", "brightness": 0.5, "contrast": 1, "saturation": 1, "hue": 0},
    {"op": "gaussian_blur", "sigma": 1},
    {"op": "gaussian_noise", "std": 0.02},
    {"op": "erasing", "scale": 0.25, "ratio": 1, "place_x": 0, "place_y": 0, "value": 1},
]
SIZE = [18, 18]  # the erased quarter is a square of 9
TALL, WIDE = (16_384, 1), (1, 16_384)


def numbers(*shape, below=256):
    return np.random.default_rng(sum(shape)).integers(0, below, shape)


def image(*shape):
    return numbers(*shape).astype(np.uint8)


def deep(channels):
    return numbers(6, 5, channels, below=65_536).astype(np.uint16)


def upper(array):
    """The upper 8 bits."""
    return (array // 256).astype(np.uint8)


def colour(grey):
    return np.repeat(grey[..., :1], 3, axis=2)


def saved(array, fmt="PNG", mode=None, **options):
    out = io.BytesIO()
    Image.fromarray(array, mode).save(out, fmt, **options)
    return out.getvalue()


def animated(array, fmt, **options):
    others = [Image.fromarray(255 - array), Image.fromarray(array // 2)]
    return saved(array, fmt, save_all=True, append_images=others, **options)


def lying(array, fmt="PNG", **options):
    """Stored on its left side, and the metadata say so."""
    exif = Image.Exif()
    exif[0x0112] = 6
    return saved(np.ascontiguousarray(np.rot90(array)), fmt, exif=exif, **options)


def chunk(name, content):
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def png(array, kind, *chunks):
    """By hand, from (H, W, C) of 8 or 16 bits: the library writes neither deep colour nor every palette."""
    height, width, _ = array.shape
    header = struct.pack(">IIBBBBB", width, height, 8 * array.itemsize, kind, 0, 0, 0)
    rows = b"".join(b"\0" + row.tobytes() for row in array.astype(array.dtype.newbyteorder(">")))
    parts = [chunk(b"IHDR", header), *chunks, chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


RGB, RGBA, LA = image(7, 9, 3), image(7, 9, 4), image(7, 9, 2)
COLOURS, PLACES = image(4, 3), numbers(7, 9, 1, below=4).astype(np.uint8)
PLTE = chunk(b"PLTE", COLOURS.tobytes())
ONE_BIT = numbers(7, 9, below=2).astype(np.uint8) * 255

# The file, and its pixels in colour as NumPy alone has them.
KNOWN = {
    "one pixel": (saved(image(1, 1, 3)), image(1, 1, 3)),
    "one pixel, webp": (saved(image(1, 1, 3), "WEBP", lossless=True), image(1, 1, 3)),
    "one row": (saved(image(1, 300, 3)), image(1, 300, 3)),
    "one row, webp": (saved(image(1, 300, 3), "WEBP", lossless=True), image(1, 300, 3)),
    "one column": (saved(image(300, 1, 3)), image(300, 1, 3)),
    "one long row": (saved(image(*WIDE, 3)), image(*WIDE, 3)),
    "one long column": (saved(image(*TALL, 3)), image(*TALL, 3)),
    "one long column, grey": (saved(image(*TALL)), colour(image(*TALL)[..., None])),
    "grey": (saved(image(7, 9)), colour(image(7, 9)[..., None])),
    "grey, one colour transparent": (saved(image(7, 9), transparency=17), colour(image(7, 9)[..., None])),
    "grey and alpha": (saved(LA), colour(LA)),
    "colour and alpha": (saved(RGBA), RGBA[..., :3]),
    "colour and alpha, webp": (saved(RGBA, "WEBP", lossless=True, exact=True), RGBA[..., :3]),
    "one colour transparent": (saved(RGB, transparency=tuple(RGB[0, 0].tolist())), RGB),
    "palette": (png(PLACES, 3, PLTE), COLOURS[PLACES[..., 0]]),
    "palette, transparent": (png(PLACES, 3, PLTE, chunk(b"tRNS", b"\0\x80\xff")), COLOURS[PLACES[..., 0]]),
    "one bit": (saved(ONE_BIT.astype(bool)), colour(ONE_BIT[..., None])),
    "16 bits, grey": (png(deep(1), 0), colour(upper(deep(1)))),
    "16 bits, colour": (png(deep(3), 2), upper(deep(3))),
    "16 bits, grey and alpha": (png(deep(2), 4), colour(upper(deep(2)))),
    "16 bits, colour and alpha": (png(deep(4), 6), upper(deep(4))[..., :3]),
    "16 bits, lying": (lying(deep(1)[..., 0]), colour(upper(deep(1)))),
    "lying": (lying(RGB), RGB),
    "lying, webp": (lying(RGB, "WEBP", lossless=True), RGB),
    "animated": (animated(RGB, "PNG"), RGB),
    "animated, with a default image": (animated(RGB, "PNG", default_image=True), RGB),
    "animated, webp": (animated(RGB, "WEBP", lossless=True), RGB),
    "with a colour profile": (saved(RGB, icc_profile=b"none that anybody knows"), RGB),
    "with a gamma": (png(RGB, 2, chunk(b"gAMA", struct.pack(">I", 10_000))), RGB),
}

INK = (10, 200, 30, 60)  # cyan, magenta, yellow, black: what is left of white is (1 − ink)(1 − black)
PAPER = [round((255 - ink) * (255 - INK[3]) / 255) for ink in INK[:3]]

# JPEGs, which lose a little; plain, so that it is little.
LOSSY = {
    "one pixel": (saved(plain(90, 1, 1), "JPEG", quality=100), [90, 90, 90]),
    "one long row": (saved(plain(90, *WIDE), "JPEG", quality=100), [90, 90, 90]),
    "one long column": (saved(plain(90, *TALL), "JPEG", quality=100, progressive=True), [90, 90, 90]),
    "grey": (saved(plain(90, 7, 9)[..., 0], "JPEG", quality=100), [90, 90, 90]),
    "ink": (saved(np.full((16, 16, 4), INK, np.uint8), "JPEG", mode="CMYK", quality=100), PAPER),
    "lying": (lying(plain(90, 7, 9), "JPEG", quality=100), [90, 90, 90]),
    "two in one": (
        saved(plain(90, 7, 9), "MPO", save_all=True, append_images=[Image.new("RGB", (9, 7))]),
        [90, 90, 90],
    ),
}

# Files that are not, or not completely, an image of these formats; each is named .png.
REFUSED = {
    "floats": saved(numbers(5, 6).astype(np.float32) / 255, "TIFF"),
    "several pages": animated(RGB, "TIFF"),
    "gif": animated(RGB, "GIF"),
    "bmp": saved(RGB, "BMP"),
    "too many pixels": png(np.zeros((1, 65_536, 3), np.uint8), 2),
    "cut short": saved(RGB)[:-40],
    "cut short, jpeg": saved(RGB, "JPEG")[:-40],
    "cut short, webp": saved(RGB, "WEBP")[:-8],
    "no rows": png(np.zeros((0, 5, 3), np.uint8), 2),
    "nothing": b"",
}


def folder(path, files, **options):
    """A dataset of these files, in this order."""
    (path / "all").mkdir()
    for number, content in enumerate(files):
        (path / "all" / f"{number:03}.png").write_bytes(content)
    given = ImageFolderSettings(format="image_folder", path=path, max_pixels=20_000, **options)
    return open_image_folder("odd", given, DecodedCache(0), lambda _: None)[0]


def batch(source, pipeline=PIPELINE, **fields):
    return over(source, pipeline, **{"size": SIZE, **fields}).batch(epoch=3)


@pytest.fixture(params=["fused", "kornia"])
def either(request):
    with using(request.param):
        yield request.param


def test_every_form_is_converted_by_its_rule_and_then_is_like_any_other(tmp_path, either):
    source = folder(tmp_path, [content for content, _ in KNOWN.values()])
    for at, (name, (_, pixels)) in enumerate(KNOWN.items()):
        np.testing.assert_array_equal(source.read(at).image, pixels, err_msg=name)
    expected = ListSource([Sample(pixels, 0) for _, pixels in KNOWN.values()])
    for fit in ("cover", "contain", "stretch"):
        found = batch(source, fit=fit)
        assert found["valid"].all()
        assert found["image"].tobytes() == batch(expected, fit=fit)["image"].tobytes()


def test_in_grey_they_are_the_luma_of_the_same(tmp_path):
    source = folder(tmp_path, [content for content, _ in KNOWN.values()], channels=1)
    for at, (name, (_, pixels)) in enumerate(KNOWN.items()):
        luma = pixels.astype(float) @ [0.299, 0.587, 0.114]
        assert np.abs(source.read(at).image[..., 0] - luma).max() <= 0.51, name
    assert batch(source)["image"].shape == (len(KNOWN), *SIZE, 1)


def test_the_executors_agree_on_all_of_them(tmp_path):
    source = folder(tmp_path, [content for content, _ in KNOWN.values()])
    for fit in ("cover", "contain", "stretch"):
        found = []
        for name in ("fused", "kornia"):
            with using(name):
                found.append(batch(source, fit=fit)["image"].astype(int))
        apart = np.abs(found[0] - found[1])
        assert apart.mean() <= 0.5 and np.percentile(apart, 99.9) <= 2, fit


def test_jpegs_too(tmp_path, either):
    source = folder(tmp_path, [content for content, _ in LOSSY.values()])
    found = batch(source, [], fit="stretch")["image"].astype(int)
    for image, (name, (_, pixel)) in zip(found, LOSSY.items(), strict=True):
        assert np.abs(image - pixel).max() <= 3, name


def test_what_is_none_is_replaced_by_the_next_that_is_one(tmp_path, either):
    files = [content for each in REFUSED.values() for content in (each, saved(RGB))]
    found = batch(folder(tmp_path, files))
    assert found["valid"].tolist() == [False, True] * len(REFUSED)
    assert found["index"].tolist() == list(range(len(files)))
    whole = batch(ListSource([Sample(RGB, 0)] * len(files)))
    assert found["image"].tobytes() == whole["image"].tobytes()


def test_without_any_that_is_one_the_dataset_cannot_be_read(tmp_path):
    with pytest.raises(DatasetUnreadable, match=f"^{len(REFUSED)} samples in a row"):
        batch(folder(tmp_path, REFUSED.values()))


# --- what becomes of them on the canvas, by formulas


def test_a_single_pixel_through_a_pass_is_a_plain_colour(either):
    """brightness, blurred into itself, noise around it, and a white square in the corner."""
    pixel = np.array([[[200, 90, 20]]], np.uint8)
    found = batch(ListSource([Sample(pixel, 0)] * 40), fit="stretch")["image"]
    assert (found[:, :9, :9] == 255).all()
    rest = np.concatenate([found[:, 9:].reshape(-1, 3), found[:, :9, 9:].reshape(-1, 3)]).astype(float)
    error = 255 * 0.02 / np.sqrt(len(rest))
    assert (np.abs(rest.mean(axis=0) - [100, 45, 10]) < 5 * error + 0.02).all()  # 10 is two deviations above black
    assert (np.abs(rest.std(axis=0)[:2] - np.hypot(255 * 0.02, np.sqrt(1 / 12))) < 0.15).all()


@pytest.mark.parametrize("axis", [0, 1], ids=["column", "row"])
def test_a_long_line_is_averaged_by_its_sixteen_samples_a_pixel(axis, either):
    line = image(16_384)
    lined = np.repeat((line[:, None] if axis == 0 else line[None])[..., None], 3, axis=2)
    found = batch(ListSource([Sample(lined, 0)]), [], size=[8, 8], fit="stretch")["image"][0]
    places = (np.arange(8)[:, None] + (np.arange(16) + 0.5) / 16) * 2048 - 0.5
    means = to_levels(np.interp(places, np.arange(16_384), line).mean(axis=1) / 255)
    agree(
        found, np.broadcast_to(means[:, None, None] if axis == 0 else means[None, :, None], (8, 8, 3)), most=1, mean=0.3
    )


def test_a_long_line_covers_with_its_middle_and_is_contained_as_a_trace(either):
    line = image(16_384)
    source = ListSource([Sample(line.reshape(-1, 1, 1), 0)])
    covered = batch(source, [], size=[8, 8], fit="cover")["image"][0, :, :, 0]
    places = 8192 + (np.arange(8) + 0.5 - 4) / 8 - 0.5
    middle = to_levels(np.interp(places, np.arange(16_384), line) / 255)
    agree(covered, np.broadcast_to(middle[:, None], (8, 8)), most=1, mean=0.5)
    contained = batch(source, [], size=[8, 8], fit="contain")["image"]
    assert contained.max() <= 1  # it is a two-thousandth of a pixel wide


# --- a client's own


def pushed(images, pipeline=PIPELINE, **request):
    arrays = {"image": images, "index": np.arange(len(images))}
    push = Push.of({"pipeline": pipeline, "epoch": 3, **request}, arrays, executor(), registry(), lambda *_: "")
    with ThreadPoolExecutor(2) as workers:
        return parse(push.produce(workers, lambda: None, Stages()).buffer)[0]["image"]


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 1, 3), (1, 300, 3), (300, 1, 1), (*TALL, 3), (*WIDE, 1)], ids=str)
def test_pushed_they_are_what_a_dataset_makes_of_them(shape, either):
    images = np.stack([image(*shape), 255 - image(*shape)])
    found = pushed(images, size=SIZE, output={"layout": "NHWC"})
    assert found.tobytes() == batch(ListSource([Sample(each, 0) for each in images]))["image"].tobytes()


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 1, 3), (1, 300, 3), (300, 1, 1)], ids=str)
def test_pushed_without_a_size_the_canvas_is_theirs(shape, either):
    found = pushed(image(*shape)[None], [], output={"layout": "NHWC"})
    np.testing.assert_array_equal(found[0], image(*shape))
    assert pushed(image(*shape)[None]).shape == (1, shape[2], *shape[:2])


def test_pushed_without_a_size_a_canvas_has_its_bounds():
    with pytest.raises(SpecInvalid, match="set `size`") as refused:
        pushed(image(*TALL, 3)[None])
    assert refused.value.field == "size"


@pytest.mark.parametrize(
    "images",
    [RGBA, LA, RGB[..., :0], deep(3), deep(1), RGB.astype(np.float32), RGB.astype(np.float64), RGB > 9, RGB[:, :0]],
    ids=lambda each: f"{each.dtype} {each.shape}",
)
def test_pushed_in_another_form_they_are_refused(images):
    with pytest.raises(BodyMalformed, match="image must be uint8") as refused:
        pushed(images[None])
    assert (refused.value.status, refused.value.field) == (422, "image")
