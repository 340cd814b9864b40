"""Clips on the page: waveform, spectrogram and playback; for clips made here and the server's datasets."""

import re

import numpy as np
import pytest

from augsvc_client.wire import Layout, TensorSpec
from tests.http.browsing import READ_CANVAS, canvas, expect, fragment

RATE, SECONDS, COUNT = 8000, 20.0, 4
HERTZ = (500, 1000, 2000, 3000)
TENSORS = {
    "audio": TensorSpec("float32", (int(RATE * SECONDS),)),
    "index": TensorSpec("int64", ()),
    "label": TensorSpec("int64", ()),
    "valid": TensorSpec("bool", ()),
}
NUMBER = {"type": "number", "minimum": -1.0, "maximum": 1.0}
PAIR = {"type": "array", "items": NUMBER, "minItems": 2, "maxItems": 2}
SHIFT = {
    "name": "time_shift",
    "kind": "move",
    "media": "audio",
    "summary": "Moves the clip; zeros move in.",
    "schema": {
        "properties": {
            "op": {"const": "time_shift"},
            "p": {"type": "number", "minimum": 0.0, "maximum": 1.0, "default": 1.0},
            "shift": {"anyOf": [NUMBER, PAIR], "default": [-0.5, 0.5]},
        }
    },
}


