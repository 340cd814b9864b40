"""A Ray cluster on 127.0.0.1 with the service on it, as a program that obeys lines on its standard input.

    python -m tests.deploy.ray_cluster SETTINGS PORT REPLICAS

    scale N    waits until N replicas are running
    kill       kills one replica's process, and does not wait
    attempt N WORD  deploys the application a second time, with a replica of N CPUs, and answers with Ray's message that has WORD
    (the end of the input ends the cluster)

It answers each line, and its own start, with a line of JSON.
"""

import json
import os
import signal
import sys
import time
from contextlib import suppress
from copy import deepcopy
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import ray
import yaml
from ray import serve
from ray.serve.context import _get_global_client
from ray.serve.schema import ServeDeploySchema

SERVE_YAML = Path(__file__).parents[2] / "deploy" / "ray" / "serve.yaml"
APP = "augsvc"
NAME = "Replica"


def configuration(settings: str, port: int, replicas: int) -> dict[str, Any]:
    """deploy/ray/serve.yaml with these settings and this number of replicas."""
    config: dict[str, Any] = yaml.safe_load(SERVE_YAML.read_text(encoding="utf-8"))
    config["http_options"] = {"host": "127.0.0.1", "port": port}
    (application,) = config["applications"]
    application["args"] = {"config": settings}
    (deployment,) = application["deployments"]
    del deployment["autoscaling_config"]
    deployment |= {"num_replicas": replicas, "health_check_period_s": 1, "ray_actor_options": {"num_cpus": 1}}
    return config


def deploy(config: dict[str, Any]) -> None:
    """Returns when the replicas are healthy, and no others are left; ends the program if they cannot start."""
    _get_global_client().deploy_apps(ServeDeploySchema.model_validate(config))  # blocking, it gives up after 60 s
    (deployment,) = config["applications"][0]["deployments"]
    while not (running() == deployment["num_replicas"] and reached(config["http_options"]["port"])):
        application = serve.status().applications.get(APP)
        if application is not None and application.status == "DEPLOY_FAILED":
            sys.exit(application.message)
        time.sleep(0.1)


def attempt(config: dict[str, Any], cpus: int, word: str) -> dict[str, str]:
    """Deploys the application a second time, with a replica of `cpus`; returns Ray's message, once it has the word."""
    name = f"of-{cpus}-cpus"
    again = deepcopy(config["applications"][0]) | {"name": name, "route_prefix": f"/{name}"}
    again["deployments"][0] |= {"num_replicas": 1, "ray_actor_options": {"num_cpus": cpus}}
    both = config | {"applications": [*config["applications"], again]}
    _get_global_client().deploy_apps(ServeDeploySchema.model_validate(both))
    said = ""
    while word not in said:
        time.sleep(0.1)
        application = serve.status().applications.get(name)
        messages = [each.message for each in application.deployments.values()] if application else []
        said = "\n".join(filter(None, messages))
    _get_global_client().deploy_apps(ServeDeploySchema.model_validate(config))  # and without it again
    return {"message": said}


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
    deploy(configuration(settings, port, replicas))
    print(json.dumps({"ready": replicas}), flush=True)
    for line in sys.stdin:
        command, *arguments = line.split()
        answer: dict[str, Any] = {"done": line.split()}
        if command == "scale":
            replicas = int(arguments[0])
            deploy(configuration(settings, port, replicas))
        elif command == "attempt":
            answer |= attempt(configuration(settings, port, replicas), int(arguments[0]), arguments[1])
        else:
            kill()
        print(json.dumps(answer), flush=True)
    serve.shutdown()
    ray.shutdown()


if __name__ == "__main__":
    main()
