"""The gallery of operations: every one with its strip, a filter, a page with parameters, tokens, widths."""

import json
from urllib.parse import parse_qs

import pytest
import yaml

from augsvc.ops.pipeline import parse_pipeline
from augsvc.ops.registry import containers, registry
from tests.http.browsing import expect

OPERATOR, TOKEN = "person", "the-token-of-a-person"


def visible(window):
    return window.find(".card:visible .name").all_inner_texts()


def open_gallery(window, name=""):
    window.page.goto(f"{window.url}/gallery{f'#{name}' if name else ''}")
    window.find(".card" if not name else "#detail .title").first.wait_for(state="attached")
    return window


def test_it_shows_every_operation_by_family(visit):
    window = open_gallery(visit())
    assert sorted(visible(window)) == sorted([*registry(), *containers()])
    families = window.find("#families section").evaluate_all("all => all.map(one => one.dataset.family)")
    assert families[0] == "image: blur" and families[-1] == "containers"
    images = window.find(".card .strip")
    assert images.count() == len(registry())
    images.evaluate_all("all => all.forEach(one => (one.loading = 'eager'))")
    assert min(images.evaluate_all("all => Promise.all(all.map(one => one.decode().then(() => one.naturalWidth)))")) > 0


def test_the_filter_takes_names_kinds_and_names_elsewhere(visit):
    window = open_gallery(visit())
    expected = {
        "rotat": {"rotation", "rotate90"},
        "noise laplace": {"laplace_noise"},
        "ToGray": {"grayscale"},
        "hflip": {"horizontal_flip"},
        "CLAHE": {"clahe"},
        "no such thing": set(),
    }
    for words, names in expected.items():
        window.page.get_by_label("Filter").fill(words)
        assert names <= set(visible(window))
        assert "gaussian_blur" not in visible(window)
        expect(window.find("#no-match")).to_be_visible(visible=not names)


def test_an_operation_has_its_parameters_and_leads_to_the_workbench(visit, server):
    window = open_gallery(visit())
    window.find(".card[href='#rotation']").click()
    expect(window.find("#detail .title")).to_be_focused()
    assert window.page.title() == "rotation · augsvc"
    row = window.find(".values tr", has_text="degrees").locator("td").all_inner_texts()
    assert row == ["−360 … 360, or [low, high]", "degrees", "−15 … 15", "uniform"]
    expect(window.find(".facts")).to_contain_text("boxes and keypoints move")
    expect(window.find(".facts")).to_contain_text("torchvision RandomRotation")
    steps = json.loads(window.find(".code").inner_text())
    assert parse_pipeline(steps) == parse_pipeline([{"op": "rotation"}])
    window.page.get_by_role("link", name="Open in the workbench").click()
    window.settled()
    assert json.loads(parse_qs(window.fragment)["pipeline"][0]) == steps
    window.page.go_back()
    expect(window.find("#detail .title")).to_have_text("rotation")
    window.page.get_by_role("link", name="All operations").click()
    expect(window.find("#list")).to_be_visible()
    expect(window.find("#detail")).to_be_hidden()


@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_is_wider_than_the_window(visit, width):
    window = visit(width=width, height=900)
    for name in ("", "random_resized_crop", "instance_crop", "some_of"):
        open_gallery(window, name)
        assert window.page.evaluate("document.documentElement.scrollWidth") <= width


def test_an_unknown_name_shows_the_list(visit):
    window = visit()
    window.page.goto(f"{window.url}/gallery#nothing")
    expect(window.find("#list")).to_be_visible()


def test_a_server_with_tokens_asks_for_one(visit, serve, tmp_path):
    path = tmp_path / "tokens.yaml"
    path.write_text(yaml.safe_dump({OPERATOR: {"token": TOKEN}}), encoding="utf-8")
    serving = serve(tokens_file=str(path))
    serving.token = TOKEN
    window = visit("", serving.ready())
    window.expected = ("Failed to load resource",)
    window.page.goto(f"{serving.url}/gallery")
    token = window.page.get_by_label("Token")
    expect(token).to_be_focused()
    token.fill("not-the-token")
    token.press("Enter")
    expect(window.find("#token-error")).to_have_text("Invalid token.")
    token.fill(TOKEN)
    token.press("Enter")
    expect(window.find(".card").first).to_be_visible()
    expect(window.find("#token")).to_be_hidden()
