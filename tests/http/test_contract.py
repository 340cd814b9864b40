"""Every route answers in the shape that the contract names."""

import hashlib
import re
from io import BytesIO
from urllib.parse import urlencode, urljoin

import pytest
import rfc8785
from PIL import Image

from augsvc.ops.registry import containers, registry
from augsvc_client.wire import decode_spec, encode_spec

SPEC = {"dataset": "digits/train", "pipeline": "light", "size": [8, 8], "channels": 1}
EMBEDDED = {f"{name}/{split}" for name in ("digits", "photos", "shapes") for split in ("train", "test")}
MISSION = {"gaussian_noise", "whitening", "downsample", "pixel_dropout", "rotation", "color_shift", "gaussian_blur"}
SMALL = 20_000  # max_batch_bytes of the small server


@pytest.fixture(scope="module")
def fresh(serve):
    """A server of the same data that has seen no POST, with small limits."""
    return serve(max_batch_bytes=SMALL).ready()


@pytest.fixture(scope="module")
def stream(server):
    return server.open(SPEC)


# --- what there is


def test_probes_and_version(server):
    for path in ("/healthz", "/readyz", "/v1/version", "/metrics"):
        reply = server.get(path)
        assert reply.status == 200
        assert reply.headers["cache-control"] == "no-store"
    version = server.get("/v1/version").json
    assert {"version", "executor", "device", "arithmetic", "arithmetic_state"} <= version.keys()
    assert re.fullmatch(r"[0-9a-f]{32}", version["arithmetic"])
    metrics = server.get("/metrics")
    assert metrics.headers["content-type"].startswith("text/plain")
    assert b"augsvc_in_flight_bytes" in metrics.body


def is_bounded(parameter):
    """Whether a number, a text's length, the numbers of a list, or one of several forms have a range."""
    parts = [*parameter.get("anyOf", []), *parameter.get("prefixItems", [])]
    parts += [parameter["items"]] if isinstance(parameter.get("items"), dict) else []
    return not parameter.keys().isdisjoint({"minimum", "maxLength"}) or any(is_bounded(part) for part in parts)


def test_operations_carry_schemas_with_ranges_and_defaults(server):
    reply = server.get("/v1/ops")
    assert list(reply.json) == ["ops"]
    operations = {operation["name"]: operation for operation in reply.json["ops"]}
    assert operations.keys() >= MISSION
    for name, operation in operations.items():
        described = {"family", "notes", "labels", "continuous", "elsewhere"}
        assert operation.keys() == {"name", "kind", "media", "summary", "schema"} | described
        assert operation["family"] and operation["labels"]
        holds_others = operation["kind"] in {"container", "policy"}
        assert holds_others or operation["kind"] in {
            "frame",
            "move",
            "warp",
            "tone",
            "filter",
            "noise",
            "erase",
            "mix",
            "opaque",
        }
        assert operation["media"] in ({"image", None} if holds_others else {"image", "audio"})
        assert operation["summary"]
        schema = operation["schema"]
        assert schema["type"] == "object"
        assert schema["additionalProperties"] is False
        properties = schema["properties"]
        assert properties["op"]["const"] == name
        assert (properties["p"]["minimum"], properties["p"]["maximum"]) == (0.0, 1.0)
        assert properties["p"]["default"] == {**registry(), **containers()}[name].model_fields["p"].default
        if operation["kind"] != "frame" and operation["media"] == "image":  # a crop inside the source has none
            assert ("border" in properties) == (operation["kind"] in ("move", "warp"))
        for key, parameter in properties.items():
            if key == "of":
                assert parameter["items"]["required"] == ["op"] and parameter["maxItems"] == 64
            elif key not in ("op", "p", "id", "weights") and parameter.get("type") != "boolean":
                assert "default" in parameter, (name, key)
                assert is_bounded(parameter) or "enum" in parameter, (name, key)


