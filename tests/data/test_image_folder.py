"""Folders of real files: what is indexed, the decoded images, and what stops a read."""

import io
import os
import shutil
import struct
import threading
import zlib

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError

from augsvc.data.cache import DecodedCache
from augsvc.data.formats.files import PAUSES_S
from augsvc.data.formats.image_folder import ImageFolderSettings, open_image_folder
from augsvc.errors import DatasetChanged, Undecodable


def noise_image(seed, height=12, width=16):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def save(path, array, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path, **options)


@pytest.fixture
def root(tmp_path):
    root = tmp_path / "pets"
    save(root / "dog" / "b.png", noise_image(1))
    save(root / "dog" / "a.WebP", noise_image(2), lossless=True)
    save(root / "cat" / "deep" / "er.PNG", noise_image(3, 9, 7))
    save(root / "cat" / "z.jpeg", np.full((8, 8, 3), 90, dtype=np.uint8))
    save(root / "cat" / ".hidden.png", noise_image(4))
    save(root / ".cache" / "x.png", noise_image(5))
    (root / "dog" / "notes.txt").write_text("no image")
    (root / "README.png").write_bytes(b"not in a class")
    (root / "empty").mkdir()
    return root


def settings(path, **options):
    return ImageFolderSettings(format="image_folder", path=path, **options)


def opened(root, cache_bytes=0, pause=lambda _: None, **options):
    return open_image_folder("pets", settings(root, **options), DecodedCache(cache_bytes), pause)


def test_names_classes_labels_and_pixels(root):
    (source,) = opened(root)
    assert [source.describe(index) for index in range(len(source))] == [
        "cat/deep/er.PNG",
        "cat/z.jpeg",
        "dog/a.WebP",
        "dog/b.png",
    ]
    assert source.info.name == "pets"
    assert source.info.classes == ("cat", "dog", "empty")
    assert source.info.size is None and source.info.channels == 3
    assert source.info.decoders == ("jpeg", "png", "webp")
    assert source.labels().tolist() == [0, 0, 1, 1]
    assert source.labels().dtype == np.int64
    for index, expected in ((0, noise_image(3, 9, 7)), (2, noise_image(2)), (3, noise_image(1))):
        sample = source.read(index)
        np.testing.assert_array_equal(sample.image, expected)
        assert sample.label == source.labels()[index]
    assert np.abs(source.read(1).image.astype(int) - 90).max() <= 2


def test_files_of_other_kinds_are_counted_for_the_operator(root):
    (root / "cat" / "deep" / "float.TIFF").write_bytes(b"II*")
    (root / "dog" / "LICENSE").write_text("")
    (root / "dog" / "nowhere.png").symlink_to(root / "dog" / "gone.png")
    (source,) = opened(root)
    assert source.left_out() == {"": 1, ".tiff": 1, ".txt": 1}, "the link is not ignored by its name"
    assert len(source) == 4


def test_grey(root):
    (source,) = opened(root, channels=1)
    luma = noise_image(1).astype(float) @ [0.299, 0.587, 0.114]
    assert np.abs(source.read(3).image[:, :, 0] - luma).max() <= 0.51
    assert source.info.channels == 1


def test_train_and_test_are_two_datasets(root, tmp_path):
    both = tmp_path / "both"
    shutil.copytree(root, both / "train")
    shutil.copytree(root, both / "test")
    (both / "test" / "dog" / "b.png").unlink()
    train, test = opened(both)
    assert (train.info.name, test.info.name) == ("pets/train", "pets/test")
    assert (len(train), len(test)) == (4, 3)
    (both / "test" / "empty").rmdir()
    with pytest.raises(ValueError, match="different classes in train and test"):
        opened(both)


def test_only_one_of_the_two_is_a_class(root):
    (root / "empty").rename(root / "train")
    (source,) = opened(root)
    assert source.info.classes == ("cat", "dog", "train")


