"""Errors of the disk or the network while a folder is indexed: they are retried, and never define a version."""

import errno
import os
from collections import Counter
from contextlib import contextmanager

import pytest
from PIL import Image

from augsvc.data.cache import DecodedCache
from augsvc.data.catalog import open_catalog
from augsvc.data.formats import files
from augsvc.data.formats.audio_folder import AudioFolderSettings, open_audio_folder
from augsvc.data.formats.image_folder import ImageFolderSettings, open_image_folder
from tests.data.sounds import VALID

FAULTS = [errno.EIO, errno.ESTALE, errno.ENOTCONN, errno.ETIMEDOUT, errno.EMFILE]


@pytest.fixture
def root(tmp_path):
    for name in ("cat/1.png", "cow/1.png", "dog/a/1.png"):
        path = tmp_path / "pets" / name
        path.parent.mkdir(parents=True)
        Image.new("RGB", (4, 4)).save(path)
    return tmp_path / "pets"


def opened(root, **options):
    settings = ImageFolderSettings(format="image_folder", path=root, **options)
    return open_image_folder("pets", settings, DecodedCache(0), lambda _: None)


class FailingEntry:
    """An entry of a folder whose methods fail, as where the file system does not give types."""

    def __init__(self, entry, fail):
        self.name, self.path, self._entry, self._fail = entry.name, entry.path, entry, fail

    def is_symlink(self):
        return self._entry.is_symlink()

    def is_dir(self, **options):
        self._fail(self.path, "is_dir")
        return self._entry.is_dir(**options)

    def is_file(self):
        self._fail(self.path, "is_file")
        return self._entry.is_file()

    def stat(self):
        self._fail(self.path, "stat")
        return self._entry.stat()


class Disk:
    """Fails calls on chosen paths: the first `times` of each."""

    def __init__(self, monkeypatch):
        self._failing, self.tries = {}, Counter()
        self._patch(monkeypatch)

    def fail(self, call, end, code=errno.EIO, times=1000):
        self._failing[call, end] = (code, times)

    def check(self, path, call):
        for (failing, end), (code, times) in self._failing.items():
            if failing == call and str(path).endswith(end):
                self.tries[call, end] += 1
                if self.tries[call, end] <= times:
                    raise OSError(code, os.strerror(code), str(path))

    def _patch(self, monkeypatch):
        scandir, stat, opening = os.scandir, os.stat, os.open

        @contextmanager
        def failing_scandir(path="."):
            self.check(path, "scandir")
            with scandir(path) as entries:
                yield [FailingEntry(entry, self.check) for entry in entries]

        def failing_stat(path, **options):
            self.check(path, "os.stat")
            return stat(path, **options)

        def failing_open(path, *args, **options):
            self.check(path, "open")
            return opening(path, *args, **options)

        monkeypatch.setattr(os, "scandir", failing_scandir)
        monkeypatch.setattr(os, "stat", failing_stat)
        monkeypatch.setattr(os, "open", failing_open)


@pytest.fixture
def disk(monkeypatch):
    return Disk(monkeypatch)


CALLS = [
    ("scandir", "pets"),
    ("scandir", "/cow"),
    ("scandir", "dog/a"),
    ("is_dir", "/cow"),
    ("is_dir", "dog/a"),
    ("is_dir", "cow/1.png"),
    ("is_file", "cow/1.png"),
    ("stat", "a/1.png"),
]


@pytest.mark.parametrize("layout", ["auto", "classes"])
@pytest.mark.parametrize(("call", "path"), CALLS)
def test_a_fault_refuses_the_folder_with_its_name_the_reason_and_the_cure(root, disk, call, path, layout):
    disk.fail(call, path)
    reason = rf"^dataset 'pets': .*{path} could not be read in 3 attempts \(Input/output error\): check the disk"
    with pytest.raises(ValueError, match=reason):
        opened(root, layout=layout)
    assert disk.tries[call, path] == 3


@pytest.mark.parametrize("code", FAULTS)
@pytest.mark.parametrize(("call", "path"), CALLS)
def test_a_fault_that_passes_changes_nothing(root, disk, call, path, code):
    version = opened(root)[0].info.version
    disk.fail(call, path, code, times=2)
    (source,) = opened(root)
    assert (source.info.version, len(source), [*source.faults(), *source.notes()]) == (version, 3, [])


@pytest.mark.parametrize("code", FAULTS)
def test_splits_and_the_folders_in_them_are_not_taken_for_others(tmp_path, disk, code):
    for split in ("train", "val"):
        (tmp_path / split / "cat").mkdir(parents=True)
        Image.new("RGB", (4, 4)).save(tmp_path / split / "cat" / "1.png")
    for end in (tmp_path.name, "/val", "val/cat"):
        disk.fail("scandir", end, code)
        with pytest.raises(ValueError, match=rf"{end} could not be read .*{os.strerror(code)}"):
            opened(tmp_path)
        disk.fail("scandir", end, code, times=0)


def test_a_link_whose_target_cannot_be_read_leads_to_a_fault(root, disk, monkeypatch):
    (root / "cow" / "2.png").symlink_to(root / "cat" / "1.png")
    readlink = os.readlink
    failing = [True]

    def failing_readlink(path, **options):
        if failing[0] and str(path).endswith("2.png"):
            raise OSError(errno.EIO, "Input/output error", str(path))
        return readlink(path, **options)

    monkeypatch.setattr(os, "readlink", failing_readlink)
    with pytest.raises(ValueError, match=r"cow/2\.png could not be read"):
        opened(root)
    failing[0] = False
    assert len(opened(root)[0]) == 4


def test_contents_are_read_in_three_attempts(root, disk):
    version = opened(root, digest_contents=True)[0].info.version
    disk.fail("open", "1.png", times=2)
    assert opened(root, digest_contents=True)[0].info.version == version
    disk.fail("open", "1.png")
    with pytest.raises(ValueError, match=r"cat/1\.png could not be read in 3 attempts \(Input/output error\)"):
        opened(root, digest_contents=True)


def test_sounds_are_indexed_alike(tmp_path, disk):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.wav").write_bytes(next(iter(VALID.values())))
    disk.fail("scandir", "/b")
    settings = AudioFolderSettings(format="audio_folder", path=tmp_path)
    with pytest.raises(ValueError, match="/b could not be read"):
        open_audio_folder("sounds", settings, DecodedCache(0), lambda _: None)


def test_every_dataset_with_a_fault_is_named_at_the_start(root, disk, monkeypatch):
    monkeypatch.setattr(files, "PAUSES_S", (0, 0))
    disk.fail("scandir", "/cow")
    settings = ImageFolderSettings(format="image_folder", path=root)
    with pytest.raises(ValueError, match=r"'one': .*cow could not be read .*\n.*'two': .*cow could not be read"):
        open_catalog({"one": settings, "two": settings}, 0)


@pytest.mark.parametrize("code", [errno.ENOENT, errno.ENOTDIR])
def test_a_folder_that_is_removed_meanwhile_is_absent(root, disk, code):
    disk.fail("scandir", "dog/a", code)
    (source,) = opened(root)
    assert (len(source), disk.tries["scandir", "dog/a"]) == (2, 1)
    assert [fault.split(",")[0] for fault in source.faults()] == ["dog/a was removed while it was indexed"]
