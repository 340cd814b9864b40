"""Fitted statistics of datasets: those that ship, those that an operator names, and what they do to a version."""

from dataclasses import replace
from importlib.resources import files

import numpy as np
import pytest
from PIL import Image

from augsvc.data.builtin.digits import Digits
from augsvc.data.catalog import embedded, open_catalog
from augsvc.data.fit import fit
from augsvc.data.formats.image_folder import ImageFolderSettings
from augsvc.numerics.color_statistics import parse_statistics

CATALOG = open_catalog({}, 0)
EMBEDDED = sorted({name.split("/")[0] for name in CATALOG.names() if CATALOG.get(name).info.media == "image"})


@pytest.fixture
def folder(tmp_path):
    """Two splits, of other colours."""
    for number, split in enumerate(("train", "test")):
        for at in range(3):
            path = tmp_path / "pets" / split / "cat" / f"{at}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            pixels = np.random.default_rng(10 * number + at).integers(40 * number, 256, (9, 7 + at, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(path)
    return ImageFolderSettings(format="image_folder", path=tmp_path / "pets")


def with_statistics(folder, path, found):
    path.write_text(found.text(), encoding="utf-8")
    return folder.model_copy(update={"statistics": path})


@pytest.mark.parametrize("name", EMBEDDED)
def test_those_that_ship_are_those_of_the_training_split(name):
    """To the last integer: `make statistics` regenerates them."""
    shipped = parse_statistics(
        files("augsvc.data.builtin").joinpath("fitted", f"{name}.json").read_text(encoding="utf-8")
    )
    assert fit(CATALOG.get(f"{name}/train")) == shipped
    for split in ("train", "test"):
        assert CATALOG.get(f"{name}/{split}").info.colors == shipped


def test_none_ships_for_a_dataset_that_is_not_there():
    assert sorted(file.name for file in files("augsvc.data.builtin").joinpath("fitted").iterdir()) == [
        f"{n}.json" for n in EMBEDDED
    ]


def test_the_digest_is_part_of_the_version():
    plain = Digits("train").info
    info = next(source.info for source in embedded() if source.info.name == "digits/train")
    assert info.data_version == plain.version != info.version
    assert len(info.version) == 64
    other = plain.fitted(info.colors.model_copy(update={"left_out": 1}))
    assert len({plain.version, info.version, other.version}) == 3
    assert replace(other.fitted(info.colors), built_in=True) == info  # new statistics replace the others


def test_an_operators_statistics_serve_both_splits(folder, tmp_path):
    plain = open_catalog({"pets": folder}, 0)
    found = fit(plain.get("pets/train"))
    assert found.dataset_version == plain.get("pets/train").info.version
    named = open_catalog({"pets": with_statistics(folder, tmp_path / "pets.json", found)}, 0)
    for split in ("pets/train", "pets/test"):
        assert named.get(split).info.colors == found
        assert named.get(split).info.version != plain.get(split).info.version
        assert named.get(split).info.data_version == plain.get(split).info.version
    elsewhere = open_catalog({"pets": with_statistics(folder, tmp_path / "moved.json", found)}, 0)
    assert elsewhere.get("pets/test").info.version == named.get("pets/test").info.version  # the place is no part of it


def test_a_fit_over_fitted_data_is_the_same(folder, tmp_path):
    found = fit(open_catalog({"pets": folder}, 0).get("pets/train"))
    named = open_catalog({"pets": with_statistics(folder, tmp_path / "pets.json", found)}, 0)
    assert fit(named.get("pets/train")) == found


def test_statistics_of_other_channels_are_refused(folder, tmp_path):
    grey = fit(CATALOG.get("digits/train"))
    with pytest.raises(ValueError, match=r"dataset 'pets'.*3 channels.*statistics are of 1.*augsvc fit pets/train"):
        open_catalog({"pets": with_statistics(folder, tmp_path / "pets.json", grey)}, 0)


def test_a_damaged_file_names_the_dataset(folder, tmp_path):
    (tmp_path / "pets.json").write_text("{", encoding="utf-8")
    with pytest.raises(ValueError, match=r"dataset 'pets', statistics: .*pets\.json.*augsvc fit"):
        open_catalog({"pets": folder.model_copy(update={"statistics": tmp_path / "pets.json"})}, 0)


def test_audio_datasets_have_no_color_statistics():
    source = Digits("train")
    source.info = source.info.__class__(
        name="tones/train", version="1", classes=("a",), channels=1, size=None, media="audio"
    )
    with pytest.raises(ValueError, match="no images"):
        fit(source)
    with pytest.raises(ValueError, match="no images"):
        source.info.fitted(CATALOG.get("digits/train").info.colors)
