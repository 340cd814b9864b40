"""The OpenAPI description: FastAPI's, with the schemas of specifications and of errors."""

from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.routing import BaseRoute

from augsvc.planning.spec import StreamSpec

SAFETENSORS = "application/x-safetensors"
FRAMES = "application/x-augsvc-frames"
_REF = "#/components/schemas/"
_EXAMPLE = {
    "dataset": "digits/train",
    "pipeline": [{"op": "rotation", "degrees": [-15, 15]}, {"op": "gaussian_noise", "std": [0.0, 0.05]}],
    "size": [32, 32],
}
SPEC_BODY = {
    "required": True,
    "content": {"application/json": {"schema": {"$ref": f"{_REF}StreamSpec"}, "example": _EXAMPLE}},
}
_ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message"],
            "properties": {
                "code": {"type": "string", "description": "stable; docs/errors.md lists them"},
                "message": {"type": "string"},
                "field": {"type": ["string", "null"]},
            },
        }
    },
    "example": {
        "error": {"code": "past_the_end", "message": "the epoch has 50 samples; start below that", "field": "start"}
    },
}
_ERROR_RESPONSE = {
    "description": "An error",
    "content": {"application/json": {"schema": {"$ref": f"{_REF}Error"}}},
}


def install_openapi(app: FastAPI, plain_routes: Sequence[BaseRoute]) -> None:
    """Makes app.openapi() return the description, which is built once. `plain_routes` are described but not FastAPI's."""
    description: dict[str, Any] = {}

    def openapi() -> dict[str, Any]:
        if not description:
            description.update(_describe(app, [*app.routes, *plain_routes]))
        return description

    app.openapi = openapi  # type: ignore[method-assign]  # as FastAPI documents it


def _describe(app: FastAPI, routes: Sequence[BaseRoute]) -> dict[str, Any]:
    description = get_openapi(title=app.title, version=app.version, summary=app.summary, routes=routes)
    spec = StreamSpec.model_json_schema(ref_template=_REF + "{model}")
    schemas = description.setdefault("components", {}).setdefault("schemas", {})
    schemas |= spec.pop("$defs", {}) | {"StreamSpec": spec, "Error": _ERROR}
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    for operations in description["paths"].values():
        for operation in operations.values():
            operation["responses"].pop("422", None)
            operation["responses"]["default"] = _ERROR_RESPONSE
    return description
