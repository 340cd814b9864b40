"""Several views of each sample on the page: all of them on the sheet, one of them in the inspector, errors at their field."""

import numpy as np

from tests.http.browsing import expect, fragment

PIPELINE = [{"op": "rotation", "degrees": [10, 80]}, {"op": "invert", "p": 1.0, "views": [1]}]
SPEC = {"dataset": "shapes/train", "size": [24, 24], "pipeline": PIPELINE}


def test_every_view_is_below_its_original(visit, server):
    window = visit(fragment(**SPEC, views=3, count=4, start=8, view=1))
    pixels = window.images("augmented").reshape(4, 3, 24, 24, 4)[..., :3]
    with server.client() as client:
        stream = client.stream({**SPEC, "views": 3})
        assert window.stream_id == stream.id
        batch = stream.batch(0, 8, 4, 1)
    for k, name in enumerate(("image", "image1", "image2")):
        np.testing.assert_array_equal(pixels[:, k], batch[name].transpose(0, 2, 3, 1))
    assert len(window.images("original")) == 4


def test_the_inspector_shows_a_view_and_its_receipt(visit):
    window = visit(fragment(**SPEC, count=4)).settled()
    expect(window.find("#views")).to_be_hidden()
    window.page.get_by_text("Fit, channels, seeds, views").click()
    window.page.get_by_label("Views per sample").fill("2")
    window.page.get_by_role("radio", name="view 1").check(force=True)
    expect(window.find("#draws li[data-op=invert] .quiet")).to_have_count(0)
    shown = window.images("augmented", "#large")[0]
    np.testing.assert_array_equal(shown, window.images("augmented").reshape(4, 2, 24, 24, 4)[0, 1])
    window.page.get_by_role("radio", name="view 0").check(force=True)
    expect(window.find("#draws li[data-op=invert] .quiet")).to_have_text("not selected")
    window.page.get_by_role("tab", name="Python").click()
    expect(window.find("#text")).to_contain_text('images, images1, labels = batch["image"], batch["image1"]')


def test_what_the_server_refuses_is_shown_at_the_field(visit):
    window = visit(fragment(dataset="digits/train", size=[16, 16], pipeline=[{"op": "mixup"}], count=4)).settled()
    window.expected = ("422",)
    window.page.get_by_text("Fit, channels, seeds, views").click()
    field = window.find("#data [data-field=views]")
    for value, words in (
        ("17", "views must be at most 16"),
        ("0", "views must be at least 1"),
        ("2", "views must be 1"),
    ):
        field.locator("input").fill(value)
        expect(field.locator(".error")).to_contain_text(words)
