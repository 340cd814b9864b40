"""ASGI middleware: the request log, and the admission of requests with tokens and quotas."""
