"""The examples of docs/datasets.md: each makes a dataset that opens."""

import re
from pathlib import Path

import pytest

from augsvc.data.cache import DecodedCache
from augsvc.settings import load_settings

PAGE = Path(__file__).parent.parent.parent / "docs" / "datasets.md"
EXAMPLES = [
    code
    for code in re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.S)
    if "settings.yaml" in code
]


@pytest.mark.parametrize("code", EXAMPLES, ids=lambda code: re.search(r"format: (\w+)", code)[1])
def test_an_example_makes_a_dataset_that_opens(code, tmp_path, monkeypatch):
    if "import lance" in code:
        pytest.importorskip("lance")
    monkeypatch.chdir(tmp_path)
    exec(code, {})  # noqa: S102 - the page's own code
    ((name, settings),) = load_settings(Path("settings.yaml"), {}).datasets.items()
    (source,) = settings.open(name, DecodedCache(0))
    sample = source.read(0)
    assert sample.image.shape[2] == 3
    assert source.info.boxes == 0 or sample.boxes_valid.all()
