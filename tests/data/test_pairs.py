"""Image and mask pairs: layouts, values, palettes, colours, sizes; and what is refused."""

import errno
import os
import struct
import zlib

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError

from augsvc.data.cache import DecodedCache
from augsvc.data.formats.pairs import ImageMaskPairsSettings
from augsvc.errors import DatasetChanged, Undecodable

VALUES = np.array([[0, 1, 2], [2, 1, 255]], np.uint8)


def save(path, array, mode=None, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(array)
    (image.convert(mode) if mode else image).save(path, **options)


def noise_image(seed=0, height=2, width=3):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def write_pair(root, name="a", mask=VALUES, **options):
    save(root / "images" / f"{name}.jpg", noise_image(1))
    save(root / "masks" / f"{name}.png", mask, **options)


def opened(root, **options):
    settings = ImageMaskPairsSettings(format="image_mask_pairs", path=root, **options)
    return settings.open("roads", DecodedCache(0))


def mask_of(root, **options):
    (source,) = opened(root, **options)
    return source.read(0).mask


def refusal(root, **options):
    with pytest.raises(ValueError, match="dataset 'roads'") as refused:
        opened(root, **options)
    return str(refused.value)


def test_images_with_their_masks(tmp_path):
    write_pair(tmp_path, "a")
    write_pair(tmp_path, "deep/b", 1 - np.minimum(VALUES, 1))
    (source,) = opened(tmp_path, classes=["sky", "road", "car"])
    assert (source.info.name, source.info.classes, source.info.mask) == ("roads", ("sky", "road", "car"), True)
    assert [source.describe(index) for index in (0, 1)] == ["images/a.jpg", "images/deep/b.jpg"]
    np.testing.assert_array_equal(source.read(0).mask, VALUES)
    np.testing.assert_array_equal(source.read(1).mask, 1 - np.minimum(VALUES, 1))
    assert source.labels().tolist() == [-1, -1]
    assert not source.read(0).mask.flags.writeable


@pytest.mark.parametrize(
    ("folders", "names"),
    [
        (("train/images", "train/masks", "val/images", "val/masks"), ["roads/train", "roads/val"]),
        (("images/training", "masks/training", "images/validation", "masks/validation"), ["roads/train", "roads/val"]),
        (("images/drive1", "masks/drive1", "images/drive2", "masks/drive2"), ["roads"]),
    ],
)
def test_layouts(tmp_path, folders, names):
    for images, masks in zip(folders[::2], folders[1::2], strict=True):
        save(tmp_path / images / "a.png", noise_image())
        save(tmp_path / masks / "a.png", VALUES)
    assert [source.info.name for source in opened(tmp_path)] == names


def test_names_with_suffixes_in_one_folder(tmp_path):
    save(tmp_path / "all" / "a_leftImg8bit.png", noise_image())
    save(tmp_path / "all" / "a_gtFine_labelIds.png", VALUES)
    names = {"image_suffix": "_leftImg8bit", "mask_suffix": "_gtFine_labelIds"}
    np.testing.assert_array_equal(mask_of(tmp_path, images="all", masks="all", **names), VALUES)
    save(tmp_path / "one" / "a.png", noise_image())
    save(tmp_path / "one" / "a_mask.png", VALUES)
    np.testing.assert_array_equal(mask_of(tmp_path, images="one", masks="one", mask_suffix="_mask"), VALUES)


def test_values_are_mapped_to_classes(tmp_path):
    write_pair(tmp_path, mask=np.array([[0, 128, 255], [255, 0, 7]], np.uint8))
    classes = {"background": 0, "lane": 255, "other": 128}
    np.testing.assert_array_equal(mask_of(tmp_path, classes=classes, ignore_index=7), [[0, 2, 1], [1, 0, 255]])
    (source,) = opened(tmp_path, classes=classes)  # 255 is a class then, and nothing is ignored
    with pytest.raises(Undecodable, match="the value 7, which is no class and not ignored"):
        source.read(0)


def test_a_palette_holds_classes_not_colours(tmp_path):
    image = Image.fromarray(VALUES, mode="P")
    image.putpalette(bytes(range(255, -1, -1)) * 3)
    (tmp_path / "masks").mkdir()
    image.save(tmp_path / "masks" / "a.png")
    save(tmp_path / "images" / "a.jpg", noise_image())
    np.testing.assert_array_equal(mask_of(tmp_path), VALUES)


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_palettes_and_greys_of_few_bits(tmp_path, bits):
    values = np.array([[0, 1, 1], [1, 0, 2**bits - 1]], np.uint8)
    image = Image.fromarray(values, mode="P")
    image.putpalette(bytes(range(48)))
    (tmp_path / "masks").mkdir()
    image.save(tmp_path / "masks" / "a.png", bits=bits)
    save(tmp_path / "images" / "a.jpg", noise_image())
    np.testing.assert_array_equal(mask_of(tmp_path), values)
    data = bytearray((tmp_path / "masks" / "a.png").read_bytes())
    grey = make_png(values, bits)
    assert data[:8] == grey[:8]
    (tmp_path / "masks" / "a.png").write_bytes(grey)
    np.testing.assert_array_equal(mask_of(tmp_path), values)


def make_png(values, bits):
    """A greyscale PNG of few bits, which Pillow does not write."""
    rows = b"".join(
        b"\0" + np.packbits(((row[:, None] >> np.arange(bits)[::-1]) & 1).ravel().astype(np.uint8)).tobytes()
        for row in values
    )
    header = struct.pack(">IIBBBBB", values.shape[1], values.shape[0], bits, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    parts = (struct.pack(">I", len(d)) + n + d + struct.pack(">I", zlib.crc32(n + d)) for n, d in chunks)
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def test_masks_of_16_bits_and_tiff(tmp_path):
    wide = np.array([[1000, 0, 7], [7, 7, 65535]], np.uint16)
    write_pair(tmp_path, mask=wide)
    classes = {"a": 1000, "b": 7, "c": 0}
    np.testing.assert_array_equal(mask_of(tmp_path, classes=classes, ignore_index=65535), [[0, 2, 1], [1, 1, 255]])
    (tmp_path / "masks" / "a.png").unlink()
    save(tmp_path / "masks" / "a.tif", wide)
    np.testing.assert_array_equal(mask_of(tmp_path, classes=classes, ignore_index=65535), [[0, 2, 1], [1, 1, 255]])


def test_colours(tmp_path):
    colors = np.array([[[128, 64, 0], [0, 0, 0], [9, 9, 9]]] * 2, np.uint8)
    write_pair(tmp_path, mask=colors)
    classes = {"road": [128, 64, 0], "void": [0, 0, 0]}
    np.testing.assert_array_equal(mask_of(tmp_path, classes=classes, ignore_index=[9, 9, 9]), [[0, 1, 255]] * 2)
    (source,) = opened(tmp_path, classes=classes)
    with pytest.raises(Undecodable, match=r"the value \[9, 9, 9\]"):
        source.read(0)
    (source,) = opened(tmp_path, classes=["a", "b"])
    with pytest.raises(Undecodable, match="holds colours: give `classes`"):
        source.read(0)
    write_pair(tmp_path, mask=np.repeat(VALUES[..., None], 3, axis=2))  # grey as colour
    np.testing.assert_array_equal(mask_of(tmp_path, classes=["a", "b", "c"]), VALUES)


def test_a_value_outside_the_classes_makes_a_sample_undecodable(tmp_path):
    write_pair(tmp_path)
    (source,) = opened(tmp_path, classes=["a", "b"])
    with pytest.raises(Undecodable, match="the value 2"):
        source.read(0)
    assert "the value 2" in source.defect(0)


def test_a_mask_of_another_size_makes_a_sample_undecodable(tmp_path):
    write_pair(tmp_path, mask=VALUES.T.copy())
    (source,) = opened(tmp_path)
    with pytest.raises(Undecodable, match="its mask is 2 × 3, the image 3 × 2"):
        source.read(0)


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        (b"", "empty"),
        (b"\xff\xd8\xff\xe0", "PNG or TIFF"),
        (b"\x89PNG\r\n\x1a\n", "damaged"),
        (b"II*\0", "damaged"),
    ],
)
def test_a_damaged_mask_makes_a_sample_undecodable(tmp_path, contents, message):
    write_pair(tmp_path)
    (tmp_path / "masks" / "a.png").write_bytes(contents)
    (source,) = opened(tmp_path)
    with pytest.raises(Undecodable, match=message):
        source.read(0)


