"""Editing a pipeline on the page: presets, controls from the schemas, the keyboard, errors at their control."""

import json
from urllib.parse import parse_qs

import pytest

from augsvc.ops.pipeline import parse_pipeline
from tests.http.browsing import expect, fragment

DIGITS = {"dataset": "digits/train", "size": [16, 16], "count": 4}
SPEC = {"dataset": "digits/train", "size": [16, 16]}


def cards(window):
    return window.settled().find(".operation").evaluate_all("all => all.map(one => one.dataset.op)")


def card(window, name):
    return window.find(f".operation[data-op={name}]")


@pytest.mark.parametrize("preset", ["none", "light", "standard", "strong"])
def test_a_preset_is_shown_as_its_operations(visit, server, preset):
    window = visit(fragment(**DIGITS, pipeline="light" if preset != "light" else "none")).settled()
    window.page.get_by_role("radio", name=preset).check(force=True)
    stream = server.open({"dataset": "digits/train", "size": [16, 16], "pipeline": preset})
    assert cards(window) == [one["op"] for one in stream["spec"]["pipeline"]]
    assert window.stream_id == stream["id"]
    expect(window.find("#no-operations")).to_be_visible(visible=preset == "none")
    window.page.get_by_role("radio", name="custom").check(force=True)
    assert window.stream_id == stream["id"]  # the same stream, written out


def test_the_presets_for_sound_say_which_is_for_spoken_words(visit):
    window = visit(fragment(dataset="tones/train", count=2)).settled()
    shown = window.find("#presets label:visible").evaluate_all("all => all.map(one => [one.innerText, one.title])")
    assert dict(shown)["words"].startswith("spoken words: shift and speed; measured to help")
    assert {name for name, title in shown if "no gain measured" in title} == {"sound", "speech"}
    assert all(
        window.find("#presets label").evaluate_all(
            "all => all.map(one => one.innerText === 'custom' || one.title || one.hidden)"
        )
    )


DESCRIBE = """all => all.map(field => ({
  name: field.dataset.field,
  steps: [...field.querySelectorAll(":scope > .nested > .operation")].map(one => one.dataset.op),
  options: [...field.querySelectorAll("option")].map(one => one.innerText),
  chosen: field.querySelector("select")?.value,
  inputs: [...field.querySelectorAll("input")].map(({type, value, checked, min, max}) => ({type, value, checked, min, max})),
}))"""  # the controls of a card in one call: one for each of their values was half of this file's time
ADD_AND_REMOVE = f"""async (name) => {{
  document.querySelector("[aria-label='Operation to add']").value = name;
  document.querySelector("#add button").click();
  await 0;
  const card = [...document.querySelectorAll(`.operation[data-op=${{name}}]`)].at(-1);
  const controls = ({DESCRIBE})([...card.querySelectorAll(":scope > .parameters > [data-field]")]);
  const shown = location.hash.slice(1);
  card.querySelector(`[aria-label="Remove ${{name}}"]`).click();
  await 0;
  return [controls, shown];
}}"""


def assert_default(control, schema):
    """The control that a schema asks for, with its default."""
    default = schema.get("default", schema.get("examples", [None])[0])
    alternatives = schema.get("anyOf", [schema])
    bounds, inputs = alternatives[0], control["inputs"]
    is_interval = [one.get("type") for one in alternatives[1:]] == ["array"]
    has_slider = bounds.keys() >= {"minimum", "maximum"} and (bounds is schema or is_interval)
    if schema.get("items", {}).get("required") == ["op"]:
        assert control["steps"] == [step["op"] for step in schema["examples"][0]]
    elif "enum" in schema:
        assert (control["options"], control["chosen"]) == (schema["enum"], default)
    elif schema.get("type") == "boolean":
        assert [(one["type"], one["checked"]) for one in inputs] == [("checkbox", default)]
    elif not has_slider:
        assert [json.loads(one["value"] or "null") for one in inputs] == [default]  # empty for null
    else:
        ends = default if "anyOf" in schema else [default]
        assert [float(one["value"]) for one in inputs if one["type"] == "number"] == ends
        assert {(float(one["min"]), float(one["max"])) for one in inputs} == {(bounds["minimum"], bounds["maximum"])}
        assert sum(one["type"] == "range" for one in inputs) == len(ends)


