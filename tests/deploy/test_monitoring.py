"""Prometheus and Grafana beside the servers: every query asks for metrics and labels that a server has."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import yaml
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from augsvc.http import create_app
from augsvc.settings import Settings
from augsvc_client import Client
from tests.deploy.composed import DEPLOY, composed
from tests.http.serving import Serving

MONITORING = DEPLOY / "monitoring"
CASES = Path(__file__).parent / "alert_cases.yaml"
FUNCTIONS = {"sum", "rate", "increase", "changes", "histogram_quantile", "count"}
WORDS = {"by", "bool"}
OWN = {"instance", "job"}  # labels that Prometheus sets
PROMETHEUS_OWN = {"up": OWN}


def rules():
    (group,) = yaml.safe_load((MONITORING / "alerts.yaml").read_text(encoding="utf-8"))["groups"]
    return group["rules"]


def panels():
    return json.loads((MONITORING / "grafana" / "augsvc.json").read_text(encoding="utf-8"))["panels"]


def queries():
    """Every expression, and the labels that its legend or its summary names."""
    found = [(target["expr"], target["legendFormat"]) for panel in panels() for target in panel["targets"]]
    return found + [(rule["expr"], rule["annotations"]["summary"]) for rule in rules()]


@pytest.fixture(scope="module")
def series(tmp_path_factory):
    """Name → labels of a server that has answered and refused."""
    serving = Serving(tmp_path_factory.mktemp("server"))
    try:
        serving.ready()
        with Client(serving.url, job="a-run") as client:
            stream = client.stream({"dataset": "digits/train", "pipeline": "light"})
            for start in (0, 4):
                stream.batch(0, start, 4, waited_s=0.5)
            client.augment({"image": np.zeros((1, 4, 4, 3), np.uint8), "index": np.arange(1)})
        serving.get("/v1/nothing").refused(404, "not_found")
        text = serving.get("/metrics").body.decode()
    finally:
        serving.stop()
    labels = dict(PROMETHEUS_OWN)
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels[sample.name] = OWN | set(sample.labels)
        if not family.samples:  # counters without a child yet
            labels[family.name + "_total"] = OWN | {"dataset"}
    return labels


@pytest.mark.parametrize(("expression", "text"), queries())
def test_a_query_names_metrics_and_labels_that_exist(series, expression, text):
    plain = re.sub(r'"[^"]*"|\[[^\]]*\]', "", expression)
    grouped = {label for labels in re.findall(r"\bby \(([^)]*)\)", plain) for label in re.split(r"[, ]+", labels)}
    selected = {name: set(re.findall(r"(\w+)\s*=", labels)) for name, labels in re.findall(r"(\w+)\{([^}]*)\}", plain)}
    without = re.sub(r"\{[^}]*\}|\bby \([^)]*\)", "", plain)
    names = {word for word in re.findall(r"[a-z]\w*", without) if word not in FUNCTIONS | WORDS}
    assert names and names <= series.keys()
    for name in names:
        assert selected.get(name, set()) | grouped - {"le"} <= series[name], name
    result = grouped or set.intersection(*(series[name] for name in names))
    assert set(re.findall(r"\{\{\s*\$?(?:labels\.)?(\w+)\s*\}\}", text)) <= result


def test_the_dashboard_shows_what_operators_look_for():
    shown = " ".join(target["expr"] for panel in panels() for target in panel["targets"])
    for metric in ("job_wait_seconds", "samples_total", "stage_seconds", "cache_hits_total", "errors_total"):
        assert f"augsvc_{metric}" in shown
    assert len({panel["id"] for panel in panels()}) == len(panels())
    assert {panel["datasource"]["uid"] for panel in panels()} == {"prometheus"}


def test_alerts_have_a_severity_and_a_remedy():
    assert all(rule["labels"]["severity"] in ("critical", "warning", "info") for rule in rules())
    assert all(":" in rule["annotations"]["summary"] for rule in rules())
    listed = (DEPLOY.parent / "docs" / "errors.md").read_text(encoding="utf-8")
    for code in re.findall(r'code=~?"([^"]*)"', " ".join(rule["expr"] for rule in rules())):
        assert all(f"`{name}`" in listed for name in code.split("|"))


def test_counts_that_alerts_increase_from_begin_at_zero():
    """Prometheus' increase() is 0 where a series begins with its first error."""
    text = generate_latest(create_app(Settings(kernel_cache=None)).state.metrics.registry).decode()
    for code in re.findall(r'code=~?"([^"]*)"', " ".join(rule["expr"] for rule in rules())):
        assert all(f'augsvc_errors_total{{code="{name}"}} 0.0' in text for name in code.split("|")), code


@pytest.mark.skipif(not shutil.which("promtool"), reason="needs promtool, of Debian's package prometheus")
def test_the_alerts_fire_on_their_faults_and_not_on_a_healthy_fleet():
    for command in (["check", "rules", MONITORING / "alerts.yaml"], ["test", "rules", CASES]):
        done = subprocess.run(["promtool", *command], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    cases = yaml.safe_load(CASES.read_text(encoding="utf-8"))["tests"]
    fired = {each["alertname"] for case in cases for each in case.get("alert_rule_test", ()) if each.get("exp_alerts")}
    assert fired == {rule["alert"] for rule in rules()}


def test_the_services_are_contained_and_read_files_that_exist():
    over, plain = yaml.safe_load((DEPLOY / "monitoring.yaml").read_text(encoding="utf-8")), composed()
    contained = {key: value for key, value in plain["x-contained"].items() if key != "tmpfs"}
    for service in over["services"].values():
        assert contained.items() <= service.items()
        assert set(service["networks"]) <= set(plain["networks"])
        assert all(port.startswith("127.0.0.1:") for port in service["ports"])
        assert {entry["source"] for entry in service["configs"]} <= set(over["configs"])
    assert all((DEPLOY / entry["file"]).exists() for entry in over["configs"].values())
    scrape = yaml.safe_load((MONITORING / "prometheus.yaml").read_text(encoding="utf-8"))["scrape_configs"][0]
    assert scrape["authorization"]["credentials_file"] == "/run/secrets/operator.token"
    assert over["secrets"]["operator"]["file"] == "./secrets/operator.token"
    assert all((MONITORING / name).exists() for name in ["alerts.yaml"])
