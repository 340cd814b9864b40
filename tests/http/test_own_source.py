"""An operator's own dataset format: the documented example, through a real server, and modules that cannot be used."""

from pathlib import Path

import numpy as np
import pytest

from augsvc.data.formats.format import dataset_formats
from augsvc.settings import load_settings
from augsvc_client import RemoteDataLoader
from tests.http import serving

EXAMPLES = Path(__file__).parent.parent.parent / "examples"
SETTINGS = "sources: [own_source]\ndatasets: {bands: {format: stripes, samples: 12}}\n"


@pytest.fixture
def config(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(EXAMPLES)
    path = tmp_path / "settings.yaml"
    path.write_text(SETTINGS)
    return path


def test_the_settings_know_it_where_it_is_named(config):
    assert load_settings(config, {}).datasets["bands"].samples == 12
    assert set(dataset_formats(("own_source",))) == {*dataset_formats(), "stripes"}
    config.write_text(SETTINGS.partition("\n")[2])
    with pytest.raises(ValueError, match=r"^datasets\.bands\.format must be one of 'arrays', .*'yolo'$"):
        load_settings(config, {})
    config.write_text(SETTINGS.replace("12", "0"))
    with pytest.raises(ValueError, match=r"^datasets\.bands\.samples must be at least 1"):
        load_settings(config, {})


def test_its_paths_are_no_paths_of_other_formats(tmp_path, monkeypatch):
    (tmp_path / "labelled_by_file.py").write_text(
        """
from pathlib import Path
from typing import Literal
from augsvc.data.formats.format import DatasetFormat
class LabelledByFile(DatasetFormat):
    format: Literal["labelled_by_file"]
    label: Path
    def open(self, name, cache): return []
"""
    )
    monkeypatch.syspath_prepend(tmp_path)
    config = tmp_path / "settings.yaml"
    hub, own = "{format: parquet, path: hub, label: fine_label}", "{format: labelled_by_file, label: labels.csv}"
    config.write_text(f"sources: [labelled_by_file]\ndatasets: {{hub: {hub}, own: {own}}}\n")
    datasets = load_settings(config, {}).datasets
    assert (datasets["hub"].label, datasets["hub"].path) == ("fine_label", tmp_path / "hub")
    assert datasets["own"].label == tmp_path / "labels.csv"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sources: [no_such_module]", "sources: module no_such_module cannot be imported"),
        ("sources: [json]", "sources: module json defines no dataset format"),
        ("sources: [3]", "sources"),
        ("sources: own_source", "sources"),
    ],
)
def test_modules_that_cannot_be_used_are_named(config, text, message):
    config.write_text(text)
    with pytest.raises(ValueError, match=message):
        load_settings(config, {})


def test_a_server_serves_it(serve, monkeypatch):
    monkeypatch.setattr(serving, "CLEAN", serving.CLEAN | {"PYTHONPATH": str(EXAMPLES)})
    server = serve(sources=["own_source"], datasets={"bands": {"format": "stripes", "samples": 12}}).ready()
    loader = RemoteDataLoader(server.url, dataset="bands", batch_size=12, shuffle=False, scale=None, keys=True)
    with loader:
        (batch,) = loader
    assert batch["key"][3] == "stripes 3" and loader.dataset.classes == ("horizontal", "vertical")
    image = batch["image"].numpy()[:, 0]
    assert all((np.diff(image[k], axis=1 - k % 2) == 0).all() for k in range(12))
