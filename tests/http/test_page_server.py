"""The page and its server: tokens, starting, going away and coming back, who trains, and what a browser must not do."""

import json
import re
import threading

import pytest
import yaml

from augsvc_client import Client
from tests.http.browsing import expect, fragment

TOKEN, WRONG = "the-token-of-a-person", "not-the-token"
LIGHT = {"dataset": "digits/train", "pipeline": "light"}
FAILED = "Failed to load resource"


# --- tokens


@pytest.fixture(scope="module")
def guarded(serve, tmp_path_factory):
    path = tmp_path_factory.mktemp("tokens") / "tokens.yaml"
    path.write_text(yaml.safe_dump({"person": {"token": TOKEN}}), encoding="utf-8")
    serving = serve(tokens_file=str(path))
    serving.token = TOKEN
    return serving.ready()


def test_a_guarded_server_gets_its_token(visit, guarded):
    seen = visit(fragment(**LIGHT, epoch=2), guarded)
    seen.expected = (FAILED,)
    asked = seen.page.get_by_label("Token")
    expect(asked).to_be_focused()
    expect(seen.find("#workbench")).to_be_hidden()
    asked.fill(WRONG)
    asked.press("Enter")
    expect(seen.find("#token-error")).to_have_text("This server does not know that token.")
    assert asked.get_attribute("type") == "password"
    asked.fill(TOKEN)
    asked.press("Enter")
    seen.shows(guarded, LIGHT, epoch=2)
    expect(seen.find("#token")).to_be_hidden()
    assert TOKEN not in seen.page.url
    assert TOKEN not in seen.page.content()
    assert TOKEN not in seen.page.evaluate("JSON.stringify(localStorage) + document.cookie")
    seen.page.get_by_role("tab", name="curl").click()
    expect(seen.find("#text")).to_contain_text("Bearer $AUGSVC_TOKEN")
    seen.page.reload()
    seen.shows(guarded, LIGHT, epoch=2)
    other = visit("", guarded)
    other.expected = (FAILED,)
    expect(other.page.get_by_label("Token")).to_be_visible()


# --- starting, going away


def starting(route):
    error = {"code": "starting", "message": "the self-test is still running", "field": None}
    route.fulfill(status=503, json={"error": error}, headers={"Retry-After": "1"})


def test_a_starting_server_is_waited_for(visit, server):
    seen = visit()
    seen.settled()
    seen.expected = (FAILED,)
    seen.page.route("**/v1/version", starting)
    seen.page.reload()
    expect(seen.find("#notice")).to_contain_text("The server is starting")
    seen.page.unroute("**/v1/version")
    seen.settled()
    expect(seen.find("#notice")).to_be_hidden()
    assert seen.pictures("augmented").any()


@pytest.mark.slow
def test_a_server_that_goes_away_and_comes_back(visit, serve):
    serving = serve().ready()
    seen = visit(fragment(**LIGHT), serving)
    seen.settled()
    seen.expected = (FAILED,)
    before = seen.pictures("augmented")
    serving.kill()
    expect(seen.find("#notice")).to_contain_text("The server does not answer. Trying again", timeout=60_000)
    seen.page.get_by_role("button", name="Next epoch").click()
    assert (seen.pictures("augmented") == before).all()
    serving.begin().ready()
    expect(seen.find("#notice")).to_be_hidden(timeout=60_000)
    seen.shows(serving, LIGHT, epoch=1)


# --- who trains


def test_a_running_job_is_seen(visit, server):
    seen = visit(fragment(**LIGHT)).settled()
    enough = threading.Event()

    def train():
        with Client(server.url, job='vit-"small"/0') as client:
            stream = client.stream(LIGHT)
            for start in range(10**9):
                if enough.is_set():
                    return
                stream.batch(0, 10 * (start % 100), 10, waited_s=0.25)

    training = threading.Thread(target=train)
    training.start()
    try:
        row = seen.find("#jobs tr.running", has_text='vit-"small"/0')
        expect(row).to_be_visible(timeout=60_000)
        cells = row.locator("td").all_inner_texts()
        assert int(cells[0].replace(",", "")) > 0
        assert cells[1] == "250 ms"
        assert int(cells[2].replace(",", "")) > 0
        figures = dict(zip(*(seen.find(f"#figures {tag}").all_inner_texts() for tag in ("dt", "dd")), strict=True))
        assert figures.keys() == {"Jobs", "Images/s", "Mean wait", "Pending", "Errors"}
        assert (figures["Jobs"], figures["Mean wait"]) == ("1", "250 ms")
        assert int(figures["Images/s"].replace(",", "")) > 0
    finally:
        enough.set()
        training.join()
    expect(seen.find("[data-figure=jobs]")).to_have_text("0", timeout=60_000)
    expect(seen.find("#jobs tr", has_text='vit-"small"/0')).to_be_visible()


def test_a_page_that_nobody_sees_asks_nothing(visit):
    seen = visit()
    seen.page.clock.install()
    seen.page.reload()
    expect(seen.find("#live-note")).not_to_be_empty()
    asked = []
    seen.page.on("request", lambda request: asked.append(request.url))
    with seen.page.expect_request("**/metrics"):
        seen.page.clock.run_for(2_000)
    seen.page.evaluate("""() => {
      Object.defineProperty(document, "hidden", { get: () => true, configurable: true });
      document.dispatchEvent(new Event("visibilitychange"));
    }""")
    seen.settled()
    asked.clear()
    seen.page.clock.run_for(60_000)
    seen.page.evaluate("fetch('healthz')")  # whatever was asked before it has been told by now
    assert [url.rpartition("/")[2] for url in asked] == ["healthz"]
    with seen.page.expect_request("**/metrics"):
        seen.page.evaluate("() => { delete document.hidden; document.dispatchEvent(new Event('visibilitychange')); }")


# --- what a browser must not do


def test_the_policy(visit, server):
    reply = server.get("/")
    policy = dict(part.strip().split(" ", 1) for part in reply.headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'self'"
    assert not any("unsafe" in part or "*" in part for part in policy.values())
    assert policy["frame-ancestors"] == "'none'"
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert reply.headers["referrer-policy"] == "no-referrer"
    html = reply.body.decode()
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*src=)", html)
    seen = visit().settled()
    seen.expected = ("violation", "Content Security Policy", "TrustedHTML", "Refused", "violates")
    said = seen.page.evaluate(
        "() => { try { document.body.innerHTML = '<b>x</b>' } catch (error) { return error.name } }"
    )
    assert said == "TypeError"
    with seen.page.expect_console_message(lambda said: "violation of img-src" in said.text):
        seen.page.evaluate(
            "() => { document.body.append(Object.assign(new Image(), { src: 'data:image/gif;base64,R0' })); }"
        )


def test_names_from_the_server_are_text(visit):
    evil = '<img src=x id=evil onerror="document.title = 1">'
    seen = visit(fragment(**LIGHT))

    def answer(route):
        known = json.loads(route.fetch().text())
        for dataset in known["datasets"]:
            dataset["classes"] = [evil] * len(dataset["classes"])
        route.fulfill(json=known)

    seen.page.route("**/v1/datasets", answer)
    seen.page.reload()
    seen.settled()
    expect(seen.find(".sample .name").first).to_have_text(evil)
    expect(seen.find("#inspector-title")).to_contain_text(evil)
    assert seen.find("#evil").count() == 0
    assert seen.page.title() == "augsvc"