def test_controls_are_made_from_the_schemas(visit, server):
    """What an added operation sends is the same as its name alone, with the server's defaults."""
    operations = [one for one in server.get("/v1/ops").json["ops"] if one["media"] in ("image", None)]
    window = visit(fragment(**DIGITS, pipeline=[{"op": "gamma"}])).settled()
    window.install_clock()
    window.page.clock.pause_at("2100-01-01")  # nothing is requested meanwhile
    for operation in operations:
        name, schema = operation["name"], operation["schema"]
        controls, shown = window.page.evaluate(ADD_AND_REMOVE, name)
        assert sorted(control["name"] for control in controls) == sorted(schema["properties"].keys() - {"op"})
        for control in controls:
            if control["name"] != "id":
                assert_default(control, schema["properties"][control["name"]])
        required = {key: schema["properties"][key]["examples"][0] for key in schema.get("required", [])}
        added = {"op": name, **required}
        steps = [added, {"op": "gamma"}] if operation["kind"] == "frame" else [{"op": "gamma"}, added]
        sent = json.loads(parse_qs(shown)["pipeline"][0])
        assert parse_pipeline(sent) == parse_pipeline(steps)
    window.page.clock.run_for(2000)
    spec = {"dataset": "digits/train", "size": [16, 16], "pipeline": [{"op": "gamma"}]}
    assert window.stream_id == server.open(spec)["id"]


def test_a_container_is_shown_as_a_tree_and_receipts_name_its_children(visit, server):
    children = [{"op": "rotation", "degrees": [20, 40]}, {"op": "gamma", "gamma": 3}]
    pipeline = [{"op": "one_of", "of": children}, {"op": "rand_augment"}]
    window = visit(fragment(**DIGITS, pipeline=pipeline)).settled()
    assert window.stream_id == server.open({**SPEC, "pipeline": pipeline})["id"]
    listed = window.page.locator("#draws li").all_inner_texts()
    assert sum("one_of." in text for text in listed) == 2
    assert all("not selected" not in text for text in listed if "rand_augment" in text)
    expect(card(window, "rand_augment").locator(".parameters")).to_contain_text(
        "Chooses from sharpness, shear_x, shear_y, "
    )
    expect(card(window, "one_of").locator("> .bar .summary")).to_have_text("rotation, gamma")
    card(window, "one_of").locator("> .bar .title").click()
    card(window, "gamma").locator(".title").click()
    card(window, "gamma").get_by_label("gamma, maximum", exact=True).fill("3.5")
    children[1] = {"op": "gamma", "gamma": [3, 3.5]}
    assert window.stream_id == server.open({**SPEC, "pipeline": pipeline})["id"]


def names(window, selector="#operations"):
    """The names of a list of cards."""
    return window.find(f"{selector} > .operation").evaluate_all("all => all.map(one => one.dataset.op)")


