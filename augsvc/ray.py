"""Ray Serve: the application as a deployment, from the same settings file (deploy/ray/README.md).

    serve run augsvc.ray:build config=settings.yaml

Ray's proxy passes requests on to the replicas. Each replica also listens at a free port, as `augsvc serve` does;
`GET /v1/replicas` lists these addresses, for clients that can reach them.
"""

import asyncio
import math
import os
import signal
import threading
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from augsvc.cli.listener import open_listener
from augsvc.cli.memory import fit_memory
from augsvc.cli.memory_limit import memory_limit
from augsvc.cli.open_files import fit_open_files
from augsvc.cpus import CORES_VARIABLE
from augsvc.engine.autoscaling import WAIT
from augsvc.http import create_app
from augsvc.http.server.uvicorn_server import CLOSE_TIMEOUT_S, Server
from augsvc.logs import set_up
from augsvc.settings import Settings, load_settings

try:
    import ray
    from ray import serve
except ImportError as err:
    raise ImportError("augsvc.ray needs Ray Serve: pip install 'augsvc[ray]'") from err

STALE_S = 35.0  # without a report: three health checks, which Ray makes every 10 s
REPORT_S = 10.0  # for a report, with the start of the directory
MAX_ONGOING = 1024  # requests of one replica: Ray's 5 would queue in its proxy, unfairly, what the memory budget admits
DRAIN_S = 60.0  # above shutdown_timeout_s
_ANY_HOST = ("0.0.0.0", "::")  # noqa: S104  # addresses that are replaced by the node's


class Addresses:
    """The replicas' own addresses, each for as long as its replica reports it."""

    def __init__(self) -> None:
        self._reports: dict[str, tuple[str, float]] = {}

    def report(self, replica: str, url: str) -> None:
        """Adds an address, or keeps it for another STALE_S."""
        self._reports[replica] = url, time.monotonic()

    def remove(self, replica: str) -> None:
        """Removes the address of a replica that ends."""
        self._reports.pop(replica, None)

    def urls(self) -> dict[str, str]:
        """Replica → address."""
        since = time.monotonic() - STALE_S
        self._reports = {replica: report for replica, report in self._reports.items() if report[1] >= since}
        return {replica: url for replica, (url, _) in self._reports.items()}


class PicklableBodies:
    """The application with bodies as bytes: Ray pickles them for its proxy, which it cannot do with views of memory."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One connection event."""

        async def send_bytes(message: Message) -> None:
            if isinstance(message.get("body"), memoryview):
                message = {**message, "body": bytes(message["body"])}
            await send(message)

        await self._app(scope, receive, send_bytes)


class Replica:
    """One replica. Ray runs the application's lifespan, and calls the public methods."""

    def __init__(self, config: str | None = None) -> None:
        """`config`: the settings file, by its path on the replica's node.

        Raises:
            ValueError: for the operator: a setting is wrong, or a dataset unusable.
        """
        resources = ray.get_runtime_context().get_assigned_resources()
        os.environ[CORES_VARIABLE] = str(max(1, math.ceil(resources.get("CPU", 1))))
        settings = read_settings(config)
        set_up(settings.log_format)
        self._settings, min_decoding_bytes = fit_memory(
            fit_open_files(settings), int(resources.get("memory", 0)) or memory_limit()
        )
        self._application = create_app(self._settings, min_decoding_bytes)
        context = serve.get_replica_context()
        self._id, self._directory_name = str(context.replica_id), f"augsvc addresses of {context.app_name}"
        self._url = ""
        self._waited_s, self._counted_at = 0.0, time.monotonic()

    def __serve_build_asgi_app__(self) -> ASGIApp:
        """The application, whose lifespan includes the server at the replica's own address."""
        application = self._application
        lifespan = application.router.lifespan_context

        @asynccontextmanager
        async def serving(app: FastAPI) -> AsyncIterator[None]:
            async with lifespan(app), self._listening():
                yield

        application.router.lifespan_context = serving

        @application.get("/v1/replicas", tags=["catalog"], summary="The replicas' own addresses")
        async def replicas() -> dict[str, list[dict[str, str]]]:
            urls: dict[str, str] = await self._directory().urls.remote()
            return {"replicas": [{"name": name, "url": url} for name, url in sorted(urls.items())]}

        return PicklableBodies(application)

    async def check_health(self) -> None:
        """Raises the reason why the replica is not ready, as /readyz does; the first check waits for the self-test."""
        lifecycle = self._application.state.lifecycle
        await lifecycle.wait_started()
        lifecycle.require_ready()
        with suppress(ray.exceptions.RayError, TimeoutError):  # a lost directory is started again by the next check
            await asyncio.wait_for(self._directory().report.remote(self._id, self._url), REPORT_S)

    async def record_autoscaling_stats(self) -> dict[str, float]:
        """The metric of autoscaling.py, since the last call."""
        now, waited_s = time.monotonic(), self._application.state.metrics.jobs.waited_s
        wait = (waited_s - self._waited_s) / max(now - self._counted_at, 1e-3)
        self._waited_s, self._counted_at = waited_s, now
        return {WAIT: wait}

    @asynccontextmanager
    async def _listening(self) -> AsyncIterator[None]:
        """Serves at the replica's own address in another thread, with its event loop; at the end, drains."""
        any_port = self._settings.model_copy(update={"port": 0, "uds": None})
        timeout_s = self._settings.shutdown_timeout_s
        with open_listener(any_port) as (listener, url):
            server = Server(
                self._application,
                timeout_s,
                self._settings.min_client_bytes_per_s,
                self._settings.max_connections,
                owns_process=False,
            )
            thread = threading.Thread(target=server.run, args=([listener],), name="direct", daemon=True)
            thread.start()
            self._url = reachable(url, self._settings.host)
            try:
                yield
            finally:
                with suppress(ray.exceptions.RayError):
                    self._directory().remove.remote(self._id)
                server.handle_exit(signal.SIGTERM, None)
                await asyncio.to_thread(thread.join, timeout_s + CLOSE_TIMEOUT_S)

    def _directory(self) -> Any:
        """The actor with the addresses of the application's replicas, started by whichever replica is first."""
        options = {"name": self._directory_name, "namespace": "augsvc", "lifetime": "detached", "get_if_exists": True}
        return ray.remote(num_cpus=0)(Addresses).options(**options).remote()


def read_settings(config: str | None) -> Settings:
    """The settings of a replica.

    Raises:
        ValueError: for the operator: a setting is wrong, or neither `tokens_file` nor `allow_unauthenticated` is set.
    """
    settings = load_settings(Path(config) if config else None, {})
    if not (settings.tokens_file or settings.allow_unauthenticated):
        raise ValueError("set tokens_file (or allow_unauthenticated): Ray's proxy may listen on all interfaces")
    return settings


def reachable(url: str, host: str) -> str:
    """The URL of a listener as other nodes reach it."""
    if host in _ANY_HOST:
        return f"http://{ray.util.get_node_ip_address()}:{url.rpartition(':')[2]}"
    return url


Deployment = serve.deployment(max_ongoing_requests=MAX_ONGOING, graceful_shutdown_timeout_s=DRAIN_S)(
    serve.ingress()(Replica)
)


def build(arguments: Mapping[str, str]) -> Any:
    """The Serve application. `arguments`: `config`, the settings file by its path on the nodes.

    Raises:
        ValueError: an argument is unknown.
    """
    if unknown := arguments.keys() - {"config"}:
        raise ValueError(f"{min(unknown)}: unknown argument; there is config, the path of the settings file")
    return Deployment.bind(arguments.get("config"))
