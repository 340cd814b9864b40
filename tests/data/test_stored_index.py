"""The index of a folder on disk: a start with it serves what a start without it would, whatever has happened meanwhile."""

import errno
import fcntl
import gc
import logging
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from augsvc.data.cache import DecodedCache
from augsvc.data.disk_cache import DiskCache
from augsvc.data.formats import checked_file, indexer, stored_index
from augsvc.data.formats.image_folder import ImageFolderSettings, open_image_folder
from augsvc.data.formats.names import Names
from augsvc.data.formats.temporary import temporary_folder
from augsvc.data.index_files import UNUSED_S, IndexFiles
from augsvc.errors import DatasetChanged
from tests.data.test_folder_files import level, write

ROOT = Path(__file__).parent.parent.parent
MIB = 1 << 20
FILES = ("a/1.png", "a-b/1.png", "a-b/deep/2.png", "c/ä.png", "c/notes.txt", "c/.DS_Store")


@pytest.fixture(autouse=True)
def settled(monkeypatch):
    """Folders that were made a moment ago count as settled."""
    monkeypatch.setattr(indexer, "SETTLED_NS", -(10**18))


@pytest.fixture
def listed(monkeypatch):
    """The folders that are listed."""
    names, list_entries = [], indexer.list_entries
    monkeypatch.setattr(indexer, "list_entries", lambda path: names.append(Path(path).name) or list_entries(path))
    return names


@pytest.fixture
def root(tmp_path):
    for position, name in enumerate(FILES):
        write_file(tmp_path / "pets" / name, 10 * position)
    return tmp_path / "pets"


def write_file(path, value):
    write(path.with_suffix(".png"), value).rename(path)
    return path


def start(root, folder=None, **options):
    """The dataset as a server opens it at its start; without a folder for its index, as it always was."""
    cache = DecodedCache(0, disk=folder and DiskCache(folder, MIB))
    return reload(root, cache, **options), cache


def reload(root, cache, **options):
    (source,) = open_image_folder("pets", ImageFolderSettings(format="image_folder", path=root, **options), cache)
    return source


def describe(source):
    names = [source.describe(index) for index in range(len(source))]
    assert names == list(source.describe_all())
    return (
        *(names, source.labels().tolist(), source.info, source.left_out(), source.keys),
        *(list(source.notes()), list(source.faults()), source.fingerprints()),
    )


def index_files(folder):
    return sorted(folder.glob("index-*"))


def test_a_start_that_reads_an_index_sets_its_time(root, tmp_path):
    start(root, tmp_path / "disk")
    (file,) = index_files(tmp_path / "disk")
    os.utime(file, (0, time.time() - UNUSED_S + 3600))
    start(root, tmp_path / "disk")
    assert file.stat().st_mtime > time.time() - 3600


