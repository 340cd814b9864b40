"""Arrays as datasets: CIFAR, MNIST, NumPy and safetensors files, written as their own writers do, and damaged ones."""

import gzip
import io
import json
import struct
import tracemalloc
import zipfile
from functools import partial

import numpy as np
import pytest
from safetensors.numpy import save_file

from augsvc.data.cache import DecodedCache
from augsvc.data.formats.array_files import ArrayFilesSettings
from augsvc.data.formats.cifar import CifarSettings
from augsvc.data.formats.dataset_root import name_faults
from augsvc.data.formats.mnist import MnistSettings
from augsvc.data.subset import Subset, subset_members

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (5, 6, 7), dtype=np.uint8)
COLOUR = RNG.integers(0, 256, (5, 6, 7, 3), dtype=np.uint8)
LABELS = np.array([2, 0, 1, 2, 0])


def opened(kind, root, **options):
    name = {CifarSettings: "cifar", MnistSettings: "mnist", ArrayFilesSettings: "arrays"}[kind]
    return kind(format=name, path=root, **options).open("set", DecodedCache(0))


def refusal(kind, root, **options):
    with pytest.raises(ValueError, match="dataset 'set'") as refused:
        opened(kind, root, **options)
    return str(refused.value)


def require_same(source, images, labels):
    assert len(source) == len(images)
    for index in range(len(source)):
        sample = source.read(index)
        np.testing.assert_array_equal(sample.image, images[index].reshape(sample.image.shape))
        assert not sample.image.flags.writeable
        assert sample.label == labels[index]
    assert source.labels().tolist() == list(labels)


# --- CIFAR


def write_cifar10(root, rows=4):
    images = RNG.integers(0, 256, (6, rows, 3, 32, 32), dtype=np.uint8)
    labels = RNG.integers(0, 10, (6, rows), dtype=np.uint8)
    for k, name in enumerate([f"data_batch_{k}.bin" for k in range(1, 6)] + ["test_batch.bin"]):
        (root / name).write_bytes(b"".join(bytes([y]) + x.tobytes() for x, y in zip(images[k], labels[k], strict=True)))
    names = [f"class {k}" for k in range(9)] + ["class\u20289"]
    (root / "batches.meta.txt").write_text("\n".join(names) + "\n\n")
    return images.transpose(0, 1, 3, 4, 2), labels, names


def test_cifar_10(tmp_path):
    images, labels, names = write_cifar10(tmp_path)
    train, test = opened(CifarSettings, tmp_path)
    assert (train.info.name, test.info.name) == ("set/train", "set/test")
    assert list(train.info.classes) == names
    assert train.info.size == (32, 32)
    require_same(train, images[:5].reshape(-1, 32, 32, 3), labels[:5].ravel().tolist())
    require_same(test, images[5], labels[5].tolist())
    assert test.describe(3) == "test_batch.bin, row 3"


def test_cifar_100(tmp_path):
    image = RNG.integers(0, 256, (3, 32, 32), dtype=np.uint8)
    for name in ("train.bin", "test.bin"):
        (tmp_path / name).write_bytes(bytes([1, 2]) + image.tobytes())
    (tmp_path / "fine_label_names.txt").write_text("a\nb\nc\n")
    (tmp_path / "coarse_label_names.txt").write_text("x\ny\n")
    require_same(opened(CifarSettings, tmp_path)[0], image.transpose(1, 2, 0)[None], [2])
    coarse = opened(CifarSettings, tmp_path, labels="coarse")[0]
    require_same(coarse, image.transpose(1, 2, 0)[None], [1])
    assert coarse.info.classes == ("x", "y")


def test_damaged_cifar(tmp_path):
    assert "download the binary version" in refusal(CifarSettings, tmp_path)
    write_cifar10(tmp_path)
    (tmp_path / "data_batch_2.bin").write_bytes((tmp_path / "data_batch_2.bin").read_bytes()[:-1])
    assert "data_batch_2.bin has 12,291 bytes, no multiple of 3,073" in refusal(CifarSettings, tmp_path)
    (tmp_path / "data_batch_2.bin").write_bytes(bytes([10]) + bytes(3072))
    assert "labels of 0 to 10, and the classes are 0 … 9" in refusal(CifarSettings, tmp_path)
    (tmp_path / "data_batch_2.bin").unlink()
    assert "data_batch_2.bin" in refusal(CifarSettings, tmp_path)


# --- MNIST


def idx(array):
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


