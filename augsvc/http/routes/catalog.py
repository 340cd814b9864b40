"""The catalog of a replica: versions, operations, datasets.

Operations and datasets are encoded once, and all responses share the bytes: the event loop, which all jobs share, took 17 ms to
encode the operations for each request, and a thread takes half a second for the names of a million classes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from operator import is_not
from weakref import WeakKeyDictionary

import torch
from fastapi import APIRouter, Request, Response

import augsvc
from augsvc.data.source import Source
from augsvc.engine.engine import Engine
from augsvc.http.disconnect import run_unless_disconnected
from augsvc.http.middleware.admission import job_of
from augsvc.http.responses import Encoded, EncodedJSON, encode_json
from augsvc.ops.container import Container
from augsvc.ops.operation import Operation
from augsvc.ops.registry import containers
from augsvc.streams.description import describe
from augsvc.streams.media import MEDIA


class DatasetEntries:
    """The datasets as JSON, each encoded once."""

    def __init__(self) -> None:
        self._encoded: WeakKeyDictionary[Source, bytes] = WeakKeyDictionary()
        self._listed: tuple[list[bytes], Encoded] | None = None  # the entries, and the list of them

    def encode(self, source: Source) -> bytes:
        """The entry of a dataset; two threads may both encode it the first time."""
        if (encoded := self._encoded.get(source)) is None:
            encoded = self._encoded[source] = encode_json(dataset_entry(source))
        return encoded

    def list_all(self, sources: Sequence[Source]) -> Encoded:
        """The list of these datasets; it is digested again only when one of them has changed."""
        encoded = [self.encode(source) for source in sources]
        listed = self._listed
        if listed is None or len(encoded) != len(listed[0]) or any(map(is_not, encoded, listed[0])):
            separated = [part for entry in encoded for part in (b",", entry)][1:]
            listed = self._listed = encoded, Encoded.of(b'{"datasets":[', *separated, b"]}")
        return listed[1]


def catalog_router(engine: Engine, entries: DatasetEntries) -> APIRouter:
    """The routes that describe a replica."""
    router = APIRouter(prefix="/v1", tags=["catalog"], redirect_slashes=False)

    @router.get("/version", summary="Versions, device and arithmetic id")
    async def version() -> dict[str, object]:
        measuring = engine.require_ready()
        measured = measuring.done()
        arithmetic = measuring.result() if measured else None
        return {
            "version": augsvc.__version__,
            "torch": torch.__version__,
            "executor": engine.executor.name,
            "device": str(engine.executor.device),
            "arithmetic": arithmetic,
            "arithmetic_state": "measuring" if not measured else "failed" if arithmetic is None else "ready",
        }

    steps: Mapping[str, type[Operation] | type[Container]] = {**engine.operations, **containers()}
    encoded_ops = Encoded.of(encode_json({"ops": [step_entry(name, step) for name, step in steps.items()]}))

    @router.get("/ops", summary="The operations and containers", response_model=dict[str, object])
    async def ops() -> Response:
        return EncodedJSON(encoded_ops)

    @router.get("/datasets", summary="The datasets", response_model=dict[str, object])
    async def datasets(request: Request) -> Response:
        listing = engine.run_opening(lambda: entries.list_all(engine.catalog.sources()), job_of(request))
        return EncodedJSON(await run_unless_disconnected(request, listing))

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
        "channels": info.channels,
        "classes": list(info.classes),
        "required": MEDIA[info.media].missing(info),
        "version": info.version,
        "built_in": info.built_in,
        **window,
        **label,
        **({"columns": columns} if columns else {}),
    }
