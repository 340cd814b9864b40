"""The catalog: which names there are, and who may take one."""

import errno
import os

import numpy as np
import pytest
from PIL import Image

from augsvc.data.cache import DecodedCache
from augsvc.data.catalog import Catalog, embedded, open_catalog
from augsvc.data.decoders.registry import DECODERS
from augsvc.data.formats.audio_folder import AudioFolderSettings
from augsvc.data.formats.dataset_root import name_faults
from augsvc.data.formats.files import explain_unreadable
from augsvc.data.formats.image_folder import ImageFolderSettings
from augsvc.data.private_folder import explain_unusable
from augsvc.errors import UnknownDataset
from tests.data.sounds import VALID

NAMES = ("digits", "photos", "shapes", "textures", "tones")
EMBEDDED = tuple(f"{name}/{split}" for name in NAMES for split in ("test", "train"))


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "one").mkdir()
    Image.new("RGB", (5, 4), (1, 2, 3)).save(tmp_path / "one" / "a.png")
    return ImageFolderSettings(format="image_folder", path=tmp_path)


def test_the_embedded_ones_are_always_there(folder):
    assert open_catalog({}, 0).names() == EMBEDDED
    catalog = open_catalog({"mine": folder}, 1 << 20)
    assert catalog.names() == tuple(sorted((*EMBEDDED, "mine")))
    assert catalog.get("mine").read(0).image.tolist() == [[[1, 2, 3]] * 5] * 4
    assert catalog.get("mine").read(0).key == ("mine", 0)


def test_a_folder_is_opened_by_its_format(tmp_path):
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "a.wav").write_bytes(VALID["wav-16"])
    catalog = open_catalog({"calls": AudioFolderSettings(format="audio_folder", path=tmp_path)}, 1 << 20)
    assert catalog.get("calls").info.media == "audio"
    assert catalog.get("calls").read(0) is catalog.get("calls").read(0)  # the catalog's cache


@pytest.mark.parametrize("source", embedded(), ids=lambda source: source.info.name)
def test_every_source_keeps_the_interface(source):
    info = source.info
    assert len(source.labels()) == len(source) > 0
    assert set(source.labels()) == set(range(len(info.classes)))
    assert len(info.version) == 64
    assert set(info.decoders) <= set(DECODERS)
    for index in (0, len(source) - 1):
        sample = source.read(index)
        if info.media == "image":
            assert sample.image.shape == (*info.size, info.channels) and sample.image.dtype == np.uint8
            content = sample.image
        else:
            assert sample.audio.shape == (info.seconds * info.sample_rate,) and sample.audio.dtype == np.float32
            assert sample.image is None and sample.rate == info.sample_rate
            content = sample.audio
        assert content.flags.c_contiguous and not content.flags.writeable
        assert sample.label == source.labels()[index]
        assert (sample.mask is not None) == info.mask
        assert (0 if sample.boxes is None else len(sample.boxes)) == info.boxes
        assert (0 if sample.keypoints is None else len(sample.keypoints)) == info.keypoints
        assert not source.describe(index).startswith("/")


def test_an_unknown_name_says_nothing_of_the_others(folder):
    catalog = open_catalog({"secret": folder}, 0)
    with pytest.raises(UnknownDataset) as caught:
        catalog.get("digits")
    assert caught.value.status == 404 and caught.value.field == "dataset"
    assert "secret" not in str(caught.value) and str(folder.path) not in str(caught.value)


@pytest.mark.parametrize("name", ["digits", "digits/train", "photos", "shapes/mine", "tones"])
def test_embedded_names_are_taken(folder, name):
    with pytest.raises(ValueError, match="choose another"):
        open_catalog({name: folder}, 0)


def test_a_name_twice_is_refused():
    sources = embedded()
    with pytest.raises(ValueError, match="two datasets"):
        Catalog([*sources, sources[0]], DecodedCache(0))


@pytest.mark.parametrize(
    ("number", "cure"),
    [(errno.EACCES, "that it exists, and that this user may read it"), (errno.EIO, "the disk or the network")],
)
def test_an_error_of_the_system_is_a_line_for_its_dataset(number, cure, folder, monkeypatch):
    def refuse(*_):
        raise OSError(number, os.strerror(number), "/data\x1b/cats")

    monkeypatch.setattr(ImageFolderSettings, "open", refuse)
    with pytest.raises(ValueError) as raised:
        open_catalog({"mine": folder, "other": folder}, 0)
    text = f": /data\\x1b/cats cannot be read ({os.strerror(number)}): check {cure}"
    assert str(raised.value).split("\n") == [f"dataset {name!r}{text}" for name in ("mine", "other")]


def test_all_formats_say_it_alike():
    with pytest.raises(ValueError) as raised, name_faults("mine"):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), "/data/cats")
    assert str(raised.value).startswith(
        "dataset 'mine': /data/cats cannot be read (Permission denied): check that it exists"
    )


@pytest.mark.parametrize("explain", [explain_unreadable, explain_unusable])
def test_an_error_of_an_open_file_has_its_number_as_its_name(explain):
    with pytest.raises(OSError) as raised:
        os.statvfs(1 << 20)
    assert isinstance(raised.value.filename, int) and "Bad file descriptor" in explain(raised.value)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("flower/train", "; did you mean flowers/train?"),
        ("flower", "; did you mean flowers/train or flowers/test?"),
        ("flowers/val", "; did you mean flowers/train or flowers/test?"),
        ("Flowers-train", "; did you mean flowers/train or flowers/test?"),
        ("digit/test", "; did you mean digits/test?"),
        ("tone", "; did you mean tones/train or tones/test?"),
        ("nope", "; GET /v1/datasets lists them"),
        ("zebras/train", "; GET /v1/datasets lists them"),
        ("\x1b[2J" + "z" * 1000, "; GET /v1/datasets lists them"),
    ],
)
def test_an_unknown_name_is_answered_with_similar_ones(tmp_path, name, hint):
    for split in ("train", "test"):
        (tmp_path / split / "one").mkdir(parents=True)
        Image.new("RGB", (5, 4)).save(tmp_path / split / "one" / "a.png")
    catalog = open_catalog({"flowers": ImageFolderSettings(format="image_folder", path=tmp_path)}, 0)
    with pytest.raises(UnknownDataset) as caught:
        catalog.get(name)
    assert caught.value.message == f"no dataset has this name: {name[:100]!r}{hint}"
