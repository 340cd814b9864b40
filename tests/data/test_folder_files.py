"""Files that are links, and files that change under the server."""

import errno
import os
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from augsvc.data.cache import DecodedCache
from augsvc.data.formats.files import has_device
from augsvc.data.formats.image_folder import ImageFolderSettings, open_image_folder
from augsvc.errors import DatasetChanged, DatasetUnavailable, Undecodable


def write(path, level, seed=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (4, 4), (level,) * 3).save(path, "PNG", compress_level=0)
    return path


@pytest.fixture
def root(tmp_path):
    write(tmp_path / "pets" / "cat" / "1.png", 10)
    write(tmp_path / "pets" / "dog" / "deep" / "2.png", 20)
    return tmp_path / "pets"


def opened(root, **options):
    settings = ImageFolderSettings(format="image_folder", path=root, **options)
    (source,) = open_image_folder("pets", settings, DecodedCache(0), lambda _: None)
    return source


def level(source, index):
    return int(source.read(index).image[0, 0, 0])


# --- links


@pytest.fixture
def store(tmp_path):
    """Contents beside the dataset, as of DVC, git-annex or Hugging Face's cache."""
    write(tmp_path / "store" / "ab" / "cdef", 30)
    write(tmp_path / "store" / "more" / "x.png", 40)
    return tmp_path / "store"


def test_links_out_are_refused_with_the_option_that_allows_them(root, store):
    for number in range(7):
        (root / "cat" / f"l{number}.png").symlink_to(store / "ab" / "cdef")
    with pytest.raises(ValueError, match="link") as refused:
        opened(root)
    lines = str(refused.value).splitlines()
    assert len(lines) == 6 and "follow_links" in lines[0] and lines[5].endswith("and 2 more such links")


def test_links_into_the_named_folders_are_followed(root, store):
    (root / "cat" / "l.png").symlink_to(store / "ab" / "cdef")
    (root / "cat" / "more").symlink_to(store / "more")
    (root / "fox").symlink_to("../store/more")
    source = opened(root, follow_links=[store])
    assert source.info.classes == ("cat", "dog", "fox")
    names = [source.describe(index) for index in range(len(source))]
    assert names == ["cat/1.png", "cat/l.png", "cat/more/x.png", "dog/deep/2.png", "fox/x.png"]
    assert [level(source, index) for index in range(5)] == [10, 30, 40, 20, 40]
    (root / "dog" / "out.png").symlink_to(write(root.parent / "secret.png", 1))
    with pytest.raises(ValueError, match=r"out\.png is a link"):
        opened(root, follow_links=[store])


def test_the_version_does_not_depend_on_where_the_files_are(root, store):
    version = opened(root).info.version
    (root / "cat" / "1.png").rename(store / "1")
    (root / "cat" / "1.png").symlink_to(store / "1")
    assert opened(root, follow_links=[store]).info.version == version


@pytest.mark.parametrize("target", ["..", ".", "../..", "../cat/loop"])
def test_links_in_a_circle_end(root, target):
    (root / "cat" / "loop").symlink_to(target)
    if target == "../cat/loop":
        assert len(opened(root, follow_links=[root])) == len(opened(root)) == 2  # broken, as the system sees it
    else:
        with pytest.raises(ValueError, match=r"link to a folder (around it|or out of)"):
            opened(root, follow_links=[root])


# --- changes


def same_size(path):
    content = path.read_bytes()
    path.write_bytes(content[:-20] + b"x" + content[-19:])


def replaced_by(make):
    def change(path):
        path.unlink()
        make(path)

    return change


def put_behind_a_link(path):
    path.parent.rename(path.parent.with_name("elsewhere"))
    path.parent.symlink_to("elsewhere")


def swapped(path):
    """Another file of that size and time."""
    status = path.stat()
    other = path.with_name("other")
    other.write_bytes(bytes(status.st_size))
    os.utime(other, ns=(status.st_atime_ns, status.st_mtime_ns))
    other.rename(path)


CHANGES = [
    same_size,
    swapped,
    put_behind_a_link,
    lambda path: path.touch(),
    lambda path: path.write_bytes(b""),
    lambda path: path.write_bytes(path.read_bytes() + b"x"),
    replaced_by(os.mkfifo),
    replaced_by(os.mkdir),
    replaced_by(lambda path: path.symlink_to("/dev/zero")),
    replaced_by(lambda path: path.symlink_to(path.parents[1] / "cat" / "1.png")),
]


