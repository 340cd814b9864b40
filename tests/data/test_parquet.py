"""Parquet and Arrow files as Hugging Face's datasets are written: labels, splits, the copy, and files that are damaged."""

import io
import json
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from augsvc.data.cache import DecodedCache
from augsvc.data.formats import arrow_sizes, tables, temporary
from augsvc.data.formats.parquet import ParquetSettings

FEATURES = {"image": {"_type": "Image"}, "label": {"_type": "ClassLabel", "names": ["cat", "dog", "owl"]}}


def noise_image(seed):
    return np.random.default_rng(seed).integers(0, 256, (4, 6, 3), dtype=np.uint8)


def png(seed):
    buffer = io.BytesIO()
    Image.fromarray(noise_image(seed)).save(buffer, "PNG")
    return buffer.getvalue()


def table(labels, first=0, features=FEATURES, **columns):
    """As `datasets` encodes Image and ClassLabel."""
    images = [{"bytes": png(first + k), "path": f"{first + k}.png"} for k in range(len(labels))]
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    arrays = {
        "image": pa.array(images, kind),
        "label": pa.array(labels),
        **{k: pa.array(v) for k, v in columns.items()},
    }
    metadata = {"huggingface": json.dumps({"info": {"features": features}})} if features else None
    return pa.table(arrays).replace_schema_metadata(metadata)


