"""Unpacking of uploaded tar files: plain files and folders only, within a number of bytes, whole or refused."""

import io
import shutil
import subprocess
import tarfile
from contextlib import suppress

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from augsvc.data.formats.tar_index import Entry, parse_pax, walk_entries
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


WHOLE = tar_of(*(member(f"{name}/{n}.png", bytes([n]) * 700) for name in "ab" for n in range(3)))


def sparse() -> bytes:
    """GNU's sparse format as PAX headers: a megabyte of zeros in 512 bytes."""
    headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": str(1 << 40)}
    return tar_of(member("a/1.png", b"0\n".ljust(512, b"\0"), pax_headers=headers), format=tarfile.PAX_FORMAT)


def chained_headers() -> bytes:
    """A thousand PAX headers, each of which describes the next."""
    info = tarfile.TarInfo("x")
    info.type, info.size = tarfile.XHDTYPE, 0
    return info.tobuf() * 1500 + tar_of(member("a/1.png"))


def pax_header(contents: bytes, kind=tarfile.XHDTYPE) -> bytes:
    """A header of these bytes, whether they are records or not, before a member."""
    info = tarfile.TarInfo("x")
    info.type, info.size = kind, len(contents)
    return info.tobuf(tarfile.USTAR_FORMAT) + contents.ljust(-(-len(contents) // 512) * 512, b"\0") + WHOLE


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
    "old sparse": (tar_of(member("a/1.png", type=tarfile.GNUTYPE_SPARSE)), "is a link, or no regular file"),
    "chained headers": (chained_headers(), "header"),
    "global headers": (global_headers(), "more than 64 records"),
    "a number without an end": (pax_header(b"1" * 5000), "a PAX header is damaged"),
    "overlapping records": (pax_header(b"2 " * 2000 + b"="), "a PAX header is damaged"),
    "overlapping global records": (pax_header(b"2 " * 2000 + b"=", tarfile.XGLTYPE), "a PAX header is damaged"),
    "no keyword": (pax_header(b"6 =aa\n"), "a PAX header is damaged"),
    "no equals sign in the record": (pax_header(b"6 aaa\n6 a=a\n"), "a PAX header is damaged"),
    "no end of line": (pax_header(b"6 a=aa6 a=a\n"), "a PAX header is damaged"),
    "a record beyond the header": (pax_header(b"9 a=a\n"), "a PAX header is damaged"),
    "a size that is none": (pax_header(b"11 size=-1\n"), "no valid size"),
    "thousands of records": (pax_header(b"6 a=a\n" * 1000), "more than 64 records"),
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


END = WHOLE.rindex(bytes([2]) * 700) + 1024  # the last member with its padding


@settings(max_examples=60)
@given(cut=st.integers(0, END + 511))
def test_a_tar_file_that_is_cut_anywhere_is_refused(tmp_path_factory, cut):
    with pytest.raises(UploadInvalid):
        unpacked(tmp_path_factory.mktemp("cut"), WHOLE[:cut])


def records(*fields: bytes) -> bytes:
    """PAX records of "keyword=value", with their lengths."""
    return b"".join(
        next(b"%d %s\n" % (n, text) for n in range(99999) if n == len(b"%d %s\n" % (n, text))) for text in fields
    )


PIECES = st.lists(
    st.one_of(
        st.binary(max_size=20),
        st.sampled_from([b"2 ", b"1" * 50, b"=", b"\n", b"6 a=a\n", b"\0", records("path=b/ü".encode())]),
    )
)


@given(pieces=PIECES)
def test_a_pax_header_takes_a_step_for_each_record_and_keeps_no_byte_twice(pieces):
    header = CountedBytes(b"".join(pieces))
    with suppress(ValueError):
        fields = parse_pax(header)
        assert sum(map(len, fields.values())) <= len(header)
    assert header.slices <= 2 * 64 and header.sliced <= 64 * 8 + len(header)


class CountedBytes(bytes):
    """Counts the slices that are taken of it, and their bytes."""

    slices = sliced = 0

    def rstrip(self, characters):
        return self if not self.endswith(characters) else super().rstrip(characters)

    def __getitem__(self, key):
        part = super().__getitem__(key)
        self.slices, self.sliced = self.slices + 1, self.sliced + len(part)
        return part


NAMES = st.text(
    st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="/\\:"), min_size=1, max_size=90
).filter(lambda text: text.strip("."))


@settings(max_examples=60)
@given(
    names=st.lists(st.lists(NAMES, min_size=1, max_size=4).map("/".join), min_size=1, max_size=6),
    form=st.sampled_from([tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]),
    comment=st.text(st.characters(exclude_categories=("Cs",)), max_size=80),
    kind=st.sampled_from([tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.DIRTYPE]),
)
def test_what_tarfile_writes_is_read_as_it_reads_it(names, form, comment, kind):
    members = []
    for n, name in enumerate(names):
        info, data = member(name, b"" if kind == tarfile.DIRTYPE else bytes(n * 300), type=kind, mtime=n / 3)
        with suppress(ValueError):  # USTAR takes no longer names
            info.tobuf(form)
            members.append((info, data))
    assume(members)
    data = tar_of(*members, format=form, pax_headers={"comment": comment} if form == tarfile.PAX_FORMAT else None)
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        expected = [Entry(info.name, info.isdir(), info.offset_data, info.size) for info in archive]
    assert list(walk_entries(io.BufferedReader(io.BytesIO(data)))) == expected


@pytest.mark.parametrize("program", ["tar", "bsdtar"])
@pytest.mark.parametrize("form", ["gnu", "pax", "ustar"])
def test_what_archivers_write_is_unpacked(tmp_path, program, form):
    if shutil.which(program) is None or (program, form) == ("bsdtar", "gnu"):
        pytest.skip(f"no {program} of this form")
    name = "klasse ü/" + "n" * 90 + "/" + "m" * 90 + ".png"
    (tmp_path / "set" / name).parent.mkdir(parents=True)
    (tmp_path / "set" / name).write_bytes(b"content")
    command = [program, f"--format={form}", "-cf", tmp_path / "packed.tar", "-C", tmp_path / "set", "."]
    subprocess.run(command, check=True)
    assert unpacked(tmp_path, (tmp_path / "packed.tar").read_bytes())[0] == {name: b"content"}
