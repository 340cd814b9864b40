"""What a person sees in a browser: the start page, and the OpenAPI page with its assets served from here."""

from pathlib import Path

import fastapi_offline
from fastapi import APIRouter
from fastapi.openapi.docs import get_swagger_ui_html
from starlette.responses import FileResponse, HTMLResponse

from augsvc.errors import NotFound

_STATIC = Path(__file__).parent / "static"
_VENDORED = Path(fastapi_offline.__file__).parent / "static"
_ASSETS = {
    "index.css": (_STATIC / "index.css", "text/css"),
    "index.js": (_STATIC / "index.js", "text/javascript"),
    "swagger-ui.css": (_VENDORED / "swagger-ui.css", "text/css"),
    "swagger-ui-bundle.js": (_VENDORED / "swagger-ui-bundle.js", "text/javascript"),
    "favicon.png": (_VENDORED / "favicon.png", "image/png"),
}


def pages_router() -> APIRouter:
    """The pages: static shells without data, so they need no token."""
    router = APIRouter(include_in_schema=False)

    @router.get("/")
    async def start() -> FileResponse:
        return FileResponse(_STATIC / "index.html", media_type="text/html")

    @router.get("/docs")
    async def docs() -> HTMLResponse:
        return get_swagger_ui_html(
            openapi_url="openapi.json",
            title="augsvc: the API",
            swagger_js_url="assets/swagger-ui-bundle.js",
            swagger_css_url="assets/swagger-ui.css",
            swagger_favicon_url="assets/favicon.png",
        )

    @router.get("/assets/{name}")
    async def asset(name: str) -> FileResponse:
        if name not in _ASSETS:
            raise NotFound("there is no such asset")
        path, media_type = _ASSETS[name]
        return FileResponse(path, media_type=media_type)

    return router
