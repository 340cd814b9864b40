"""The OpenAPI description: FastAPI's, with the schemas of specifications and of errors, and links between the routes."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.routing import BaseRoute

from augsvc.planning.spec import StreamSpec

SAFETENSORS = "application/x-safetensors"
FRAMES = "application/x-augsvc-frames"
OCTETS = "application/octet-stream"
BINARY = {"schema": {"type": "string", "format": "binary"}}
_STREAMS = "/v1/streams"
_STREAM = f"{_STREAMS}/{{stream_id}}"
_EPOCH = f"{_STREAM}/epochs/{{epoch}}"
_FIRST = {"path.epoch": 0, "query.start": 0, "query.count": 1}
# link of POST /v1/streams → the route that it leads to, and parameters of the first samples
_LINKS: Mapping[str, tuple[str, Mapping[str, int]]] = {
    "stream": (_STREAM, {}),
    "batch": (_EPOCH, _FIRST),
    "frames": (f"{_EPOCH}/frames", {**_FIRST, "query.stride": 1, "query.frames": 2}),
    "receipt": (f"{_EPOCH}/samples/{{position}}", {"path.epoch": 0, "path.position": 0}),
    "keys": (f"{_EPOCH}/keys", _FIRST),
    "preview": (f"{_STREAM}/preview.png", {"query.count": 1}),
}
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
_CODE_FIELDS = {
    "code": {"type": "string", "description": "stable; docs/errors.md lists them"},
    "field": {"type": ["string", "null"]},
}
_ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message"],
            "properties": {"message": {"type": "string"}, **_CODE_FIELDS},
        }
    },
    "example": {
        "error": {"code": "past_the_end", "message": "the epoch has 50 samples; start below that", "field": "start"}
    },
}
_INFERENCE_ERROR = {
    "type": "object",
    "required": ["error", "code"],
    "properties": {"error": {"type": "string"}, **_CODE_FIELDS},
}
_ERROR_RESPONSE = {
    "description": "An error",
    "content": {"application/json": {"schema": {"$ref": f"{_REF}Error"}}},
}
_INFERENCE_ERROR_RESPONSE = {
    "description": "An error, in the form of the Open Inference Protocol",
    "content": {"application/json": {"schema": {"$ref": f"{_REF}InferenceError"}}},
}


def install_openapi(app: FastAPI, plain_routes: Sequence[BaseRoute]) -> Callable[[], dict[str, Any]]:
    """Makes app.openapi() return the description, which is built once; returns that function. `plain_routes` are described but
    not FastAPI's.
    """
    description: dict[str, Any] = {}

    def openapi() -> dict[str, Any]:
        if not description:
            description.update(_describe(app, [*app.routes, *plain_routes]))
        return description

    app.openapi = openapi  # type: ignore[method-assign]  # as FastAPI documents it
    return openapi


def _describe(app: FastAPI, routes: Sequence[BaseRoute]) -> dict[str, Any]:
    description = get_openapi(title=app.title, version=app.version, summary=app.summary, routes=routes)
    spec = StreamSpec.model_json_schema(ref_template=_REF + "{model}")
    schemas = description.setdefault("components", {}).setdefault("schemas", {})
    schemas |= spec.pop("$defs", {}) | {"StreamSpec": spec, "Error": _ERROR, "InferenceError": _INFERENCE_ERROR}
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    for path, operations in description["paths"].items():
        for operation in operations.values():
            operation["responses"].pop("422", None)
            is_inference = path.startswith("/v2")
            operation["responses"]["default"] = _INFERENCE_ERROR_RESPONSE if is_inference else _ERROR_RESPONSE
    description["paths"][_STREAMS]["post"]["responses"]["200"]["links"] = _stream_links(description["paths"])
    return description


def _stream_links(paths: Mapping[str, Any]) -> dict[str, object]:
    """The links of POST /v1/streams: each takes the stream's id and its header from the response."""
    links: dict[str, object] = {}
    for name, (path, constants) in _LINKS.items():
        stream = {"path.stream_id": "$response.body#/id", "header.Augsvc-Spec": "$response.body#/header"}
        links[name] = {"operationId": paths[path]["get"]["operationId"], "parameters": {**stream, **constants}}
    return links