def write_mnist(root, compress=False, sign="-", test="t10k"):
    for name, array in (("images", GREY), ("labels", LABELS.astype(np.uint8))):
        data = idx(array)
        for split in ("train", test):
            file = f"{split}-{name}{sign}idx{array.ndim}-ubyte"
            if compress:
                (root / f"{file}.gz").write_bytes(gzip.compress(data))
            else:
                (root / file).write_bytes(data)


@pytest.mark.parametrize("form", [{}, {"compress": True}, {"sign": "."}, {"test": "test"}])
def test_mnist(tmp_path, form):
    write_mnist(tmp_path, **form)
    train, test = opened(MnistSettings, tmp_path)
    assert train.info.classes == ("0", "1", "2")
    assert train.info.channels == 1
    require_same(train, GREY, LABELS.tolist())
    require_same(test, GREY, LABELS.tolist())
    turned = opened(MnistSettings, tmp_path, transpose=True)[0]
    require_same(turned, GREY.transpose(0, 2, 1), LABELS.tolist())


compress = partial(gzip.compress, mtime=0)  # the time would be in the names of the tests, which the workers compare


@pytest.mark.parametrize(
    ("name", "contents", "message"),
    [
        ("train-images-idx3-ubyte", b"", "no IDX file"),
        ("train-images-idx3-ubyte", idx(GREY)[:-1], "209 values, and its header says 5 × 6 × 7"),
        ("train-images-idx3-ubyte", idx(GREY[:4]), "4 images and 5 labels"),
        ("train-images-idx3-ubyte", b"\0\0\x0d\3" + idx(GREY)[4:], "no IDX file of bytes"),
        ("train-images-idx3-ubyte.gz", compress(idx(GREY))[:-9], "cut"),
        ("train-images-idx3-ubyte.gz", idx(GREY), "no gzip file"),
        ("train-images-idx3-ubyte.gz", compress(idx(GREY) + bytes(1 << 24)), "longer than its header says"),
        (
            "train-images-idx3-ubyte.gz",
            compress(struct.pack(">I3I", 0x803, 1 << 10, 1 << 10, 1 << 10)),
            "once dec",
        ),
        ("train-images-idx3-ubyte.gz", compress(b"\0\0\x08"), "no IDX file"),
    ],
)
def test_damaged_mnist(tmp_path, name, contents, message):
    write_mnist(tmp_path)
    (tmp_path / "train-images-idx3-ubyte").unlink()
    (tmp_path / name).write_bytes(contents)
    assert message in refusal(MnistSettings, tmp_path)


def test_mnist_without_files(tmp_path):
    assert "train-images-idx3-ubyte" in refusal(MnistSettings, tmp_path)


# --- NumPy and safetensors


def write_npz(path, **arrays):
    np.savez_compressed(path, **arrays)


def write_safetensors(path, **arrays):
    save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, path, metadata={"by": "test"})


@pytest.mark.parametrize(("write", "end"), [(write_npz, "npz"), (write_safetensors, "safetensors")])
def test_arrays_by_name(tmp_path, write, end):
    write(tmp_path / f"set.{end}", images=COLOUR, labels=LABELS)
    (source,) = opened(ArrayFilesSettings, tmp_path)
    assert (source.info.name, source.info.size, source.info.channels) == ("set", (6, 7), 3)
    require_same(source, COLOUR, LABELS.tolist())
    write(
        tmp_path / f"set.{end}", train_images=COLOUR, train_labels=LABELS[:, None], val_images=GREY, val_labels=LABELS
    )
    train, val = opened(ArrayFilesSettings, tmp_path)  # as MedMNIST
    assert (train.info.name, val.info.name) == ("set/train", "set/val")
    require_same(train, COLOUR, LABELS.tolist())
    require_same(val, GREY, LABELS.tolist())
    write(tmp_path / f"set.{end}", x_train=COLOUR, y_train=LABELS, x_test=COLOUR[:2], y_test=LABELS[:2])
    assert [source.info.name for source in opened(ArrayFilesSettings, tmp_path)] == [
        "set/train",
        "set/test",
    ]  # as Keras
    write(tmp_path / f"set.{end}", pixels=COLOUR.transpose(0, 3, 1, 2), digits=LABELS)
    assert "there are pixels, digits" in refusal(ArrayFilesSettings, tmp_path).replace(
        "digits, pixels", "pixels, digits"
    )
    (source,) = opened(ArrayFilesSettings, tmp_path, images="pixels", labels="digits", classes=["a", "b", "c"])
    require_same(source, COLOUR, LABELS.tolist())
    assert source.info.classes == ("a", "b", "c")


