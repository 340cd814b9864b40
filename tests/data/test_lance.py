"""Lance tables, written by pylance: the samples of the same table in Parquet, versions, and tables that are damaged."""

import json
import signal

import numpy as np
import pyarrow as pa
import pytest

from augsvc.cli.common import open_datasets
from augsvc.data.cache import DecodedCache
from augsvc.data.formats import tables, temporary
from augsvc.data.formats.lance import LanceSettings
from augsvc.data.formats.parquet import ParquetSettings
from augsvc.settings import Settings
from tests.data.test_parquet import FEATURES, noise_image, png, table, write

lance = pytest.importorskip("lance")


def opened(kind=LanceSettings, **settings):
    name = "lance" if kind is LanceSettings else "parquet"
    return kind(format=name, **settings).open("hub", DecodedCache(0))


def refusal(**settings):
    with pytest.raises(ValueError, match="dataset 'hub'") as refused:
        opened(**settings)
    return str(refused.value)


def describe(source):
    images = [source.read(index).image.tobytes() for index in range(len(source))]
    return source.info.classes, source.labels().tolist(), images


def test_the_samples_are_those_of_the_same_table_in_parquet(tmp_path):
    for split, labels in (("train", [2, 0, 1, 1, 2]), ("test", [-1, None])):
        rows = table(labels)
        write(tmp_path / "a" / f"{split}.parquet", rows)
        lance.write_dataset(rows, tmp_path / "b" / f"{split}.lance", max_rows_per_file=2)
    theirs = opened(ParquetSettings, path=tmp_path / "a")
    ours = opened(path=tmp_path / "b")
    assert [source.info.name for source in ours] == ["hub/train", "hub/test"]
    assert list(map(describe, ours)) == list(map(describe, theirs))
    assert ours[0].info.classes == ("cat", "dog", "owl") and ours[0].describe(3) == "train.lance/3"
    assert "MB of images copied" in ours[0].notes()[0]


def test_other_columns_and_labels(tmp_path):
    rows = pa.table(
        {
            "photo": pa.array([png(0), png(1)], pa.large_binary()),
            "tags": [["x"], ["x", "y"]],
            "age": [0.5, 1.5],
            "site": pa.array(["a", "b"]).dictionary_encode(),
        }
    )
    lance.write_dataset(rows, tmp_path / "rows.lance")
    (tags,) = opened(
        path=tmp_path / "rows.lance", image="photo", label="tags", label_kind="multi_label", columns=["site"]
    )
    assert tags.info.classes == ("x", "y") and tags.read(0).target.tolist() == [1, 0]
    assert tags.columns()["site"].equal_to(["b"]).tolist() == [False, True] and tags.describe(1) == "1"
    (ages,) = opened(path=tmp_path, image="photo", label="age", label_kind="regression")
    assert ages.read(1).target.tolist() == [1.5] and (ages.read(1).image == noise_image(1)).all()


def test_columns_of_blobs(tmp_path):
    blob = pa.field("image", pa.large_binary(), metadata={"lance-encoding:blob": "true"})
    rows = pa.table(
        [pa.array([png(0), png(1)], pa.large_binary()), ["a", "b"]], pa.schema([blob, ("label", pa.string())])
    )
    lance.write_dataset(rows, tmp_path / "a.lance")
    (source,) = opened(path=tmp_path)
    assert (source.read(1).image == noise_image(1)).all()


def test_the_newest_version_is_served_without_deleted_rows(tmp_path):
    path = tmp_path / "train.lance"
    written = lance.write_dataset(table([0, 1, 2, 1]), path)
    (first,) = opened(path=tmp_path)
    written.delete("label = 1")
    (second,) = opened(path=tmp_path)
    assert second.labels().tolist() == [0, 2] and (second.read(1).image == noise_image(2)).all()
    lance.write_dataset(table([2, 2], first=7), path, mode="overwrite")
    (third,) = opened(path=tmp_path)
    assert third.labels().tolist() == [2, 2] and (third.read(0).image == noise_image(7)).all()
    assert len({source.info.version for source in (first, second, third)}) == 3
    assert (first.read(3).image == noise_image(3)).all()  # of the copy


def test_the_version_does_not_depend_on_how_a_table_is_packed(tmp_path):
    versions = set()
    for rows in (1, 4):
        lance.write_dataset(table([0, 1, 2, 1]), tmp_path / "a.lance", max_rows_per_file=rows, mode="overwrite")
        versions.add(opened(path=tmp_path)[0].info.version)
    assert len(versions) == 1


def test_a_table_in_a_store(tmp_path, store):
    pytest.importorskip("obstore")
    for split in ("train", "val"):
        lance.write_dataset(table([0, 1, 2]), tmp_path / f"{split}.lance", max_rows_per_file=2).delete("label = 1")
    store.put_folder(tmp_path, "tables/")
    local, remote = opened(path=tmp_path), opened(**store.settings("tables"))
    assert list(map(describe, local)) == list(map(describe, remote))
    assert [source.info for source in local] == [source.info for source in remote]
    assert describe(opened(**store.settings("tables/val.lance"))[0]) == describe(local[1])
    del store.objects[next(name for name in store.objects if name.endswith(".arrow"))]
    assert ".lance: it is damaged or cut" in refusal(**store.settings("tables"))


