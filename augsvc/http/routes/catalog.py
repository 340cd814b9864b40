"""The catalog of a replica: versions, operations, datasets."""

from collections.abc import Mapping
from dataclasses import asdict

import torch
from fastapi import APIRouter

import augsvc
from augsvc.data.source import Source, SourceInfo
from augsvc.engine.engine import STARTING, Engine
from augsvc.errors import Starting
from augsvc.ops.container import Container
from augsvc.ops.operation import Operation
from augsvc.ops.registry import containers
from augsvc.streams.description import describe


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

    steps: Mapping[str, type[Operation] | type[Container]] = {**engine.operations, **containers()}
    entries = [step_entry(name, step) for name, step in steps.items()]

    @router.get("/ops", summary="The operations and containers")
    async def ops() -> dict[str, object]:
        return {"ops": entries}

    @router.get("/datasets", summary="The datasets")
    async def datasets() -> dict[str, object]:
        return {"datasets": [dataset_entry(source) for source in engine.catalog.sources()]}

    return router


def step_entry(name: str, step: type[Operation] | type[Container]) -> dict[str, object]:
    """An operation or a container as JSON; the medium is null if it holds operations for either, the family of a private one."""
    return {
        "name": name,
        "kind": str(step.kind),
        "media": step.media,
        "summary": step.summary(),
        **asdict(describe(step)),
        "schema": step.model_json_schema(),
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
    columns = {name: column.kind for name, column in source.columns().items()}
    label = {} if info.label_kind == "class" else {"label": info.label_kind}
    return {
        "name": info.name,
        "samples": len(source),
        "media": info.media,
        "classes": list(info.classes),
        "required": required_fields(info),
        "version": info.version,
        **window,
        **label,
        **({"columns": columns} if columns else {}),
    }
