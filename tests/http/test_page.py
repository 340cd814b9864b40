"""The page shows the batch's bytes, overlays and receipts, in both colour schemes and every width."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.http import screenshots
from tests.http.browsing import chromium as browser
from tests.http.browsing import expect, fragment

STATIC = Path(__file__).parents[2] / "augsvc" / "http" / "ui"
SHAPES = {"dataset": "shapes/train", "size": [48, 64], "pipeline": "strong"}
AWAY = [{"op": "affine", "degrees": 0, "translate_x": [-0.9, 0.9], "translate_y": 0, "scale": 1}]


# --- images


@pytest.mark.parametrize(
    "spec",
    [
        {"dataset": "digits/train", "pipeline": "light"},
        {"dataset": "photos/test", "pipeline": "standard", "size": [40, 56], "fit": "contain", "aug_seed": 7},
        {"dataset": "textures/train", "pipeline": "strong", "channels": 3, "order_seed": 2, "shuffle": False},
        {"dataset": "shapes/train", "pipeline": [{"op": "rotation", "degrees": 90, "border": "edge"}]},
    ],
)
def test_the_image_is_the_batchs_bytes(visit, server, spec):
    window = visit(fragment(**spec, epoch=2, start=5, view=1, count=12))
    window.shows(server, spec, epoch=2, start=5, count=12, view=1)


def test_the_enlarged_images_are_the_same_bytes(visit):
    window = visit(fragment(**SHAPES, chosen=3))
    for role in ("original", "augmented"):
        assert (window.images(role, "#large")[0] == window.images(role)[3]).all()


def test_pixels_are_enlarged_without_smoothing(visit):
    window = visit(fragment(dataset="digits/train")).settled()
    styles = window.find("canvas.pixels").evaluate_all("all => all.map(one => getComputedStyle(one).imageRendering)")
    assert set(styles) == {"pixelated"}


def test_stepping_through_epochs_positions_and_views(visit, server):
    window = visit(fragment(**SHAPES))
    window.settled()
    for name in ("Next epoch", "Next epoch", "Previous epoch", "Next positions", "Next positions", "Next view"):
        window.page.get_by_role("button", name=name).click()
    window.shows(server, SHAPES, epoch=1, start=16, view=1)
    window.page.get_by_label("Positions from").fill("2995")
    window.page.get_by_label("Positions from").press("Enter")
    window.shows(server, SHAPES, epoch=1, start=2995, count=5, view=1)
    expect(window.page.get_by_role("button", name="Next positions")).to_be_disabled()


def test_a_position_past_the_end_is_clamped(visit, server):
    visit(fragment(**SHAPES, start=10**9)).shows(server, SHAPES, start=2999, count=1)


def test_choosing_a_dataset_and_its_settings(visit, server):
    window = visit(fragment(dataset="digits/train", start=8, size=[16, 16])).settled()
    window.expected = ("422",)  # on a slow machine the page sends the height while the width is still empty
    window.page.get_by_label("Dataset").select_option("shapes/test")
    window.settled()
    window.page.get_by_label("Canvas height").fill("32")
    window.page.get_by_label("Canvas width").fill("40")
    window.page.get_by_text("Fit, channels, seeds").click()
    window.page.get_by_label("Fit", exact=True).select_option("stretch")
    window.page.get_by_label("Channels").select_option("1")
    window.page.get_by_label("Augmentation seed").fill("3")
    window.page.get_by_label("Order seed").fill("4")
    window.page.get_by_label("Shuffle").uncheck()
    window.page.get_by_role("combobox", name="Samples").select_option("4")
    spec = {"dataset": "shapes/test", "size": [32, 40], "fit": "stretch", "channels": 1, "aug_seed": 3, "order_seed": 4}
    window.shows(server, {**spec, "pipeline": "standard", "shuffle": False}, count=4)


def test_a_dataset_of_many_sizes_gets_a_canvas(visit, server):
    window = visit(fragment(dataset="pets", pipeline="light"))  # without a refused request in the console
    window.shows(server, {"dataset": "pets", "pipeline": "light", "size": [128, 128]})
    expect(window.page.get_by_label("Canvas height")).to_have_value("128")


def test_a_replaced_sample_is_marked(visit, server):
    window = visit(fragment(dataset="hurt", size=[32, 32], count=12, pipeline="none")).settled()
    with server.client() as client:
        valid = client.stream({"dataset": "hurt", "size": [32, 32]}).batch(0, 0, 12)["valid"]
    said = window.find(".sample .caption .error").all_inner_texts()
    assert [bool(text) for text in said] == [not one for one in valid]
    assert any(said)


# --- overlays


def test_overlays_are_offered_where_the_stream_has_them(visit):
    window = visit(fragment(dataset="digits/train")).settled()
    expect(window.find("#overlays")).to_be_hidden()
    window.page.get_by_label("Dataset").select_option("shapes/train")
    window.settled()
    assert window.find("#overlays label").all_inner_texts() == ["mask", "boxes", "keypoints"]


@pytest.mark.parametrize("name", ["boxes", "keypoints"])
def test_only_valid_boxes_and_keypoints_are_drawn(visit, server, name):
    spec = {"dataset": "shapes/train", "size": [64, 64], "pipeline": AWAY}
    window = visit(fragment(**spec, overlays=[name], count=16)).settled()
    with server.client() as client:
        batch = client.stream(spec).batch(0, 0, 16)
    valid = batch[f"{name}_valid"].any(axis=1)
    assert valid.any()
    assert not valid.all()
    drawn = window.images("augmented", layer="overlay")[..., 3].any(axis=(1, 2))
    assert (drawn == valid).all()
    window.shows(server, spec, count=16)  # the pixels below stay the batch's


def test_the_mask_lies_on_its_pixels(visit, server):
    spec = {**SHAPES, "size": [64, 64]}
    window = visit(fragment(**spec, overlays=["mask"])).settled()
    with server.client() as client:
        mask = client.stream(spec).batch(0, 0, 8)["mask"]
    overlay = window.images("augmented", "#sheet", "overlay")
    across = (np.arange(64) + 0.5) / 64
    rows, columns = ((across * side).astype(int) for side in overlay.shape[1:3])
    assert ((overlay[:, rows][:, :, columns, 3] > 0) == (mask > 0)).all()


def test_a_legend_explains_the_overlays(visit):
    window = visit(fragment(**SHAPES, overlays=[])).settled()
    expect(window.find("#legend")).to_be_hidden()
    for name, words in (("mask", "value 1"), ("boxes", "triangle"), ("keypoints", "inside the canvas")):
        window.page.get_by_label(name, exact=True).check()
        expect(window.find("#legend")).to_contain_text(words)
        assert window.images("augmented", layer="overlay")[..., 3].any()
        window.page.get_by_label(name, exact=True).uncheck()
    expect(window.find("#legend")).to_be_hidden()
    assert not window.images("augmented", layer="overlay").any()


def test_boxes_are_shown_before_the_user_chooses(visit):
    window = visit(fragment(**SHAPES)).settled()
    expect(window.page.get_by_label("boxes", exact=True)).to_be_checked()
    expect(window.page.get_by_label("mask", exact=True)).not_to_be_checked()
    assert window.images("augmented", layer="overlay")[..., 3].any()
    window.page.get_by_label("boxes", exact=True).uncheck()
    other = visit(f"#{window.fragment}").settled()  # a link keeps the choice
    expect(other.page.get_by_label("boxes", exact=True)).not_to_be_checked()


def test_a_sample_without_a_class_has_no_label(visit):
    window = visit().settled()
    text = """async () => {
      const { labelText } = await import("./assets/media.js");
      const label = (dtype, shape, data) => labelText({ label: { dtype, shape, data } }, 0, ["cat", "dog"]);
      return [label("I64", [1], new BigInt64Array([-1n])), label("I64", [1], new BigInt64Array([1n])),
        label("F32", [1], new Float32Array([-1])), label("F32", [1, 2], new Float32Array([0, 0]))];
    }"""
    assert window.page.evaluate(text) == ["no label", "dog", "-1", "no label"]


# --- receipts


@pytest.mark.parametrize("how", ["click", "Enter"])
def test_a_samples_receipt(visit, server, how):
    window = visit(fragment(**SHAPES, epoch=1, start=8)).settled()
    sample = window.find(".sample").nth(5)
    if how == "click":
        sample.click()
    else:
        sample.focus()
        sample.press("Enter")
    expect(window.find("#inspector-title")).to_contain_text("Position 13")
    with server.client() as client:
        receipt = client.stream(SHAPES).receipt(1, 13)
    expect(window.find("#source")).to_have_text(receipt["source"])
    expect(window.find("#inspector-title")).to_contain_text(f"index {receipt['index']}")
    assert window.find("#draws li").evaluate_all("all => all.map(one => one.dataset.op)") == [
        one["op"] for one in receipt["operations"]
    ]
    for operation in receipt["operations"]:
        row = window.find(f"#draws [data-op={operation['op']}]")
        if not operation["selected"]:
            expect(row).to_contain_text("skipped")
            continue
        for name, value in operation["draws"].items():
            text = row.locator(f"[data-draw={name}] .number").inner_text().replace("−", "-")
            assert np.allclose([float(one) for one in text.split()], value, atol=6e-4)
    assert sample.get_attribute("aria-pressed") == "true"


# --- the URL


def test_a_link_shows_the_same(visit):
    first = visit(fragment(**SHAPES, epoch=3, start=24, view=2, count=4, chosen=1, overlays=["boxes"])).settled()
    first.page.get_by_role("button", name="Move affine down").click()
    first.settled()
    second = visit(f"#{first.fragment}").settled()
    assert second.stream_id == first.stream_id
    assert second.fragment == first.fragment
    assert (second.images("augmented") == first.images("augmented")).all()
    assert (second.images("augmented", layer="overlay") == first.images("augmented", layer="overlay")).all()
    expect(second.find("#inspector-title")).to_contain_text("Position 25")
    second.page.evaluate("location.hash = 'dataset=digits/train'")
    expect(second.page.get_by_label("Dataset")).to_have_value("digits/train")


@pytest.mark.parametrize(
    "said",
    [
        "#%",
        "#x=1&__proto__=2&constructor=3",
        "#epoch=-1&start=x&count=1e9&view=NaN&chosen=99",
        "#pipeline=[1]&overlays=7",
    ],
)
def test_an_invalid_link_shows_the_defaults(visit, said):
    window = visit(said).settled()
    assert window.images("augmented").any()


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("#dataset=tones/train&count=2&pipeline=strong", "preset strong is not for sound; sound is shown"),
        ("#dataset=digits/train&count=2&pipeline=words", "preset words is not for images; standard is shown"),
        ('#dataset=digits/train&count=2&pipeline=[{"op":"reverb"}]', "Operations of the link that are not for images"),
        ("#dataset=digits/train&count=2&epoch=x&pipeline=strnog", "no valid epoch, pipeline; the defaults are shown"),
        ("#dataset=tones/train&count=2", None),
        ("#dataset=digits/train&count=2&pipeline=strong", None),
    ],
)
def test_what_a_link_asks_for_and_does_not_get_is_said(visit, said, words):
    window = visit(said).settled()
    if words is None:
        return expect(window.find("#notice")).to_be_hidden()
    expect(window.find("#notice")).to_contain_text(words)
    window.page.get_by_role("radio", name="none").check(force=True)
    window.settled()
    return expect(window.find("#notice")).to_be_hidden()


# --- appearance


@pytest.mark.parametrize("width", [360, 768, 1024, 1440])
def test_it_fits_every_width_and_colour_scheme(visit, width):
    window = visit(fragment(**SHAPES, overlays=["mask", "boxes", "keypoints"]), width=width, height=740).settled()
    settings = window.find("#settings")
    assert settings.evaluate("one => one.open") == (width >= 900)
    if width < 900:
        window.find("#settings > summary").click()
    for title in window.find(".operation .title").all():
        title.click()
    names = window.find("#presets span")
    assert names.count() > 4
    for name in names.all():  # on one line each, not broken between letters
        assert name.evaluate("one => one.clientHeight < 2 * parseFloat(getComputedStyle(one).lineHeight)"), (
            name.inner_text()
        )
    for scheme in ("dark", "light"):
        window.page.emulate_media(color_scheme=scheme)
        assert window.page.evaluate("document.documentElement.scrollWidth") <= width
        ground = window.find("html").evaluate("one => getComputedStyle(one).backgroundColor")
        assert (max(map(int, re.findall(r"\d+", ground)[:3])) < 64) == (scheme == "dark")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read(visit, scheme):
    window = visit(fragment(**SHAPES), color_scheme=scheme).settled()
    for title in window.find(".operation .title").all()[:2]:
        title.click()
    colors = window.find("body *").evaluate_all(
        """all => all.filter(one => one.checkVisibility() && [...one.childNodes].some(n => n.nodeType === 3 && n.data.trim())
             && !one.disabled).map(one => {
          let ground = one;
          while (getComputedStyle(ground).backgroundColor === "rgba(0, 0, 0, 0)") ground = ground.parentElement;
          return [one.textContent, getComputedStyle(one).color, getComputedStyle(ground).backgroundColor];
        })"""
    )
    assert len(colors) > 50
    faint = [one for one in colors if contrast(one[1], one[2]) < 4.5]
    assert faint == []


def contrast(*colors):
    """WCAG's ratio."""
    lights = []
    for color in colors:
        share = np.array([float(one) / 255 for one in re.findall(r"[\d.]+", color)[:3]])
        linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
        lights.append(float(linear @ [0.2126, 0.7152, 0.0722]))
    return (max(lights) + 0.05) / (min(lights) + 0.05)


def test_reduced_motion_is_respected(visit):
    window = visit(fragment(**SHAPES), reduced_motion="reduce").settled()
    lengths = window.find("body *").evaluate_all(
        "all => all.map(one => getComputedStyle(one).transitionDuration + getComputedStyle(one).animationName)"
    )
    assert set(lengths) == {"0snone"}


def test_the_pages_files_stay_readable():
    files = sorted(path for path in STATIC.iterdir() if path.is_file())
    assert len(files) > 10
    for path in files:
        text = path.read_text(encoding="utf-8")
        assert len(text.splitlines()) <= 350, path.name
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|https?://", text), (
            path.name
        )


@pytest.mark.slow
def test_the_screenshots_of_the_docs_can_be_made(chromium, server, tmp_path):
    with screenshots.jobs(server):
        paths = screenshots.take(chromium, server, tmp_path)
    for path in paths:
        assert path.stat().st_size < 300_000
        assert (screenshots.DOCS / path.name).stat().st_size < 300_000
        with Image.open(path) as taken, Image.open(screenshots.DOCS / path.name) as documented:
            assert taken.size == documented.size


def test_without_a_browser_the_skip_names_the_package(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(pytest.skip.Exception, match="apt-get install chromium"), browser():
        pass