@pytest.mark.parametrize("change", CHANGES)
def test_what_is_not_the_indexed_file_any_more_is_refused_by_name_and_at_once(root, caplog, change):
    source = opened(root)
    change(root / "dog" / "deep" / "2.png")
    errors = []

    def read():
        for _ in range(2):
            try:
                source.read(1)
            except DatasetChanged as err:
                errors.append(str(err))

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    reader.join(30)
    assert len(errors) == 2, "it waits, or serves what it should not"
    assert "dog/deep/2.png" in errors[0] and str(root) not in errors[0]
    (record,) = caplog.records
    assert "dog/deep/2.png changed after the server indexed it" in record.getMessage()


def test_with_digested_contents_the_contents_decide(root):
    source = opened(root, digest_contents=True)
    path = root / "dog" / "deep" / "2.png"
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content)
    assert level(source, 1) == 20
    status = path.stat()
    same_size(path)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    with pytest.raises(DatasetChanged, match="other contents"):
        source.read(1)


def test_a_time_that_was_set_back_is_logged(root, caplog):
    source = opened(root)
    path = root / "cat" / "1.png"
    status = path.stat()
    path.write_bytes(write(root.parent / "other.png", 11).read_bytes())
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    source.read(0)
    assert "digest_contents" in caplog.text


@pytest.fixture
def failing(monkeypatch):
    """Makes opening `1.png` fail with an error number; returns how often it was tried."""
    opening, tries = os.open, []

    def fail(number):
        def failing_open(path, *args, **kwargs):
            if path == "1.png":
                tries.append(number)
                raise OSError(number, os.strerror(number))
            return opening(path, *args, **kwargs)

        monkeypatch.setattr(os, "open", failing_open)
        return tries

    return fail


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.EMFILE, errno.EAGAIN])
def test_a_failure_that_may_pass_is_unavailable_after_three_tries(root, failing, caplog, number):
    source, tries = opened(root), failing(number)
    with pytest.raises(DatasetUnavailable, match=r"sample 0 of 'pets' .* check the file cat/1\.png"):
        source.read(0)
    assert len(tries) == 3
    assert f"cat/1.png could not be read after 3 attempts ({os.strerror(number)})" in caplog.text


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM])
def test_a_lost_permission_does_not_come_back_by_waiting(root, failing, caplog, number):
    source, _ = opened(root), failing(number)
    with pytest.raises(DatasetChanged, match=r"sample 0 of 'pets' .* cat/1\.png may not be read by the server's user"):
        source.read(0)
    assert "cat/1.png changed after the server indexed it: it may not be read" in caplog.text


@pytest.mark.parametrize("below", ["dog/deep/2.png", "dog/deep", "dog", "."])
def test_a_missing_file_or_folder_does_not_come_back_by_waiting(root, caplog, below):
    source, away = opened(root), root.with_name("away")
    (root / below).rename(away)
    with pytest.raises(DatasetChanged, match=r"sample 1 of 'pets' .* dog/deep/2\.png is missing"):
        source.read(1)
    assert "dog/deep/2.png changed after the server indexed it: it is missing" in caplog.text
    assert ("is its file system mounted?" in caplog.text) == (below == ".")
    away.rename(root / below)
    assert level(source, 1) == 20


def test_a_mount_point_without_its_file_system_is_another_device(root):
    device = root.stat().st_dev
    assert has_device(root, device)
    assert not has_device(Path("/proc"), device) and not has_device(root / "nothing", device)


# --- undecodable


def test_an_undecodable_file_is_logged_once_with_its_escaped_name_and_its_reason(root, caplog):
    (root / "cat" / "a\x1b[2J\n.png").write_bytes(b"no image")
    source = opened(root)
    for _ in range(2):
        with pytest.raises(Undecodable):
            source.read(1)
    (record,) = caplog.records
    assert record.getMessage().startswith(r"pets: cat/a\x1b[2J\n.png cannot be decoded (the file is not ")
    assert source.defect(1).startswith("the file is not") and source.defect(0) == ""
    assert np.array_equal(source.read(0).image, np.full((4, 4, 3), 10))
