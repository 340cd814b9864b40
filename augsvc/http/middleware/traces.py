"""OpenTelemetry traces: a span for each request, child of the client's.

The SDK's own variables configure them: OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_TRACES_SAMPLER, OTEL_SERVICE_NAME and so on.
"""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from starlette.types import ASGIApp, Receive, Scope, Send

import augsvc
from augsvc.http.middleware.request_log import outcome_fields, request_fields

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer


def open_tracer() -> "Tracer":
    """A tracer that exports by OTLP over HTTP, in the background; what is left when the process ends is exported then.

    Raises:
        ValueError: for the operator: the packages are missing.
    """
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import OTELResourceDetector, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as err:
        raise ValueError("traces need OpenTelemetry: pip install 'augsvc[traces]', or remove `traces: true`") from err
    defaults = Resource({"service.name": "augsvc", "service.version": augsvc.__version__})
    provider = TracerProvider(resource=defaults.merge(OTELResourceDetector().detect()))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider.get_tracer("augsvc", augsvc.__version__)


class TracesMiddleware:
    """A server's span for each request, with the fields of its line in the log (request_log.py) as attributes.

    The stages of a batch are attributes in seconds, not spans: they run on several threads, in chunks that take turns.
    """

    def __init__(self, app: ASGIApp, tracer: "Tracer") -> None:
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._app, self._tracer, self._propagator = app, tracer, TraceContextTextMapPropagator()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One connection event; the span ends when the whole response has been sent."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        from opentelemetry.trace import SpanKind, StatusCode

        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        span = self._tracer.start_span(scope["method"], self._propagator.extract(headers), SpanKind.SERVER)
        try:
            await self._app(scope, receive, send)
        finally:
            fields = request_fields(scope) | outcome_fields(scope)
            status = scope["state"]["sent"].status
            span.update_name(f"{fields['method']} {fields['route'] or ''}".strip())
            span.set_attributes({**dict(attributes(fields)), "http.response.status_code": status})
            if status >= 500 or not status:
                span.set_status(StatusCode.ERROR)
            span.end()


def attributes(fields: Mapping[str, object], prefix: str = "augsvc") -> Iterator[tuple[str, str | int | float]]:
    """Fields of the log as attributes of a span: `augsvc.job`, `augsvc.stages.decode`, …; None is left out."""
    for name, value in fields.items():
        if isinstance(value, Mapping):
            yield from attributes(value, f"{prefix}.{name}")
        elif isinstance(value, str | int | float):
            yield f"{prefix}.{name}", value
