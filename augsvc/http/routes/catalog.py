"""The catalog of a replica: versions, operations, datasets."""

import torch
from fastapi import APIRouter

import augsvc
from augsvc.data.source import Source, SourceInfo
from augsvc.engine.engine import STARTING, Engine
from augsvc.errors import Starting
from augsvc.ops.operation import Operation


def catalog_router(engine: Engine) -> APIRouter:
    """The routes that describe a replica."""
    router = APIRouter(prefix="/v1", tags=["catalog"], redirect_slashes=False)

    @router.get("/version", summary="Versions, device and arithmetic id")
    async def version() -> dict[str, object]:
        if engine.arithmetic is None:
            raise Starting(STARTING)
        measured = engine.arithmetic.done()
        arithmetic = engine.arithmetic.result() if measured else None
        return {
            "version": augsvc.__version__,
            "torch": torch.__version__,
            "executor": engine.executor.name,
            "device": str(engine.executor.device),
            "arithmetic": arithmetic,
            "arithmetic_state": "measuring" if not measured else "failed" if arithmetic is None else "ready",
        }

    entries = [operation_entry(name, operation) for name, operation in engine.operations.items()]

    @router.get("/ops", summary="The operations")
    async def ops() -> dict[str, object]:
        return {"ops": entries}

    @router.get("/datasets", summary="The datasets")
    async def datasets() -> dict[str, object]:
        return {"datasets": [dataset_entry(source) for source in engine.catalog.sources()]}

    return router


def operation_entry(name: str, operation: type[Operation]) -> dict[str, object]:
    """An operation as JSON."""
    return {
        "name": name,
        "kind": operation.kind.value,
        "media": operation.media,
        "summary": operation.summary(),
        "schema": operation.model_json_schema(),
    }


def required_fields(info: SourceInfo) -> list[str]:
    """The fields that a specification must set, because the dataset's samples differ in them."""
    fields: dict[str, object] = {"size": info.size}
    if info.media == "audio":
        fields = {"seconds": info.seconds, "sample_rate": info.sample_rate}
    return [name for name, value in fields.items() if value is None]


def dataset_entry(source: Source) -> dict[str, object]:
    """A dataset as JSON."""
    info = source.info
    window = {} if info.window is None else {"window": list(info.window)}
    return {
        "name": info.name,
        "samples": len(source),
        "media": info.media,
        "classes": list(info.classes),
        "required": required_fields(info),
        "version": info.version,
        **window,
    }
