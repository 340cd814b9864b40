"""The ASGI application: middleware, routes and pages over one engine."""

from collections.abc import Callable

from fastapi import Depends, FastAPI, Response
from fastapi.security import HTTPBearer
from starlette.middleware import Middleware

import augsvc
from augsvc.data.cache import DECODING_BYTES
from augsvc.data.catalog import Catalog, open_catalog
from augsvc.data.disk_cache import open_disk_cache
from augsvc.data.uploads.store import UploadStore
from augsvc.engine.engine import Engine
from augsvc.engine.limits import Limits
from augsvc.engine.start_progress import ShowStart, log_start
from augsvc.executors.factory import choose_device, open_executor
from augsvc.http.lifecycle import Lifecycle
from augsvc.http.metrics import Metrics, UploadCollector
from augsvc.http.middleware.admission import AUTHORIZED_PATH, AdmissionMiddleware
from augsvc.http.middleware.hosts import HostFilter
from augsvc.http.middleware.request_log import RequestLogMiddleware
from augsvc.http.middleware.tokens import TokenStore
from augsvc.http.middleware.traces import TracesMiddleware, open_tracer
from augsvc.http.models import build_models
from augsvc.http.openapi import install_openapi
from augsvc.http.reload import Reloader, log_notes
from augsvc.http.responses import DigestedJSON, install_handlers
from augsvc.http.routes.augment import augment_router
from augsvc.http.routes.batch import BatchRoute, document_batch
from augsvc.http.routes.catalog import DatasetEntries, catalog_router
from augsvc.http.routes.frames import frames_router
from augsvc.http.routes.inference import infer_router, inference_health_router, models_router
from augsvc.http.routes.pages import openapi_router, pages_router
from augsvc.http.routes.reload import reload_router
from augsvc.http.routes.scrapes import scrapes_router
from augsvc.http.routes.streams import inspection_router, streams_router
from augsvc.http.routes.uploads import uploads_router
from augsvc.ops.registry import registry
from augsvc.settings import RENDERING_SHARE, Settings


def create_app(
    settings: Settings,
    min_decoding_bytes: int = DECODING_BYTES,
    catalog: Catalog | None = None,
    show_start: ShowStart = log_start,
) -> FastAPI:
    """The ASGI application of one replica.

    `min_decoding_bytes`: of memory for decoding, however small the cache. `catalog`: as `open_engine` takes it. `show_start`
    shows the progress of the start, by default in the log.

    Raises:
        ValueError: for the operator: a dataset, the device or the tokens file is unusable.
    """
    tokens = TokenStore(settings)
    engine = open_engine(settings, tokens.charge, catalog, min_decoding_bytes)
    log_notes(engine.catalog.sources())
    metrics = Metrics(engine)
    reloader = Reloader(engine, settings.datasets)
    uploads = open_uploads(settings, engine)
    if uploads is not None:
        metrics.registry.register(UploadCollector(uploads))
    lifecycle = Lifecycle(engine, reloader, settings.request_timeout_s, show_start)
    app = FastAPI(
        title="augsvc",
        version=augsvc.__version__,
        summary="Uniquely transformed batches: a batch is a value, a pure function of its address.",
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        default_response_class=DigestedJSON,
        lifespan=lifecycle.lifespan,
        routes=[BatchRoute(engine, metrics)],  # first, as most requests are for batches
        middleware=[
            Middleware(RequestLogMiddleware),
            *([Middleware(TracesMiddleware, tracer=open_tracer())] if settings.traces else []),
            Middleware(
                AdmissionMiddleware,
                hosts=HostFilter(settings),
                tokens=tokens,
                lifecycle=lifecycle,
                metrics=metrics,
                timeout_s=settings.request_timeout_s,
            ),
        ],
    )
    install_handlers(app, metrics)
    models, entries = build_models(), DatasetEntries()
    # describes the token in OpenAPI; the middleware checks it
    bearer = [Depends(HTTPBearer(auto_error=False))] if tokens.required else []
    for router in (
        catalog_router(engine, entries),
        reload_router(reloader, tokens, settings.request_timeout_s),
        uploads_router(uploads, tokens, settings),
        streams_router(engine, entries, settings.max_request_bytes),
        frames_router(engine, metrics),
        inspection_router(engine),
        augment_router(engine, metrics, settings.max_request_bytes),
        models_router(models, lifecycle),
        infer_router(models, engine, metrics, settings.max_request_bytes),
    ):
        app.include_router(router, dependencies=bearer)
    app.include_router(pages_router())
    app.include_router(inference_health_router(lifecycle))
    add_probes(app, lifecycle, metrics)
    app.include_router(openapi_router(install_openapi(app, [document_batch(bearer)])))
    app.state.lifecycle, app.state.tokens, app.state.metrics = lifecycle, tokens, metrics
    app.state.reloader = reloader
    return app


def open_engine(
    settings: Settings,
    charge: Callable[[str, float], None] = lambda job, seconds: None,
    catalog: Catalog | None = None,
    min_decoding_bytes: int = DECODING_BYTES,
) -> Engine:
    """An engine that is not started, which reports each task's job and seconds to `charge`.

    `catalog`: of the settings, where it is open already; else it is opened, with `min_decoding_bytes` for decoding.

    Raises:
        ValueError: as `create_app` does.
    """
    if catalog is None:
        disk = open_disk_cache(settings.disk_cache, settings.disk_cache_bytes)
        catalog = open_catalog(settings.datasets, settings.cache_bytes, min_decoding_bytes, disk)
    executor = open_executor(
        settings.executor,
        choose_device(settings.device, settings.executor),
        settings.kernel_cache,
        settings.device_cache_bytes,
    )
    limits = Limits(settings.max_batch_bytes, settings.max_sample_s, settings.request_timeout_s * RENDERING_SHARE)
    return Engine(catalog, executor, registry(settings.operations), limits, charge)


def open_uploads(settings: Settings, engine: Engine) -> UploadStore | None:
    """The uploaded datasets, which the engine serves from now on; None if the settings do not allow any.

    Raises:
        ValueError: for the operator: their folder cannot be used.
    """
    if settings.uploads is None:
        return None
    taken = {name.split("/")[0] for name in (*engine.catalog.names(), *settings.datasets)}
    path, limit_bytes = settings.uploads.path, settings.uploads.bytes
    return UploadStore(path, limit_bytes, engine.catalog.cache, engine.replace_dataset, taken)


def add_probes(app: FastAPI, lifecycle: Lifecycle, metrics: Metrics) -> None:
    """The routes for orchestrators, proxies and Prometheus."""

    @app.get("/healthz", summary="Whether the process is alive")
    async def healthz() -> dict[str, str]:
        lifecycle.require_engine()
        return {"status": "ok"}

    @app.get("/readyz", summary="Whether the server is ready")
    async def readyz() -> dict[str, str]:
        lifecycle.require_ready()
        return {"status": "ready"}

    @app.get(AUTHORIZED_PATH, status_code=204, summary="Whether the request's token is valid, for proxies")
    async def authorized() -> Response:
        """The middleware has checked the token."""
        return Response(status_code=204)

    app.include_router(scrapes_router(metrics.text))
