"""A dataset format is one file: discovered, validated by its name, opened by the catalog."""

import sys
from textwrap import dedent

import pytest
import yaml
from pydantic import TypeAdapter

from augsvc.data import formats
from augsvc.data.catalog import open_catalog
from augsvc.data.formats.format import DatasetSettings, dataset_formats
from augsvc.settings import Settings, load_settings

FORMATS = [
    "arrays",
    "audio_folder",
    "cifar",
    "coco",
    "image_folder",
    "image_mask_pairs",
    "kaldi",
    "lance",
    "litdata",
    "manifest",
    "mds",
    "mnist",
    "parquet",
    "speech_commands",
    "tfrecord",
    "voc",
    "webdataset",
    "yolo",
]
PLAIN = """
    from pathlib import Path
    from typing import Literal

    from augsvc.data.builtin.digits import Digits
    from augsvc.data.formats.format import DatasetFormat

    class Plain(DatasetFormat):
        format: Literal["plain"]
        index_file: Path | None = None

        def open(self, name, cache):
            source = Digits("train")
            source.info = type(source.info)(name=name, version="1", classes=source.info.classes, channels=1, size=(8, 8))
            return [source]
"""


@pytest.fixture
def plain(tmp_path, monkeypatch):
    """A further file in the package of formats."""
    (tmp_path / "plain.py").write_text(dedent(PLAIN), encoding="utf-8")
    monkeypatch.setattr(formats, "__path__", [*formats.__path__, str(tmp_path)])
    dataset_formats.cache_clear()
    yield
    dataset_formats.cache_clear()
    sys.modules.pop("augsvc.data.formats.plain", None)


def test_the_formats_of_the_package():
    assert list(dataset_formats()) == FORMATS
    assert dataset_formats()["image_folder"].path_fields() == {"follow_links", "path", "statistics"}


def test_a_new_file_is_a_new_format(plain):
    assert list(dataset_formats()) == sorted([*FORMATS, "plain"])
    settings = TypeAdapter(DatasetSettings).validate_python({"format": "plain"})
    assert open_catalog({"mine": settings}, 0).get("mine").read(0).image.shape == (8, 8, 1)


def test_two_formats_of_one_name_are_refused(plain, tmp_path):
    (tmp_path / "twice.py").write_text(dedent(PLAIN), encoding="utf-8")
    dataset_formats.cache_clear()
    with pytest.raises(ValueError, match=r"twice\.Plain: the format 'plain' is taken"):
        dataset_formats()
    sys.modules.pop("augsvc.data.formats.twice", None)


@pytest.mark.parametrize("given", [{"format": "nothing", "path": "x"}, {"path": "x"}])
def test_an_unknown_format_is_refused_with_those_that_are_known(tmp_path, given):
    config = tmp_path / "settings.yaml"
    config.write_text(yaml.safe_dump({"datasets": {"pets": given}}), encoding="utf-8")
    with pytest.raises(ValueError, match=r"datasets\.pets") as refused:
        load_settings(config, {})
    assert "image_folder" in str(refused.value) or "nothing" not in given.values()


def test_settings_are_immutable_and_of_their_format(tmp_path):
    settings = Settings(datasets={"pets": {"format": "image_folder", "path": tmp_path}})
    assert type(settings.datasets["pets"]) is dataset_formats()["image_folder"]