def test_steps_of_a_container_are_added_moved_and_removed(visit, server):
    pipeline = [{"op": "random_resized_crop"}, {"op": "gamma"}, {"op": "one_of", "of": [{"op": "rotation"}]}]
    window = visit(fragment(**DIGITS, pipeline=pipeline)).settled()
    nested = ".operation[data-op=one_of] .nested"
    press = lambda label: window.page.get_by_role("button", name=label, exact=True).click()  # noqa: E731
    press("Move gamma into one_of")
    assert names(window, nested) == ["rotation", "gamma"]
    expect(window.find("#announcer")).to_have_text("gamma is now operation 2 in one_of")
    press("Move gamma up")
    offered = window.page.get_by_label("Step for one_of").locator("option").all_inner_texts()
    assert {"some_of", "sharpen", "mixup"} < set(offered) and "random_crop" not in offered
    window.page.get_by_label("Step for one_of").select_option("some_of")
    press("Add to one_of")
    assert names(window, nested + ":not(.nested .nested)") == ["gamma", "rotation", "some_of"]
    press("Move rotation into some_of")
    press("Remove gaussian_blur")
    some_of = {"op": "some_of", "of": [{"op": "gamma"}, {"op": "rotation"}]}
    made = [pipeline[0], {"op": "one_of", "of": [{"op": "gamma"}, some_of]}]
    assert window.stream_id == server.open({**SPEC, "pipeline": made})["id"]
    window.find(f"{nested} .nested").get_by_role("button", name="Move rotation out of some_of").click()
    made[1]["of"] = [{"op": "gamma"}, {"op": "some_of", "of": [{"op": "gamma"}]}, {"op": "rotation"}]
    assert window.stream_id == server.open({**SPEC, "pipeline": made})["id"]
    assert window.page.evaluate("document.activeElement.innerText").startswith("rotation")


def test_frames_stay_first_and_mixes_last(visit, server):
    window = visit(fragment(**DIGITS, pipeline=[{"op": "mixup"}])).settled()
    for name in ("gamma", "random_crop"):
        window.page.get_by_label("Operation to add").select_option(name)
        window.page.get_by_role("button", name="Add", exact=True).click()
    assert names(window) == ["random_crop", "gamma", "mixup"]
    expect(window.page.get_by_role("button", name="Move random_crop down")).to_be_disabled()
    expect(window.page.get_by_role("button", name="Move gamma up")).to_be_disabled()
    made = [{"op": "random_crop"}, {"op": "gamma"}, {"op": "mixup"}]
    assert window.stream_id == server.open({**SPEC, "pipeline": made})["id"]


def test_an_error_in_a_container_is_shown_at_its_control(visit):
    inner = {"op": "some_of", "of": [{"op": "gamma"}, {"op": "rotation"}]}
    window = visit(fragment(**DIGITS, pipeline=[{"op": "one_of", "of": [inner]}])).settled()
    window.expected = ("422",)
    rotation = card(window, "rotation")
    maximum = rotation.get_by_label("degrees, maximum", exact=True)
    for name in ("one_of", "some_of", "rotation"):
        card(window, name).locator("> .bar .title").click()
    maximum.fill("999")
    error = rotation.locator("[data-field=degrees] > .error")
    expect(error).to_have_text("degrees takes numbers from -360.0 to 360.0")
    assert maximum.get_attribute("aria-invalid") == "true"
    assert error.get_attribute("id") in maximum.get_attribute("aria-describedby")
    assert window.find("[aria-invalid=true]").count() == 4  # both numbers and their sliders, and nothing around them
    maximum.fill("20")
    for _ in range(2):
        window.page.get_by_role("button", name="Remove gamma").or_(
            window.page.get_by_role("button", name="Remove rotation")
        ).first.click()
    expect(card(window, "some_of").locator("[data-field=of] > .error")).to_contain_text("1 to 64")


def nested_containers(depth):
    step = {"op": "gamma"}
    for _ in range(depth):
        step = {"op": "one_of", "of": [step]}
    return step


@pytest.mark.parametrize(
    ("step", "words"),
    [
        (nested_containers(5), "nested at most 4 deep"),
        (nested_containers(60), "nested at most 4 deep"),
        ({"op": "one_of", "of": "gamma"}, "a list of 1 to 64 operations"),
        ({"op": "one_of", "of": [1, None]}, "must be an object with an operation's name"),
        ({"op": "one_of", "of": [{"p": 1}]}, "must be an object with an operation's name"),
        ({"op": "one_of", "of": [{"op": "random_crop"}]}, "at most one frame"),
    ],
)
def test_a_link_to_a_wrong_tree_is_refused_in_the_servers_words(visit, step, words):
    window = visit(fragment(**DIGITS, pipeline=[step]))
    window.expected = ("422",)
    expect(window.find("#operations .error:visible").first).to_contain_text(words)


