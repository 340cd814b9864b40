"""The Open Inference Protocol: the same samples as by POST /v1/augment, and every way in which a body can be wrong."""

import json
import socket

import numpy as np
import pytest

from augsvc_client.wire import Layout, TensorSpec

LENGTH = "Inference-Header-Content-Length"
DATATYPES = {
    "uint8": "UINT8",
    "int64": "INT64",
    "float32": "FP32",
    "bool": "BOOL",
    "float64": "FP64",
    "uint16": "UINT16",
}
DTYPES = {name: dtype for dtype, name in DATATYPES.items()} | {"BF16": "uint16"}
PATH = "/v2/models/{}/infer"
TOKEN = "0123456789abcdef"  # noqa: S105  # of this test's own server


def images(n=3, **more):
    rng = np.random.default_rng(0)
    return {"image": rng.integers(0, 256, (n, 7, 5, 3), np.uint8), "index": np.arange(10, 10 + n), **more}


def described(tensors, binary):
    """The inputs' entries, and their binary data."""
    entries = []
    for name, array in tensors.items():
        entry = {"name": name, "datatype": DATATYPES[array.dtype.name], "shape": list(array.shape)}
        values = {"parameters": {"binary_data_size": array.nbytes}} if binary else {"data": array.ravel().tolist()}
        entries.append(entry | values)
    return entries, b"".join(array.tobytes() for array in tensors.values()) if binary else b""


def infer(serving, model, tensors, binary=True, headers=None, **fields):
    """One request; `fields` are of its JSON."""
    entries, data = described(tensors, binary)
    return send(serving, model, {"inputs": entries, **fields}, data if binary else None, headers)


def send(serving, model, head, data=b"", headers=None):
    text = head if isinstance(head, bytes) else json.dumps(head).encode()
    length = {} if data is None else {LENGTH: str(len(text))}
    body = text + (data or b"")
    return serving.ask("POST", PATH.format(model), {**length, **(headers or {})}, body)


def outputs(reply):
    """The tensors of a response."""
    assert reply.status == 200, reply
    length = int(reply.headers.get(LENGTH.lower(), len(reply.body)))
    head, position, tensors = json.loads(reply.body[:length]), length, {}
    for entry in head["outputs"]:
        dtype = np.dtype(DTYPES[entry["datatype"]])
        size = entry.get("parameters", {}).get("binary_data_size")
        if size is None:
            array = np.array(entry["data"], dtype)
        else:
            array = np.frombuffer(reply.body[position : position + size], dtype)
            position += size
        tensors[entry["name"]] = array.reshape(entry["shape"])
    assert position == len(reply.body)
    return tensors, head


def pushed(serving, tensors, request):
    """The response of POST /v1/augment to the same samples."""
    n = len(tensors["index"])
    layout = Layout(
        {name: TensorSpec(array.dtype.name, array.shape[1:]) for name, array in tensors.items()},
        "",
        {"request": json.dumps(request)},
    )
    buffer, views = layout.allocate(n)
    for name, array in tensors.items():
        views[name][:] = array
    layout.seal(buffer, n, epoch=0, start=0)
    reply = serving.ask("POST", "/v1/augment", {"Content-Type": "application/x-safetensors"}, buffer.tobytes())
    assert reply.status == 200, reply
    return reply.arrays


def refused(reply, status, code):
    """The error in the protocol's form: `error` is a text."""
    assert isinstance(reply.json["error"], str)
    return reply.refused(status, code)


def test_the_server_and_its_models_are_described(server):
    assert server.get("/v2").json.items() >= {"name": "augsvc", "extensions": ["binary_tensor_data"]}.items()
    for path in ("/v2/health/live", "/v2/health/ready", "/v2/models/standard/ready"):
        assert server.get(path).status == 200
    names = server.get("/v2/models").json["models"]
    assert {"none", "light", "standard", "strong", "sound", "speech", "torchvision_imagenet_train"} <= set(names)
    assert not {"dino_global", "timm_imagenet_a1"} & set(names), "several views, or a mix"
    for name in names:
        about = server.get(f"/v2/models/{name}").json
        assert (about["name"], about["versions"]) == (name, ["1"])
        assert server.get(f"/v2/models/{name}/versions/1").json == about
    refused(server.get("/v2/models/standart"), 404, "unknown_model")
    refused(server.get("/v2/models/standard/versions/2"), 404, "unknown_model")
    refused(server.get("/v2/nothing"), 404, "not_found")
    refused(server.get(PATH.format("standard")), 405, "method_not_allowed")