def write(path, content, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".arrow":
        with pa.ipc.new_stream(path, content.schema) as writer:
            writer.write_table(content, max_chunksize=3)
    else:
        pq.write_table(content, path, row_group_size=3, **options)


def opened(root, **options):
    return ParquetSettings(format="parquet", path=root, **options).open("hub", DecodedCache(0))


def refusal(root, **options):
    with pytest.raises(ValueError, match="dataset 'hub'") as refused:
        opened(root, **options)
    return str(refused.value)


@pytest.mark.parametrize("suffix", ["parquet", "arrow"])
def test_shards_of_the_hub(tmp_path, suffix):
    write(tmp_path / "data" / f"train-00000-of-00002.{suffix}", table([2, 0, 0, 1, 2]))
    write(tmp_path / "data" / f"train-00001-of-00002.{suffix}", table([1, 1], first=5))
    write(tmp_path / "data" / f"test-00000-of-00001.{suffix}", table([-1, None], first=9))
    train, test = opened(tmp_path)
    assert (train.info.name, test.info.name) == ("hub/train", "hub/test")
    assert train.info.classes == ("cat", "dog", "owl") and train.labels().tolist() == [2, 0, 0, 1, 2, 1, 1]
    assert test.labels().tolist() == [-1, -1] and "2 rows have no class" in " ".join(test.notes())
    assert train.describe(6) == f"data/train-00001-of-00002.{suffix}/1"
    for source, first in ((train, 0), (test, 9)):
        for index in range(len(source)):
            assert (source.read(index).image == noise_image(first + index)).all()


def test_the_copy_outlives_the_files_and_the_version_covers_their_contents(tmp_path):
    path = tmp_path / "a.parquet"
    write(path, table([0, 1, 2]))
    (source,) = opened(tmp_path)
    write(path, table([0, 1, 2], first=50))
    (other,) = opened(tmp_path)
    write(path, table([0, 1, 2]), compression="zstd")
    (packed,) = opened(tmp_path)
    assert (source.read(1).image == noise_image(1)).all() and (other.read(1).image == noise_image(51)).all()
    assert source.fingerprints() == packed.fingerprints() and "a.parquet/1" in packed.fingerprints()
    assert not set(source.fingerprints().values()) & set(other.fingerprints().values())
    assert source.info.version == packed.info.version  # as they hold the same
    assert source.info.version != other.info.version and (packed.read(1).image == noise_image(1)).all()
    assert "MB of images copied" in source.notes()[0]


def test_labels_of_other_kinds_and_columns(tmp_path):
    rows = table(["b", "a", "b"], features=None, tags=[["x"], [], ["x", "y"]], n=[1.0, 2.0, None], size=[3, 4, 5])
    write(tmp_path / "rows.parquet", rows)
    (source,) = opened(tmp_path, columns=["size", "n"])
    assert source.info.classes == ("a", "b") and source.labels().tolist() == [1, 0, 1]
    assert source.columns()["size"].between(4, 9).tolist() == [False, True, True]
    assert source.columns()["n"].equal_to([2.0]).tolist() == [False, True, False]
    (tags,) = opened(tmp_path, label="tags", label_kind="multi_label")
    assert tags.info.classes == ("x", "y") and tags.read(2).target.tolist() == [1, 1]
    (sizes,) = opened(tmp_path, label="size", label_kind="regression")
    assert sizes.read(1).target.tolist() == [4.0]
    assert "'n' is no finite number" in refusal(tmp_path, label=["size", "n"], label_kind="regression")


def test_plain_bytes_and_integers_without_names(tmp_path):
    content = pa.table({"img": pa.array([png(0), png(1)], pa.large_binary()), "kind": [10, 9]})
    write(tmp_path / "rows.parquet", content)
    (source,) = opened(tmp_path, image="img", label="kind")
    assert source.info.classes == ("9", "10") and source.labels().tolist() == [1, 0]
    assert (source.read(1).image == noise_image(1)).all()


@pytest.mark.parametrize(
    ("kind", "one", "other"),
    [
        ("regression", [0.1, 0.2, 0.3], [0.9, 0.8, 0.7]),
        ("text", ["one", "two", "six"], ["six", "two", "one"]),
        ("multi_label", ["a|b", "a", "b"], ["a", "a|b", "b"]),
    ],
)
def test_the_version_covers_labels_of_all_kinds(tmp_path, kind, one, other):
    classes = ("a", "b") if kind == "multi_label" else ()
    versions = set()
    for values in (one, other):
        write(tmp_path / "a.parquet", table([0, 1, 2], y=values))
        versions.add(opened(tmp_path, label=["y"], label_kind=kind, classes=classes)[0].info.version)
    assert len(versions) == 2


@pytest.mark.parametrize("values", [([1, 2, 3], [3, 2, 1]), (["k", "l", "m"], ["m", "l", "k"])])
def test_the_version_covers_filter_columns(tmp_path, values):
    versions = set()
    for column in values:
        write(tmp_path / "a.parquet", table([0, 1, 2], c=column))
        versions.add(opened(tmp_path, columns=["c"])[0].info.version)
    assert len(versions) == 2


def test_the_metadata_names_integers_and_the_settings_may_order_the_classes(tmp_path):
    write(tmp_path / "a.parquet", table([2, 0, 1]))
    (source,) = opened(tmp_path, classes=["owl", "dog", "cat"])
    assert source.info.classes == ("owl", "dog", "cat") and source.labels().tolist() == [0, 2, 1]
    assert "'owl' is none of `classes`" in refusal(tmp_path, classes=["a", "b", "c"])


@pytest.mark.parametrize(
    ("classes", "labels"), [(("a", "b", "c"), [2, 0, 1]), (("2", "1", "0"), [0, 2, 1]), (("0", "1", "2"), [2, 0, 1])]
)
def test_integers_without_metadata_are_classes_by_name_where_these_are_integers(tmp_path, classes, labels):
    write(tmp_path / "a.parquet", table([2, 0, 1], features=None))
    (source,) = opened(tmp_path, classes=classes)
    assert source.info.classes == classes and source.labels().tolist() == labels
    assert "is none of" in refusal(tmp_path, classes=classes[:2])


@pytest.mark.parametrize("kind", ["List", "Sequence", None])
def test_lists_of_classes_have_the_names_of_the_metadata(tmp_path, kind):
    """Also those of no row."""
    feature = FEATURES["label"]
    features = {"label": [feature] if kind is None else {"_type": kind, "feature": feature}}
    write(tmp_path / "a.parquet", table([[0, 1], [], [1]], features=features))
    (source,) = opened(tmp_path, label_kind="multi_label")
    assert source.info.classes == ("cat", "dog", "owl")
    assert [source.read(index).target.tolist() for index in range(3)] == [[1, 1, 0], [0, 0, 0], [0, 1, 0]]
    write(tmp_path / "a.parquet", table([[0, 3]], features=features))
    assert "the label 3 is none of the 3 classes" in refusal(tmp_path, label_kind="multi_label")


@pytest.mark.parametrize(
    ("values", "shown"), [([1.0, 2.0], "1.0"), ([True, False], "True"), ([["a"], ["b"]], "['a']"), (["", "a"], "")]
)
def test_values_that_are_no_classes_are_shown(tmp_path, values, shown):
    write(tmp_path / "a.parquet", table(values, features=None))
    cure = f"is {shown}, and must be a text or an integer" if shown else "is empty"
    assert f"a.parquet, row 0: the column 'label' {cure}" in refusal(tmp_path)


def test_encodings_of_columns_and_rows(tmp_path):
    """Dictionaries of texts and of images, large types, row groups of one: the same samples."""
    images, labels = [png(0), png(1), png(0)], ["b", "a", "b"]
    forms = [
        pa.table({"image": images, "label": labels}),
        pa.table({"image": pa.array(images).dictionary_encode(), "label": pa.array(labels).dictionary_encode()}),
        pa.table({"image": pa.array(images, pa.large_binary()), "label": pa.array(labels, pa.large_string())}),
    ]
    versions = set()
    for form in forms:
        pq.write_table(form, tmp_path / "a.parquet", row_group_size=1)
        (source,) = opened(tmp_path)
        assert source.labels().tolist() == [1, 0, 1] and (source.read(2).image == noise_image(0)).all()
        versions.add(source.info.version)
    assert len(versions) == 1


def test_a_column_that_is_there_twice_is_refused(tmp_path):
    columns = [pa.array([png(0)]), pa.array([1]), pa.array([0])]
    pq.write_table(pa.Table.from_arrays(columns, names=["image", "label", "label"]), tmp_path / "a.parquet")
    assert "it has several columns 'label'" in refusal(tmp_path)


def test_integers_that_are_not_their_positions_are_noted(tmp_path):
    write(tmp_path / "a.parquet", table(["10", "-1", "9"], features=None))
    (source,) = opened(tmp_path)
    assert source.labels().tolist() == [1, -1, 0]
    assert "the labels 9, 10 are 0 … 1 in batches" in "\n".join(source.notes())


@pytest.mark.parametrize("missing", [None, -1])
def test_rows_without_a_class_are_no_class_without_metadata_too(tmp_path, missing):
    write(tmp_path / "train.parquet", table([2, 10, missing, 1], features=None))
    write(tmp_path / "test.parquet", table([missing], features=None))
    train, test = opened(tmp_path)
    assert train.info.classes == test.info.classes == ("1", "2", "10")
    assert train.labels().tolist() == [1, 2, -1, 0] and test.labels().tolist() == [-1]


@pytest.mark.parametrize(
    ("files", "other"),
    [
        (["train-0", "test-0", "extra"], "extra"),
        (["test-0", "extra"], "extra"),
        (["train/0", "test"], "without test.parquet"),
        (["train/0", "data/test-0"], "without data/test-0.parquet"),
        (["train/0", "training/0"], "without training/0.parquet"),
        (["data/train-0", "test-0"], "without data/train-0.parquet"),
    ],
)
def test_files_that_would_be_left_out_or_mixed_are_refused(tmp_path, files, other):
    for name in files:
        write(tmp_path / f"{name}.parquet", table([0, 1]))
    assert other in refusal(tmp_path)


def test_rows_that_cannot_be_used_are_named(tmp_path):
    images = pa.array([{"bytes": None, "path": "a.png"}], pa.struct([("bytes", pa.binary()), ("path", pa.string())]))
    write(tmp_path / "a.parquet", pa.table({"image": images, "label": [0]}))
    assert "a.parquet, row 0: it has no image as bytes" in refusal(tmp_path)
    write(tmp_path / "a.parquet", table([0, 7]))
    assert "row 1: the label 7 is none of the 3 classes" in refusal(tmp_path)
    write(tmp_path / "a.parquet", table(["cat", "dgo"]))
    assert "row 1: the label dgo is none of the 3 classes" in refusal(tmp_path)
    for labels, other in (([["cat"], ["dgo"]], "dgo"), ([[0], [2, -1]], "-1"), ([0, -1], "-1"), (["cat", "0"], "0")):
        write(tmp_path / "a.parquet", table(labels))
        assert f"row 1: the label {other} is none of the 3 classes" in refusal(tmp_path, label_kind="multi_label")
    write(tmp_path / "a.parquet", table([0]))
    assert "there is no column 'kind', only 'image', 'label'" in refusal(tmp_path, label="kind")
    assert "holds no image files as bytes" in refusal(tmp_path, image="label", label="label")
    write(tmp_path / "b.parquet", table([0], features={"label": {"_type": "ClassLabel", "names": ["cat"]}}))
    assert "other classes than those of the file before" in refusal(tmp_path)
    twice = {"label": {"_type": "ClassLabel", "names": ["cat", "cat"]}}
    write(tmp_path / "b.parquet", table([0], features=twice))
    assert "name a class twice" in refusal(tmp_path)


def test_a_dictionary_that_stands_for_any_number_of_images_is_refused(tmp_path):
    image = np.random.default_rng(0).bytes(20_000)
    pq.write_table(pa.table({"image": pa.array([image] * 100), "label": ["a"] * 100}), tmp_path / "a.parquet")
    assert "over 32 times as large as the file" in refusal(tmp_path)


def test_labels_that_stand_for_any_number_of_bytes_are_refused(tmp_path):
    images = [np.random.default_rng(0).bytes(3000), *[b"x"] * 999]
    content = pa.table({"image": pa.array(images), "label": ["a" * 900] * 1000})
    pq.write_table(content, tmp_path / "a.parquet", compression="zstd")
    n_bytes = (tmp_path / "a.parquet").stat().st_size
    assert 1000 * 64 < 32 * n_bytes < 1000 * 900, "without the labels it is served"
    assert "its rows are over 32 times as large as the file" in refusal(tmp_path)


@pytest.mark.parametrize(
    ("image", "reason"), [(b"", "over 32 times as large as the file"), (None, r"likewise row 1, row 2 and \d{3} more")]
)
def test_a_run_length_that_stands_for_any_number_of_rows_without_images_is_refused(tmp_path, image, reason):
    """20 million of them were a file of 138 kB, and an index of gigabytes; of 200,000 few hundred are read."""
    content = pa.table({"image": pa.repeat(pa.scalar(image, pa.binary()), 200_000), "label": ["a"] * 200_000})
    pq.write_table(content, tmp_path / "a.parquet", compression="zstd")
    assert re.search(reason, refusal(tmp_path))


@pytest.mark.parametrize("suffix", ["parquet", "arrow", "feather.arrow"])
@pytest.mark.parametrize("column", ["image", "label"])
def test_a_small_file_that_decompresses_into_much_is_refused_by_its_headers(tmp_path, suffix, column):
    """60 MB of zeros in 3 kB, one of them a dictionary that 100 rows refer to."""
    large = pa.array([bytes(60_000_000)]) if column == "image" else pa.array(["a" * 60_000_000])
    rows = 100 if suffix == "parquet" else 1
    held = pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), large) if rows > 1 else large
    content = pa.table({"image": pa.array([png(k) for k in range(rows)]), "label": ["a"] * rows, column: held})
    path = tmp_path / f"a.{suffix}"
    if suffix == "parquet":
        pq.write_table(content, path, compression="zstd", dictionary_pagesize_limit=1 << 30, store_schema=False)
    else:
        new_writer = pa.ipc.new_stream if suffix == "arrow" else pa.ipc.new_file
        with new_writer(path, content.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as writer:
            writer.write_table(content)
    message = refusal(tmp_path)
    assert "decompresses into 60,0" in message and "over 32 times" in message


def test_the_sizes_of_pages_are_those_of_their_headers(tmp_path):
    """Not those in the file's index, which also count the headers, and which the decompression does not follow."""
    image = np.random.default_rng(0).bytes(40_000)
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"image": [image, image[::-1]], "label": ["a", "b"]}), path, use_dictionary=False)
    opened_file = pq.ParquetFile(path)
    with path.open("rb") as file:
        sizes = arrow_sizes.parquet_sizes(file, opened_file, ["image"])
    assert sizes.largest == sizes.total == pytest.approx(80_000, abs=100)
    assert sizes.total < opened_file.metadata.row_group(0).column(0).total_uncompressed_size


