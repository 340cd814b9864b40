"""MDS, LitData and TFRecord: files that their own libraries wrote (tests/data/shards), changed, damaged and hostile ones.

The files hold five or six images of noise, seeds 0, 1, …, with label seed % 3 and name n0, n1, …; they were written by
mosaicml-streaming 0.13.0 and tfrecord 1.14.6 (PNG), and by litdata 0.2.76 (JPEG).
"""

import io
import json
import os
import re
import shutil
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from augsvc.data.cache import DecodedCache
from augsvc.data.formats.class_order import label_positions, labelled_classes
from augsvc.data.formats.crc32c import _short_crc, crc32c, mask_crc
from augsvc.data.formats.litdata import LitDataSettings
from augsvc.data.formats.mds import MdsSettings
from augsvc.data.formats.tfrecord import TfRecordSettings, _Damaged, _label
from augsvc.errors import DatasetChanged, Undecodable

SHARDS = Path(__file__).parent / "shards"
FORMATS = {
    "mds": (MdsSettings, {}, 5),
    "litdata": (LitDataSettings, {}, 5),
    "tfrecord": (TfRecordSettings, {"image": "image/encoded", "label": "image/class/label"}, 6),
}
every_format = pytest.mark.parametrize("name", FORMATS)


def opened(name, root, **options):
    settings, columns, _ = FORMATS[name]
    return settings(format=name, path=root, **{**columns, **options}).open("rows", DecodedCache(0))


def refusal(name, root, **options):
    with pytest.raises(ValueError, match="dataset 'rows'") as refused:
        opened(name, root, **options)
    return str(refused.value)


@pytest.fixture
def copied(tmp_path):
    """Copies the files of a format."""

    def copy(name, folder="."):
        return Path(shutil.copytree(SHARDS / name, tmp_path / folder, dirs_exist_ok=True))

    return copy


def expected(name, seed):
    if name == "litdata":
        data = b"".join(path.read_bytes() for path in sorted((SHARDS / name).glob("*.bin")))
        starts = [match.start() for match in re.finditer(b"\xff\xd8\xff", data)]
        return np.asarray(Image.open(io.BytesIO(data[starts[seed] :])).convert("RGB"))
    return np.random.default_rng(seed).integers(0, 256, (4, 6, 3), dtype=np.uint8)


@every_format
def test_files_of_the_formats_own_writer(name):
    (source,) = opened(name, SHARDS / name)
    count = FORMATS[name][2]
    assert len(source) == count and source.info.classes == ("0", "1", "2")
    assert source.labels().tolist() == [k % 3 for k in range(count)]
    for index in range(count):
        assert (source.read(index).image == expected(name, index)).all()
    assert len({source.describe(index) for index in range(count)}) == count
    assert source.info.version == opened(name, SHARDS / name)[0].info.version


@every_format
def test_labels_may_be_texts_and_classes_named(name):
    (source,) = opened(name, SHARDS / name, label="name")
    assert source.info.classes == tuple(f"n{k}" for k in range(FORMATS[name][2]))
    assert "labels are n0" in refusal(name, SHARDS / name, label="name", classes=["a"])


@every_format
def test_columns_that_are_missing_or_no_images_are_named(name):
    assert "there is no" in refusal(name, SHARDS / name, label="kind") and "name" in refusal(
        name, SHARDS / name, label="kind"
    )
    label = FORMATS[name][1].get("label", "label")
    assert "must be one" in refusal(name, SHARDS / name, image=label, label="name")


@every_format
def test_splits_are_folders(name, copied, tmp_path):
    copied(name, "train")
    copied(name, "validation")
    assert [source.info.name for source in opened(name, tmp_path)] == ["rows/train", "rows/val"]


@every_format
def test_cut_and_damaged_files_are_refused_or_their_images_undecodable(name, copied):
    """Never another error, never a longer dataset: every cut, and 150 changed bytes."""
    root, rng = copied(name), np.random.default_rng(3)
    shard = next(path for path in sorted(root.iterdir()) if path.name != "index.json")
    intact, refused = shard.read_bytes(), 0
    changes = [intact[:size] for size in range(0, len(intact), 23)]
    for position in rng.integers(0, len(intact), 150).tolist():
        changes.append(
            intact[:position] + bytes([intact[position] ^ int(rng.integers(1, 256))]) + intact[position + 1 :]
        )
    for data in changes:
        shard.write_bytes(data)
        try:
            (source,) = opened(name, root)
        except ValueError as err:
            refused += 1
            assert "dataset 'rows'" in str(err)
            continue
        assert len(source) <= FORMATS[name][2]
        for index in range(len(source)):
            with suppress(Undecodable):
                source.read(index)
    assert refused >= len(intact) // 23 - 3  # TFRecord cannot know of a cut between two records