@pytest.mark.parametrize("binary", [True, False])
def test_a_model_is_the_pipeline_of_a_push(server, binary):
    sent = images()
    given = {"aug_seed": 7, "epoch": 3, "view": 2}
    expected = pushed(server, sent, {"pipeline": "strong", **given})
    reply = infer(server, "strong", sent, binary, parameters={**given, "binary_data_output": binary}, id="a")
    tensors, head = outputs(reply)
    assert tensors.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(tensors[name], array)
    assert (head["model_name"], head["model_version"], head["id"]) == ("strong", "1", "a")
    assert reply.headers["content-type"] == ("application/octet-stream" if binary else "application/json")
    server.until(lambda: server.metric("augsvc_in_flight_bytes") == 0)


def test_labels_follow_and_unaligned_tensors_are_read(server):
    mask = np.arange(3 * 35, dtype=np.uint8).reshape(3, 7, 5)
    boxes = np.array([[[0, 0, 3, 3]], [[1, 2, 4, 6]], [[0, 0, 5, 7]]], np.float32)
    sent = {"mask": mask, **images(boxes=boxes, label=np.array([1.5, -2.0, np.inf]))}  # 105 bytes before the image
    expected = pushed(server, sent, {"pipeline": "strong"})
    tensors, _ = outputs(infer(server, "strong", sent, parameters={"binary_data_output": True}))
    for name, array in expected.items():
        np.testing.assert_array_equal(tensors[name], array)
    refused(infer(server, "strong", sent), 422, "body_malformed")  # JSON has no infinity


def test_sound_and_the_index_of_the_first_sample(server):
    audio = np.random.default_rng(1).standard_normal((2, 800)).astype(np.float32)
    expected = pushed(server, {"audio": audio, "index": np.array([5, 6])}, {"pipeline": "sound", "aug_seed": 1})
    tensors, _ = outputs(infer(server, "sound", {"audio": audio}, parameters={"index": 5, "aug_seed": 1}))
    np.testing.assert_array_equal(tensors["index"], [5, 6])
    np.testing.assert_array_equal(tensors["audio"], expected["audio"])


def test_recipes_and_the_form_of_the_output(server):
    about = server.get("/v2/models/torchvision_imagenet_train").json["outputs"][0]
    wanted = [{"name": "image", "parameters": {"binary_data": True}}]
    sent = images()
    tensors, head = outputs(infer(server, "torchvision_imagenet_train", sent, outputs=wanted))
    assert list(tensors) == ["image"]
    assert (head["outputs"][0]["datatype"], list(tensors["image"].shape[2:])) == (about["datatype"], about["shape"][2:])
    halves = {"output": {"dtype": "bfloat16"}, "binary_data_output": True}
    tensors, head = outputs(infer(server, "light", sent, parameters=halves))
    assert {entry["name"]: entry["datatype"] for entry in head["outputs"]} == {"image": "BF16", "index": "INT64"}
    expected = pushed(server, sent, {"pipeline": "light", "output": {"dtype": "bfloat16"}})
    np.testing.assert_array_equal(tensors["image"], expected["image"])


def entry(**changes):
    """One valid input, changed."""
    return {"name": "image", "datatype": "UINT8", "shape": [1, 2, 2, 1], "data": [0, 85, 170, 255], **changes}