def test_every_default_of_every_operation_can_be_posted(server):
    for operation in server.get("/v1/ops").json["ops"]:
        properties = operation["schema"]["properties"]
        required = {key: properties[key]["examples"][0] for key in operation["schema"].get("required", [])}
        defaults = {k: p["default"] for k, p in properties.items() if k not in ("op", "id", *required)}
        spec = {"dataset": "tones/train"} if operation["media"] == "audio" else SPEC
        if operation["kind"] == "frame" and operation["media"] == "image":  # some look at labels
            spec = {**SPEC, "dataset": "shapes/train"}
        given = server.open({**spec, "pipeline": [{"op": operation["name"], **required, **defaults}]})
        assert given["id"] == server.open({**spec, "pipeline": [{"op": operation["name"], **required}]})["id"]


def test_datasets(server):
    reply = server.get("/v1/datasets")
    assert list(reply.json) == ["datasets"]
    found = {dataset["name"]: dataset for dataset in reply.json["datasets"]}
    assert found.keys() >= EMBEDDED | {"pets", "hurt"}
    for dataset in found.values():
        assert dataset.keys() == {"name", "samples", "media", "channels", "classes", "required", "version", "built_in"}
        assert dataset["samples"] > 0 and dataset["channels"] in (1, 3)
        assert all(isinstance(name, str) for name in dataset["classes"])
    assert (found["pets"]["samples"], found["pets"]["classes"]) == (20, ["cat", "dog"])
    assert (found["pets"]["required"], found["digits/train"]["required"]) == (["size"], [])
    assert found["digits/train"]["samples"] + found["digits/test"]["samples"] == 1797


# --- streams


def test_a_stream_is_described(server, stream):
    keys = {"id", "samples", "spec", "header", "dataset_version", "dataset", "arithmetic", "passes", "tensors"}
    assert stream.keys() == keys
    assert stream["spec"]["dataset"] == SPEC["dataset"]
    assert stream["tensors"]["image"] == {"dtype": "uint8", "shape": [-1, 1, 8, 8]}
    assert stream["tensors"]["label"] == {"dtype": "int64", "shape": [-1]}
    assert set(stream["tensors"]) == {"image", "label", "index", "valid"}
    assert [d["version"] for d in server.get("/v1/datasets").json["datasets"] if d["name"] == SPEC["dataset"]] == [
        stream["dataset_version"]
    ]


def test_posting_again_changes_nothing_and_getting_says_the_same(server, fresh, stream):
    assert server.open(SPEC) == stream
    path = f"/v1/streams/{stream['id']}"
    assert server.get(path).json == stream
    assert fresh.get(path, Augsvc_Spec=stream["header"]).json == stream
    assert server.get(path).headers["cache-control"] == "no-store"


def test_the_id_is_the_digest_of_form_version_and_arithmetic(stream):
    canonical = decode_spec(stream["header"])
    assert canonical == rfc8785.dumps(stream["spec"])
    whole = canonical + stream["dataset_version"].encode() + stream["arithmetic"].encode()
    assert stream["id"] == hashlib.sha256(whole).hexdigest()[:32]


def test_what_is_given_in_its_canonical_form_is_the_same_stream(server, stream):
    assert server.open(stream["spec"]) == stream


def test_a_replica_that_never_saw_the_stream_answers_from_the_header(server, fresh):
    new = server.open({**SPEC, "aug_seed": 77})
    path = f"/v1/streams/{new['id']}/epochs/0?start=0&count=3"
    fresh.get(path).refused(404, "unknown_stream")
    reply = fresh.get(path, Augsvc_Spec=new["header"])
    assert reply.status == 200
    assert reply.body == server.get(path).body
    assert fresh.get(path).status == 200  # from now on it knows it


def test_the_header_may_hold_any_spelling_of_the_specification(fresh, stream):
    header = encode_spec(b'{"dataset": "digits/train", "size": [8, 8], "pipeline": "light", "channels": 1}')
    path = f"/v1/streams/{stream['id']}/epochs/0?start=0&count=3"
    assert fresh.get(path, Augsvc_Spec=header).status == 200


