"""A Ray cluster on loopback with one replica, whose engine is idle: `python -m benchmarks.serving.ray_cluster FOLDER PORT`.

It prints `ready` when the replica is, and ends with its standard input.
"""

import sys
import time
from contextlib import suppress
from pathlib import Path
from urllib.request import urlopen

import ray
from ray import serve

from augsvc.ray import MAX_ONGOING, Replica
from benchmarks.recipes import BATCH, SIZE, images
from benchmarks.serving.served import START_S, Plan, patch_server


class IdleReplica(Replica):
    """The service's replica, over images in memory."""

    def __init__(self, config: str) -> None:
        patch_server(Plan(images(BATCH, SIZE), repeat=True))
        super().__init__(config)


def main() -> None:
    """Starts the cluster, and waits."""
    folder, port = Path(sys.argv[1]), int(sys.argv[2])
    config = folder / "settings.yaml"
    config.write_text("{allow_unauthenticated: true, shutdown_timeout_s: 1}", encoding="utf-8")
    ray.init(
        num_cpus=2, include_dashboard=False, object_store_memory=200 << 20, _node_ip_address="127.0.0.1",
        _temp_dir=str(folder / "ray"), configure_logging=False, log_to_driver=False,
    )  # fmt: skip
    serve.start(http_options={"host": "127.0.0.1", "port": port})
    deployment = serve.deployment(max_ongoing_requests=MAX_ONGOING)(serve.ingress()(IdleReplica))
    serve.run(deployment.bind(str(config)), name="augsvc", blocking=False, _local_testing_mode=False)
    end = time.monotonic() + START_S
    while time.monotonic() < end:
        with suppress(OSError), urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5):
            print("ready", flush=True)
            break
        time.sleep(0.2)
    sys.stdin.read()
    serve.shutdown()
    ray.shutdown()


if __name__ == "__main__":
    main()
