"""OpenTelemetry spans of requests, where its API is installed; they go where the program's own SDK sends them."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace

from augsvc_client.transport.connection import Request

try:
    from opentelemetry import trace
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
except ImportError:  # the extra `traces`
    trace = None  # type: ignore[assignment]


@contextmanager
def start_span(request: Request, headers: Mapping[str, str]) -> Iterator[Request]:
    """A client's span around a call; gives the request with `headers` and a `traceparent`, which makes the server's its child.

    It is never the current span: a generator that is left and entered again would end another one's.
    """
    headers = {**headers, **request.headers}
    if trace is None:
        yield replace(request, headers=headers)
        return
    fields = {"http.request.method": request.method, "url.path": request.path.partition("?")[0]}
    tracer = trace.get_tracer("augsvc_client")
    span = tracer.start_span(request.method, kind=trace.SpanKind.CLIENT, attributes=fields)
    TraceContextTextMapPropagator().inject(headers, trace.set_span_in_context(span))
    try:
        yield replace(request, headers=headers)
    except Exception as err:
        span.set_status(trace.StatusCode.ERROR, type(err).__name__)  # not its text, which names addresses
        raise
    finally:
        span.end()
