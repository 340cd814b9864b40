"""The HTTP front: `create_app(settings)` gives the ASGI application."""

from augsvc.http.app import create_app

__all__ = ["create_app"]