def test_floats_that_are_whole_are_noted_as_numbers(tmp_path):
    for values, count in ((LABELS.astype(np.float32), 2), (LABELS / 7, 1)):
        write_npz(tmp_path / "a.npz", images=COLOUR, labels=values)
        (source,) = opened(ArrayFilesSettings, tmp_path)
        notes = list(source.notes())
        assert len(notes) == count and ("store classes as integers" in notes[-1]) == (count == 2)


def test_a_file_for_each_split(tmp_path):
    for split in ("train", "test"):
        write_npz(tmp_path / f"{split}.npz", images=COLOUR, labels=LABELS)
    assert [source.info.name for source in opened(ArrayFilesSettings, tmp_path)] == ["set/train", "set/test"]
    (source,) = opened(ArrayFilesSettings, tmp_path, file="test.npz")
    assert source.describe(4) == "test.npz, row 4"


def test_labels_of_other_kinds(tmp_path):
    several = np.array([[1, 0], [0, 0], [1, 1], [0, 1], [0, 0]])
    write_npz(tmp_path / "a.npz", images=COLOUR, labels=several)
    (source,) = opened(ArrayFilesSettings, tmp_path, file="a.npz", classes=["x", "y"])
    assert (source.info.label_kind, source.info.label_tensor) == ("multi_label", ("uint8", (2,)))
    assert [source.read(index).target.tolist() for index in range(5)] == several.tolist()
    assert source.class_counts()[1].tolist() == [2, 2]
    write_npz(tmp_path / "b.npz", images=COLOUR, labels=np.linspace(0, 1, 5))
    (source,) = opened(ArrayFilesSettings, tmp_path, file="b.npz")
    assert (source.info.label_kind, source.info.label_tensor) == ("regression", ("float32", (1,)))
    assert source.read(4).target.tolist() == [1.0]
    assert source.labels().tolist() == [-1] * 5


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"images": COLOUR / 255.0, "labels": LABELS}, "must be uint8, and is float64"),
        ({"images": COLOUR[0, 0], "labels": LABELS}, "N,H,W"),
        ({"images": COLOUR[..., :2], "labels": LABELS}, "channels"),
        ({"images": np.zeros((5, 3, 9, 3), np.uint8), "labels": LABELS}, "channels is not clear"),
        ({"images": COLOUR, "labels": LABELS[:4]}, "5 images and 4 labels"),
        ({"images": COLOUR, "labels": LABELS - 1}, "labels of -1 to 1"),
        ({"images": COLOUR, "labels": np.array(list("abcde"))}, "integers or floats"),
        ({"images": COLOUR, "labels": np.full((5, 2), 2)}, "not 0 and 1"),
        ({"images": COLOUR, "labels": np.full(5, np.nan)}, "no finite numbers"),
        ({"images": COLOUR[:0], "labels": LABELS[:0]}, "N,H,W"),
        ({"images": np.array([{}]), "labels": LABELS}, "arrays of objects are refused"),
    ],
)
def test_arrays_that_are_no_images_or_labels(tmp_path, arrays, message):
    write_npz(tmp_path / "a.npz", **arrays)
    assert message in refusal(ArrayFilesSettings, tmp_path)


def test_other_members_of_an_npz_file_are_passed_over(tmp_path):
    write_npz(tmp_path / "a.npz", images=COLOUR, labels=LABELS)
    with zipfile.ZipFile(tmp_path / "a.npz", "a") as archive:
        archive.writestr("readme.txt", "by hand")
    require_same(opened(ArrayFilesSettings, tmp_path)[0], COLOUR, LABELS)


@pytest.mark.parametrize("end", ["npz", "safetensors"])
def test_every_truncation_is_refused(tmp_path, end):
    file = tmp_path / f"a.{end}"
    (write_npz if end == "npz" else write_safetensors)(file, images=COLOUR, labels=LABELS)
    whole = file.read_bytes()
    for length in range(0, len(whole), 29):
        file.write_bytes(whole[:length])
        assert f"a.{end}" in refusal(ArrayFilesSettings, tmp_path)