def varint(value):
    """An integer of Thrift's compact protocol."""
    value, out = (value << 1) ^ (value >> 63), b""
    while value >= 128:
        value, out = value >> 7, out + bytes([value & 127 | 128])
    return out + bytes([value])


def page(kind=0, n_bytes=100, values=8, field=5, more=b""):
    """A page of a column: its header, and one byte. `field` is the number of the header of its kind."""
    sizes = b"\x15" + varint(kind) + b"\x15" + varint(n_bytes) + b"\x15" + varint(1)
    return sizes + more + b"\x0c" + varint(field) + b"\x15" + varint(values) + b"\0\0" + b"x"


PAGES = {
    "an index page": page(kind=1) + page(),
    "an index page with its header": page(kind=1, field=6) + page(),
    "a page whose type is a structure": b"\x1c\0" + page()[2:],
    "an unknown page": page(kind=4, field=9) + page(),
    "a data page with the header of version 2": page(field=8),
    "a data page of version 2 with that of 1": page(kind=3),
    "a dictionary behind data": page(values=4) + page(kind=2, field=7) + page(values=4),
    "negative values": page(values=-8) + page(values=8) * 2,
    "more values than there are": page(values=9),
    "more values than 32 bits": page(values=8 + (1 << 32)),
    "a size of more than 32 bits": page(n_bytes=1 << 32),
    "a size twice, by another type": page(more=b"\x06" + varint(2) + varint(1)),
    "a size twice, by a number of more than 16 bits": page(more=b"\x05" + varint(2 + (1 << 16)) + varint(1)),
    "bytes behind the last page": page() + b"x",
    "no end": page(values=4),
}