INDEX = {"name": "index", "datatype": "INT64", "shape": [1], "data": [0]}
BYTES = {"parameters": {"binary_data_size": 4}, "data": None}
WRONG_INPUTS = {
    "BYTES": (entry(datatype="BYTES"), "spec_invalid"),
    "unknown datatype": (entry(datatype="UINT7"), "spec_invalid"),
    "no datatype": ({"name": "image", "shape": [1]}, "spec_invalid"),
    "negative side": (entry(shape=[-1, 2, 2, 1]), "spec_invalid"),
    "a side as a text": (entry(shape=["1", 2, 2, 1]), "spec_invalid"),
    "a huge side": (entry(shape=[1 << 62, 1 << 62]), "spec_invalid"),
    "many axes": (entry(shape=[1] * 40), "spec_invalid"),
    "a huge product": (entry(shape=[1 << 52, 1 << 52]), "body_malformed"),
    "a huge side beside a 0": (entry(shape=[1 << 52, 1 << 52, 0], data=[]), "body_malformed"),
    "more values than the shape": (entry(data=[0] * 5), "body_malformed"),
    "nested otherwise": (entry(data=[[0, 85], [170, 255]]), "body_malformed"),
    "ragged": (entry(data=[[0, 85, 170], [255]]), "body_malformed"),
    "nested deeply": (entry(data=json.loads("[" * 500 + "1" + "]" * 500)), "body_malformed"),
    "out of range": (entry(data=[0, 85, 170, 256]), "body_malformed"),
    "floats": (entry(data=[0, 85, 170, 2.5]), "body_malformed"),
    "truth values": (entry(data=[True, False, True, True]), "body_malformed"),
    "texts": (entry(data=["0", "85", "170", "x" * 9000]), "body_malformed"),
    "nothing": (entry(data=[None] * 4), "body_malformed"),
    "an integer beyond floats": (entry(datatype="FP32", data=[10**400, 0, 0, 0]), "body_malformed"),
    "data and bytes": (entry(parameters={"binary_data_size": 0}), "body_malformed"),
    "no data": (entry(data=None), "body_malformed"),
    "shared memory": (entry(parameters={"shared_memory_region": "x", "shared_memory_byte_size": 4}), "spec_invalid"),
    "another name": (entry(name="pixels"), "body_malformed"),
    "the index's name": (entry(name="index"), "body_malformed"),
}


@pytest.mark.parametrize("case", WRONG_INPUTS)
def test_wrong_inputs(server, case):
    changed, code = WRONG_INPUTS[case]
    refused(send(server, "none", {"inputs": [changed, INDEX]}, None), 422, code)


