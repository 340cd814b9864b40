"""Datasets in object stores: the same samples as from a folder, and what happens when the store changes or is gone."""

import io
import logging
import tarfile

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError

from augsvc.data.cache import DecodedCache
from augsvc.data.formats.image_folder import ImageFolderSettings
from augsvc.data.formats.manifest import ManifestSettings
from augsvc.data.formats.webdataset import WebDatasetSettings
from augsvc.data.formats.yolo import YoloSettings
from augsvc.errors import DatasetChanged, DatasetUnavailable, Undecodable
from tests.data.stores import OPTIONS, SECRET
from tests.data.test_records import FORMATS, SHARDS

pytest.importorskip("obstore")


def png(level, size=(6, 4)):
    file = io.BytesIO()
    Image.new("RGB", size, (level,) * 3).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def folder(tmp_path):
    """A manifest with images in folders."""
    root = tmp_path / "data"
    (root / "a b").mkdir(parents=True)
    rows = ["file_name,label"]
    for number in range(5):
        name = f"a b/ü{number}.png"
        (root / name).write_bytes(png(10 * number))
        rows.append(f"{name},{'cat' if number % 2 else 'dog'}")
    (root / "metadata.csv").write_text("\n".join(rows))
    return root


def describe(source):
    samples = [source.read(index) for index in range(len(source))]
    return (
        (source.info, source.labels().tolist(), list(source.describe_all()), source.left_out()),
        [np.asarray(sample.image).tobytes() for sample in samples],
    )


def manifest(**place):
    (source,) = ManifestSettings(format="manifest", **place).open("d", DecodedCache(0))
    return source


def test_a_manifest_is_the_same_dataset_in_a_store(folder, store):
    store.put_folder(folder, "prefix/")
    store.page = 2
    assert describe(manifest(**store.settings("prefix"))) == describe(manifest(path=folder))
    listings = [path for _, path, _ in store.requests if "list-type" in path]
    assert len(listings) == 3, "one listing, of three pages, and no request for each object"


def test_a_manifest_on_a_server_that_cannot_be_listed(folder, store):
    store.put_folder(folder)
    source = manifest(url=store.endpoint, manifest="metadata.csv")
    assert describe(source) == describe(manifest(path=folder, manifest="metadata.csv"))
    with pytest.raises(ValueError, match="cannot be listed"):
        manifest(url=store.endpoint)


def tar(path, samples):
    with tarfile.open(path, "w") as archive:
        for name, data in samples.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))


@pytest.fixture
def shards(tmp_path):
    root = tmp_path / "shards"
    root.mkdir()
    for shard in range(2):
        tar(
            root / f"train-{shard}.tar",
            {
                name: data
                for number in range(3)
                for name, data in (
                    (f"{shard}{number}.png", png(40 * shard + number)),
                    (f"{shard}{number}.cls", str(number).encode()),
                )
            },
        )
    return root


def webdataset(**place):
    return WebDatasetSettings(format="webdataset", **place).open("d", DecodedCache(0))[0]


def test_shards_are_read_by_ranges(shards, store):
    store.put_folder(shards)
    source = webdataset(**store.settings())
    assert describe(source) == describe(webdataset(path=shards))
    store.requests.clear()
    source.read(4)
    ((_, _, asked),) = store.requests
    start, stop = map(int, asked.removeprefix("bytes=").split("-"))
    assert stop - start < 200


def test_labels_in_other_files(tmp_path, store):
    for name, data in (("images/train/1.png", png(1)), ("labels/train/1.txt", b"0 0.5 0.5 0.2 0.2\n")):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_bytes(data)
    (tmp_path / "data.yaml").write_text("names: [cat]\ntrain: images/train\n")
    store.put_folder(tmp_path)
    local, remote = (
        YoloSettings(format="yolo", **place).open("d", DecodedCache(0))[0]
        for place in ({"path": tmp_path}, store.settings())
    )
    assert describe(local) == describe(remote)
    assert np.array_equal(local.read(0).boxes, remote.read(0).boxes)


@pytest.mark.parametrize("splits", [("",), ("train/", "test/")])
def test_class_folders(tmp_path, store, splits):
    for split in splits:
        for number, name in enumerate(
            ("a/1.png", "a-b/2.png", "a-b/deep/3.png", "c/4.png", "c/note.txt", "c/.DS_Store")
        ):
            (tmp_path / split / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / split / name).write_bytes(png(10 * number))
    store.put_folder(tmp_path, "pets/")
    local, remote = (
        ImageFolderSettings(format="image_folder", **place).open("d", DecodedCache(0))
        for place in ({"path": tmp_path}, store.settings("pets"))
    )
    assert list(map(describe, local)) == list(map(describe, remote))
    assert [list(source.notes()) for source in local] == [list(source.notes()) for source in remote]
    assert sum("list-type" in path for _, path, _ in store.requests) == 1
    store.objects[f"pets/{splits[0]}a/1.png"] = png(99)
    with pytest.raises(DatasetChanged, match=r"a/1\.png was modified"):
        remote[0].read(2)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], "has no sub-folders"),
        (["1.png"], "has no sub-folders"),
        (["a/1.txt"], "has no images"),
        (["images/1.png", "masks/1.png"], "which are no classes"),
        (["all/train/a/1.png", "all/test/a/1.png"], "has a single sub-folder"),
        (["train/a/1.png", "test/b/1.png"], "has different classes"),
    ],
)
def test_class_folders_that_are_refused(store, names, message):
    store.objects |= {f"pets/{name}": png(1) for name in names}
    with pytest.raises(ValueError, match=message):
        ImageFolderSettings(format="image_folder", **store.settings("pets")).open("d", DecodedCache(0))