def test_sigterm_at_the_start_removes_the_copy(tmp_path, store, monkeypatch):
    pytest.importorskip("obstore")
    lance.write_dataset(table([0, 1]), tmp_path / "tables" / "a.lance")
    store.put_folder(tmp_path / "tables")
    (tmp_path / "copies").mkdir()
    monkeypatch.setattr(temporary.shutil, "copyfileobj", lambda *_: signal.raise_signal(signal.SIGTERM))
    before = signal.getsignal(signal.SIGTERM)
    dataset = {"format": "lance", "copy_to": tmp_path / "copies", **store.settings()}
    with pytest.raises(SystemExit) as ended:
        open_datasets(Settings(datasets={"hub": dataset}))
    assert ended.value.code == 128 + signal.SIGTERM
    assert not any((tmp_path / "copies").iterdir()) and signal.getsignal(signal.SIGTERM) is before


def test_what_is_refused(tmp_path, monkeypatch):
    assert "is no Lance table, and has no folders like train.lance" in refusal(path=tmp_path)
    (tmp_path / "a.lance").mkdir()
    assert "a.lance is no Lance table: it has no versions" in refusal(path=tmp_path)
    lance.write_dataset(table([0, 7]), tmp_path / "a.lance")
    assert "row 1: the label 7 is none of the 3 classes" in refusal(path=tmp_path)
    assert "there is no column 'kind', only 'image', 'label'" in refusal(path=tmp_path, label="kind")
    lance.write_dataset(table([0]), tmp_path / "train.lance")
    assert "a.lance, which are of none" in refusal(path=tmp_path)
    monkeypatch.setattr(tables, "find_spec", lambda _: None)
    assert "augsvc[lance]" in refusal(path=tmp_path)


def test_rows_are_decoded_one_at_a_time(tmp_path):
    """A kilobyte of a table may decompress into any image, and pylance decodes whole batches, several ahead."""
    image = pa.field("image", pa.large_binary(), metadata={"lance-encoding:compression": "zstd"})
    rows = pa.table([[bytes(1 << 20)] * 4, [0] * 4], pa.schema([image, ("label", pa.int64())]))
    lance.write_dataset(rows, tmp_path / "a.lance", data_storage_version="2.1")
    settings = LanceSettings(format="lance", path=tmp_path)
    with settings.open_table(settings.open_root(), "a.lance") as (opening, n_bytes):
        assert [batch.num_rows for batch in opening().batches(["image"])] == [1] * 4
        assert n_bytes < 1 << 16
    assert "its rows are over 32 times as large" in refusal(path=tmp_path)


def test_long_lists_of_labels_count(tmp_path):
    """Of 20,000 numbers in 2,000 rows, a table of 7 MB, they took 2.8 GB."""
    label = pa.field("label", pa.list_(pa.int64()), metadata={"lance-encoding:compression": "zstd"})
    rows = pa.table([[png(0)] * 50, [[7] * 5000] * 50], pa.schema([("image", pa.binary()), label]))
    lance.write_dataset(rows, tmp_path / "a.lance", data_storage_version="2.1")
    assert "its rows are over 32 times as large" in refusal(path=tmp_path, label_kind="multi_label")


def test_a_table_with_rows_elsewhere_is_refused(tmp_path):
    """Its manifest names where they are: any folder of the machine, or a store."""
    elsewhere = lance.write_dataset(table([0, 1]), tmp_path / "elsewhere.lance")
    elsewhere.shallow_clone(str(tmp_path / "data" / "a.lance"), elsewhere.version)
    assert "a.lance: it takes rows from other tables" in refusal(path=tmp_path / "data")


def test_files_that_leave_the_folder_are_refused(tmp_path):
    lance.write_dataset(table([0, 1]), tmp_path / "elsewhere.lance")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.lance").symlink_to(tmp_path / "elsewhere.lance")
    assert "a link" in refusal(path=tmp_path / "data")


def test_damaged_tables_are_refused_or_read_whole(tmp_path, capfd):
    """Never another error, nor fewer rows: 60 changed or cut files. A panic of pylance prints to the standard error."""
    root, rng = tmp_path / "a.lance", np.random.default_rng(1)
    metadata = {"huggingface": json.dumps({"info": {"features": FEATURES}})}
    lance.write_dataset(table([0, 1, 2, 0]).replace_schema_metadata(metadata), root, max_rows_per_file=2)
    files = sorted(path for path in root.rglob("*") if path.suffix in (".lance", ".manifest"))
    refused = 0
    for trial in range(60):
        path = files[trial % len(files)]
        intact = path.read_bytes()
        data = bytearray(intact)
        if trial // len(files) % 2:
            data = data[: int(rng.integers(0, len(data)))]
        else:
            for position in rng.integers(0, len(data), 3):
                data[position] ^= int(rng.integers(1, 256))
        path.write_bytes(data)
        try:
            assert len(opened(path=tmp_path)[0]) == 4
        except ValueError as err:
            assert str(err).startswith("dataset 'hub': ")
            refused += 1
        path.write_bytes(intact)
    assert refused > 30
    capfd.readouterr()
