"""The application: the gate, the routes, the pages, and the life of the engine behind them."""

from fastapi import Depends, FastAPI, Response
from fastapi.security import HTTPBearer
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

import augsvc
from augsvc.data.catalog import open_catalog
from augsvc.engine.engine import Engine
from augsvc.executors.factory import open_executor
from augsvc.http.lifecycle import Life
from augsvc.http.metrics import Metrics
from augsvc.http.middleware.gate import Gate
from augsvc.http.middleware.request_log import Journal
from augsvc.http.middleware.tokens import Keyring
from augsvc.http.openapi import describe
from augsvc.http.responses import DigestedJSON, install_handlers
from augsvc.http.routes.augment import push_router
from augsvc.http.routes.catalog import catalog_router
from augsvc.http.routes.frames import frames_router
from augsvc.http.routes.pages import pages_router
from augsvc.http.routes.shortcut import Shortcut
from augsvc.http.routes.streams import Batches, looking_router, streams_router
from augsvc.ops.registry import registry
from augsvc.settings import Settings


def create_app(settings: Settings) -> FastAPI:
    """The ASGI application of one replica.

    Raises:
        ValueError: for the operator: a dataset, the device or the tokens file cannot be had.
    """
    keyring = Keyring(settings)
    catalog = open_catalog(settings.datasets, settings.cache_bytes)
    executor = open_executor(
        settings.executor, settings.torch_device(), settings.kernel_cache, settings.device_cache_bytes
    )
    operations = registry(settings.operations)
    engine = Engine(catalog, executor, operations, settings.max_batch_bytes)
    metrics = Metrics(engine)
    batches = Batches(engine, metrics)
    life = Life(engine, settings.request_timeout_s)
    app = FastAPI(
        title="augsvc",
        version=augsvc.__version__,
        summary="Uniquely transformed batches: a batch is a value, a pure function of its address.",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        default_response_class=DigestedJSON,
        lifespan=life.span,
        middleware=[
            Middleware(Journal),
            Middleware(NoStore),
            Middleware(Gate, keyring=keyring, life=life, metrics=metrics, deadline_s=settings.request_timeout_s),
            Middleware(Shortcut, batches=batches),
        ],
    )
    install_handlers(app, metrics)
    described = (
        [Depends(HTTPBearer(auto_error=False))] if keyring.guarded else []
    )  # for the API's page; the gate decides
    app.include_router(catalog_router(engine), dependencies=described)
    app.include_router(streams_router(batches, settings.max_request_bytes), dependencies=described)
    app.include_router(frames_router(engine, metrics), dependencies=described)
    app.include_router(looking_router(engine, metrics), dependencies=described)
    app.include_router(push_router(engine, metrics, settings.max_request_bytes), dependencies=described)
    app.include_router(pages_router())

    @app.get("/healthz", summary="Whether the process lives")
    async def healthz() -> dict[str, str]:
        life.require_engine()
        return {"status": "ok"}

    @app.get("/readyz", summary="Whether it can serve")
    async def readyz() -> dict[str, str]:
        if (obstacle := life.obstacle()) is not None:
            raise obstacle
        return {"status": "ready"}

    @app.get("/metrics", summary="Prometheus' text")
    async def metrics_text() -> Response:
        return Response(metrics.text(), media_type=CONTENT_TYPE_LATEST)

    describe(app)
    app.state.life, app.state.keyring, app.state.metrics = life, keyring, metrics
    return app


class NoStore:
    """Marks every answer that does not say otherwise as not to be stored."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Adds the header where none is."""

        async def marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = message.setdefault("headers", [])
                if not any(name.lower() == b"cache-control" for name, _ in headers):
                    message["headers"] = [*headers, (b"cache-control", b"no-store")]
            await send(message)

        await self._app(scope, receive, marked)