def clips(augmented: bool) -> np.ndarray:
    """A tone each at three quarters of full scale; where augmented, the first half is silent."""
    time = np.arange(RATE * SECONDS) / RATE
    tones = 0.75 * np.sin(2 * np.pi * np.array(HERTZ)[:, None] * time).astype(np.float32)
    if augmented:
        tones[:, : tones.shape[1] // 2] = 0
    return tones


def body(augmented: bool) -> bytes:
    layout = Layout(TENSORS, stream="0" * 32)
    buffer, arrays = layout.allocate(COUNT)
    arrays["audio"][:], arrays["index"][:], arrays["valid"][:] = clips(augmented), np.arange(COUNT), True
    arrays["label"][:] = np.arange(COUNT) % 2
    layout.seal(buffer, COUNT, epoch=0, start=0)
    return buffer.tobytes()


@pytest.fixture
def sounds(visit):
    """The page on a dataset of clips; the specifications that it sent."""
    sent = []

    def operations(route):
        image_ops = [one for one in route.fetch().json()["ops"] if one["media"] == "image"]
        route.fulfill(json={"ops": [*image_ops, SHIFT]})

    def streams(route):
        spec = route.request.post_data_json
        sent.append(spec)
        pipeline = (
            [] if spec["pipeline"] == [] else [{"op": "time_shift", "id": "time_shift", "p": 1, "shift": [-0.5, 0.5]}]
        )
        filled = {"seconds": SECONDS, "sample_rate": RATE, "order_seed": 0, "aug_seed": 0, **spec, "pipeline": pipeline}
        stream = {
            "id": ("a" if pipeline else "0") * 32,
            "header": "x",
            "samples": COUNT,
            "spec": filled,
            "passes": [],
            "tensors": {},
        }
        route.fulfill(json=stream)

    def receipt(route):
        draws = {"op": "time_shift", "id": "time_shift", "selected": True, "draws": {"shift": 0.5}}
        route.fulfill(json={"index": 0, "source": "tone 0", "operations": [draws]})

    def batch(route):
        route.fulfill(body=body("aaaa" in route.request.url), content_type="application/x-safetensors")

    tones = {"name": "tones/train", "samples": COUNT, "media": "audio", "channels": 2, "version": "0"}
    tones["classes"] = ["sine", "saw"]
    window = visit()
    window.page.route("**/v1/ops", operations)
    window.page.route("**/v1/datasets", lambda route: route.fulfill(json={"datasets": [tones]}))
    window.page.route("**/v1/streams", streams)
    window.page.route("**/epochs/*?*", batch)
    window.page.route("**/samples/*", receipt)
    window.page.goto("about:blank")  # a reload would keep the fragment that the first visit may have written by now
    return window.go().settled(), sent


def drawn(window, role, kind):
    canvases = window.find(f"#sheet .clip:has([data-role={role}]) canvas.{kind}")
    return [canvas(one.evaluate(READ_CANVAS)) for one in canvases.all()]


def waves(window, role, expected):
    """Each waveform is as tall, column by column, as its clip is wide."""
    for waveform, clip in zip(drawn(window, role, "wave"), expected, strict=True):
        height, width = waveform.shape[:2]
        ends = np.arange(width) * len(clip) // width
        low, high = (np.clip(edge.reduceat(clip, ends), -1, 1) for edge in (np.minimum, np.maximum))
        tall = (waveform[..., 3] > 0).sum(axis=0)
        assert np.allclose(tall, np.maximum(1, (high - low) * (height / 2 - 2) + 1), atol=2)


def test_the_waveform_is_the_clip(sounds):
    window, _ = sounds
    for role in ("original", "augmented"):
        waves(window, role, clips(role == "augmented"))


def test_the_spectrogram_has_its_tone_where_it_belongs(sounds):
    window, _ = sounds
    for spectrogram, hertz in zip(drawn(window, "original", "spectrogram"), HERTZ, strict=True):
        rows = spectrogram.shape[0]
        light = spectrogram[:, 20:-20, :3].astype(int).sum(axis=2).mean(axis=1)
        assert rows - 1 - light.argmax() == round(hertz / (RATE / 2) * rows)
    for spectrogram in drawn(window, "augmented", "spectrogram"):
        light = spectrogram[..., :3].astype(int).sum(axis=2).max(axis=0)
        half = len(light) // 2
        assert light[half + 4 :].min() > 2 * light[: half - 4].max()  # the silence is dark


def test_clips_can_be_played_one_at_a_time(sounds):
    window, _ = sounds
    buttons = [
        window.page.get_by_role("button", name=name, exact=True) for name in ("Play original 1", "Play augmented 2")
    ]
    expect(window.find("button.play")).to_have_count(2 * COUNT + 2)
    expect(window.find("#sheet li >> nth=1 >> button.play")).to_have_text(["original", "augmented"])
    expect(window.find("#large button.play")).to_have_text(["original", "augmented"])
    expect(window.find("button.play[aria-pressed=true]")).to_have_count(0)
    for button in buttons:
        button.press("Enter")
        expect(button).to_have_attribute("aria-pressed", "true")
        expect(window.find("button.play[aria-pressed=true]")).to_have_count(1)
    buttons[1].click()
    expect(window.find("button.play[aria-pressed=true]")).to_have_count(0)


def test_the_controls_are_for_sound(sounds):
    window, sent = sounds
    assert window.find("#add-name option").all_inner_texts() == ["time_shift"]
    expect(window.page.get_by_label("Canvas height")).to_be_hidden()
    expect(window.page.get_by_label("Seconds")).to_have_attribute("placeholder", re.compile("20"))
    assert sent[-1].keys() == {"dataset", "pipeline"}
    window.page.get_by_label("Seconds").fill("0.5")
    window.page.get_by_label("Sample rate (Hz)").fill("16000")
    window.page.get_by_role("button", name="Add").click()
    window.settled()
    shift = {"op": "time_shift", "shift": [-0.5, 0.5]}
    asked = {"dataset": "tones/train", "seconds": 0.5, "sample_rate": 16000, "pipeline": [shift, shift]}
    assert asked in sent[-2:]
    assert {**asked, "pipeline": []} in sent[-2:]
    expect(window.find("#text")).to_contain_text('batch["audio"]')
    expect(window.find("#text")).to_contain_text("sample_rate=16000")
    expect(window.find("#draws")).to_contain_text("time_shift")
    window.page.get_by_text("Channels, seeds, views").click()
    expect(window.page.get_by_label("Fit", exact=True)).to_be_hidden()
    channels = window.page.get_by_label("Channels")
    assert channels.locator("option").all_inner_texts() == ["dataset’s (2)", "1", "2"]
    channels.select_option("1")
    window.settled()
    assert {**asked, "channels": 1} in sent[-2:]
    assert {**asked, "channels": 1, "pipeline": []} in sent[-2:]
    expect(window.find("#text")).to_contain_text("channels=1")
    channels.select_option("")
    window.settled()
    assert asked in sent[-2:]


def test_the_built_in_clips(visit, server):
    window = visit(fragment(dataset="photos/test", pipeline="strong")).settled()
    window.page.get_by_label("Dataset").select_option("tones/test")
    window.settled()
    expect(window.page.get_by_role("radio", name="sound")).to_be_checked()
    expect(window.page.get_by_role("radio", name="strong")).to_have_count(0)
    with server.client() as client:
        for role, pipeline in (("augmented", "sound"), ("original", "none")):
            stream = client.stream({"dataset": "tones/test", "pipeline": pipeline})
            assert role == "original" or stream.id == window.stream_id
            waves(window, role, stream.batch(0, 0, 8)["audio"])
    assert window.find("#draws li").evaluate_all("all => all.map(one => one.dataset.op)") == [
        one["op"] for one in server.open({"dataset": "tones/test", "pipeline": "sound"})["spec"]["pipeline"]
    ]
    window.page.get_by_text("Channels, seeds, views").click()
    channels = window.page.get_by_label("Channels")
    assert channels.locator("option").all_inner_texts() == ["dataset’s (1)", *map(str, range(1, 9))]
    channels.select_option("2")
    window.settled()
    names: dict[str, object] = {}
    exec(window.find("#text").text_content(), names)  # noqa: S102 - the page's snippet
    assert names["loader"].id == window.stream_id
    assert names["clips"].shape[1:] == (2, 16000)
    names["loader"].close()
    window.page.get_by_role("button", name="Play augmented 3", exact=True).click()
    expect(window.find("button.play[aria-pressed=true]")).to_have_count(0)  # the clip has ended
    window.page.get_by_label("Dataset").select_option("shapes/test")
    window.settled()
    expect(window.page.get_by_role("radio", name="standard")).to_be_checked()
    assert window.images("augmented").any()