HOSTILE = {
    "a length that is none": ({LENGTH: "0x10"}, b"{}", 422, "body_malformed"),
    "a negative length": ({LENGTH: "-5"}, b"{}", 422, "body_malformed"),
    "a length past the body": ({LENGTH: "3"}, b"{}", 422, "body_malformed"),
    "a length inside the JSON": ({LENGTH: "1"}, b"{}", 400, "bad_json"),
    "a huge length": ({LENGTH: "9" * 19}, b"{}", 413, "request_too_large"),
    "a length of 5,000 digits": ({LENGTH: "9" * 5000}, b"{}", 422, "body_malformed"),
    "no JSON": ({}, b"\xff\xfe", 400, "bad_json"),
    "NaN": ({}, b'{"inputs": NaN}', 400, "bad_json"),
    "many lists": ({}, b'{"inputs":' + b"[" * 100_100, 400, "bad_json"),
    "a list": ({}, b"[]", 422, "spec_invalid"),
    "no inputs": ({}, b'{"inputs": []}', 422, "spec_invalid"),
    "many inputs": ({}, json.dumps({"inputs": [entry(name=f"a{i}") for i in range(99)]}).encode(), 422, "spec_invalid"),
    "an unknown field": ({}, json.dumps({"inputs": [entry(), INDEX], "sequence": 1}).encode(), 422, "spec_invalid"),
    "a text as type": ({"Content-Type": "text/plain"}, b"{}", 415, "wrong_content_type"),
    "a web page": ({"Origin": "http://example.org"}, b"{}", 415, "wrong_content_type"),
    "compressed": ({"Content-Encoding": "gzip"}, b"\x1f\x8b", 415, "wrong_content_type"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_bodies(server, case):
    headers, body, status, code = HOSTILE[case]
    refused(server.ask("POST", PATH.format("none"), headers, body), status, code)
    server.until(lambda: server.metric("augsvc_in_flight_bytes") == 0)


def test_binary_data_that_lies(server):
    whole = {"parameters": {"binary_data_size": 4}}
    image = {key: value for key, value in entry().items() if key != "data"} | whole
    outputs(send(server, "none", {"inputs": [image, INDEX]}, b"\0\1\2\3"))
    for head, data in (
        ({"inputs": [image, INDEX]}, b"\0\1\2"),
        ({"inputs": [image, INDEX]}, b"\0\1\2\3\4"),
        ({"inputs": [image, image, INDEX]}, b"\0\1\2\3" * 2),
        ({"inputs": [image | {"parameters": {"binary_data_size": 1 << 50}}, INDEX]}, b"\0\1\2\3"),
        ({"inputs": [image | {"shape": [1, 2, 2, 3]}, INDEX]}, b"\0\1\2\3"),
        ({"inputs": [image | {"datatype": "BOOL"}, INDEX]}, b"\0\1\2\3"),
    ):
        refused(send(server, "none", head, data), 422, "body_malformed")


def test_wrong_parameters_and_outputs(server):
    sent = images(1)
    for parameters, field in (
        ({"pipeline": "strong"}, "pipeline"),
        ({"aug_seed": -1}, "aug_seed"),
        ({"epoch": "1"}, "epoch"),
        ({"timeout": 5}, "timeout"),
        ({"index": 3}, "index"),
        ({"binary_data_output": 1}, "parameters.binary_data_output"),
    ):
        assert refused(infer(server, "none", sent, parameters=parameters), 422, "spec_invalid")["field"] == field
    for index in (-1, 1.5, True, 1 << 32, "3", None):
        refused(infer(server, "none", {"image": sent["image"]}, parameters={"index": index}), 422, "spec_invalid")
    refused(infer(server, "none", {"image": sent["image"]}), 422, "body_malformed")
    refused(infer(server, "none", sent, outputs=[{"name": "logits"}]), 422, "spec_invalid")
    refused(infer(server, "none", sent, outputs=[{"name": "image"}] * 2), 422, "spec_invalid")
    top = [{"name": "image", "parameters": {"classification": 1}}]
    refused(infer(server, "none", sent, outputs=top), 422, "spec_invalid")
    other = refused(infer(server, "none", sent, parameters={"expect_arithmetic": "0" * 32}), 409, "stream_mismatch")
    assert len(other["arithmetic"]) == 32
    twice = {"image": images(2)["image"], "index": np.array([4, 4])}
    refused(infer(server, "none", twice), 422, "duplicate_index")


def test_large_bodies_are_binary(server):
    padded = json.dumps({"inputs": [entry(), INDEX]}).encode()
    refused(send(server, "none", padded.ljust(300_000), None), 413, "request_too_large")  # max_request_bytes
    large = {"size": [300, 300], "index": 0}
    refused(infer(server, "none", {"image": images(1)["image"]}, parameters=large), 422, "batch_too_large")
    tensors, _ = outputs(
        infer(server, "none", {"image": images(1)["image"]}, parameters={**large, "binary_data_output": True})
    )
    assert tensors["image"].shape == (1, 3, 300, 300)


def test_tokens_and_probes(serve, tmp_path):
    (tmp_path / "tokens.yaml").write_text(f"ann: {{token: {TOKEN}}}\n", encoding="utf-8")
    guarded = serve(tokens_file=str(tmp_path / "tokens.yaml"))
    guarded.token = TOKEN
    guarded.ready(wait_for_self_test=False)
    for path in ("/v2/health/live", "/v2/health/ready"):
        assert guarded.get(path).status == 200
    for path in ("/v2", "/v2/models", "/v2/models/none", "/v2/models/none/ready"):
        refused(guarded.get(path), 401, "unauthorized")
    refused(infer(guarded, "none", images(1)), 401, "unauthorized")
    headers = {"Authorization": f"Bearer {TOKEN}"}
    outputs(infer(guarded, "none", images(1), headers=headers))


def test_values_as_json_are_in_flight_until_they_are_read(server):
    """Those of a client that reads none, up to 5 MB, were counted nowhere."""
    entries, data = described({"image": np.full((1, 250, 250, 3), 77, np.uint8), "index": np.arange(1)}, binary=True)
    fields = {"parameters": {"output": {"dtype": "float32"}}, "outputs": [{"name": "image"}]}
    text = json.dumps({"inputs": entries, **fields}).encode()
    head = f"POST {PATH.format('light')} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(text) + len(data)}\r\n"
    with server.send(
        f"{head}{LENGTH}: {len(text)}\r\nContent-Type: application/octet-stream\r\n\r\n".encode()
    ) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 12)
        connection.sendall(text + data)
        assert connection.recv(12) == b"HTTP/1.1 200"
        server.until(lambda: server.metric("augsvc_in_flight_bytes") > 1_000_000)
    server.until(lambda: server.metric("augsvc_in_flight_bytes") == 0)
