"""Decoded files on disk: what comes back is what was stored, whatever happens to the file, and by whatever process."""

import hashlib
import logging
import os
import subprocess
import sys
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from augsvc.data.catalog import open_catalog
from augsvc.data.disk_cache import EMPTY_S, KEY_BYTES, Decoded, DiskCache, open_disk_cache
from augsvc.data.formats import image_files
from augsvc.data.formats.audio_folder import AudioFolderSettings
from augsvc.data.formats.image_folder import ImageFolderSettings
from augsvc.data.index_files import UNUSED_S
from augsvc.data.pixel_buffers import PixelBuffers
from augsvc.errors import DatasetChanged, Undecodable
from tests.data.sounds import encode

MIB = 1 << 20
ENTRY = (100, 100, 3)


def key(number):
    return hashlib.blake2b(bytes([number]), digest_size=KEY_BYTES).digest()


def entry(number, shape=ENTRY, dtype=np.uint8):
    return Decoded(np.random.default_rng(number).integers(0, 255, shape).astype(dtype))


def is_equal(one, other):
    return (
        one.rate == other.rate and one.values.dtype == other.values.dtype and np.array_equal(one.values, other.values)
    )


@given(st.data())
@settings(max_examples=50)
def test_what_is_added_is_found_also_by_the_next_process(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("disk")
    dtype = data.draw(st.sampled_from([np.uint8, np.uint16, np.float32]))
    shapes = st.one_of(st.tuples(st.integers(1, 5000)), st.tuples(*[st.integers(1, 40)] * 2, st.sampled_from([1, 3])))
    added = {n: entry(n, data.draw(shapes), dtype)._replace(rate=data.draw(st.integers(0, 192_000))) for n in range(4)}
    cache = DiskCache(folder, MIB)
    for n, decoded in added.items():
        assert cache.find(key(n)) is None
        cache.add(key(n), decoded)
    cache.close()
    again = DiskCache(folder, MIB)
    for n, decoded in added.items():
        assert is_equal(again.find(key(n)), decoded)
    assert (again.hits, again.misses, cache.misses) == (4, 0, 4)
    assert again.n_bytes == sum(decoded.values.nbytes for decoded in added.values())
    again.close()


def file_of(folder):
    return next(folder.glob("decoded-*[0-9]"))


@given(st.data())
@settings(max_examples=100)
def test_damage_anywhere_is_a_miss_or_changes_nothing(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("disk")
    cache = DiskCache(folder, MIB, lambda: 1e9)
    cache.add(key(1), entry(1))
    path = file_of(folder)
    contents = bytearray(path.read_bytes())
    if data.draw(st.booleans()):
        used = np.flatnonzero(np.frombuffer(contents, np.uint8))  # nearly all of the rest is empty slots
        at = int(data.draw(st.sampled_from(used.tolist())))
        contents[at] ^= data.draw(st.integers(1, 255))
    else:
        del contents[data.draw(st.integers(0, len(contents) - 1)) :]
    path.write_bytes(contents)
    for opened in (cache, DiskCache(folder, MIB, lambda: 1e9)):
        found = opened.find(key(1))
        assert found is None or is_equal(found, entry(1))
        opened.add(key(2), entry(2))
        found = opened.find(key(2))
        assert found is None or is_equal(found, entry(2))
        opened.close()


def test_a_damaged_entry_is_replaced(tmp_path):
    cache = DiskCache(tmp_path, MIB)
    cache.add(key(1), entry(1))
    with file_of(tmp_path).open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\0" if entry(1).values.flat[-1] else b"\1")
    assert cache.find(key(1)) is None
    cache.add(key(1), entry(1))
    assert is_equal(cache.find(key(1)), entry(1))
    cache.close()


def test_entries_stay_when_it_is_full_until_nothing_is_found_for_an_hour(tmp_path):
    now = [0.0]
    cache = DiskCache(tmp_path, MIB, lambda: now[0])
    for n in range(1, 61):
        cache.add(key(n), entry(n))
    stored = [n for n in range(1, 61) if cache.find(key(n))]
    assert stored == list(range(1, len(stored) + 1)) and 25 <= len(stored) < 60
    assert file_of(tmp_path).stat().st_size <= MIB
    now[0] = EMPTY_S - 1
    assert cache.find(key(1))
    now[0] = 2 * EMPTY_S - 10
    cache.add(key(60), entry(60))
    assert cache.find(key(60)) is None and cache.find(key(2))
    now[0] += EMPTY_S + 10
    cache.add(key(60), entry(60))
    assert is_equal(cache.find(key(60)), entry(60)) and cache.find(key(2)) is None
    cache.close()


def fill(cache):
    for n in range(1, 61):
        cache.add(key(n), entry(n))
    return sum(cache.find(key(n)) is not None for n in range(1, 61))


def test_indexes_count_against_the_bound_and_are_removed_when_no_start_has_read_them(tmp_path):
    now = [time.time()]
    cache = DiskCache(tmp_path / "a", MIB, lambda: now[0])
    whole = fill(cache)
    index = tmp_path / "a" / "index-0123"
    index.write_bytes(bytes(MIB // 2))
    cache.close()
    cache = DiskCache(tmp_path / "a", MIB, lambda: now[0])  # entries beyond the bound go
    assert cache.n_bytes == MIB // 2 and whole // 2 - 1 <= fill(cache) <= whole // 2
    assert sum(path.stat().st_size for path in (tmp_path / "a").iterdir()) <= MIB
    cache.close()
    now[0] += UNUSED_S + 60
    cache = DiskCache(tmp_path / "a", MIB, lambda: now[0])
    assert not index.exists() and fill(cache) == whole
    index.write_bytes(bytes(MIB // 2))  # by another process: what is full meanwhile takes no more
    now[0] += 61
    os.utime(index, (0, now[0]))
    cache.add(key(61), entry(61))
    assert cache.find(key(61)) is None and cache.n_bytes > MIB
    cache.close()


def test_another_bound_begins_another_file_and_removes_those_that_no_process_uses(tmp_path):
    def files():
        return sorted(path.name for path in tmp_path.iterdir() if path.suffix != ".lock")

    cache, same = DiskCache(tmp_path, MIB), DiskCache(tmp_path, MIB)
    cache.add(key(1), entry(1))
    larger = DiskCache(tmp_path, 2 * MIB)
    assert larger.find(key(1)) is None and cache.find(key(1))
    assert files() == [f"decoded-{MIB}", f"decoded-{2 * MIB}"]
    cache.close()
    DiskCache(tmp_path, 2 * MIB).close()
    assert same.find(key(1)) and len(files()) == 2
    same.close()
    DiskCache(tmp_path, 2 * MIB).close()
    assert files() == [f"decoded-{2 * MIB}"]
    larger.close()


WRITER = """
import sys
from pathlib import Path
from tests.data.test_disk_cache import DiskCache, entry, is_equal, key
cache, wrong = DiskCache(Path(sys.argv[1]), 8 << 20), 0
for n in [*range(150)] * 3:
    found = cache.find(key(n + 1))
    wrong += found is not None and not is_equal(found, entry(n + 1))
    cache.add(key(n + 1), entry(n + 1))
print(wrong)
"""


def test_processes_share_a_file(tmp_path):
    command = [sys.executable, "-c", WRITER, str(tmp_path)]
    writers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert [writer.communicate()[0] for writer in writers] == ["0\n", "0\n"]
    cache = DiskCache(tmp_path, 8 * MIB)
    assert all(is_equal(cache.find(key(n)), entry(n)) for n in range(1, 151))
    assert cache.n_bytes == 150 * entry(1).values.nbytes  # each once
    cache.close()


def _as_file(folder):
    folder.write_text("")


def _open_to_all(folder):
    folder.mkdir()
    folder.chmod(0o777)


def _behind_a_link(folder):
    folder.mkdir(0o700)
    (folder / f"decoded-{MIB}").symlink_to("elsewhere")


def _as_folder(folder):
    (folder / f"decoded-{MIB}").mkdir(parents=True)
    folder.chmod(0o700)


@pytest.mark.parametrize("prepare", [_as_file, _open_to_all, _behind_a_link, _as_folder])
def test_a_folder_that_cannot_be_used_is_a_line_in_the_log(tmp_path, caplog, prepare):
    prepare(tmp_path / "disk")
    with caplog.at_level(logging.WARNING, "augsvc"):
        assert open_disk_cache(tmp_path / "disk", MIB) is None
    (line,) = caplog.messages
    assert line.startswith(f"disk_cache: {tmp_path / 'disk'}") and line.endswith("; decoded files are not kept on disk")
    assert ": name a folder that this user may write to;" in line or ": a sub-folder will do;" in line
    assert "Errno" not in line


def test_without_a_folder_there_is_none_and_without_room_it_is_refused(tmp_path):
    assert open_disk_cache(None, 4096) is None
    for n_bytes in (0, 4096, MIB - 1):
        with pytest.raises(ValueError, match=r"disk_cache_bytes: .* too few: give it 1 MiB at least"):
            open_disk_cache(tmp_path, n_bytes)
    assert not list(tmp_path.iterdir())


FULL = """
import resource, sys
from pathlib import Path
from tests.data.test_disk_cache import DiskCache, entry, is_equal, key
cache = DiskCache(Path(sys.argv[1]), 8 << 20)
cache.add(key(1), entry(1))
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, 1 << 16))
for n in (2, 3):
    cache.add(key(n), entry(n))
print(is_equal(cache.find(key(1)), entry(1)), cache.find(key(2)), cache.find(key(3)))
"""


def test_a_full_disk_is_a_line_in_the_log(tmp_path):
    """A limit of the process stands for it: both are errors of the write."""
    ended = subprocess.run([sys.executable, "-c", FULL, str(tmp_path)], capture_output=True, text=True, check=True)
    assert ended.stdout == "True None None\n"
    assert ended.stderr.count("disk_cache:") == 1


@pytest.fixture
def images(tmp_path):
    for label, seeds in (("a", range(3)), ("b", range(3, 6))):
        (tmp_path / "data" / label).mkdir(parents=True)
        for seed in seeds:
            Image.fromarray(entry(seed, (20, 30, 3)).values).save(tmp_path / "data" / label / f"{seed}.jpg")
    (tmp_path / "data" / "b" / "damaged.jpg").write_bytes(b"no image")
    return tmp_path


def opened(root, cache_dir="disk", cache_bytes=0, **options):
    dataset = ImageFolderSettings(format="image_folder", path=root / "data", **options)
    disk = open_disk_cache(root / cache_dir, MIB)
    return open_catalog({"data": dataset}, cache_bytes, disk=disk).get("data"), disk


def refuse(*args, **options):
    raise AssertionError("decoded again")


def test_images_are_decoded_once_in_the_life_of_a_file(images, monkeypatch):
    plain = open_catalog({"data": ImageFolderSettings(format="image_folder", path=images / "data")}, 0).get("data")
    first, disk = opened(images)
    assert first.info == plain.info
    for index in range(6):
        np.testing.assert_array_equal(first.read(index).image, plain.read(index).image)
    assert disk.hits == 0
    disk.close()
    with monkeypatch.context() as patched:
        patched.setattr(image_files, "decode_image", refuse)
        again, disk = opened(images)
        samples = [again.read(index) for index in range(6)]
    assert disk.hits == 6
    for index, sample in enumerate(samples):
        np.testing.assert_array_equal(sample.image, plain.read(index).image)
        assert sample.label == plain.labels()[index] and sample.key == ("data", index)
    with pytest.raises(Undecodable):
        again.read(6)
    grey, _ = opened(images, channels=1)
    assert grey.read(0).image.shape == (20, 30, 1)


def test_a_file_that_changed_is_not_served_from_the_disk(images):
    source, disk = opened(images)
    source.read(0)
    Image.fromarray(entry(9, (20, 30, 3)).values).save(images / "data" / "a" / "0.jpg")
    with pytest.raises(DatasetChanged):
        source.read(0)
    disk.close()
    later, disk = opened(images)
    plain = open_catalog({"data": ImageFolderSettings(format="image_folder", path=images / "data")}, 0).get("data")
    np.testing.assert_array_equal(later.read(0).image, plain.read(0).image)
    assert disk.hits == 0


def test_settings_that_change_a_decision_have_entries_of_their_own(images):
    source, disk = opened(images)
    source.read(0)
    disk.close()
    bounded, disk = opened(images, max_pixels=599)
    with pytest.raises(Undecodable):
        bounded.read(0)
    disk.close()


def test_sixteen_bits_are_warned_of_at_every_start(tmp_path, caplog):
    (tmp_path / "data" / "a").mkdir(parents=True)
    Image.fromarray(np.full((8, 8), 1000, np.uint16)).save(tmp_path / "data" / "a" / "0.png")
    for start in (1, 2):
        source, disk = opened(tmp_path)
        source.read(0)
        disk.close()
        assert caplog.text.count("16 bits a channel") == start


def test_clips_keep_their_rate(tmp_path):
    (tmp_path / "data" / "a").mkdir(parents=True)
    clip = np.sin(np.arange(800) / 9).astype(np.float32)
    (tmp_path / "data" / "a" / "0.wav").write_bytes(encode(clip, "WAV", "FLOAT", 8000))
    dataset = AudioFolderSettings(format="audio_folder", path=tmp_path / "data")
    samples = []
    for _ in range(2):
        disk = open_disk_cache(tmp_path / "disk", MIB)
        source = open_catalog({"data": dataset}, 0, disk=disk).get("data")
        samples.append(source.read(0))
        hits = disk.hits
        disk.close()
    assert hits == 1 and samples[1].rate == samples[0].rate == 8000
    np.testing.assert_array_equal(samples[0].audio, samples[1].audio)


def test_memory_is_counted_before_an_entry_is_read(tmp_path):
    cache, counted = DiskCache(tmp_path, MIB), []
    cache.add(key(1), entry(1))

    def allocate(n_bytes):
        counted.append(n_bytes)
        raise MemoryError

    with pytest.raises(MemoryError):
        cache.find(key(1), allocate)
    assert counted == [entry(1).values.nbytes] and cache.find(key(2), allocate) is None
    cache.close()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_images_are_read_into_memory_that_is_reused(tmp_path, dtype):
    cache, buffers = DiskCache(tmp_path / "disk", 4 * MIB), PixelBuffers()
    images = [entry(number, (300, 301, 3), dtype) for number in (1, 2)]
    for number, image in enumerate(images):
        cache.add(key(number), image)
    for number, image in enumerate(images):
        found = cache.find(key(number), allocate=buffers.take)
        assert is_equal(found, image) and found.values.base.nbytes >= image.values.nbytes and buffers.n_bytes == 0
        del found
    assert 0 < buffers.n_bytes <= images[0].values.nbytes * 17 // 16 + 1, "one buffer for both"
    cache.close()


def test_samples_stay_in_memory_too(images):
    source, disk = opened(images, cache_bytes=MIB)
    source.read(0)
    source.read(0)
    assert (disk.hits, disk.misses) == (0, 1)
    assert (images / "disk").stat().st_mode & 0o077 == 0
    disk.close()
