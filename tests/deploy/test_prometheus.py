"""A real Prometheus scrapes a server under load: it accepts the rules, and every query of the dashboard has an answer."""

import itertools
import json
import shutil
import subprocess
import time
from http.client import HTTPException
from pathlib import Path
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest
import yaml

from augsvc_client import RemoteDataLoader
from tests.deploy.test_monitoring import MONITORING, panels
from tests.http.serving import START_S, TRIES, Serving, spoil, write_image_folder
from tests.ports import choose_port

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not shutil.which("prometheus"), reason="needs Prometheus, Debian's package of that name"),
]
WINDOW_S = 4  # of rates: a scrape each second


class Prometheus:
    """One process, over the files of deploy/monitoring with the target and the interval replaced."""

    def __init__(self, folder: Path, target: str) -> None:
        config = yaml.safe_load((MONITORING / "prometheus.yaml").read_text(encoding="utf-8"))
        (scrape,) = config["scrape_configs"]
        del scrape["authorization"], scrape["dns_sd_configs"]
        scrape["static_configs"] = [{"targets": [target]}]
        config["global"]["scrape_interval"] = config["global"]["evaluation_interval"] = "1s"
        (folder / "prometheus.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
        shutil.copy(MONITORING / "alerts.yaml", folder)
        port = choose_port()
        self.url = f"http://127.0.0.1:{port}"
        options = {"config.file": folder / "prometheus.yaml", "storage.tsdb.path": folder / "data"}
        options |= {"web.listen-address": f"127.0.0.1:{port}"}
        self._log = (folder / "log").open("w")
        self.process = subprocess.Popen(
            ["prometheus", *(f"--{name}={value}" for name, value in options.items())], stderr=self._log
        )

    def get(self, path: str, **query: object):
        """`data` of a response; None while it starts."""
        try:
            with urlopen(f"{self.url}/api/v1/{path}?{urlencode(query)}", timeout=START_S) as response:  # noqa: S310
                return json.load(response)["data"]
        except (OSError, HTTPException):
            return None

    def query(self, expression: str) -> list:
        found = self.get("query", query=expression)
        return found["result"] if found else []

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(START_S)
        self._log.close()


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory):
    """It has scraped a server over some seconds in which a job read batches, undecodable samples among them."""
    folder = tmp_path_factory.mktemp("monitored")
    spoil(write_image_folder(folder / "flowers", {"daisy": 20, "tulip": 20}) / "daisy" / "damaged.png")
    serving = Serving(
        folder / "server", {"datasets": {"flowers": {"format": "image_folder", "path": str(folder / "flowers")}}}
    )
    try:
        serving.ready()
        running = Prometheus(folder, serving.url.removeprefix("http://"))
        try:
            load(running, serving)
            yield running
        finally:
            running.stop()
    finally:
        serving.stop()


def load(running: Prometheus, serving: Serving) -> None:
    """Epochs until Prometheus has seen two windows of them."""
    enough = f"count_over_time(augsvc_samples_total{{dataset='flowers'}}[1m]) >= {2 * WINDOW_S}"
    settings = {"dataset": "flowers", "pipeline": "light", "size": (64, 64), "batch_size": 8, "job": "a-run"}
    with RemoteDataLoader(serving.url, **settings) as loader:
        for _ in itertools.takewhile(lambda _: not running.query(enough), range(TRIES)):
            assert sum(1 for _ in loader)
            serving.get("/v1/nothing").refused(404, "not_found")


def test_every_query_of_the_dashboard_has_an_answer(prometheus):
    expressions = [
        target["expr"].replace("$__rate_interval", f"{WINDOW_S}s") for panel in panels() for target in panel["targets"]
    ]
    now = time.time()
    empty = []
    for expression in expressions:
        found = prometheus.get("query_range", query=expression, start=now - 60, end=now, step=1)
        values = [float(value) for series in found["result"] for _, value in series["values"]]
        if not any(value == value for value in values):  # a number
            empty.append(expression)
    assert not empty
    (jobs,) = prometheus.query("augsvc_active_jobs{job='augsvc'}")
    assert jobs["value"][1] == "1"


def test_it_takes_the_rules_and_sees_the_damaged_sample(prometheus):
    rules = {rule["name"]: rule for group in prometheus.get("rules")["groups"] for rule in group["rules"]}
    assert {rule["health"] for rule in rules.values()} == {"ok"}
    firing = {name for name, rule in rules.items() if rule["state"] == "firing"}
    assert firing == {"AugsvcUndecodableSamples"}