@pytest.mark.parametrize(
    ("prepare", "cure"),
    [
        (lambda root: shutil.rmtree(root), r"is not a directory \(`path`\)"),
        (lambda root: [shutil.rmtree(entry) for entry in root.iterdir() if entry.is_dir()], "separate sub-folder"),
        (lambda root: [shutil.rmtree(root / label) for label in ("cat", "dog")], r"files named \.jpeg"),
    ],
)
def test_nothing_to_serve_is_said_with_its_cure(root, prepare, cure):
    prepare(root)
    with pytest.raises(ValueError, match=cure):
        opened(root)


def test_links_inside_are_served_and_links_out_refused(root, tmp_path):
    (root / "dog" / "c.png").symlink_to(root / "cat" / "deep" / "er.PNG")
    (root / "dog" / "gone.png").symlink_to(root / "nowhere.png")
    (source,) = opened(root)
    assert len(source) == 5
    np.testing.assert_array_equal(source.read(4).image, noise_image(3, 9, 7))
    save(tmp_path / "secret.png", noise_image(9))
    (root / "dog" / "d.png").symlink_to(tmp_path / "secret.png")
    with pytest.raises(ValueError, match="link"):
        opened(root)
    (root / "dog" / "d.png").unlink()
    (root / "dog" / "d.png").symlink_to("../../secret.png")
    with pytest.raises(ValueError, match="link"):
        opened(root)


@pytest.mark.parametrize("target", ["..", "../cat", "/"])
def test_links_to_folders_are_refused(root, target):
    (root / "dog" / "more").symlink_to(target)
    with pytest.raises(ValueError, match="link to a folder"):
        opened(root)


def test_a_split_that_is_a_link_out_is_refused(root, tmp_path):
    both = tmp_path / "both"
    shutil.copytree(root, both / "train")
    (both / "test").symlink_to(root)
    with pytest.raises(ValueError, match="link out of"):
        opened(both)


def test_a_root_that_is_a_link_is_the_operators_choice(root, tmp_path):
    (tmp_path / "link").symlink_to(root)
    (source,) = opened(tmp_path / "link")
    assert len(source) == 4


def test_a_name_that_is_not_utf8_is_refused(root):
    try:
        (root / "dog" / os.fsdecode(b"\xff.png")).write_bytes(b"x")
    except OSError:
        pytest.skip("this file system takes UTF-8 only")
    with pytest.raises(ValueError, match="UTF-8"):
        opened(root)


def version(root, **options):
    return opened(root, **options)[0].info.version


def test_the_version_is_of_names_sizes_and_classes_never_of_times_or_place(root, tmp_path):
    first = version(root)
    for path in root.rglob("*"):
        os.utime(path, (1, 1))
    (root / "dog" / "notes.txt").write_text("longer, and no part of the dataset")
    assert version(root) == first
    root = root.rename(tmp_path / "elsewhere")
    assert version(root) == first
    file = root / "dog" / "b.png"
    content = file.read_bytes()
    file.write_bytes(content[:-1] + b"x")
    assert version(root) == first  # the same size
    versions = {first}
    file.write_bytes(content + b"x")
    versions.add(version(root))
    file.write_bytes(content)
    file.rename(file.with_name("bb.png"))
    versions.add(version(root))
    (root / "dog" / "bb.png").rename(file)
    (root / "empty").rmdir()
    versions.add(version(root))
    assert len(versions) == 4


def test_versions_are_those_that_were_released(tmp_path):
    """Another digest for the same files would stop every run that is to be resumed."""
    for name, content in {"dog/a.png": b"123", "cat/deep/b.JPG": b"4567", "cat/c.webp": b""}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    assert version(tmp_path) == "063d4a64b09baf300a1f7d1ff576038233d83fb3515c55acde3c69af97e1052e"
    assert version(tmp_path, digest_contents=True) == "8e26e3cfaa86d018596573aad44d49dea440c710b4169364e7eec224b8918622"
    other = version(tmp_path, channels=1, max_pixels=100, max_file_bytes=7)
    assert other == "4635debb5e3fd0c0942fe7dd21b082cdf7fa6c9d02a003040243dbb70f74af6a"


