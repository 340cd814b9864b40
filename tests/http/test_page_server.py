"""The page and its server: tokens, start-up, outages, training jobs, and the content security policy."""

import json
import re
import threading

import pytest
import yaml

from augsvc_client import Client
from augsvc_client.text import printable
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


def test_a_server_with_tokens_asks_for_one(visit, guarded):
    window = visit(fragment(**LIGHT, epoch=2), guarded)
    window.expected = (FAILED,)
    token = window.page.get_by_label("Token")
    expect(token).to_be_focused()
    expect(window.find("#workbench")).to_be_hidden()
    token.fill(WRONG)
    token.press("Enter")
    expect(window.find("#token-error")).to_have_text("Invalid token.")
    assert token.get_attribute("type") == "password"
    token.fill(TOKEN)
    token.press("Enter")
    window.shows(guarded, LIGHT, epoch=2)
    expect(window.find("#token")).to_be_hidden()
    assert TOKEN not in window.page.url
    assert TOKEN not in window.page.content()
    assert TOKEN not in window.page.evaluate("JSON.stringify(localStorage) + document.cookie")
    window.page.get_by_role("tab", name="curl").click()
    expect(window.find("#text")).to_contain_text("Bearer $AUGSVC_TOKEN")
    window.page.reload()
    window.shows(guarded, LIGHT, epoch=2)
    other = visit("", guarded)
    other.expected = (FAILED,)
    expect(other.page.get_by_label("Token")).to_be_visible()


# --- start-up and outages


def starting(route):
    progress = {"step": "kernels", "done": 34, "total": 120, "seconds_left": 40}
    error = {"code": "starting", "message": "the server is starting", "field": None, "progress": progress}
    route.fulfill(status=503, json={"error": error}, headers={"Retry-After": "1"})


def test_a_starting_server_is_waited_for(visit, server):
    window = visit()
    window.settled()
    window.expected = (FAILED,)
    window.page.route("**/v1/version", starting)
    window.page.reload()
    expect(window.find("#starting")).to_contain_text("The server is starting")
    expect(window.find("#starting-text")).to_have_text("Compiling kernels 34 of 120, about 40 s left")
    assert window.find("#starting-bar").evaluate("bar => [bar.value, bar.max]") == [34, 120]
    expect(window.find("#notice")).to_be_hidden()
    expect(window.find("#workbench")).to_be_hidden()
    window.page.unroute("**/v1/version")
    window.settled()
    expect(window.find("#starting")).to_be_hidden()
    assert window.images("augmented").any()


@pytest.mark.slow
def test_a_server_that_goes_away_and_comes_back(visit, serve):
    serving = serve().ready()
    window = visit(fragment(**LIGHT), serving)
    window.settled()
    window.expected = (FAILED,)
    before = window.images("augmented")
    serving.kill()
    expect(window.find("#notice")).to_contain_text("The server does not respond. Retrying")
    window.page.get_by_role("button", name="Next epoch").click()
    assert (window.images("augmented") == before).all()
    serving.begin().ready()
    expect(window.find("#notice")).to_be_hidden()
    window.shows(serving, LIGHT, epoch=1)


# --- training jobs


def test_an_active_job_is_listed(visit, serve):
    server = serve().ready()  # without the jobs of other tests
    window = visit(fragment(**LIGHT), server).settled()
    expect(window.find("[data-figure=jobs]")).to_have_text("0")
    enough = threading.Event()

    def train():
        with Client(server.url, job='vit-"small"/0') as client:
            stream = client.stream(LIGHT)
            start = 0
            while not enough.wait(0.1):  # steps of a job, which is not to keep the server busy
                stream.batch(0, 10 * (start % 100), 10, waited_s=0.25)
                start += 1

    training = threading.Thread(target=train)
    training.start()
    try:
        row = window.find("#jobs tr.running", has_text='vit-"small"/0')
        expect(row).to_be_visible()
        cells = row.locator("td").all_inner_texts()
        assert int(cells[0].replace(",", "")) > 0
        assert cells[1] == "250 ms"
        assert int(cells[2].replace(",", "")) > 0
        figures = dict(zip(*(window.find(f"#figures {tag}").all_inner_texts() for tag in ("dt", "dd")), strict=True))
        assert figures.keys() == {"Jobs", "Samples/s", "Mean wait", "In flight", "Errors"}
        assert (figures["Jobs"], figures["Mean wait"]) == ("1", "250 ms")
        assert int(figures["Samples/s"].replace(",", "")) > 0
    finally:
        enough.set()
        training.join()
    expect(window.find("#jobs tr", has_text='vit-"small"/0')).to_be_visible()
    window = visit(fragment(**LIGHT), server).settled()  # which sees no batch of it
    expect(window.find("#jobs tr.idle", has_text='vit-"small"/0')).to_be_visible()
    expect(window.find("#live-note")).to_contain_text("dimmed: no recent batch")