@pytest.mark.parametrize("rest", ["", "/epochs/0?start=0&count=3", "/epochs/0/samples/0"])
def test_an_id_of_other_bytes_is_a_mismatch_that_says_what_is_here(server, fresh, stream, rest):
    other = server.open({**SPEC, "aug_seed": 12345})
    path = f"/v1/streams/{'1' * 32}{rest}"
    for serving in (server, fresh):
        error = serving.get(path, Augsvc_Spec=other["header"]).refused(409, "stream_mismatch")
        assert {key: error[key] for key in ("id", "dataset_version", "arithmetic")} == {
            key: other[key] for key in ("id", "dataset_version", "arithmetic")
        }
        serving.get(path).refused(404, "unknown_stream")


# --- ranges


def test_fewer_come_at_the_end_and_none_past_it(server, stream):
    n = stream["samples"]
    whole = server.batch(stream, 0, n - 3, 3)
    assert server.batch(stream, 0, n - 3, 10).body == whole.body
    assert len(server.batch(stream, 0, n - 1, 1 << 31).arrays["index"]) == 1
    for start in (n, n + 1, (1 << 32) - 1):
        assert server.batch(stream, 0, start, 1).refused(416, "past_the_end")["field"] == "start"
    assert server.batch(stream, 0, 0, 0).refused(422, "spec_invalid")["field"] == "count"


def test_a_batch_is_bounded_in_bytes_and_the_refusal_says_how_much_fits(fresh, stream):
    error = fresh.batch(stream, 0, 0, 1000).refused(422, "batch_too_large")
    assert error["field"] == "count"
    most = int(re.search(r"\d+", error["message"])[0])
    reply = fresh.batch(stream, 0, 0, most)
    assert reply.status == 200
    assert len(reply.body) <= SMALL
    fresh.batch(stream, 0, 0, most + 1).refused(422, "batch_too_large")
    assert fresh.batch(stream, 0, stream["samples"] - 2, 1000).status == 200  # only two are left
    large = fresh.open({**SPEC, "size": [200, 200]})
    fresh.batch(large, 0, 0, 1).refused(422, "batch_too_large")


# --- what comes later


# --- pages


def test_the_api_describes_itself(server):
    reply = server.get("/openapi.json")
    assert reply.headers["content-type"] == "application/json"
    api = reply.json
    assert api["openapi"].startswith("3.")
    wanted = {
        "/healthz": "get",
        "/readyz": "get",
        "/metrics": "get",
        "/v1/version": "get",
        "/v1/ops": "get",
        "/v1/datasets": "get",
        "/v1/streams": "post",
        "/v1/streams/{stream_id}": "get",
        "/v1/streams/{stream_id}/epochs/{epoch}": "get",
        "/v1/streams/{stream_id}/epochs/{epoch}/samples/{position}": "get",
    }
    for path, method in wanted.items():
        assert api["paths"][path][method]["summary"]
    body = api["paths"]["/v1/streams"]["post"]["requestBody"]["content"]["application/json"]
    assert server.post(body["example"]).status == 200
    batch = api["paths"]["/v1/streams/{stream_id}/epochs/{epoch}"]["get"]
    assert "application/x-safetensors" in batch["responses"]["200"]["content"]
    names = {parameter["name"]: parameter for parameter in batch["parameters"]}
    assert names.keys() == {"stream_id", "epoch", "start", "count", "view", "Augsvc-Spec"}
    assert names["stream_id"]["schema"].get("examples") or names["stream_id"].get("examples")


