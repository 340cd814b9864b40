"""WebDataset: shards written by webdataset's own rules, at random, and tar files that are cut, damaged or hostile."""

import io
import json
import os
import tarfile

import numpy as np
import pytest
from PIL import Image

from augsvc.data.cache import DecodedCache
from augsvc.data.formats.webdataset import WebDatasetSettings
from augsvc.errors import DatasetChanged, Undecodable


def png(seed):
    buffer = io.BytesIO()
    Image.fromarray(noise_image(seed)).save(buffer, "PNG")
    return buffer.getvalue()


def noise_image(seed):
    return np.random.default_rng(seed).integers(0, 256, (4, 6, 3), dtype=np.uint8)


def write(path, members, form=tarfile.USTAR_FORMAT):
    """A shard of (name, contents) as webdataset's TarWriter makes it; other members as they are."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w", format=form) as archive:
        for name, contents in members:
            if isinstance(contents, tarfile.TarInfo):
                archive.addfile(contents)
                continue
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(contents), 0o444
            archive.addfile(info, io.BytesIO(contents))
    return path


def samples(*labels, first=0):
    return [
        item
        for k, label in enumerate(labels, start=first)
        for item in ((f"{k:06d}.png", png(k)), (f"{k:06d}.cls", str(label).encode()), (f"{k:06d}.json", b"{}"))
    ]


def opened(root, **options):
    return WebDatasetSettings(format="webdataset", path=root, **options).open("web", DecodedCache(0))


def refusal(root, **options):
    with pytest.raises(ValueError, match="dataset 'web'") as refused:
        opened(root, **options)
    return str(refused.value)


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_samples_of_shards(tmp_path, form):
    write(tmp_path / "a-000.tar", samples(10, 2), form)
    write(tmp_path / "a-001.tar", [("deep/" * 40 + "x.y.png", b"ignored"), *samples(2, first=2)], form)
    (source,) = opened(tmp_path)
    assert (source.info.name, source.info.classes) == ("web", ("2", "10"))
    assert [source.describe(index) for index in range(3)] == [
        "a-000.tar/000000",
        "a-000.tar/000001",
        "a-001.tar/000002",
    ]
    assert source.labels().tolist() == [1, 0, 0]
    for index in (2, 0, 1):
        sample = source.read(index)
        np.testing.assert_array_equal(sample.image, noise_image(index))
        assert sample.label == source.labels()[index]
    assert "1 keys of the shards have no image" in source.notes()[0]


def test_splits_by_folder_and_by_name(tmp_path):
    write(tmp_path / "one" / "train" / "0.tar", samples("cat", "dog"))
    write(tmp_path / "one" / "val" / "0.tar", samples("dog"))
    assert [source.info.name for source in opened(tmp_path / "one")] == ["web/train", "web/val"]
    for split in ("train", "validation"):
        write(tmp_path / "two" / f"imagenet-{split}-000000.tar", samples("cat"))
    assert [source.info.name for source in opened(tmp_path / "two")] == ["web/train", "web/val"]


def test_labels_from_text_and_json(tmp_path):
    members = [("a.jpg", png(0)), ("a.json", json.dumps({"label": "cat", "n": 3}).encode()), ("a.txt", b"a cat\n")]
    write(tmp_path / "0.tar", members)
    assert opened(tmp_path, label="json:label")[0].info.classes == ("cat",)
    assert opened(tmp_path, label="json:n", classes=["1", "3"])[0].labels().tolist() == [1]
    assert opened(tmp_path, label="txt")[0].info.classes == ("a cat",)
    assert "1 images have no member .cls: a" in refusal(tmp_path)
    assert "label of 'a' is empty" in refusal(tmp_path, label="json:other")
    assert "are none of `classes`, nor the position of one" in refusal(tmp_path, label="txt", classes=["cat"])


def test_integers_are_positions_in_the_classes_of_the_settings(tmp_path):
    write(tmp_path / "0.tar", samples(1, 0, 1))
    (source,) = opened(tmp_path, classes=["cat", "dog"])
    assert source.info.classes == ("cat", "dog") and source.labels().tolist() == [1, 0, 1]
    assert "labels are 1, which are none of" in refusal(tmp_path, classes=["cat"])
    assert "labels are 0, which are none of" in refusal(tmp_path, classes=["1", "2"])


def test_images_with_several_dots_are_named(tmp_path):
    """The key of img.v1.jpg is img, and its extension v1.jpg, as WebDataset has it."""
    write(tmp_path / "0.tar", [("img.v1.png", png(0)), ("img.v1.cls", b"0")])
    assert "1 images have several dots: img.v1.png; a key ends at the first dot" in refusal(tmp_path)
    write(tmp_path / "1.tar", [("1.png", png(0)), ("1.cls", b"0"), ("1.mask.png", png(0))])
    (source,) = opened(tmp_path)
    assert len(source) == 1 and "img.v1.png" in source.notes()[1] and "1.mask" not in source.notes()[1]


def test_all_faults_of_shards_are_named_together(tmp_path):
    write(
        tmp_path / "0.tar",
        [("a.jpg", png(0)), ("b.jpg", png(1)), ("b.cls", b""), ("c.jpg", png(1)), ("c.cls", b"\xff")],
    )
    (tmp_path / "1.tar").write_bytes(b"x" * 512)
    write(tmp_path / "2.tar", [("d.jpg", png(0)), ("d.cls", b"dog")])
    lines = refusal(tmp_path, classes=["cat"]).split("\n")
    expected = ["no member .cls: a", "label of 'b'", "label of 'c'", "1.tar: ", "labels are dog"]
    assert all(text in line for text, line in zip(expected, lines, strict=True))


def test_a_damaged_image_is_undecodable(tmp_path):
    write(tmp_path / "0.tar", [("a.png", png(0)[:-30]), ("a.cls", b"1"), ("b.png", b""), ("b.cls", b"1")])
    (source,) = opened(tmp_path)
    for index, message in ((0, "damaged"), (1, "empty")):
        with pytest.raises(Undecodable, match=message):
            source.read(index)
    with pytest.raises(Undecodable, match="max_file_bytes"):
        opened(tmp_path, max_file_bytes=10)[0].read(0)


def test_a_shard_that_changes_is_refused(tmp_path):
    shard = write(tmp_path / "0.tar", samples(1))
    (source,) = opened(tmp_path)
    shard.write_bytes(shard.read_bytes())
    with pytest.raises(DatasetChanged, match=r"0\.tar/000000 was modified"):
        source.read(0)
    shard.unlink()
    with pytest.raises(DatasetChanged, match="is missing"):
        source.read(0)


def test_every_cut_is_refused(tmp_path):
    shard = write(tmp_path / "0.tar", samples(1, 2))
    whole = shard.read_bytes()
    end = whole.rindex(b"{}") + 512
    lengths = [*range(0, end, 256), *(k for k in range(0, end + 1, 512))]
    for length in lengths:
        shard.write_bytes(whole[:length])
        assert "0.tar" in refusal(tmp_path), length


def test_a_damaged_header_is_refused(tmp_path):
    shard = write(tmp_path / "0.tar", samples(1, 2))
    whole = bytearray(shard.read_bytes())
    second = whole.index(b"000001.png")
    whole[second + 3] ^= 1
    shard.write_bytes(whole)
    assert "0.tar" in refusal(tmp_path)


def link(kind, target="/etc/passwd"):
    info = tarfile.TarInfo("a.png")
    info.type, info.linkname = kind, target
    return info


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ([("", link(tarfile.SYMTYPE))], "'a.png' is a link"),
        ([("", link(tarfile.LNKTYPE))], "'a.png' is a link"),
        ([("", link(tarfile.FIFOTYPE))], "no regular file"),
        ([("../a.png", b"")], "'../a.png'"),
        ([("/a.png", b"")], "'/a.png'"),
        ([("a.png", b""), ("a.png", b"")], "the key 'a' has two members"),
        ([("a.png", b""), ("a.jpg", b"")], "the key 'a' has two members"),
        ([("a.png", b""), ("a.cls", b"")], "the label of 'a' is empty"),
        ([("a.png", b""), ("a.cls", b"\xff")], "the label of 'a' is empty, or no text"),
        ([("a.png", b""), ("a.cls", bytes(70_000))], "has 70,000 bytes"),
        ([("a.txt", b"x")], "without images"),
        ([], "without images"),
    ],
)
def test_hostile_members_are_refused(tmp_path, members, message):
    write(tmp_path / "0.tar", members)
    assert message in refusal(tmp_path)


@pytest.mark.parametrize(
    "kind",
    [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK],
)
def test_headers_of_any_stated_size_are_refused_before_they_are_read(tmp_path, kind):
    """A sparse file of 4 kB asked for 3 GiB."""
    info = tarfile.TarInfo("././@header")
    info.type, info.size = kind, 3 << 30
    with (tmp_path / "0.tar").open("wb") as shard:
        shard.write(info.tobuf(tarfile.GNU_FORMAT))
        shard.truncate((3 << 30) + 4096)
    assert "0.tar: a member has a header of over 1 MiB" in refusal(tmp_path)


def test_a_sparse_map_without_an_end_is_refused(tmp_path):
    info = tarfile.TarInfo("a.png")
    info.size = 1 << 30
    info.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "a.png"}
    with (tmp_path / "0.tar").open("wb") as shard:
        shard.write(info.tobuf(tarfile.PAX_FORMAT) + b"1000000000\n" + b"1\n" * (1 << 20))
    assert "0.tar: its member 'a.png' is a link, or no regular file" in refusal(tmp_path)


def test_folders_are_passed_over(tmp_path):
    folder = tarfile.TarInfo("deep")
    folder.type = tarfile.DIRTYPE
    write(tmp_path / "0.tar", [("", folder), ("./deep/a.PNG", png(0)), ("./deep/a.cls", b"1")])
    assert opened(tmp_path)[0].describe(0) == "0.tar/deep/a"


def test_other_files_and_links(tmp_path):
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "0.tar.gz").write_bytes(b"")
    assert "unpack 0.tar.gz" in refusal(tmp_path / "set")
    (tmp_path / "set" / "0.tar").write_bytes(b"\x1f\x8b" + bytes(1000))
    assert "no uncompressed tar file" in refusal(tmp_path / "set")
    outside = write(tmp_path / "out.tar", samples(1))
    (tmp_path / "set" / "0.tar").unlink()
    (tmp_path / "set" / "0.tar").symlink_to(outside)
    assert "follow_links" in refusal(tmp_path / "set")
    np.testing.assert_array_equal(opened(tmp_path / "set", follow_links=[tmp_path])[0].read(0).image, noise_image(0))


def test_the_version_covers_labels_offsets_and_optionally_all_bytes(tmp_path):
    def version(**options):
        return opened(tmp_path, **options)[0].info.version

    shard = write(tmp_path / "0.tar", samples(1, 2))
    first, covered = version(), version(digest_contents=True)
    os.utime(shard, (1, 1))
    assert (version(), version(digest_contents=True)) == (first, covered)
    write(shard, samples(2, 1))
    assert version() != first
    write(shard, [("x.png", png(9)), *samples(1, 2)[1:]][1:] + samples(1, 2)[:1])
    assert version() != first


def test_classes_that_are_equal_as_numbers_have_a_fixed_order(tmp_path):
    names = [f"{zero}{number}" for number in range(1, 11) for zero in ("0", "")]
    write(tmp_path / "a.tar", samples(*reversed(names)))
    assert opened(tmp_path)[0].info.classes == tuple(names)


@pytest.mark.parametrize("classes", [(), ("3", "7", "9")])
def test_integer_classes_that_are_renumbered_are_noted(tmp_path, classes):
    write(tmp_path / "a.tar", samples(9, 3, 7))
    notes = list(opened(tmp_path, classes=classes)[0].notes())
    assert any("3, 7, 9" in note and "0 … 2" in note for note in notes)


@pytest.mark.parametrize("labels", [("0", "1", "2"), ("cat", "dog")])
def test_classes_that_keep_their_numbers_or_have_none_are_not_noted(tmp_path, labels):
    write(tmp_path / "a.tar", samples(*labels))
    assert not list(opened(tmp_path)[0].notes())


def test_a_label_with_a_repeated_name_is_refused(tmp_path):
    write(tmp_path / "a.tar", [("0.png", png(0)), ("0.json", b'{"kind": 1, "kind": 2}')])
    assert "the name 'kind' is repeated" in refusal(tmp_path, label="json:kind")