@pytest.mark.parametrize(
    ("typed", "spans", "shown"),
    [("0", [0], "0"), ("0, 2, 5-9", [0, 2, [5, 9]], "0, 2, 5-9"), ("[[3, 4]]", [[3, 4]], "3-4"), ("", None, "")],
)
def test_views_and_epochs_are_typed_as_ranges(visit, server, typed, spans, shown):
    window = visit(fragment(**DIGITS, pipeline=[{"op": "gamma", "epochs": [7]}])).settled()
    card(window, "gamma").locator(".title").click()
    card(window, "gamma").get_by_label("epochs").fill(typed)
    made = {"op": "gamma"} if spans is None else {"op": "gamma", "epochs": spans}
    assert window.stream_id == server.open({**SPEC, "pipeline": [made]})["id"]
    window.page.reload()
    card(window, "gamma").locator(".title").click()
    expect(card(window, "gamma").get_by_label("epochs")).to_have_value(shown)


def test_text_that_is_no_range_is_refused_at_its_control(visit):
    window = visit(fragment(**DIGITS, pipeline=[{"op": "gamma"}])).settled()
    window.expected = ("422",)
    card(window, "gamma").locator(".title").click()
    card(window, "gamma").get_by_label("views").fill("9-5x")
    expect(card(window, "gamma").locator("[data-field=views] > .error")).to_contain_text("views takes")


def test_every_kind_of_control_changes_what_is_sent(visit, server):
    pipeline = [{"op": "rotation"}, {"op": "whitening"}]
    window = visit(fragment(**DIGITS, pipeline=pipeline)).settled()
    rotation = card(window, "rotation")
    rotation.locator(".title").click()
    rotation.get_by_label("degrees, minimum", exact=True).fill("-45")
    rotation.get_by_label("degrees, maximum, slider").fill("90")
    rotation.get_by_label("p, slider").fill("0.75")
    rotation.get_by_label("border").select_option("reflect")
    rotation.get_by_label("id", exact=True).fill("turn")
    expect(rotation.locator(".summary")).to_have_text("degrees −45 … 90 · p 0.75")
    made = {"op": "rotation", "degrees": [-45, 90], "p": 0.75, "border": "reflect", "id": "turn"}
    spec = {"dataset": "digits/train", "size": [16, 16]}
    assert window.stream_id == server.open({**spec, "pipeline": [made, pipeline[1]]})["id"]
    rotation.get_by_label("id", exact=True).fill("")
    rotation.get_by_label("degrees, minimum, slider").fill("200")  # stops at the other bound
    made = {"op": "rotation", "degrees": 90, "p": 0.75, "border": "reflect"}
    assert window.stream_id == server.open({**spec, "pipeline": [made, pipeline[1]]})["id"]


def test_the_sheet_is_busy_until_the_last_change_is_shown(visit, server):
    window = visit(fragment(**DIGITS, pipeline=[{"op": "rotation"}])).settled()
    rotation = card(window, "rotation")
    rotation.locator(".title").click()
    held = []
    window.page.route("**/samples/**", lambda route: held.append(route))  # the receipt, which is requested last
    with window.page.expect_request("**/samples/**"):
        rotation.get_by_label("degrees, minimum", exact=True).fill("-45")
    window.install_clock()  # from here on, changes wait for their timer
    rotation.get_by_label("degrees, minimum", exact=True).fill("-30")
    before = window.find("#inspector").inner_text()
    held[0].continue_()
    expect(window.find("#inspector")).not_to_have_text(before, use_inner_text=True)  # the first answer has arrived
    assert window.find("#sheet").get_attribute("aria-busy") == "true"
    window.page.unroute("**/samples/**")
    window.page.clock.run_for(2000)
    made = {"op": "rotation", "degrees": [-30, 15]}
    assert window.stream_id == server.open({"dataset": "digits/train", "size": [16, 16], "pipeline": [made]})["id"]


