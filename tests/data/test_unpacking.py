"""Unpacking of uploaded tar files: plain files and folders only, within a number of bytes, whole or refused."""

import io
import tarfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from augsvc.data.uploads import unpacking
from augsvc.data.uploads.unpacking import BLOCK_BYTES, unpack
from augsvc.errors import UploadInvalid, UploadTooLarge

PLENTY = 1 << 30


def member(name, data=b"x", **fields):
    info = tarfile.TarInfo(name)
    info.size = len(data)
    for field, value in fields.items():
        setattr(info, field, value)
    return info, data


def tar_of(*members, **options) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", **options) as archive:
        for info, data in members:
            archive.addfile(info, io.BytesIO(data))
    return file.getvalue()


def unpacked(tmp_path, data: bytes, limit=PLENTY):
    """The unpacked files by name, and the bytes that they are counted as."""
    (tmp_path / "upload.tar").write_bytes(data)
    n_bytes = unpack(tmp_path / "upload.tar", tmp_path / "unpacked", limit)
    root = tmp_path / "unpacked"
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}, n_bytes


def sparse() -> bytes:
    """GNU's sparse format as PAX headers: a megabyte of zeros in 512 bytes."""
    headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": str(1 << 40)}
    return tar_of(member("a/1.png", b"0\n".ljust(512, b"\0"), pax_headers=headers), format=tarfile.PAX_FORMAT)


def chained_headers() -> bytes:
    """A thousand PAX headers, each of which describes the next."""
    info = tarfile.TarInfo("x")
    info.type, info.size = tarfile.XHDTYPE, 0
    return info.tobuf() * 1500 + tar_of(member("a/1.png"))


def global_headers() -> bytes:
    """PAX headers for all members that follow, of which a reader keeps each."""
    names = (f"k{n}" for n in range(100))
    return tar_of(member("a/1.png"), format=tarfile.PAX_FORMAT, pax_headers=dict.fromkeys(names, "v"))


HOSTILE = {
    "symlink": (tar_of(member("a/1.png", b"", type=tarfile.SYMTYPE, linkname="/etc/passwd")), "is a link"),
    "hard link": (tar_of(member("a/1.png", b"", type=tarfile.LNKTYPE, linkname="a/2.png")), "is a link"),
    "device": (tar_of(member("a/1.png", b"", type=tarfile.CHRTYPE)), "no regular file"),
    "fifo": (tar_of(member("a/1.png", b"", type=tarfile.FIFOTYPE)), "no regular file"),
    "parent": (tar_of(member("a/../../1.png")), "below the dataset's folder"),
    "parent folder": (tar_of(member("..", b"", type=tarfile.DIRTYPE)), "below the dataset's folder"),
    "absolute": (tar_of(member("/etc/1.png")), "below the dataset's folder"),
    "backslashes": (tar_of(member("a\\..\\..\\1.png")), "below the dataset's folder"),
    "not utf-8": (tar_of(member("a/\udcff.png"), format=tarfile.GNU_FORMAT), "below the dataset's folder"),
    "twice": (tar_of(member("a/1.png"), member("./a//1.png")), "two members are named 'a/1.png'"),
    "file and folder": (tar_of(member("a"), member("a/1.png")), "two members are named 'a'"),
    "folder and file": (tar_of(member("a/1.png"), member("a")), "two members are named 'a'"),
    "case": (tar_of(member("a/1.png"), member("a/1.PNG")), "differ in case only"),
    "case of folders": (tar_of(member("a/1.png"), member("A/2.png")), "differ in case only"),
    "unicode": (tar_of(member("a/\u00e9.png"), member("a/e\u0301.png")), "differ in case only"),
    "sparse": (sparse(), "is a link, or no regular file"),
    "chained headers": (chained_headers(), "header"),
    "global headers": (global_headers(), "global headers"),
    "long component": (tar_of(member("a/" + "n" * 300)), "too long"),
    "deep": (tar_of(member("a/" * 150 + "1.png")), "folders deep"),
    "second archive": (tar_of(member("a/1.png")) + tar_of(member("b/1.png")), "bytes after its end"),
    "gzip": (b"\x1f\x8b" + bytes(2000), "no uncompressed tar file"),
    "no tar": (b"hello" * 500, "no uncompressed tar file"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_tar_files_are_refused(tmp_path, name):
    data, reason = HOSTILE[name]
    with pytest.raises(UploadInvalid, match=f"the tar file: .*{reason}") as refused:
        unpacked(tmp_path, data)
    assert str(tmp_path) not in refused.value.message
    assert {path.name for path in tmp_path.iterdir()} <= {"upload.tar", "unpacked"}


def test_files_folders_and_empty_classes_come_out(tmp_path):
    members = [member("./", b"", type=tarfile.DIRTYPE), member("./none", b"", type=tarfile.DIRTYPE)]
    members += [member("./a/1.png", b"one"), member("b/deep/ü" + "x" * 120 + ".png", bytes(5000))]
    files, n_bytes = unpacked(tmp_path, tar_of(*members))
    assert files == {"a/1.png": b"one", "b/deep/ü" + "x" * 120 + ".png": bytes(5000)}
    assert (tmp_path / "unpacked" / "none").is_dir()
    # the folder itself, none, a, b, b/deep: a block each; files: whole blocks
    assert n_bytes == (5 + 1 + 2) * BLOCK_BYTES


def test_every_file_and_folder_counts_however_short(tmp_path, monkeypatch):
    many = [member(f"a/{n}.png", b"") for n in range(3000)]
    with pytest.raises(UploadTooLarge, match="whole blocks of 4 KiB"):
        unpacked(tmp_path, tar_of(*many), limit=1000 * BLOCK_BYTES)
    assert len(list((tmp_path / "unpacked" / "a").iterdir())) < 1000
    monkeypatch.setattr(unpacking, "MAX_ENTRIES", 100)
    (tmp_path / "again").mkdir()
    with pytest.raises(UploadTooLarge, match="more than 100 files and folders"):
        unpacked(tmp_path / "again", tar_of(*many))


WHOLE = tar_of(*(member(f"{name}/{n}.png", bytes([n]) * 700) for name in "ab" for n in range(3)))
END = WHOLE.rindex(bytes([2]) * 700) + 1024  # the last member with its padding


@settings(max_examples=60)
@given(cut=st.integers(0, END + 511))
def test_a_tar_file_that_is_cut_anywhere_is_refused(tmp_path_factory, cut):
    with pytest.raises(UploadInvalid):
        unpacked(tmp_path_factory.mktemp("cut"), WHOLE[:cut])