def test_a_mask_that_is_too_large_is_not_read_at_the_start(tmp_path):
    """One of 50 GB, in a sparse file, took the start minutes."""
    write_pair(tmp_path)
    with (tmp_path / "masks" / "a.png").open("wb") as file:
        file.truncate(50 << 30)
    (source,) = opened(tmp_path)
    with pytest.raises(Undecodable, match="larger than max_file_bytes"):
        source.read(0)


def test_transparent_masks_are_refused(tmp_path):
    write_pair(tmp_path, mode="LA")
    (source,) = opened(tmp_path)
    with pytest.raises(Undecodable, match="without transparency"):
        source.read(0)


def test_a_mask_that_changes_is_refused(tmp_path):
    write_pair(tmp_path)
    for digest_contents in (False, True):
        (source,) = opened(tmp_path, digest_contents=digest_contents)
        save(tmp_path / "masks" / "a.png", np.zeros((2, 3), np.uint8))
        with pytest.raises(DatasetChanged, match=r"masks/a\.png"):
            source.read(0)
        write_pair(tmp_path)


def test_a_reload_sees_a_mask_that_was_replaced(tmp_path):
    write_pair(tmp_path)
    (source,) = opened(tmp_path)
    same = tmp_path / "same.png"
    save(same, VALUES.copy())
    same.replace(tmp_path / "masks" / "a.png")  # a restored copy
    (newer,) = opened(tmp_path)
    assert newer.info.version == source.info.version
    assert newer.changes_since(source).changed == 0
    source.refresh(newer)
    np.testing.assert_array_equal(source.read(0).mask, VALUES)
    save(tmp_path / "masks" / "a.png", VALUES[::-1])
    (newer,) = opened(tmp_path)
    assert newer.info.version != source.info.version
    assert newer.changes_since(source).changed == 1


