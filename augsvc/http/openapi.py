"""The API's description: FastAPI's, with our specification and our one form of an error."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

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
        "error": {"code": "past_the_end", "message": "the epoch has 50 samples: start below that", "field": "start"}
    },
}
_ERROR_ANSWER = {
    "description": "An error, in the one form",
    "content": {"application/json": {"schema": {"$ref": f"{_REF}Error"}}},
}


def describe(app: FastAPI) -> None:
    """Makes app.openapi() say it; the description is built once."""
    described: dict[str, Any] = {}

    def openapi() -> dict[str, Any]:
        if not described:
            described.update(_description(app))
        return described

    app.openapi = openapi  # type: ignore[method-assign]  # the way that FastAPI documents


def _description(app: FastAPI) -> dict[str, Any]:
    found = get_openapi(title=app.title, version=app.version, summary=app.summary, routes=app.routes)
    spec = StreamSpec.model_json_schema(ref_template=_REF + "{model}")
    schemas = found.setdefault("components", {}).setdefault("schemas", {})
    schemas |= spec.pop("$defs", {}) | {"StreamSpec": spec, "Error": _ERROR}
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    for operations in found["paths"].values():
        for operation in operations.values():
            operation["responses"].pop("422", None)
            operation["responses"]["default"] = _ERROR_ANSWER
    return found