def test_a_hidden_page_sends_no_requests(visit):
    window = visit()
    window.install_clock()
    window.page.reload()
    expect(window.find("#live-note")).not_to_be_empty()
    requested = []
    window.page.on("request", lambda request: requested.append(request.url))
    with window.page.expect_request("**/metrics"):
        window.page.clock.run_for(2_000)
    window.page.evaluate("""() => {
      Object.defineProperty(document, "hidden", { get: () => true, configurable: true });
      document.dispatchEvent(new Event("visibilitychange"));
    }""")
    window.settled()
    requested.clear()
    window.page.clock.run_for(60_000)
    window.page.evaluate("fetch('healthz')")  # requests before this one have been reported by now
    assert [url.rpartition("/")[2] for url in requested] == ["healthz"]
    with window.page.expect_request("**/metrics"):
        window.page.evaluate("() => { delete document.hidden; document.dispatchEvent(new Event('visibilitychange')); }")


# --- content security policy


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
    window = visit().settled()
    window.expected = ("violation", "Content Security Policy", "TrustedHTML", "Refused", "violates")
    said = window.page.evaluate(
        "() => { try { document.body.innerHTML = '<b>x</b>' } catch (error) { return error.name } }"
    )
    assert said == "TypeError"
    with window.page.expect_console_message(lambda said: "violation of img-src" in said.text):
        window.page.evaluate(
            "() => { document.body.append(Object.assign(new Image(), { src: 'data:image/gif;base64,R0' })); }"
        )


def test_names_from_the_server_are_text(visit):
    evil = '<img src=x id=evil onerror="document.title = 1">'
    window = visit(fragment(**LIGHT))

    def answer(route):
        known = json.loads(route.fetch().text())
        for dataset in known["datasets"]:
            dataset["classes"] = [evil] * len(dataset["classes"])
        route.fulfill(json=known)

    window.page.route("**/v1/datasets", answer)
    window.page.reload()
    window.settled()
    expect(window.find(".sample .name").first).to_have_text(evil)
    expect(window.find("#inspector-title")).to_contain_text(evil)
    assert window.find("#evil").count() == 0
    assert window.page.title() == "augsvc"


@pytest.mark.parametrize(
    "name", ["a\x1b[2J\u202egnp.exe\u2028\ue000\u00a0\x85\ud800b", "x" * 10_000, "é 猫 😀 \u05d0-1.png"]
)
def test_names_of_classes_and_files_are_shown_as_the_server_logs_them(visit, name):
    window = visit(fragment(dataset="textures/train", pipeline="light"))

    def datasets(route):
        known = json.loads(route.fetch().text())
        for dataset in known["datasets"]:
            dataset["classes"] = [name] * len(dataset["classes"])
        route.fulfill(body=json.dumps(known), content_type="application/json")

    def receipt(route):
        mix = {"partners": [{"source": name, "replaces": {"source": name}}], "weight": 0.5}
        content = {"index": 0, "source": name, "operations": [], "mix": mix}
        route.fulfill(body=json.dumps(content), content_type="application/json")

    window.page.route("**/v1/datasets", datasets)
    window.page.route("**/samples/*", receipt)
    window.page.reload()
    window.settled()
    shown = printable(name)
    expect(window.find("#source")).to_contain_text(f"{shown} · mixed with {shown} (for {shown}, undecodable), weight")
    expect(window.find("#inspector-title")).to_contain_text(shown)
    expect(window.find("#data > .quiet")).to_contain_text(f"{shown}, {shown}")
    assert shown in window.find(".sample .name").all_inner_texts()
    assert window.page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "a name widens the page"
