"""The Helm chart: its values, their schema and its templates; rendered where Helm's library is installed, and then compared with
Kubernetes' own schemas where those are (`pip install helm-python-sdk kubernetes-validate`)."""

import copy
import json
import re

import jsonschema
import pytest
import yaml

from augsvc.settings import Settings
from tests.deploy.composed import DEPLOY

CHART = DEPLOY / "helm" / "augsvc"
VALUES = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
SCHEMA = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
ALL_ON = {
    "autoscaling": {"enabled": True},
    "serviceMonitor": {"enabled": True},
    "gpus": 1,
    "data": {"volume": {"persistentVolumeClaim": {"claimName": "datasets"}}},
    "settings": {"datasets": {"flowers": {"format": "image_folder", "path": "/data/flowers"}}},
    "networkPolicy": {"clients": {"app": "trainer"}},
    "nodeSelector": {"pool": "gpu"},
    "tolerations": [{"key": "gpu", "operator": "Exists"}],
}
WRONG = [
    {"replicas": 0},
    {"replicas": "2"},
    {"replcas": 2},
    {"drainSeconds": 0},
    {"service": {"port": 70000}},
    {"settings": {"port": 1}},
    {"autoscaling": {"waitPerReplica": "fast"}},
    {"image": {"repository": ""}},
    {"networkPolicy": {"clients": {"app": 1}}},
]


def merged(values):
    """The defaults with these over them, as Helm merges mappings."""
    return {
        **VALUES,
        **{k: {**VALUES[k], **v} if isinstance(v, dict) and k in VALUES else v for k, v in values.items()},
    }


def test_the_schema_covers_the_values_and_refuses_what_is_out_of_range():
    jsonschema.validate(VALUES, SCHEMA)
    jsonschema.validate(merged(ALL_ON), SCHEMA)
    assert set(SCHEMA["properties"]) - {"global"} == set(VALUES)
    for values in WRONG:
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(merged(values), SCHEMA)


def test_templates_read_values_that_exist_and_all_of_them():
    text = "".join(path.read_text(encoding="utf-8") for path in (CHART / "templates").iterdir())
    read = set(re.findall(r"\.Values\.([\w.]+)", text))
    for path in read:
        value = VALUES
        for name in path.split("."):
            assert name in value, path
            value = value[name]
    leaves = {f"{name}.{key}" for name, value in VALUES.items() if isinstance(value, dict) for key in value}
    unread = {leaf for leaf in leaves | set(VALUES) if not any(f"{path}.".startswith(f"{leaf}.") for path in read)}
    assert {leaf for leaf in unread if leaf.split(".")[0] not in read} == set()


@pytest.fixture(scope="module")
def render():
    helm = pytest.importorskip("helm_python")
    assert helm.lint(str(CHART))["errors"] == []
    with helm.Chart.load(str(CHART)) as chart:

        def objects(values):
            rendered = chart.render(values, name="demo", namespace="jobs").values()
            every = [each for text in rendered for each in yaml.safe_load_all(text) if each]
            return {(each["kind"], each["metadata"]["name"]): each for each in every}

        objects.error = helm.HelmError
        yield objects


RELEASES = ("1.26", "1.30", "1.34", "1.37")  # of Kubernetes
NO_SCHEMA = {"ServiceMonitor"}  # of the Prometheus operator


@pytest.mark.parametrize(
    "values", [{}, ALL_ON, {"service": {"type": "LoadBalancer"}, "networkPolicy": {"enabled": False}}]
)
def test_kubernetes_accepts_what_helm_renders(render, values):
    kubernetes = pytest.importorskip("kubernetes_validate")
    objects = {key: each for key, each in render(values).items() if key[0] not in NO_SCHEMA}
    for each in objects.values():
        for release in RELEASES:
            kubernetes.validate(each, release, strict=True)
    deployment = copy.deepcopy(objects["Deployment", "demo"])
    deployment["spec"]["template"]["spec"]["containers"][0]["readynessProbe"] = {}
    with pytest.raises(kubernetes.ValidationError):
        kubernetes.validate(deployment, RELEASES[-1], strict=True)


def test_kubernetes_accepts_the_pods_of_kuberays_manifest():
    kubernetes = pytest.importorskip("kubernetes_validate")
    cluster = yaml.safe_load((DEPLOY / "ray" / "rayservice.yaml").read_text(encoding="utf-8"))["spec"][
        "rayClusterConfig"
    ]
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "ray"}, **group["template"]}
        for release in RELEASES:
            kubernetes.validate(pod, release, strict=True)


def test_helm_renders_what_the_values_say(render):
    plain, whole = render({}), render(ALL_ON)
    assert {kind for kind, _ in plain} == {"ConfigMap", "Deployment", "Service", "PodDisruptionBudget", "NetworkPolicy"}
    assert {kind for kind, _ in whole.keys() - plain.keys()} == {"HorizontalPodAutoscaler", "ServiceMonitor"}
    pod = whole["Deployment", "demo"]["spec"]["template"]["spec"]
    (server,) = pod["containers"]
    assert server["resources"]["limits"]["nvidia.com/gpu"] == 1
    assert {mount["name"] for mount in server["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}
    settings = yaml.safe_load(whole["ConfigMap", "demo-settings"]["data"]["settings.yaml"])
    assert Settings.model_validate(settings).shutdown_timeout_s < pod["terminationGracePeriodSeconds"]
    assert settings["datasets"] == ALL_ON["settings"]["datasets"]
    monitored = whole["ServiceMonitor", "demo"]["spec"]["selector"]["matchLabels"].items()
    services = {name: each["metadata"]["labels"].items() for (kind, name), each in whole.items() if kind == "Service"}
    assert [name for name, labels in services.items() if monitored <= labels] == ["demo-headless"]
    assert "replicas" not in whole["Deployment", "demo"]["spec"]
    for values in WRONG:
        with pytest.raises(render.error):
            render(values)
