"""The pages: the web UI at /, the gallery of operations, and the OpenAPI page at /docs, with their assets."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fastapi_offline
from fastapi import APIRouter
from fastapi.openapi.docs import get_swagger_ui_html
from starlette.responses import Response

from augsvc.errors import NotFound
from augsvc.http.responses import Encoded, EncodedJSON, encode_json

_STATIC = Path(__file__).parents[1] / "ui"
_VENDORED = Path(fastapi_offline.__file__).parent / "static"
_TYPES = {".css": "text/css", ".js": "text/javascript", ".webp": "image/webp"}
_FILES = (*sorted(_STATIC.iterdir()), *sorted((_STATIC / "strips").iterdir()))
_ASSETS = {path.name: (path, _TYPES[path.suffix]) for path in _FILES if path.suffix in _TYPES} | {
    "swagger-ui.css": (_VENDORED / "swagger-ui.css", "text/css"),
    "swagger-ui-bundle.js": (_VENDORED / "swagger-ui-bundle.js", "text/javascript"),
    "favicon.png": (_VENDORED / "favicon.png", "image/png"),
}
# the web UI: scripts, styles and data from this server only, nothing inline, and no markup made of text by a script
_SECURITY_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def pages_router() -> APIRouter:
    """Static pages without data, so that they need no token."""
    router = APIRouter(include_in_schema=False, redirect_slashes=False)

    index, operations = ((_STATIC / name).read_bytes() for name in ("index.html", "gallery.html"))
    assets = {name: (path.read_bytes(), media_type) for name, (path, media_type) in _ASSETS.items()}

    @router.get("/")
    async def start() -> Response:
        return Response(index, media_type="text/html", headers=_SECURITY_HEADERS)

    @router.get("/gallery")
    async def gallery() -> Response:
        return Response(operations, media_type="text/html", headers=_SECURITY_HEADERS)

    swagger = bytes(
        get_swagger_ui_html(
            openapi_url="openapi.json",
            title="augsvc API",
            swagger_js_url="assets/swagger-ui-bundle.js",
            swagger_css_url="assets/swagger-ui.css",
            swagger_favicon_url="assets/favicon.png",
        ).body
    )

    @router.get("/docs")
    async def docs() -> Response:
        return Response(swagger, media_type="text/html")

    @router.get("/assets/{name}")
    async def asset(name: str) -> Response:
        if name not in assets:
            raise NotFound("no such asset; see GET / and GET /docs")
        content, media_type = assets[name]
        return Response(content, media_type=media_type)

    return router


def openapi_router(describe: Callable[[], dict[str, Any]]) -> APIRouter:
    """The route of the OpenAPI description, which is encoded once: it takes a tenth of a second."""
    router = APIRouter(include_in_schema=False, redirect_slashes=False)
    encoded: list[Encoded] = []

    @router.get("/openapi.json")
    async def openapi() -> Response:
        if not encoded:
            encoded.append(await asyncio.to_thread(lambda: Encoded.of(encode_json(describe()))))
        return EncodedJSON(encoded[0])

    return router