def test_an_unknown_schema_becomes_a_text_field(visit):
    odd = {"anyOf": [{"type": "array", "items": {"type": "integer"}}, {"type": "object"}], "default": [1, 2]}
    flag = {"type": "boolean", "default": True}

    def answer(route):
        reply = route.fetch()
        ops = reply.json()
        rotation = next(one for one in ops["ops"] if one["name"] == "rotation")
        rotation["schema"]["properties"] |= {"odd": odd, "flag": flag}
        rotation["summary"] = "<b id=evil>bold</b>"
        route.fulfill(json=ops)

    window = visit(fragment(**DIGITS))
    window.page.route("**/v1/ops", answer)
    window.page.reload()
    window.settled().expected = ("422",)
    window.page.get_by_label("Operation to add").select_option("rotation")
    window.page.get_by_role("button", name="Add", exact=True).click()
    rotation = card(window, "rotation")
    expect(rotation.get_by_label("odd")).to_have_value("[1,2]")
    expect(rotation.get_by_label("flag")).to_be_checked()
    expect(rotation).to_contain_text("<b id=evil>bold</b>")
    rotation.get_by_label("odd").fill('{"a": 1}')
    rotation.get_by_label("flag").uncheck()
    expect(rotation.locator(".error:visible")).to_contain_text("odd is an unknown field; known fields: op")


# --- keyboard only


def test_a_walk_by_keyboard(visit, server):
    window = visit(fragment(**DIGITS, pipeline="light")).settled()
    keys = window.page.keyboard

    def focused():
        return window.page.evaluate(
            "document.activeElement.getAttribute('aria-label') ?? document.activeElement.innerText"
        )

    def tab_to(label, key="Tab"):
        for _ in range(150):
            if label in focused():
                return
            keys.press(key)
        raise AssertionError(f"the Tab key never comes to {label}, but to {focused()}")

    tab_to("Operation to add")
    keys.type("rotation")
    keys.press("Tab")
    keys.press("Enter")
    assert cards(window) == ["affine", "color_jitter", "gaussian_noise", "rotation"]
    assert "rotation" in focused()
    for _ in range(2):
        keys.press("Alt+ArrowUp")
    assert cards(window) == ["affine", "rotation", "color_jitter", "gaussian_noise"]
    assert "rotation" in focused()
    expect(window.find("#announcer")).to_have_text("rotation is now operation 2 of 4")
    tab_to("Move rotation up")
    keys.press("Enter")
    assert cards(window)[0] == "rotation"
    assert focused() == "Move rotation down"  # the only direction left
    keys.press("Space")
    assert cards(window)[1] == "rotation"
    tab_to("degrees, maximum, slider")
    keys.press("ArrowRight")
    expect(card(window, "rotation").get_by_label("degrees, maximum", exact=True)).to_have_value("20")
    made = server.open({"dataset": "digits/train", "size": [16, 16], "pipeline": "light"})["spec"]["pipeline"]
    made.insert(1, {"op": "rotation", "degrees": [-15, 20]})
    assert window.stream_id == server.open({"dataset": "digits/train", "size": [16, 16], "pipeline": made})["id"]
    tab_to("Remove rotation", "Shift+Tab")
    keys.press("Enter")
    assert cards(window) == ["affine", "color_jitter", "gaussian_noise"]
    assert "color_jitter" in focused()
    tab_to("Position 0")
    keys.press("ArrowRight")
    keys.press("ArrowRight")
    keys.press("Enter")
    expect(window.find("#inspector-title")).to_contain_text("Position 2")


NAMED = """one => one.getAttribute("aria-label") || one.innerText?.trim() || [...(one.labels ?? [])].map(l => l.innerText).join()
  || document.getElementById(one.getAttribute("aria-labelledby"))?.innerText || ''"""