@every_format
def test_a_shard_that_changes_while_it_is_served_is_named(name, copied):
    root = copied(name)
    (source,) = opened(name, root)
    shard = next(path for path in sorted(root.iterdir()) if path.name != "index.json")
    shard.write_bytes(shard.read_bytes() + b" ")
    with pytest.raises(DatasetChanged, match="was modified or replaced"):
        source.read(0)


@pytest.mark.parametrize("name", ["mds", "litdata"])
@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda index, entry: entry.update({"samples": 6, "chunk_size": 6}), "has not the 6 rows"),
        (lambda index, entry: entry.update({"samples": -1, "chunk_size": -1}), "number of its samples"),
        (lambda index, entry: entry.update({"samples": 1 << 40, "chunk_size": 1 << 40}), "has not the"),
        (lambda index, entry: rename(entry, "../../etc/passwd"), "below the dataset's folder"),
        (lambda index, entry: rename(entry, "/etc/passwd"), "below the dataset's folder"),
        (lambda index, entry: rename(entry, "lost.bin"), "lost.bin"),
        (lambda index, entry: rename(entry, 3), "names no file"),
        (
            lambda index, entry: (entry if "raw_data" in entry else index["config"]).update(compression="zstd"),
            "compressed",
        ),
        (lambda index, entry: index.clear(), "index.json has no"),
    ],
)
def test_an_index_that_lies_is_refused(name, change, text, copied):
    root = copied(name)
    index = json.loads((root / "index.json").read_text())
    change(index, (index.get("shards") or index.get("chunks"))[0])
    (root / "index.json").write_text(json.dumps(index))
    assert text in refusal(name, root)


def rename(entry, file):
    if "raw_data" in entry:
        entry["raw_data"]["basename"] = file
    else:
        entry["filename"] = file


@pytest.mark.parametrize(
    "text", ["", "[", "[]", "[" * 5000, '{"shards": 1, "chunks": 1}', '{"shards": [], "shards": []}']
)
@pytest.mark.parametrize("name", ["mds", "litdata"])
def test_an_index_that_is_damaged_is_refused(name, text, copied):
    root = copied(name)
    (root / "index.json").write_text(text)
    refusal(name, root)


def test_samples_that_are_pickled_or_nested_are_refused(copied):
    root = copied("litdata")
    index = json.loads((root / "index.json").read_text())
    for key, value, text in (
        ("data_format", ["pickle", "int", "str"], "stored as pickle"),
        ("data_format", ["jpeg", "pickle", "str"], "stored as pickle"),
        ("data_format", ["jpeg"], "must be flat"),
        ("data_spec", "[1, null]", "form of a sample"),
        ("encryption", {"algorithm": "fernet"}, "encrypted"),
    ):
        changed = {**index, "config": {**index["config"], key: value}}
        (root / "index.json").write_text(json.dumps(changed))
        assert text in refusal("litdata", root)


def test_chunks_whose_rows_are_a_table_of_arrow_name_the_cure(copied):
    root = copied("litdata")
    head = np.array([2, 16, 16, 16], "<u4").tobytes()
    (root / "chunk-0-0.bin").write_bytes(head + b"ARROW1\0\0" + bytes(100))
    assert "litdata.types.Jpeg" in refusal("litdata", root)


def test_tfrecords_with_the_names_of_beam_and_compressed_ones(copied, tmp_path):
    root = copied("tfrecord")
    for split, file in (("train", "train-00000.tfrecord"), ("test", "train-00001.tfrecord")):
        (root / file).rename(root / f"digits-{split}.tfrecord-00000-of-00001")
    assert [source.info.name for source in opened("tfrecord", root)] == ["rows/train", "rows/test"]
    (root / "digits-test.tfrecord-00000-of-00001").write_bytes(b"\x1f\x8b\x08" + bytes(20))
    assert "compressed: unpack it" in refusal("tfrecord", root)


