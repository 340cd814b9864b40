"""What can be taken along: the texts run as they stand, and give what the page shows."""

import json
import shutil
import subprocess

import pytest

from tests.http.browsing import Visit, expect, fragment

ALLOWED = {"permissions": ["clipboard-read", "clipboard-write"]}
SPECS = [
    {"dataset": "digits/train", "pipeline": "standard"},
    {
        "dataset": "shapes/test",
        "size": [32, 40],
        "fit": "stretch",
        "channels": 1,
        "order_seed": 5,
        "aug_seed": 2**31,
        "shuffle": False,
        "pipeline": [
            {"op": "rotation", "degrees": [-15.5, 30], "p": 0.5, "id": "turn"},
            {"op": "whitening"},
            {"op": "rotation", "degrees": 90, "border": "reflect"},
        ],
    },
    {"dataset": "pets", "size": [16, 16], "pipeline": []},
]
PLACE = {"epoch": 3, "start": 4, "count": 5, "view": 2}


def copied(seen: Visit, tab: str) -> str:
    """The text of a tab, from the clipboard."""
    seen.settled()
    seen.page.get_by_role("tab", name=tab).click()
    seen.page.get_by_role("button", name="Copy", exact=True).click()
    expect(seen.find("#announcer")).to_have_text(f"{tab} copied")
    expect(seen.find("#copy")).to_have_text("Copied")
    text = seen.page.evaluate("navigator.clipboard.readText()")
    assert text == seen.find("#text").text_content()
    expect(seen.find("#copy")).to_have_text("Copy")
    return text


@pytest.mark.parametrize("spec", SPECS)
def test_the_json_is_the_specification(visit, server, spec):
    seen = visit(fragment(**spec, **PLACE), **ALLOWED)
    said = json.loads(copied(seen, "JSON"))
    told = server.open(said)
    assert told["spec"] == server.open(spec)["spec"]
    assert told["id"] == seen.stream_id


@pytest.mark.parametrize("spec", SPECS)
def test_the_python_runs(visit, server, spec):
    seen = visit(fragment(**spec, **PLACE), **ALLOWED)
    text = copied(seen, "Python")
    names: dict[str, object] = {}
    try:
        exec(text, names)  # noqa: S102 - the page's own text
        assert names["loader"].id == seen.stream_id
        assert names["loader"].epoch == PLACE["epoch"] + 1  # it went through one
        assert f"view={PLACE['view']}" in text
        assert len(names["images"]) == len(names["labels"])
    finally:
        names["loader"].close()


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl on this machine: apt-get install curl")
@pytest.mark.parametrize("spec", SPECS)
def test_curl_fetches_the_batch(visit, server, spec, tmp_path):
    seen = visit(fragment(**spec, **PLACE), **ALLOWED)
    text = copied(seen, "curl")
    done = subprocess.run(["bash", "-euc", text], cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["id"] == seen.stream_id
    assert (tmp_path / "batch.safetensors").read_bytes() == server.batch(told, **PLACE).body


def test_what_a_preset_became_is_spelt_out(visit):
    seen = visit(fragment(dataset="digits/train", pipeline="light"), **ALLOWED)
    assert 'pipeline="light"' in copied(seen, "Python")
    seen.page.get_by_role("button", name="Remove affine").click()
    text = copied(seen, "Python")
    assert '{"op": "color_jitter", "brightness": [0.9, 1.1]' in text
    assert "affine" not in text
    assert '"id"' not in text


def test_without_a_clipboard_the_text_is_selected(visit):
    seen = visit(fragment(dataset="digits/train")).settled()
    seen.page.evaluate("() => { navigator.clipboard.writeText = () => Promise.reject(new Error()); }")
    seen.page.get_by_role("button", name="Copy", exact=True).click()
    expect(seen.find("#announcer")).to_have_text("Python copied")
    assert seen.page.evaluate("getSelection().toString()").strip() == seen.find("#text").inner_text().strip()


def test_tabs_by_keyboard(visit):
    seen = visit(fragment(dataset="digits/train")).settled()
    seen.page.get_by_role("tab", name="Python").focus()
    for name in ("JSON", "curl", "Python", "JSON"):
        seen.page.keyboard.press("ArrowRight")
        expect(seen.page.get_by_role("tab", name=name)).to_be_focused()
        expect(seen.page.get_by_role("tab", selected=True)).to_have_text(name)