def walk(pages, n_bytes):
    chunk = SimpleNamespace(has_dictionary_page=False, data_page_offset=0, num_values=8, total_compressed_size=n_bytes)
    group = SimpleNamespace(column=lambda _: chunk)
    opened_file = SimpleNamespace(
        metadata=SimpleNamespace(num_columns=1, num_row_groups=1, row_group=lambda _: group),
        schema=SimpleNamespace(column=lambda _: SimpleNamespace(path="image", max_repetition_level=1)),
    )
    return arrow_sizes.parquet_sizes(io.BytesIO(pages), opened_file, ["image"])


@pytest.mark.parametrize("name", PAGES)
def test_pages_that_hide_others_are_refused(name):
    """What pyarrow reads is what was counted: it skips some pages, and reads the fields of a header by their types."""
    with pytest.raises(ValueError, match="a page header is damaged"):
        walk(PAGES[name], len(PAGES[name]))


def test_the_pages_of_a_column_are_counted():
    pages = page(kind=2, field=7, n_bytes=1000) + page(values=3) + page(values=0) + page(kind=3, field=8, values=5)
    assert walk(pages, len(pages)) == (1000, 1300 + 8 * 8)


@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize("options", [{}, {"use_dictionary": False, "compression": "zstd"}, {"compression": "none"}])
def test_the_walk_ends_where_each_writer_ends_a_column(tmp_path, version, options):
    rng = np.random.default_rng(0)
    content = pa.table(
        {
            "image": pa.array([rng.bytes(rng.integers(200)) if k % 7 else None for k in range(500)]),
            "words": pa.array([["a"] * (k % 4) if k % 5 else None for k in range(500)]),
            "empty": pa.nulls(500, pa.string()),
        }
    )
    path = tmp_path / "a.parquet"
    for rows in (content, content.slice(0, 0)):
        pq.write_table(rows, path, data_page_version=version, data_page_size=2000, row_group_size=300, **options)
        with path.open("rb") as file:
            arrow_sizes.parquet_sizes(file, pq.ParquetFile(path), rows.column_names)