def test_with_digest_contents_the_version_is_of_the_bytes(root):
    first = version(root, digest_contents=True)
    assert version(root, digest_contents=True) == first != version(root)
    file = root / "dog" / "b.png"
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    assert version(root, digest_contents=True) != first


def test_settings_that_change_samples_are_in_the_version(root):
    options = [{}, {"channels": 1}, {"max_pixels": 100}, {"max_file_bytes": 1000}]
    assert len({version(root, **option) for option in options}) == len(options)


def png_bomb():
    def chunk(name, content):
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")


def truncated():
    out = io.BytesIO()
    Image.fromarray(noise_image(6)).save(out, "PNG")
    return out.getvalue()[:200]


@pytest.mark.parametrize("content", [b"", b"text, not an image", png_bomb(), truncated()])
def test_a_file_without_an_image_is_undecodable(root, content):
    (root / "dog" / "b.png").write_bytes(content)
    (source,) = opened(root)
    for _ in range(2):
        with pytest.raises(Undecodable) as caught:
            source.read(3)
        assert str(root) not in str(caught.value) and "b.png" not in str(caught.value)


def test_limits_of_pixels_and_bytes(root):
    (source,) = opened(root, max_pixels=12 * 16 - 1)
    with pytest.raises(Undecodable, match="more pixels"):
        source.read(3)
    n_bytes = (root / "dog" / "b.png").stat().st_size
    (source,) = opened(root, max_file_bytes=n_bytes)
    assert source.read(3).label == 1
    (source,) = opened(root, max_file_bytes=n_bytes - 1)
    with pytest.raises(Undecodable, match="larger"):
        source.read(3)


def test_a_missing_file_is_tried_three_times(root):
    pauses = []
    (source,) = opened(root, pause=pauses.append)
    (root / "dog" / "b.png").unlink()
    with pytest.raises(DatasetChanged) as caught:
        source.read(3)
    assert pauses == list(PAUSES_S) and sum(PAUSES_S) < 0.1
    assert "sample 3 of 'pets'" in str(caught.value) and "dog/b.png is missing" in str(caught.value)


def test_a_file_that_comes_back_between_tries_is_read(root):
    file = root / "dog" / "b.png"
    away = file.with_suffix(".away")
    (source,) = opened(root, pause=lambda _: away.exists() and away.rename(file))
    file.rename(away)
    np.testing.assert_array_equal(source.read(3).image, noise_image(1))


@pytest.mark.parametrize("change", [lambda data: data + b"x", lambda data: data[:-1], lambda data: b""])
def test_a_file_of_another_size_is_never_another_value(root, change):
    pauses = []
    (source,) = opened(root, pause=pauses.append)
    file = root / "dog" / "b.png"
    file.write_bytes(change(file.read_bytes()))
    with pytest.raises(DatasetChanged, match="restart the server") as caught:
        source.read(3)
    assert not pauses and str(root) not in str(caught.value)


def test_decoded_samples_are_cached_within_the_bound(root):
    (source,) = opened(root, cache_bytes=12 * 16 * 3)
    first = source.read(3)
    (root / "dog" / "b.png").unlink()
    assert source.read(3) is first
    source.read(2)  # takes its place
    with pytest.raises(DatasetChanged):
        source.read(3)


def test_threads_read_the_same(root):
    (source,) = opened(root, cache_bytes=1000)
    expected = [source.read(index).image.tobytes() for index in range(4)]
    wrong = []

    def work():
        for step in range(200):
            if source.read(step % 4).image.tobytes() != expected[step % 4]:
                wrong.append(step)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.mark.parametrize(
    "field", [{"channels": 2}, {"max_pixels": 0}, {"max_pixels": 178_956_971}, {"max_file_bytes": 0}, {"recurse": True}]
)
def test_settings_are_checked_and_frozen(tmp_path, field):
    with pytest.raises(ValidationError):
        settings(tmp_path, **field)
    with pytest.raises(ValidationError):
        settings(tmp_path).channels = 1