@pytest.mark.parametrize("name", FORMATS)
def test_shards_of_records(name, store):
    """Of MDS, LitData and TFRecord, written by their own libraries."""
    store.put_folder(SHARDS / name, "rows/")
    settings, columns, _ = FORMATS[name]
    local, remote = (
        settings(format=name, **place, **columns).open("rows", DecodedCache(0))[0]
        for place in ({"path": SHARDS / name}, store.settings("rows"))
    )
    assert describe(local) == describe(remote)
    shard = min(key for key in store.objects if not key.endswith("index.json"))
    store.objects[shard] = store.objects[shard][:-1]
    with pytest.raises(DatasetChanged, match="was modified or replaced"):
        remote.read(0)


# --- changes and faults


def test_an_object_that_changed_is_410_until_a_reload(folder, store):
    store.put_folder(folder)
    source = manifest(**store.settings())
    store.objects["a b/ü1.png"] = png(99)
    with pytest.raises(DatasetChanged, match="was modified or replaced"):
        source.read(1)
    del store.objects["a b/ü2.png"]
    with pytest.raises(DatasetChanged, match="is missing"):
        source.read(2)
    source.read(3)


@pytest.mark.parametrize("change", [lambda data: data[:600], lambda data: data[:-1] + b"1", lambda data: b""])
def test_a_shard_that_changed(shards, store, change):
    store.put_folder(shards)
    source = webdataset(**store.settings())
    store.objects["train-1.tar"] = change(store.objects["train-1.tar"])
    with pytest.raises(DatasetChanged, match="was modified or replaced"):
        source.read(5)
    source.read(0)


def test_empty_and_damaged_objects_are_undecodable(folder, store):
    store.put_folder(folder)
    store.objects["a b/ü1.png"], store.objects["a b/ü2.png"] = b"", b"no image"
    source = manifest(**store.settings())
    for index in (1, 2):
        with pytest.raises(Undecodable):
            source.read(index)


@pytest.mark.parametrize("status", [500, 503, 429, "gone", "hang"])
def test_a_store_that_fails_is_unavailable_and_reveals_nothing(folder, store, caplog, status):
    store.put_folder(folder)
    source = manifest(**store.settings())
    if status == "gone":
        store.close()
    else:
        store.status = status
    with caplog.at_level(logging.DEBUG), pytest.raises(DatasetUnavailable) as failed:
        source.read(0)
    for text in (str(failed.value), caplog.text):
        assert SECRET not in text and "http" not in text and "AKID" not in text
    if status != "gone":
        assert len(store.requests) > 2  # retried
        store.status = 0
        source.read(0)


def test_names_of_any_characters(tmp_path, store):
    names = ["a b.png", "100%.png", "a%20b.png", "#1?.png", "[x]*.png", "ü🐈.png", "a+b&c=d.png", "~.png"]
    for name in names:
        (tmp_path / name).write_bytes(png(1))
    rows = "\n".join(f'{{"file_name": "{name}", "label": "x"}}' for name in names)
    (tmp_path / "metadata.jsonl").write_text(rows)
    store.put_folder(tmp_path)
    local = describe(manifest(path=tmp_path))
    assert describe(manifest(**store.settings())) == local
    assert describe(manifest(url=store.endpoint, manifest="metadata.jsonl")) == describe(
        manifest(path=tmp_path, manifest="metadata.jsonl")
    )


@pytest.mark.parametrize("status", [401, 403])
def test_access_that_is_denied(folder, store, status):
    store.put_folder(folder)
    source = manifest(**store.settings())
    store.status = status
    with pytest.raises(DatasetUnavailable, match="check its store and the object") as denied:
        source.read(0)
    assert SECRET not in str(denied.value)
    with pytest.raises(ValueError, match="cannot be listed: the store did not answer, or refused") as refused:
        manifest(**store.settings())
    assert SECRET not in str(refused.value)
    store.status = 0  # credentials that expire are renewed, and the dataset is the same
    source.read(0)


def test_missing_objects_and_names_that_leave_the_prefix(folder, store):
    store.put_folder(folder, "data/")
    store.objects["secret.png"] = png(1)
    store.objects["data/metadata.csv"] += b"\n../secret.png,cat\na b/none.png,dog"
    with pytest.raises(ValueError, match="below the dataset's folder"):
        manifest(**store.settings("data"))
    store.objects["data/metadata.csv"] = store.objects["data/metadata.csv"].replace(b"\n../secret.png,cat", b"")
    with pytest.raises(ValueError, match=r"1 of 6 objects are missing below s3://bucket/data: a b/none\.png"):
        manifest(**store.settings("data"))


# --- settings


@pytest.mark.parametrize(
    "place",
    [
        {},
        {"path": "x", "url": "s3://bucket"},
        {"url": "file:///etc"},
        {"url": "https://user:password@host/x"},
        {"url": "https://host/x?token=1"},
        {"url": "s3://bucket/../other"},
        {"url": "memory://"},
        {"url": "s3://"},
    ],
)
def test_places_that_are_refused(place):
    with pytest.raises(ValidationError):
        ManifestSettings(format="manifest", **place)


def test_wrong_options_are_refused_without_their_values():
    settings = ManifestSettings(format="manifest", url="s3://bucket", store=OPTIONS | {"no_such": SECRET})
    assert SECRET not in repr(settings) and SECRET not in str(settings.model_dump())
    with pytest.raises(ValueError, match="an option in `store` is wrong") as refused:
        settings.open("d", DecodedCache(0))
    assert SECRET not in str(refused.value)
