"""JSON of clients with very many lists, objects or fields is refused before it is parsed: it would hold the interpreter."""

import io
import json

import numpy as np
import pytest

from augsvc.data.formats.faults import Faults
from augsvc.data.formats.manifest_rows import ManifestRows
from augsvc.errors import AugsvcError, BadJson
from augsvc.http.inference import parse_request
from augsvc.http.routes.augment import parse_body
from augsvc.http.routes.uploads import read_options
from augsvc.validation import MAX_NODES, parse_json

LISTS = b"[" + b",".join([b"[]"] * MAX_NODES) + b"]"
OBJECTS = b"[" + b",".join([b"{}"] * MAX_NODES) + b"]"
FIELDS = b"{" + b",".join([b'"":0'] * MAX_NODES) + b"}"


def framed(header):
    return np.frombuffer(len(header).to_bytes(8, "little") + header, np.uint8)


def with_request(data):
    return framed(json.dumps({"__metadata__": {"request": data.decode()}}).encode())


def read_manifest(data):
    faults = Faults()
    list(ManifestRows(io.BytesIO(data), "metadata.jsonl", {}, faults))
    faults.refuse()


@pytest.fixture
def unparsed(monkeypatch):
    def refuse(*_args, **_options):
        raise AssertionError("it was parsed")

    monkeypatch.setattr(json, "loads", refuse)


@pytest.mark.parametrize("data", [LISTS, OBJECTS, FIELDS], ids=["lists", "objects", "fields"])
@pytest.mark.parametrize(
    "read",
    [
        lambda data: read_options(data.decode()),
        lambda data: parse_request(np.frombuffer(data, np.uint8), 0, np.empty),
        lambda data: parse_body(framed(data), None),
        lambda data: parse_body(with_request(data), None),
        read_manifest,
    ],
    ids=["options", "inference", "header", "request", "manifest"],
)
def test_too_many_nodes_are_refused_unparsed(unparsed, read, data):
    with pytest.raises((AugsvcError, ValueError), match="over 100,000 lists, objects and fields"):
        read(data)


def test_fewer_are_parsed():
    assert len(parse_json(b"[" + b",".join([b"{}"] * (MAX_NODES - 1)) + b"]")) == MAX_NODES - 1
    with pytest.raises(BadJson, match="brackets"):
        parse_json(b"[")