def test_images_in_the_datasets_own_folder(tmp_path):
    save(tmp_path / "a.png", noise_image())
    save(tmp_path / "masks" / "a.png", VALUES)
    (source,) = opened(tmp_path, images=".", image_suffix="", mask_suffix="", masks="./masks/")
    assert source.describe(0) == "a.png"
    np.testing.assert_array_equal(source.read(0).mask, VALUES)
    assert "'../b'" in refusal(tmp_path, images="../b")
    assert "'/b'" in refusal(tmp_path, masks="/b", images=".")


def test_a_folder_that_may_not_be_read_is_named(tmp_path, monkeypatch):
    write_pair(tmp_path)

    def list_nothing(path):
        raise PermissionError(errno.EACCES, "Permission denied", path)

    monkeypatch.setattr(os, "scandir", list_nothing)
    assert "Permission denied" in refusal(tmp_path)
    monkeypatch.undo()
    monkeypatch.setattr(os, "lstat", list_nothing)
    assert "Permission denied" in refusal(tmp_path)


def test_the_version_covers_masks_and_classes(tmp_path):
    write_pair(tmp_path)
    versions = {
        opened(tmp_path, **options)[0].info.version
        for options in ({}, {"classes": ["a", "b", "c"]}, {"classes": {"a": 0, "b": 2, "c": 1}}, {"ignore_index": 0})
    }
    save(tmp_path / "masks" / "a.png", np.tile(VALUES, (1, 1)), compress_level=0)
    versions.add(opened(tmp_path)[0].info.version)
    assert len(versions) == 5


