"""The code of README.md and of docs/usage.md runs as it stands, but for the address."""

import re
from pathlib import Path

from typer.testing import CliRunner

from augsvc.cli.main import app

ROOT = Path(__file__).parent.parent.parent
TEXT = "".join((ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "docs/usage.md"))
BLOCKS = re.findall(r"^```python\n(.*?)^```", TEXT, re.M | re.S)


def test_the_code_runs(serve, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "deit.json").write_text(CliRunner().invoke(app, ["recipes", "timm_deit"]).stdout)
    server = serve(max_request_bytes=64 << 20).ready()
    names: dict[str, object] = {}
    loaders = []
    for block in BLOCKS:
        exec(block.replace("http://127.0.0.1:8000", server.url), names)  # noqa: S102 - the document's own code
        loaders.append(names["loader"])
    assert len(BLOCKS) == 5
    assert names["mixed"]["target"].shape == (16, 3)
    assert names["clips"].shape == (64, 16000)
    assert names["images"].shape == (16, 96, 96, 3)
    assert len(names["batch"]["boxes"]) == 16
    assert "(16, 3, 96, 96)" in capsys.readouterr().out
    for loader in loaders:
        loader.close()
    names["stream"].client.close()
