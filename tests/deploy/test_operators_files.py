"""What operators outside Compose use: Kubernetes' variables, the systemd unit, the scrape configuration."""

import configparser
import os
import re
import shutil
import subprocess
import sys

import pytest
import yaml
from prometheus_client import CollectorRegistry

from augsvc.data.cache import DecodedCache
from augsvc.settings import load_settings
from tests.deploy.composed import DEPLOY

# of Services named augsvc and augsvc-gpu, with a named port, as a kubelet sets them
SERVICES = {
    "AUGSVC_SERVICE_HOST": "10.96.14.7",
    "AUGSVC_SERVICE_PORT": "8000",
    "AUGSVC_SERVICE_PORT_HTTP": "8000",
    "AUGSVC_PORT": "tcp://10.96.14.7:8000",
    "AUGSVC_PORT_8000_TCP": "tcp://10.96.14.7:8000",
    "AUGSVC_PORT_8000_TCP_PROTO": "tcp",
    "AUGSVC_PORT_8000_TCP_PORT": "8000",
    "AUGSVC_PORT_8000_TCP_ADDR": "10.96.14.7",
    "AUGSVC_GPU_SERVICE_HOST": "fd00::17",
    "AUGSVC_GPU_SERVICE_PORT": "53",
    "AUGSVC_GPU_PORT": "udp://[fd00::17]:53",
    "AUGSVC_GPU_PORT_53_UDP": "udp://[fd00::17]:53",
    "AUGSVC_GPU_PORT_53_UDP_ADDR": "fd00::17",
}


@pytest.fixture
def variables(monkeypatch):
    for name in list(os.environ):
        if name.startswith("AUGSVC_"):
            monkeypatch.delenv(name)
    return monkeypatch.setenv


def test_variables_of_a_kubernetes_service_are_ignored(variables):
    for name, value in SERVICES.items():
        variables(name, value)
    variables("AUGSVC_CACHE_BYTES", "5")
    settings = load_settings(None, {})
    assert (settings.port, settings.cache_bytes) == (8000, 5)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AUGSVC_PORT", "800o"),
        ("AUGSVC_PORT", "http://x:1"),
        ("AUGSVC_PORTS", "tcp://10.96.14.7:8000"),
        ("AUGSVC_GPU_PORT", "8000"),
        ("AUGSVC_TOKEN_FILE_", "x"),
        ("AUGSVC_SERVICE", "x"),
        ("AUGSVC_PORT_8000_TCP_HOST", "x"),
    ],
)
def test_only_these_are_ignored(variables, name, value):
    """A misspelt variable, ignored, would leave a server without tokens."""
    variables(name, value)
    with pytest.raises(ValueError, match=r"(?i)port|AUGSVC_"):
        load_settings(None, {})


def test_the_health_check_ignores_them_too():
    done = subprocess.run(
        [sys.executable, DEPLOY / "healthcheck.py"],
        env={**os.environ, "AUGSVC_PORT": "tcp://10.96.14.7:1", "AUGSVC_UDS": "/nowhere.sock"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("no answer"), done.stderr


def unit():
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str
    parser.read(DEPLOY / "augsvc.service")
    return parser


def test_the_unit_gives_the_server_time_to_drain():
    service = unit()["Service"]
    settings = load_settings(DEPLOY / "settings.yaml", {})
    assert int(service["TimeoutStopSec"]) >= settings.shutdown_timeout_s + 10
    assert "--tokens-file" in service["ExecStart"]
    assert service["Environment"].startswith("AUGSVC_KERNEL_CACHE=/var/cache/augsvc/")


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
def test_systemd_reads_the_unit(tmp_path):
    text = (DEPLOY / "augsvc.service").read_text(encoding="utf-8")
    path = tmp_path / "augsvc.service"
    path.write_text(text.replace("/opt/augsvc/bin/augsvc", sys.executable), encoding="utf-8")
    done = subprocess.run(["systemd-analyze", "verify", path], capture_output=True, text=True)
    complaints = [line for line in (done.stdout + done.stderr).splitlines() if "augsvc.service" in line]
    assert not complaints, complaints


def test_the_scrape_configuration_names_metrics_that_exist():
    from augsvc.http.metrics import JOB_LABEL, CacheCollector, JobMetrics

    text = (DEPLOY / "prometheus.yaml").read_text(encoding="utf-8")
    job = yaml.safe_load(text)["scrape_configs"][0]
    assert (job["job_name"], job["metrics_path"]) == ("augsvc", "/metrics")
    registry = CollectorRegistry()
    JobMetrics(registry)
    registry.register(CacheCollector(DecodedCache(0)))
    listed = (DEPLOY.parent / "docs" / "monitoring.md").read_text(encoding="utf-8")
    for name in re.findall(r"augsvc_\w+_(?:sum|total)", text):
        assert name.removesuffix("_sum") in listed, name
    assert JOB_LABEL in text
    assert JOB_LABEL not in {"job", "instance"}, "Prometheus sets these itself"
