"""Parquet files and arrays in object stores: the same datasets as from a folder, read once at the start."""

import numpy as np
import pytest

from augsvc.data.cache import DecodedCache
from augsvc.data.formats import files, object_store, temporary
from augsvc.data.formats.array_files import ArrayFilesSettings
from augsvc.data.formats.cifar import CifarSettings
from augsvc.data.formats.format import dataset_formats
from augsvc.data.formats.mnist import MnistSettings
from augsvc.data.formats.parquet import ParquetSettings
from tests.data.stores import OPTIONS, SECRET
from tests.data.test_array_files import COLOUR, LABELS, write_cifar10, write_mnist, write_npz, write_safetensors
from tests.data.test_parquet import table, write

pytest.importorskip("obstore")


def describe(sources):
    return [
        (
            source.info,
            source.labels().tolist(),
            list(map(source.describe, range(len(source)))),
            list(source.notes()),
            [np.asarray(source.read(index).image).tobytes() for index in range(len(source))],
        )
        for source in sources
    ]


def write_arrays(root, write_file, end):
    for split in ("train", "test"):
        write_file(root / f"{split}.{end}", images=COLOUR, labels=LABELS)


def write_shards(root, suffix):
    for split, labels in (("train", [2, 0, 1]), ("test", [-1, 1])):
        write(root / "data" / f"{split}-00000-of-00001.{suffix}", table(labels))


DATASETS = {
    "parquet": (ParquetSettings, {}, lambda root: write_shards(root, "parquet")),
    "arrow": (ParquetSettings, {}, lambda root: write_shards(root, "arrow")),
    "cifar": (CifarSettings, {}, lambda root: write_cifar10(root, rows=1)),
    "mnist": (MnistSettings, {}, lambda root: write_mnist(root, compress=True)),
    "npz": (ArrayFilesSettings, {}, lambda root: write_arrays(root, write_npz, "npz")),
    "safetensors": (ArrayFilesSettings, {}, lambda root: write_arrays(root, write_safetensors, "safetensors")),
}


def opened(kind, **settings):
    (name,) = (name for name, known in dataset_formats().items() if known is kind)
    return kind(format=name, **settings).open("set", DecodedCache(0))


@pytest.mark.parametrize("name", DATASETS)
def test_a_dataset_is_the_same_in_a_store_and_outlives_it(tmp_path, store, monkeypatch, name):
    kind, options, write_files = DATASETS[name]
    write_files(tmp_path)
    store.put_folder(tmp_path, "sets/")
    monkeypatch.setattr(object_store, "_MAX_RANGE_BYTES", 1000)  # so that files take several requests
    monkeypatch.setattr(object_store, "_BUFFER_BYTES", 10)
    remote = opened(kind, **store.settings("sets"), **options)
    assert sum("list-type" in path for _, path, _ in store.requests) <= 1
    asked = [range_.removeprefix("bytes=").split("-") for _, _, range_ in store.requests if range_]
    assert max(int(last) - int(first) for first, last in asked) < 1000
    store.requests.clear()
    store.objects.clear()
    assert describe(remote) == describe(opened(kind, path=tmp_path, **options))
    assert not store.requests


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("cifar", {}),
        ("mnist", {}),
        ("npz", {"file": {"train": "train.npz", "test": "test.npz"}}),
    ],
)
def test_arrays_on_a_server_that_cannot_be_listed(tmp_path, store, name, options):
    kind, _, write_files = DATASETS[name]
    write_files(tmp_path)
    store.put_folder(tmp_path)
    assert describe(opened(kind, url=store.endpoint, **options)) == describe(opened(kind, path=tmp_path, **options))


@pytest.mark.parametrize("name", ["npz", "parquet"])
def test_what_has_to_be_listed_says_so(store, name):
    with pytest.raises(ValueError, match=r"dataset 'set': .* cannot be listed: name the files"):
        opened(DATASETS[name][0], url=store.endpoint)


@pytest.mark.parametrize("name", DATASETS)
def test_objects_that_are_cut_are_refused(tmp_path, store, name):
    kind, options, write_files = DATASETS[name]
    write_files(tmp_path)
    store.put_folder(tmp_path)
    largest = max(store.objects, key=lambda key: len(store.objects[key]))
    store.objects[largest] = store.objects[largest][:-20]
    with pytest.raises(ValueError, match=f"dataset 'set': s3://bucket/{largest}"):
        opened(kind, **store.settings(), **options)


@pytest.mark.parametrize("name", ["npz", "parquet", "cifar"])
def test_a_store_that_fails_while_an_object_is_read_is_named_without_secrets(tmp_path, store, name, monkeypatch):
    kind, options, write_files = DATASETS[name]
    write_files(tmp_path)
    store.put_folder(tmp_path)
    read = object_store.StoredFile.readinto

    def readinto(self, buffer):
        store.status = 503
        return read(self, buffer)

    monkeypatch.setattr(object_store.StoredFile, "readinto", readinto)
    monkeypatch.setattr(files, "PAUSES_S", ())
    with pytest.raises(ValueError, match=r"dataset 'set': s3://bucket/\S+ (cannot|could not) be read") as refused:
        opened(kind, **store.settings(), **options)
    assert SECRET not in str(refused.value) and "internal" not in str(refused.value)


def test_an_object_that_changes_while_it_is_copied_is_refused(tmp_path, store, monkeypatch):
    write_shards(tmp_path, "parquet")
    store.put_folder(tmp_path)
    copy = temporary.shutil.copyfileobj

    def change_and_copy(*arguments):
        store.objects = {name: data[:-1] + b"x" for name, data in store.objects.items()}
        copy(*arguments)

    monkeypatch.setattr(temporary.shutil, "copyfileobj", change_and_copy)
    with pytest.raises(ValueError, match=r"dataset 'set': data/\S+parquet changed while it was read"):
        opened(ParquetSettings, **store.settings())


def test_a_server_without_ranges_is_named(tmp_path, store, monkeypatch):
    """As Python's own: small files are read whole, larger ones cannot be."""
    write_arrays(tmp_path, write_npz, "npz")
    store.put_folder(tmp_path)
    store.has_ranges = False
    monkeypatch.setattr(files, "PAUSES_S", ())
    (source,) = opened(ArrayFilesSettings, url=store.endpoint, file="train.npz")
    assert len(source) == len(COLOUR)
    monkeypatch.setattr(object_store, "_BUFFER_BYTES", 10)
    with pytest.raises(ValueError, match=r"train\.npz could not be read .*range"):
        opened(ArrayFilesSettings, url=store.endpoint, file="train.npz")


def test_secrets_of_a_store_are_not_shown():
    settings = CifarSettings(format="cifar", url="s3://bucket", store=OPTIONS)
    assert SECRET not in repr(settings) and SECRET not in str(settings.model_dump())