def test_indexes_beyond_half_the_bound_go_least_recently_read_first_and_never_an_open_one(root, tmp_path):
    folder = tmp_path / "disk"
    source, _ = start(root, folder)
    (own,) = index_files(folder)
    before = describe(source)
    now = time.time()
    os.utime(own, (0, now - 5000))  # read before all others
    for age in range(8):
        other = folder / f"index-{age}"
        other.write_bytes(bytes(MIB // 8))
        os.utime(other, (0, now - 100 * age))
    DiskCache(folder, MIB).close()
    assert index_files(folder) == [*(folder / f"index-{age}" for age in range(3)), own]
    assert describe(source) == before
    del source
    gc.collect()
    for age in range(3, 5):
        (folder / f"index-{age}").write_bytes(bytes(MIB // 8))
    DiskCache(folder, MIB).close()
    assert own not in index_files(folder) and len(index_files(folder)) == 4
    assert describe(start(root, folder)[0]) == before


def test_a_second_start_lists_the_root_alone(root, tmp_path, listed):
    plain = describe(start(root)[0])
    first, _ = start(root, tmp_path / "disk")
    listed.clear()
    again, _ = start(root, tmp_path / "disk")
    assert listed == ["pets"]
    assert describe(first) == describe(again) == plain
    assert [level(again, index) for index in range(len(again))] == [10, 20, 0, 30]
    assert again.labels().tolist() == [1, 1, 0, 2]


def _add(root):
    write_file(root / "a" / "2.png", 1)


def _add_deep(root):
    write_file(root / "a-b" / "deep" / "3.png", 1)


def _remove(root):
    (root / "c" / "ä.png").unlink()


def _replace(root):
    write_file(root / "c" / "new.png", 200).replace(root / "c" / "ä.png")


def _add_class(root):
    write_file(root / "b" / "1.png", 1)


def _remove_class(root):
    shutil.rmtree(root / "a-b")


def _empty_class(root):
    (root / "z").mkdir()


def _swap_classes(root):
    (root / "a").rename(root / "x")
    (root / "c").rename(root / "a")
    (root / "x").rename(root / "c")


def _leave_out(root):
    (root / "c" / "more.txt").touch()
    (root / "c" / "Thumbs.db").touch()


def _set_time_back(root):
    status = (root / "a").stat()
    write_file(root / "a" / "0.png", 1)
    os.utime(root / "a", ns=(status.st_atime_ns, status.st_mtime_ns))


CHANGES = (
    *(_add, _add_deep, _remove, _replace, _add_class, _remove_class, _empty_class, _swap_classes, _leave_out),
    _set_time_back,
)


@pytest.mark.parametrize("change", CHANGES)
def test_changes_between_two_starts(root, tmp_path, listed, change):
    start(root, tmp_path / "disk")
    change(root)
    listed.clear()
    changed, _ = start(root, tmp_path / "disk")
    assert len(listed) <= 3  # the root, and two of four folders at most
    plain, _ = start(root)
    assert describe(changed) == describe(plain) == describe(start(root, tmp_path / "disk")[0])


@given(st.lists(st.sampled_from(CHANGES), min_size=1, max_size=4, unique=True))
@settings(max_examples=15)
def test_any_changes(tmp_path_factory, changes):
    folder = tmp_path_factory.mktemp("any")
    for name in FILES:
        write_file(folder / "pets" / name, 1)
    start(folder / "pets", folder / "disk")
    for change in changes:
        try:
            change(folder / "pets")
        except FileNotFoundError:  # an earlier change has removed it
            continue
        assert describe(start(folder / "pets", folder / "disk")[0]) == describe(start(folder / "pets")[0])


def test_a_folder_that_changed_just_now_is_listed_again(root, tmp_path, listed, monkeypatch):
    monkeypatch.setattr(indexer, "SETTLED_NS", 10**10)
    start(root, tmp_path / "disk")
    listed.clear()
    start(root, tmp_path / "disk")
    assert sorted(listed) == ["a", "a-b", "c", "deep", "pets"]


@pytest.mark.parametrize(
    "settings", [{"channels": 1}, {"layout": "classes"}, {"follow_links": ["/"]}, {"strict": False}]
)
def test_other_settings_are_another_index(root, tmp_path, settings):
    start(root, tmp_path / "disk")
    changed, _ = start(root, tmp_path / "disk", **settings)
    assert describe(changed) == describe(start(root, **settings)[0])


def test_links_and_contents_are_not_kept(root, tmp_path):
    start(root, tmp_path / "disk", digest_contents=True)
    (root / "a" / "l.png").symlink_to(root / "c" / "ä.png")
    start(root, tmp_path / "disk")
    assert index_files(tmp_path / "disk") == []


# --- a modified file, which its folder does not show


@pytest.mark.parametrize("change", ["contents", "status"])
def test_after_a_modified_file_is_noticed_the_next_start_lists_all(root, tmp_path, change):
    start(root, tmp_path / "disk")
    path = root / "a" / "1.png"
    if change == "contents":
        path.write_bytes(path.read_bytes() + b"more")
    else:
        path.chmod(0o600)
    again, _ = start(root, tmp_path / "disk")
    index = list(again.describe_all()).index("a/1.png")
    if change == "contents":
        with pytest.raises(DatasetChanged, match="was modified or replaced"):
            again.read(index)
    else:
        again.read(index)
    last, _ = start(root, tmp_path / "disk")
    assert describe(last) == describe(start(root)[0])
    last.read(index)


def test_a_reload_lists_all(root, tmp_path):
    source, cache = start(root, tmp_path / "disk")
    path = root / "a" / "1.png"
    path.write_bytes(path.read_bytes() + b"more")
    assert reload(root, cache).info.version == start(root)[0].info.version != source.info.version
    assert start(root, tmp_path / "disk")[0].info.version == start(root)[0].info.version


# --- the file is not what it should be


def _cut(path):
    os.truncate(path, path.stat().st_size // 2)


def _empty(path):
    os.truncate(path, 0)


def _flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def _folder(path):
    path.unlink()
    path.mkdir()


def _link(path):
    path.rename(path.with_name("elsewhere"))
    path.symlink_to(path.with_name("elsewhere"))


def _pipe(path):
    path.unlink()
    os.mkfifo(path)


def _let_others_write(path):
    path.chmod(0o666)


def _another_version(path):
    data = path.read_bytes()[:-16].replace(b"index 1", b"index 0")
    file = os.open(path, os.O_WRONLY | os.O_TRUNC)
    checked_file.write_checked(file, [data])
    os.close(file)


DAMAGES = (_cut, _empty, _flip, _folder, _link, _pipe, _let_others_write, _another_version)


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_file_that_cannot_be_used(root, tmp_path, caplog, damage):
    start(root, tmp_path / "disk")
    (path,) = index_files(tmp_path / "disk")
    damage(path)
    with caplog.at_level(logging.INFO):
        again, _ = start(root, tmp_path / "disk")
    assert describe(again) == describe(start(root)[0])
    reasons = [record.message for record in caplog.records if record.name == "augsvc"]
    assert len(reasons) == (2 if damage is _folder else 1) and str(tmp_path) not in reasons[0], reasons
    caplog.clear()
    if damage is not _folder:  # which is left alone
        start(root, tmp_path / "disk")
        assert not caplog.records


def test_every_flipped_byte_is_noticed(tmp_path):
    path = tmp_path / "file"
    file = os.open(path, os.O_WRONLY | os.O_CREAT)
    checked_file.write_checked(file, [bytes(range(100))])
    os.close(file)
    data = path.read_bytes()
    assert bytes(checked_file.CheckedFile(path).read(3, 5)) == bytes(range(3, 8))
    for position in range(len(data)):
        path.write_bytes(data[:position] + bytes([data[position] ^ 0x10]) + data[position + 1 :])
        with pytest.raises(checked_file.Unusable, match="damaged"):
            checked_file.CheckedFile(path)


@pytest.mark.parametrize("damage", [_cut, _flip])
def test_damage_while_it_is_used_is_an_error_until_a_reload(root, tmp_path, damage):
    start(root, tmp_path / "disk")
    source, cache = start(root, tmp_path / "disk")
    (path,) = index_files(tmp_path / "disk")
    damage(path)
    with pytest.raises(DatasetChanged, match="reload the datasets"):
        source.read(0)
    newer = reload(root, cache)
    assert newer.changes_since(source).removed == 4
    source.refresh(newer)
    assert [level(source, index) for index in range(4)] == [10, 20, 0, 30]


def test_a_removed_file_is_used_until_the_end(root, tmp_path):
    source, _ = start(root, tmp_path / "disk")
    shutil.rmtree(tmp_path / "disk")
    assert describe(source) == describe(start(root)[0])


@pytest.mark.parametrize("call", ["write", "mkstemp"])
def test_a_full_or_read_only_disk(root, tmp_path, caplog, monkeypatch, call):
    def refuse(*_, **__):
        raise OSError(28, "No space left on device")

    module = {"write": checked_file.os, "mkstemp": stored_index.tempfile}[call]
    monkeypatch.setattr(module, call, refuse)
    source, _ = start(root, tmp_path / "disk")
    monkeypatch.undo()
    (record,) = caplog.records
    assert record.message.endswith("No space left on device; the index is not kept on disk")
    assert index_files(tmp_path / "disk") == []
    assert describe(source) == describe(start(root)[0])


def test_an_unfinished_file_is_removed_later(root, tmp_path):
    start(root, tmp_path / "disk")
    (path,) = index_files(tmp_path / "disk")
    unfinished = [path.with_name(f"{path.name}.{end}") for end in ("old", "new")]
    for file in unfinished:
        file.touch()
    os.utime(unfinished[0], (0, 0))
    _add(root)
    start(root, tmp_path / "disk")
    assert index_files(tmp_path / "disk") == [path, unfinished[1]]


# --- names


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=5), max_size=20), st.integers(0, 20))
@settings(max_examples=50)
def test_names_are_a_sequence(names, cut):
    packed = Names.join([Names.of(names[:cut]), Names.of(names[cut:])])
    assert list(packed) == names == [packed[index] for index in range(len(names))] == packed[:]
    assert len(packed) == len(names) and packed[-1:] == names[-1:]
    with pytest.raises(IndexError):
        packed[len(names)]
    assert np.asarray(packed.offsets)[-1] == sum(len(name.encode()) for name in names)


SLOW_START = """
import sys
from pathlib import Path
from augsvc.data.formats import stored_index
from tests.data.test_stored_index import start

write_checked = stored_index.write_checked

def write_late(file, parts):
    print("writes", flush=True)
    sys.stdin.readline()
    write_checked(file, parts)

stored_index.write_checked = write_late
source, _ = start(Path(sys.argv[1]), Path(sys.argv[2]))
print(source.info.version, len(source))
"""


def test_two_servers_that_start_at_the_same_time_both_end_right(root, tmp_path, caplog):
    """While one writes its index, the other indexes the folder too, and removes indexes, as there are too many."""
    disk, other = tmp_path / "disk", tmp_path / "other"
    shutil.copytree(root, other)
    command = [sys.executable, "-c", SLOW_START, str(root), str(disk)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as slow:
        assert slow.stdout.readline() == "writes\n"
        (written,) = index_files(disk)
        IndexFiles(disk, 0, lambda: time.time() + 2 * UNUSED_S).trim()
        assert index_files(disk) == [written], "it is being written"
        source, _ = start(root, disk)
        shown, _ = slow.communicate("\n")
    assert shown.split() == [source.info.version, str(len(source))]
    (index,) = index_files(disk)
    assert start(root, disk)[0].info == source.info and index_files(disk) == [index]
    assert not caplog.records


KILLED = """
import sys, time
from pathlib import Path
from augsvc.data.formats.temporary import temporary_folder

with temporary_folder(Path(sys.argv[1])) as folder:
    (folder / "table.lance").mkdir()
    (folder / "table.lance" / "data").write_bytes(b"x")
    print("copied", flush=True)
    sys.stdin.readline()
"""


def test_a_copy_that_a_killed_start_has_left_is_removed_by_the_next_one(tmp_path):
    command = [sys.executable, "-c", KILLED, str(tmp_path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "cwd": ROOT}
    with subprocess.Popen(command, **pipes) as killed, subprocess.Popen(command, **pipes) as alive:
        assert killed.stdout.readline() == alive.stdout.readline() == "copied\n"
        killed.kill()
        killed.wait()
        before = set(tmp_path.iterdir())
        with temporary_folder(tmp_path) as folder:
            (kept,) = set(tmp_path.iterdir()) - {folder}
        assert len(before) == 2 and kept in before
        assert (kept / "table.lance" / "data").exists(), "that of a start that goes on"
        alive.communicate("\n")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EBADF])
def test_a_disk_without_locks_has_copies_too_and_none_is_removed(number, tmp_path, monkeypatch):
    def refuse(file, operation):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with temporary_folder(tmp_path) as first, temporary_folder(tmp_path) as second:
        assert first != second and first.is_dir() and second.is_dir()
    assert not list(tmp_path.iterdir())


def test_a_disk_that_gives_files_to_another_user_has_copies_too(tmp_path, monkeypatch):
    """As NFS does for root."""
    another = os.geteuid() + 1
    monkeypatch.setattr(os, "geteuid", lambda: another)
    with temporary_folder(tmp_path) as first, temporary_folder(tmp_path) as second:
        assert first.is_dir() and second.is_dir()
    assert not list(tmp_path.iterdir())


def test_a_copy_is_locked_by_a_file_whose_locks_hold_between_hosts(tmp_path):
    """Those of folders are of one host on NFS; it has exclusive ones only of files that are open for writing."""
    with temporary_folder(tmp_path) as folder:
        names = {file for file in Path("/proc/self/fd").iterdir() if file.exists() and file.resolve().parent == folder}
        (held,) = names
        status = (Path("/proc/self/fdinfo") / held.name).read_text()
        assert held.resolve().is_file() and "FLOCK" in status and "WRITE" in status