def test_missing_partners_are_named(tmp_path):
    write_pair(tmp_path, "a")
    save(tmp_path / "images" / "b.jpg", noise_image())
    save(tmp_path / "masks" / "c.png", VALUES)
    refused = refusal(tmp_path)
    assert "1 of 2 images have no mask" in refused and "images/b.jpg" in refused
    assert "1 of 2 masks have no image" in refused and "masks/c.png" in refused


def test_what_is_refused(tmp_path):
    assert "is not a directory (`path`)" in refusal(tmp_path / "nothing")
    assert "no folder 'images'" in refusal(tmp_path)
    save(tmp_path / "images" / "a.png", noise_image())
    assert "masks is not a directory" in refusal(tmp_path)
    save(tmp_path / "masks" / "a.jpg", VALUES)
    assert "masks are JPEG" in refusal(tmp_path)
    (tmp_path / "masks" / "a.jpg").unlink()
    save(tmp_path / "masks" / "a.png", VALUES)
    save(tmp_path / "images" / "a.jpg", noise_image())
    assert "differ only in their extension" in refusal(tmp_path)
    (tmp_path / "images" / "a.jpg").unlink()
    (tmp_path / "images" / "a.png").unlink()
    (tmp_path / "masks" / "a.png").unlink()
    assert "has no images" in refusal(tmp_path)


@pytest.mark.parametrize(
    "options",
    [
        {"classes": ["a", "a"]},
        {"classes": {"a": 1, "b": 1}},
        {"classes": {"a": 1, "b": [1, 2, 3]}},
        {"classes": {"a": 65536}},
        {"classes": [f"c{k}" for k in range(256)]},
        {"classes": ["a", "b"], "ignore_index": 1},
    ],
)
def test_classes_that_contradict_themselves_are_refused(tmp_path, options):
    with pytest.raises(ValidationError):
        ImageMaskPairsSettings(format="image_mask_pairs", path=tmp_path, **options)


def test_links_out_are_refused(tmp_path):
    write_pair(tmp_path / "set")
    (tmp_path / "set" / "masks" / "a.png").rename(tmp_path / "a.png")
    (tmp_path / "set" / "masks" / "a.png").symlink_to(tmp_path / "a.png")
    assert "follow_links" in refusal(tmp_path / "set")
    np.testing.assert_array_equal(mask_of(tmp_path / "set", follow_links=[tmp_path]), VALUES)


@pytest.mark.parametrize("digest_contents", [False, True])
def test_the_version_covers_the_contents_of_masks_of_the_same_size(tmp_path, digest_contents):
    versions, sizes = set(), set()
    for value in (1, 2):
        save(tmp_path / "images" / "a.png", noise_image())
        save(tmp_path / "masks" / "a.tif", np.full((2, 3), value, np.uint8))
        sizes.add((tmp_path / "masks" / "a.tif").stat().st_size)
        versions.add(opened(tmp_path, digest_contents=digest_contents)[0].info.version)
    assert (len(sizes), len(versions)) == (1, 2)


def test_a_mask_whose_time_was_set_back_is_refused(tmp_path):
    save(tmp_path / "images" / "a.png", noise_image())
    mask = tmp_path / "masks" / "a.tif"
    save(mask, np.ones((2, 3), np.uint8))
    (source,) = opened(tmp_path)
    before, contents = mask.stat(), bytearray(mask.read_bytes())
    contents[-1] ^= 1
    mask.write_bytes(contents)
    os.utime(mask, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(DatasetChanged, match=r"masks/a\.tif"):
        source.read(0)
