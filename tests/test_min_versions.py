"""Requirements and pins below a minimum version are found, and pip-audit's reports are parsed."""

import json

import pytest

from tests import min_versions

SERVER = ["starlette>=1.3.1", "h11>=0.16", "pillow>=12.3", "torch>=2.10,<3"]
PINS = ["starlette==1.10.0", "h11==0.16.0", "pillow==13.0.0  # why", "torch==2.13.0", "Python_Multipart==0.0.40"]


def checked(folder, server=SERVER, client=("numpy", "pillow>=12.3"), pins=PINS):
    paths = folder / "server.toml", folder / "client.toml"
    for path, extra in zip(paths, (server, client), strict=True):
        path.write_text(f"[project]\nname = 'x'\n[project.optional-dependencies]\none = {json.dumps(list(extra))}\n")
    (folder / "pins.txt").write_text("# comment\n" + "\n".join(pins) + "\n")
    return min_versions.find_violations(paths, folder / "pins.txt")


def test_this_repository_keeps_them():
    assert min_versions.find_violations() == []


def test_a_project_above_them_passes(tmp_path):
    assert checked(tmp_path) == []


@pytest.mark.parametrize("lower", ["h11>=0.14", "h11", "h11<2", "h11==0.15.*", "h11~=0.15", "h11>0.14", "H11[x]>=0.9"])
def test_a_requirement_below_one_is_found(tmp_path, lower):
    assert "allows less than 0.16.0" in "".join(checked(tmp_path, server=[*SERVER[:1], lower, *SERVER[2:]]))
    assert "allows less than 0.16.0" in "".join(checked(tmp_path, client=[lower]))


def test_a_requirement_that_is_gone_is_found(tmp_path):
    assert checked(tmp_path, server=SERVER[:3]) == ["server.toml: torch has no minimum version"]


def test_a_tested_version_below_one_or_gone_is_found(tmp_path):
    assert checked(tmp_path, pins=["pillow==12.2.9", *PINS[:2], *PINS[3:]]) == [
        "pins.txt: pillow==12.2.9 is less than 12.3.0"
    ]
    assert checked(tmp_path, pins=[*PINS[:4], "python-multipart==0.0.9"]) == [
        "pins.txt: python-multipart==0.0.9 is less than 0.0.32"
    ]
    assert checked(tmp_path, pins=PINS[1:]) == ["pins.txt: starlette has no version"]


def test_reports_are_read():
    skipped = {"name": "a", "skip_reason": "not found"}
    safe, holed = (
        {"name": "b", "version": "1", "vulns": []},
        {"name": "c", "version": "2", "vulns": [{"id": "PYSEC-1"}]},
    )
    assert min_versions.parse_report("") == ([], "pip-audit: nothing audited, its service cannot be reached")
    assert "nothing audited" in min_versions.parse_report(json.dumps({"dependencies": [skipped]}))[1]
    vulnerable, line = min_versions.parse_report(json.dumps({"dependencies": [skipped, safe, holed]}))
    assert vulnerable == ["c==2: PYSEC-1"]
    assert "2 of 3 versions audited, 1 vulnerabilities" in line