def test_compressed_feather_files_are_read(tmp_path):
    content = table([0, 1, 2, 1, 0])
    with pa.ipc.new_file(
        tmp_path / "a.arrow", content.schema, options=pa.ipc.IpcWriteOptions(compression="lz4")
    ) as out:
        out.write_table(content, max_chunksize=2)
    (source,) = opened(tmp_path)
    assert source.labels().tolist() == [0, 1, 2, 1, 0] and (source.read(4).image == noise_image(4)).all()


def test_a_full_disk_is_named(tmp_path, monkeypatch):
    write(tmp_path / "a.parquet", table([0]))
    monkeypatch.setattr(temporary.tempfile, "TemporaryFile", lambda **_: Path("/dev/full").open("wb", 0))  # noqa: SIM115
    assert "no room for the copy" in refusal(tmp_path)


@pytest.mark.parametrize("suffix", ["parquet", "arrow"])
def test_damaged_files_are_refused_or_read_whole(tmp_path, suffix):
    """Never another error: 200 changed or cut files of each kind."""
    path = tmp_path / f"a.{suffix}"
    write(path, table([0, 1, 2, 0]))
    intact, rng = path.read_bytes(), np.random.default_rng(1)
    refused = 0
    for trial in range(200):
        data = bytearray(intact)
        if trial % 2:
            data = data[: int(rng.integers(0, len(data)))]
        else:
            for position in rng.integers(0, len(data), 3):
                data[position] = int(rng.integers(0, 256))
        path.write_bytes(data)
        try:
            opened(tmp_path)
        except ValueError as err:
            refused += 1
            assert "dataset 'hub'" in str(err)
    assert refused > 100


def test_without_pyarrow_the_cure_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "find_spec", lambda _: None)
    assert "augsvc[parquet]" in refusal(tmp_path)