def test_a_record_that_claims_terabytes_is_refused_unread(tmp_path):
    length = (1 << 42).to_bytes(8, "little")
    (tmp_path / "a.tfrecord").write_bytes(length + mask_crc(crc32c(length)).to_bytes(4, "little"))
    assert "max_file_bytes" in refusal("tfrecord", tmp_path)


@pytest.mark.parametrize(("last", "number"), [(1, "-1"), (2, None), (127, None)])
def test_integers_beyond_64_bits_are_damage(last, number):
    data = b"\x1a\x0c\x0a\x0a" + b"\xff" * 9 + bytes([last])  # Feature.int64_list
    if number:
        assert _label(data, (0, len(data))) == number
    else:
        with pytest.raises(_Damaged):
            _label(data, (0, len(data)))


@pytest.mark.parametrize(("name", "entries"), [("mds", "shards"), ("litdata", "chunks")])
def test_a_shard_that_is_named_twice_is_refused(name, entries, copied):
    root = copied(name)
    index = json.loads((root / "index.json").read_text())
    index[entries].append(index[entries][0])
    (root / "index.json").write_text(json.dumps(index))
    assert "twice" in refusal(name, root)


@every_format
def test_where_contents_count_a_change_with_its_time_set_back_is_refused(name, copied):
    root = copied(name)
    (source,) = opened(name, root, digest_contents=True)
    source.read(0)
    for shard in root.iterdir():
        status, data = shard.stat(), shard.read_bytes()
        with shard.open("r+b") as file:
            file.write(data)
        os.utime(shard, ns=(status.st_atime_ns, status.st_mtime_ns))
        while shard.stat().st_ctime_ns == status.st_ctime_ns:  # until the clock of the file system moves
            os.utime(shard, ns=(status.st_atime_ns, status.st_mtime_ns))
    with pytest.raises(DatasetChanged):
        source.read(0)


def test_the_checksum_is_castagnoli():
    """The check values of RFC 3720, B.4, and one that is computed in lanes."""
    assert crc32c(b"123456789") == 0xE3069283
    assert crc32c(bytes(32)) == 0x8A9136AA
    for n_bytes in (0, 3, 64, 65, 4097):
        data = np.random.default_rng(n_bytes).bytes(n_bytes)
        assert crc32c(data) == _short_crc(data)


def test_a_changed_byte_of_a_tfrecord_is_noticed_whatever_it_means(copied):
    root = copied("tfrecord")
    shard = root / "train-00000.tfrecord"
    data = bytearray(shard.read_bytes())
    data[data.index(b"image/class/label") + 24] ^= 1  # near the label: it would be another class
    shard.write_bytes(data)
    assert "the record at byte 0 is damaged" in refusal("tfrecord", root)


def test_samples_with_the_label_minus_one_have_no_class():
    """As in Parquet: test splits whose labels are kept back. −1 and 1 alone are two classes."""
    assert labelled_classes(["1", "-1", "0"]) == ("0", "1") and labelled_classes(["1", "-1"]) == ("-1", "1")
    assert labelled_classes(["-1", "a"]) == ("-1", "a") and labelled_classes(["-1"]) == ()
    labels, notes = label_positions(["1", "-1", "0"], ("0", "1"))
    assert labels.tolist() == [1, -1, 0] and notes == ("1 samples have the label -1, which is no class",)


def test_a_tfrecord_with_the_label_minus_one(tmp_path):
    def record(label):
        image = io.BytesIO()
        Image.fromarray(np.zeros((2, 2, 3), np.uint8)).save(image, "PNG")

        def nested(number, data):
            return bytes([number << 3 | 2, *((len(data) & 127) | 128, len(data) >> 7)]) + data

        features = {"image": nested(1, nested(1, image.getvalue())), "label": nested(3, nested(1, label))}
        entries = (nested(1, nested(1, name.encode()) + nested(2, value)) for name, value in features.items())
        data = nested(1, b"".join(entries))
        head = len(data).to_bytes(8, "little")
        return b"".join(part + mask_crc(crc32c(part)).to_bytes(4, "little") for part in (head, data))

    labels = (b"\1", b"\xff" * 9 + b"\1", b"\0")
    (tmp_path / "a.tfrecord").write_bytes(b"".join(map(record, labels)))
    (source,) = opened("tfrecord", tmp_path, image="image", label="label")
    assert source.info.classes == ("0", "1") and source.labels().tolist() == [1, -1, 0]
    assert source.read(1).label == -1 and "which is no class" in " ".join(source.notes())