@pytest.mark.parametrize(
    "header", [b"[]", b'{"images": 1}', b'{"images": {"dtype": "U8", "shape": [9], "data_offsets": [0, 99]}}', b"\xff"]
)
def test_damaged_safetensors(tmp_path, header):
    (tmp_path / "a.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)
    assert "a.safetensors" in refusal(ArrayFilesSettings, tmp_path)


def test_which_file_is_asked(tmp_path):
    assert "0 files of arrays" in refusal(ArrayFilesSettings, tmp_path)
    for name in ("a.npz", "b.npz"):
        write_npz(tmp_path / name, images=COLOUR, labels=LABELS)
    assert "2 files of arrays" in refusal(ArrayFilesSettings, tmp_path)
    buffer = io.BytesIO()
    np.save(buffer, COLOUR)
    (tmp_path / "c.npz").write_bytes(buffer.getvalue())
    assert "c.npz" in refusal(ArrayFilesSettings, tmp_path, file="c.npz")


def test_folds_do_not_depend_on_the_name_of_the_file(tmp_path):
    images, labels = np.repeat(COLOUR, 12, 0), np.repeat(LABELS, 12)
    folds = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        write_npz(tmp_path / name / f"{name}.npz", images=images, labels=labels)
        (source,) = opened(ArrayFilesSettings, tmp_path / name)
        folds.append(subset_members(source, Subset(fold=(0, 5))).tolist())
    assert folds[0] == folds[1]


def test_the_version_covers_every_pixel_and_label(tmp_path):
    versions = set()
    for images, labels in ((COLOUR, LABELS), (COLOUR ^ 1, LABELS), (COLOUR, LABELS[::-1])):
        write_npz(tmp_path / "a.npz", images=images, labels=labels)
        versions.add(opened(ArrayFilesSettings, tmp_path)[0].info.version)
    assert len(versions) == 3


@pytest.mark.parametrize("file", ["images.npy", {"train": "images.npy"}, None])
def test_a_single_array_is_no_dataset(tmp_path, file):
    np.save(tmp_path / "images.npy", COLOUR)
    np.save(tmp_path / "labels.npy", LABELS)
    assert "numpy.savez" in refusal(ArrayFilesSettings, tmp_path, file=file)


def test_a_name_that_a_header_repeats_is_refused(tmp_path):
    images = b'"images": {"dtype": "U8", "shape": [1, 5, 6], "data_offsets": [0, 30]}'
    labels = b'"labels": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]}'

    def write_header(*entries):
        header = b"{" + b", ".join(entries) + b"}"
        (tmp_path / "a.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + bytes(30))

    write_header(images, labels)
    assert len(opened(ArrayFilesSettings, tmp_path)[0]) == 1
    write_header(images, labels, labels)
    assert "damaged" in refusal(ArrayFilesSettings, tmp_path)


# --- sizes that a file states, and does not have


def npy_header(shape, dtype="|u1"):
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": dtype, "fortran_order": False, "shape": shape})
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("shape", "n_bytes", "kind", "message"),
    [
        ((1 << 42,), 9, zipfile.ZIP_STORED, "damaged"),
        ((1 << 21, 1 << 21), 0, zipfile.ZIP_DEFLATED, "damaged"),
        ((10**30,), 0, zipfile.ZIP_DEFLATED, "damaged"),
        ((300 << 20,), 300 << 20, zipfile.ZIP_DEFLATED, "once decompressed"),
        ((8,), 8, zipfile.ZIP_BZIP2, "damaged"),
    ],
)
def test_sizes_of_npz_files_are_bounded_before_they_are_read(tmp_path, shape, n_bytes, kind, message):
    with zipfile.ZipFile(tmp_path / "a.npz", "w", kind) as archive, archive.open("images.npy", "w") as member:
        member.write(npy_header(shape))
        for first in range(0, n_bytes, 1 << 24):
            member.write(bytes(min(1 << 24, n_bytes - first)))
    tracemalloc.start()
    try:
        assert message in refusal(ArrayFilesSettings, tmp_path)
        assert tracemalloc.get_traced_memory()[1] < 64 << 20
    finally:
        tracemalloc.stop()


def test_tensors_that_share_their_bytes_are_not_copied(tmp_path):
    entry = {"dtype": "U8", "shape": [1 << 20], "data_offsets": [0, 1 << 20]}
    header = json.dumps({f"x{k}": entry for k in range(1000)}).encode()
    (tmp_path / "a.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bytes(1 << 20))
    tracemalloc.start()
    try:
        assert "has no arrays" in refusal(ArrayFilesSettings, tmp_path)
        assert tracemalloc.get_traced_memory()[1] < 64 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("label", [1 << 20, 1_700_000_000, (1 << 63) - 1])
def test_a_label_does_not_make_as_many_classes(tmp_path, label):
    write_npz(tmp_path / "a.npz", images=COLOUR, labels=np.array([0, 1, 2, 3, label]))
    assert f"a label of {label:,}: name the classes" in refusal(ArrayFilesSettings, tmp_path)


def test_what_does_not_fit_in_memory_is_a_fault_of_the_dataset():
    with pytest.raises(ValueError, match="dataset 'set': it does not fit in memory"), name_faults("set"):
        raise MemoryError