MARKED = """one => {
  const marks = one.matches("input[type=radio]") ? one.nextElementSibling : one;
  const style = getComputedStyle(marks);
  return one.matches(".slider input, .skip") || (style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2);
}"""


def test_focused_elements_are_named_and_marked(visit):
    window = visit(fragment(dataset="shapes/train", pipeline=[{"op": "rotation"}])).settled()
    card(window, "rotation").locator(".title").click()
    window.page.get_by_text("Fit, channels, seeds").click()
    window.find("#stage").evaluate("one => document.querySelector('.skip').focus()")
    reached = []
    for _ in range(200):
        window.page.keyboard.press("Tab")
        active = window.page.evaluate_handle("document.activeElement").as_element()
        if active.evaluate("one => one === document.body"):
            break
        html = active.evaluate("one => one.outerHTML.slice(0, 200)")
        assert active.evaluate(NAMED), html
        assert active.evaluate(MARKED), html
        reached.append(html)
    assert len(reached) > 40


# --- error messages


@pytest.mark.parametrize(
    ("label", "value", "words"),
    [
        ("degrees, maximum", "999", "degrees takes numbers from -360.0 to 360.0"),
        ("degrees, minimum", "20", "degrees has an empty range"),
        ("degrees, minimum", "", "degrees takes a number or [low, high]"),
        ("p", "1.5", "p must be at most 1.0"),
        ("id", "no spaces", "id may contain letters"),
    ],
)
def test_an_error_is_shown_at_its_control(visit, label, value, words):
    window = visit(fragment(**DIGITS, pipeline=[{"op": "gamma"}, {"op": "rotation"}])).settled()
    window.expected = ("422",)
    before = window.images("augmented")
    rotation = card(window, "rotation")
    rotation.locator(".title").click()
    control = rotation.get_by_label(label, exact=True)
    valid = control.input_value()
    control.fill(value)
    error = rotation.locator("[data-field] > .error:visible")
    expect(error).to_contain_text(words)
    assert control.get_attribute("aria-describedby") == error.get_attribute("id")
    assert control.get_attribute("aria-invalid") == "true"
    assert card(window, "gamma").locator(".error:visible").count() == 0
    expect(window.find("#notice")).to_contain_text("One setting is invalid; showing the last valid result.")
    assert (window.images("augmented") == before).all()
    control.fill(valid)
    expect(error).to_be_hidden()
    expect(window.find("#notice")).to_be_hidden()
    assert control.get_attribute("aria-invalid") is None


@pytest.mark.parametrize(
    ("label", "value", "words"),
    [
        ("Canvas height", "0", "height must be at least 1"),
        ("Canvas width", "9999", "width must be at most 4096"),
        ("Canvas width", "", "must be an integer"),
        ("Order seed", "1.5", "must be an integer"),
    ],
)
def test_errors_of_the_data_settings_are_shown_there(visit, label, value, words):
    window = visit(fragment(**DIGITS)).settled()
    window.expected = ("422",)
    if "seed" in label:
        window.page.get_by_text("Fit, channels, seeds").click()
    window.page.get_by_label(label).fill(value)
    expect(window.find("#data .error:visible")).to_contain_text(words)


def test_errors_without_a_control_are_shown_too(visit):
    window = visit(fragment(**DIGITS, pipeline=[{"op": "rotation"}]))
    window.expected = ("422", "404")
    window.page.evaluate('location.hash = \'dataset=digits/train&pipeline=[{"op":"rotatoin"}]\'')
    expect(card(window, "rotatoin").locator(".error:visible")).to_contain_text("did you mean rotation?")
    window.page.evaluate("location.hash = 'dataset=nowhere'")
    expect(window.find("#data .error:visible")).to_contain_text(
        "no dataset has this name: 'nowhere'; choose one from the list"
    )
    expect(window.page.get_by_role("radio", name="standard")).to_be_checked()