def test_bodies_are_declared_as_binary_and_links_lead_from_a_stream_to_its_samples(server):
    api = server.get("/openapi.json").json
    operations = {
        route["operationId"]: (path, route) for path, routes in api["paths"].items() for route in routes.values()
    }
    for _, route in operations.values():
        bodies = [*route["responses"].values(), route.get("requestBody", {})]
        for kind, content in (item for body in bodies for item in body.get("content", {}).items()):
            if kind.startswith(("application/x-", "application/octet-stream", "image/")):
                assert content["schema"] == {"type": "string", "format": "binary"}
    links = api["paths"]["/v1/streams"]["post"]["responses"]["200"]["links"]
    assert links.keys() == {"stream", "batch", "frames", "receipt", "keys", "preview"}
    stream = server.open({**SPEC, "aug_seed": 8})
    for link in links.values():
        path, route = operations[link["operationId"]]
        sent = {"path": {}, "query": {}, "header": {}}
        for name, value in link["parameters"].items():
            kind, _, name = name.partition(".")
            assert name in {parameter["name"] for parameter in route["parameters"] if parameter["in"] == kind}
            is_field = isinstance(value, str) and value.startswith("$response.body#/")
            sent[kind][name] = stream[value.removeprefix("$response.body#/")] if is_field else value
        target = path.format(**sent["path"]) + "?" + urlencode(sent["query"])
        assert server.ask("GET", target, sent["header"]).status == 200


def references(node):
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def test_every_reference_of_the_description_leads_somewhere(server):
    api = server.get("/openapi.json").json
    lost = []
    for reference in sorted(set(references(api))):
        place = api
        for key in reference.removeprefix("#/").split("/"):
            place = place.get(key, {}) if isinstance(place, dict) else {}
        if not place:
            lost.append(reference)
    assert not lost


def test_errors_are_described_in_the_form_in_which_they_come(server):
    api = server.get("/openapi.json").json
    answers = [
        response["content"]["application/json"]["schema"]
        for path in api["paths"].values()
        for route in path.values()
        for status, response in route["responses"].items()
        if status.startswith("4") and "content" in response
    ]
    for schema in answers:
        name = schema.get("$ref", "").rpartition("/")[2]
        described = api["components"]["schemas"][name] if name else schema
        assert "error" in described["properties"], name


@pytest.mark.parametrize("path", ["/", "/gallery", "/docs"])
def test_pages_need_nothing_from_elsewhere(server, path):
    reply = server.get(path)
    assert reply.headers["content-type"].startswith("text/html")
    html = reply.body.decode()
    assert not re.search(r"""["'(](?:https?:)?//""", html)
    linked = set(re.findall(r"""(?:src|href)=["']([^"']+)["']""", html))
    assert any(name.endswith(".js") for name in linked)
    for name in linked:
        found = server.get(urljoin(path, name))
        assert found.status == 200, name
        assert found.body
        kind = found.headers["content-type"]
        if name.endswith((".js", ".css", ".png")):
            assert kind.startswith({"s": "text/", "g": "image/"}[name[-1]]), (name, kind)
    for name in ("index.js", "index.css"):
        assert not re.search(rb"https?://", server.get(f"/assets/{name}").body)


@pytest.mark.parametrize("path", ["/", "/gallery"])
def test_pages_hold_no_data(server, path):
    html = server.get(path).body.decode()
    assert not any(name in html for name in (*EMBEDDED, *MISSION, "pets"))
    assert server.get("/assets/nothing.js").refused(404, "not_found")
    assert server.get("/nothing").refused(404, "not_found")


def test_the_preview_shows_the_requested_range(server):
    stream = server.open({"dataset": "digits/train", "size": [64, 64], "pipeline": "standard"})
    reply = server.get(f"/v1/streams/{stream['id']}/preview.png?epoch=2&start=3&count=5")
    assert (reply.status, reply.headers["content-type"]) == (200, "image/png")
    with Image.open(BytesIO(reply.body)) as preview:
        assert preview.size == (5 * 66 - 2, 2 * 64 + 2)
    server.get(f"/v1/streams/{stream['id']}/preview.png?count=65").refused(422, "spec_invalid")
    server.get(f"/v1/streams/{stream['id']}/preview.png?start=99999").refused(416, "past_the_end")


def test_a_preview_is_counted_like_a_batch_until_it_is_sent(server):
    stream = server.open({"dataset": "digits/train", "size": [64, 64], "pipeline": "standard"})
    assert server.get(f"/v1/streams/{stream['id']}/preview.png?count=64").status == 200
    server.until(lambda: server.metric("augsvc_in_flight_bytes") == 0)
