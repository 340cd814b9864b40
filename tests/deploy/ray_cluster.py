"""A Ray cluster on 127.0.0.1 with the service on it, as a program that obeys lines on its standard input.

    python -m tests.deploy.ray_cluster SETTINGS PORT REPLICAS

    scale N    waits until N replicas are running
    kill       kills one replica's process, and does not wait
    (the end of the input ends the cluster)

It answers each line, and its own start, with a line of JSON.
"""

import json
import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from urllib.request import urlopen

import ray
import yaml
from ray import serve
from ray.serve.context import _get_global_client
from ray.serve.schema import ServeDeploySchema

SERVE_YAML = Path(__file__).parents[2] / "deploy" / "ray" / "serve.yaml"
APP = "augsvc"
NAME = "Replica"


def deploy(settings: str, port: int, replicas: int) -> None:
    """Runs deploy/ray/serve.yaml with these settings and this number of replicas; returns when they are healthy."""
    config = yaml.safe_load(SERVE_YAML.read_text(encoding="utf-8"))
    config["http_options"] = {"host": "127.0.0.1", "port": port}
    (application,) = config["applications"]
    application["args"] = {"config": settings}
    (deployment,) = application["deployments"]
    del deployment["autoscaling_config"]
    deployment |= {"num_replicas": replicas, "health_check_period_s": 1, "ray_actor_options": {"num_cpus": 1}}
    _get_global_client().deploy_apps(ServeDeploySchema.model_validate(config))  # blocking, it gives up after 60 s
    while not (running() == replicas and reached(port)):
        time.sleep(0.1)


def running() -> int:
    """How many replicas are running, without those that are starting or stopping."""
    application = serve.status().applications.get(APP)
    if application is None or NAME not in application.deployments:
        return -1
    states = application.deployments[NAME].replica_states
    return states.get("RUNNING", 0) if len(states) == 1 else -1


def reached(port: int) -> bool:
    """Whether the proxy passes requests on to a replica."""
    with suppress(OSError), urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5):
        return True
    return False


def kill() -> None:
    """Kills one replica's process."""
    name = next(a["name"] for a in ray.util.list_named_actors(all_namespaces=True) if f"{APP}#{NAME}#" in a["name"])
    pid = ray.get(ray.get_actor(name, namespace="serve").__ray_call__.remote(lambda self: os.getpid()))
    os.kill(pid, signal.SIGKILL)


def main() -> None:
    """Starts the cluster and obeys."""
    settings, port, replicas = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    ray.init(
        num_cpus=4,
        include_dashboard=False,
        object_store_memory=100 << 20,
        _node_ip_address="127.0.0.1",
        configure_logging=False,
        log_to_driver=False,
    )
    serve.start(http_options={"host": "127.0.0.1", "port": port})
    deploy(settings, port, replicas)
    print(json.dumps({"ready": replicas}), flush=True)
    for line in sys.stdin:
        command, *arguments = line.split()
        if command == "scale":
            deploy(settings, port, int(arguments[0]))
        else:
            kill()
        print(json.dumps({"done": line.split()}), flush=True)
    serve.shutdown()
    ray.shutdown()


if __name__ == "__main__":
    main()
