"""The Open Inference Protocol, version 2: a pipeline is called as a model. Translation only: samples go the way of
`POST /v1/augment`.
"""

import time
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Depends, Path, Request, Response

import augsvc
from augsvc.arrays import Arrays
from augsvc.engine.engine import Engine
from augsvc.errors import SpecInvalid, WrongContentType
from augsvc.http.disconnect import run_unless_disconnected
from augsvc.http.inference import ALIGNMENT, LENGTH_HEADER, Reply, encode_response, parse_request, read_length
from augsvc.http.lifecycle import Lifecycle
from augsvc.http.metrics import Metrics
from augsvc.http.middleware.admission import job_of
from augsvc.http.models import VERSION, Model, find_model
from augsvc.http.openapi import BINARY, OCTETS
from augsvc.http.responses import INFERENCE_PREFIX, PartsResponse
from augsvc.http.routes.augment import count_push, push_samples, read_body, require_type
from augsvc.numerics.rng import MAX_SAMPLES
from augsvc.streams.media import medium_of
from augsvc.streams.stream import Body
from augsvc_client.wire import parse

_JSON = "application/json"
_SCHEMA = {
    "type": "object",
    "required": ["inputs"],
    "properties": {
        "id": {"type": "string"},
        "parameters": {"type": "object"},
        "inputs": {"type": "array", "items": {"type": "object", "required": ["name", "shape", "datatype"]}},
        "outputs": {"type": "array", "items": {"type": "object", "required": ["name"]}},
    },
}
_EXAMPLE = {
    "parameters": {"aug_seed": 0, "epoch": 0, "index": 0},
    "inputs": [{"name": "image", "datatype": "UINT8", "shape": [1, 2, 2, 1], "data": [0, 85, 170, 255]}],
}
_BODY = {"required": True, "content": {_JSON: {"schema": _SCHEMA, "example": _EXAMPLE}, OCTETS: BINARY}}
_RESPONSE = {
    "content": {_JSON: {"schema": {"type": "object"}}, OCTETS: BINARY},
    "description": "the tensors, augmented",
}
ModelName = Annotated[str, Path(max_length=128, examples=["standard"])]


def version_of(request: Request) -> str:
    """The version in the path, which is optional there."""
    return str(request.path_params.get("version", VERSION))


Version = Annotated[str, Depends(version_of)]


def inference_health_router(lifecycle: Lifecycle) -> APIRouter:
    """The protocol's probes, which need no token."""
    router = APIRouter(prefix=f"{INFERENCE_PREFIX}/health", tags=["inference"], redirect_slashes=False)

    @router.get("/live", summary="Whether the process is alive")
    async def live() -> dict[str, bool]:
        lifecycle.require_engine()
        return {"live": True}

    @router.get("/ready", summary="Whether the server is ready")
    async def ready() -> dict[str, bool]:
        lifecycle.require_ready()
        return {"ready": True}

    return router


def models_router(models: Mapping[str, Model], lifecycle: Lifecycle) -> APIRouter:
    """The protocol's descriptions of the server and its models."""
    router = APIRouter(prefix=INFERENCE_PREFIX, tags=["inference"], redirect_slashes=False)

    @router.get("", summary="The server, for inference clients")
    async def server() -> dict[str, object]:
        return {"name": "augsvc", "version": augsvc.__version__, "extensions": ["binary_tensor_data"]}

    @router.get("/models", summary="The names of the models")
    async def names() -> dict[str, list[str]]:
        return {"models": list(models)}

    @router.get("/models/{model}/versions/{version}", include_in_schema=False)
    @router.get("/models/{model}", summary="A model's inputs and outputs")
    async def metadata(model: ModelName, version: Version) -> dict[str, object]:
        return find_model(models, model, version).metadata()

    @router.get("/models/{model}/versions/{version}/ready", include_in_schema=False)
    @router.get("/models/{model}/ready", summary="Whether a model is ready")
    async def ready(model: ModelName, version: Version) -> dict[str, object]:
        find_model(models, model, version)
        lifecycle.require_ready()
        return {"name": model, "ready": True}

    return router


