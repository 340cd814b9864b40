"""The export panel: the snippets run unchanged and give what the page shows."""

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
    {
        "dataset": "photos/train",
        "views": 2,
        "pipeline": [
            {
                "op": "one_of",
                "of": [{"op": "gamma"}, {"op": "some_of", "of": [{"op": "invert"}]}],
                "epochs": [3, [5, 9]],
            }
        ],
    },
]
ADDRESS = {"epoch": 3, "start": 4, "count": 5, "view": 2}


def copied(window: Visit, tab: str) -> str:
    """The text of a tab, from the clipboard."""
    window.settled()
    window.page.get_by_role("tab", name=tab).click()
    window.page.get_by_role("button", name="Copy", exact=True).click()
    expect(window.find("#announcer")).to_have_text(f"{tab} copied")
    expect(window.find("#copy")).to_have_text("Copied")
    text = window.page.evaluate("navigator.clipboard.readText()")
    assert text == window.find("#text").text_content()
    return text


@pytest.mark.parametrize("spec", SPECS)
def test_the_json_is_the_specification(visit, server, spec):
    window = visit(fragment(**spec, **ADDRESS), **ALLOWED)
    exported = json.loads(copied(window, "JSON"))
    stream = server.open(exported)
    assert stream["spec"] == server.open(spec)["spec"]
    assert stream["id"] == window.stream_id


@pytest.mark.parametrize("views", [1, 2])
def test_the_python_takes_boxes_masks_and_keypoints_too(visit, views):
    window = visit(fragment(dataset="shapes/train", pipeline="light", views=views), **ALLOWED)
    names: dict[str, object] = {}
    exec(copied(window, "Python").replace("batch_size=64", "batch_size=4"), names)  # noqa: S102 - the page's snippet
    names["loader"].close()
    for k in ["", "1"][:views]:
        for name in ("mask", "boxes", "boxes_valid", "keypoints", "keypoints_valid"):
            assert names[name + k] is names["batch"][name + k]
    assert names["box_labels"] is names["batch"]["box_labels"]


@pytest.mark.parametrize("spec", SPECS)
def test_the_python_runs(visit, server, spec):
    window = visit(fragment(**spec, **ADDRESS), **ALLOWED)
    text = copied(window, "Python")
    names: dict[str, object] = {}
    try:
        exec(text, names)  # noqa: S102 - the page's snippet
        assert names["loader"].id == window.stream_id
        assert names["loader"].epoch == ADDRESS["epoch"] + 1  # it went through one
        assert f"view={ADDRESS['view']}" in text
        assert len(names["images"]) == len(names["labels"])
    finally:
        names["loader"].close()


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl on this machine: apt-get install curl")
@pytest.mark.parametrize("spec", SPECS)
def test_curl_fetches_the_batch(visit, server, spec, tmp_path):
    window = visit(fragment(**spec, **ADDRESS), **ALLOWED)
    text = copied(window, "curl")
    done = subprocess.run(["bash", "-euc", text], cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    stream = json.loads(done.stdout)
    assert stream["id"] == window.stream_id
    assert (tmp_path / "batch.safetensors").read_bytes() == server.batch(stream, **ADDRESS).body


def test_an_edited_preset_is_written_out(visit):
    window = visit(fragment(dataset="digits/train", pipeline="light"), **ALLOWED)
    assert 'pipeline="light"' in copied(window, "Python")
    window.page.get_by_role("button", name="Remove affine").click()
    expect(window.find("#copy")).to_have_text("Copy")  # again, after 2 s, for which the other tests do not wait
    text = copied(window, "Python")
    assert '{"op": "color_jitter", "brightness": [0.9, 1.1]' in text
    assert "affine" not in text
    assert '"id"' not in text


def test_without_a_clipboard_the_text_is_selected(visit):
    window = visit(fragment(dataset="digits/train")).settled()
    window.page.evaluate("() => { navigator.clipboard.writeText = () => Promise.reject(new Error()); }")
    window.page.get_by_role("button", name="Copy", exact=True).click()
    expect(window.find("#announcer")).to_have_text("Python copied")
    assert window.page.evaluate("getSelection().toString()").strip() == window.find("#text").inner_text().strip()


def test_tabs_by_keyboard(visit):
    window = visit(fragment(dataset="digits/train")).settled()
    window.page.get_by_role("tab", name="Python").focus()
    for name in ("JSON", "curl", "Python", "JSON"):
        window.page.keyboard.press("ArrowRight")
        expect(window.page.get_by_role("tab", name=name)).to_be_focused()
        expect(window.page.get_by_role("tab", selected=True)).to_have_text(name)