def infer_router(models: Mapping[str, Model], engine: Engine, metrics: Metrics, max_request_bytes: int) -> APIRouter:
    """The protocol's route that augments the samples in its request."""
    router = APIRouter(prefix=INFERENCE_PREFIX, tags=["inference"], redirect_slashes=False)

    @router.post("/models/{model}/versions/{version}/infer", include_in_schema=False)
    @router.post(
        "/models/{model}/infer",
        summary="Augment your own samples by a model",
        response_class=Response,
        responses={200: _RESPONSE},
        openapi_extra={"requestBody": _BODY},
    )
    async def infer(request: Request, model: ModelName, version: Version) -> Response:
        started_at, job = time.perf_counter(), job_of(request)
        chosen = find_model(models, model, version)
        length = read_length(request.headers.get(LENGTH_HEADER))
        require_form(request, length)
        gap = -length % ALIGNMENT  # before the JSON, so that the first tensor is aligned
        buffers = [await read_body(request, max_request_bytes, lambda size: engine.allocate(gap + size, job)[gap:])]
        replies: list[tuple[Reply, bool]] = []

        def read_request() -> tuple[object, Arrays, int]:
            parsed = parse_request(buffers[0], length, lambda size: engine.allocate(size, job))
            fields = push_fields(chosen, parsed.parameters, parsed.arrays)
            replies[:] = [(parsed.reply, is_bfloat16(fields.get("output")))]
            return fields, parsed.arrays, gap + len(buffers[0]) + parsed.copied_bytes

        body = await push_samples(request, engine, buffers, read_request)

        def encode_held() -> list[bytes | memoryview]:
            text, *tensors = encode(chosen, *replies[0], body)
            return [engine.hold(bytes(text), job).data, *tensors]

        encoding = engine.run_validation(encode_held, job)
        parts = await run_unless_disconnected(request, encoding)
        request.state.stages = body.stages  # for the log, instead of those of the encoding
        count_push(request, metrics, body, started_at)
        return InferResponse(parts)

    return router


def require_form(request: Request, length: int) -> None:
    """Refuses a body of another type than the protocol's, or a compressed one, with WrongContentType.

    Triton's client sends no Content-Type. A web page can do so too, to servers that its user reaches, but not without Origin.
    """
    if "content-encoding" in request.headers:
        raise WrongContentType("send the body without Content-Encoding")
    types = {OCTETS} if length else {OCTETS, _JSON}
    expected = f"send {OCTETS} with {LENGTH_HEADER}, or {_JSON} without it"
    require_type(request, types if "origin" in request.headers else {"", *types}, expected)


def push_fields(model: Model, parameters: Mapping[str, Any], arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    """The fields of a push: the model's, and the request's parameters over them. The parameter `index`, of the first sample,
    becomes the tensor of that name.

    Raises:
        SpecInvalid: a parameter sets the pipeline, or the index is invalid.
    """
    if "pipeline" in parameters:
        raise SpecInvalid("the model is the pipeline; GET /v2/models lists the models", field="pipeline")
    fields = {**model.fields, **parameters}
    if "index" in fields:
        first = fields.pop("index")
        main = arrays.get(medium_of(arrays).name)
        samples = 0 if main is None or not main.ndim else len(main)
        if "index" in arrays:
            raise SpecInvalid("send index as a tensor or as a parameter, not both", field="index")
        if type(first) is not int or not 0 <= first <= MAX_SAMPLES - samples:
            raise SpecInvalid("index must be that of the first sample, with each from 0 to 2^32 - 1", field="index")
        arrays["index"] = np.arange(first, first + samples)
    return fields


def is_bfloat16(output: object) -> bool:
    """Whether the field `output` of a push asks for images in bfloat16."""
    return isinstance(output, dict) and output.get("dtype") == "bfloat16"


def encode(model: Model, reply: Reply, in_bfloat16: bool, body: Body) -> list[bytes | memoryview]:
    """The parts of the response with a push's result; raises as `encode_response` does."""
    arrays, metadata = parse(body.buffer)
    parameters = {"arithmetic": metadata["arithmetic"]}
    head = {"model_name": model.name, "model_version": VERSION, "parameters": parameters}
    return encode_response(head, reply, arrays, {"image"} if in_bfloat16 else ())


class InferResponse(PartsResponse):
    """JSON, or with further parts JSON and binary tensors."""

    def __init__(self, parts: Sequence[bytes | memoryview]) -> None:
        if len(parts) > 1:
            super().__init__(parts, OCTETS, {LENGTH_HEADER: str(len(parts[0]))})
        else:
            super().__init__(parts, _JSON, {})
