"""The Open Inference Protocol as Triton's own client speaks it."""

import numpy as np
import pytest

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def triton(server):
    http = pytest.importorskip("tritonclient.http")
    with http.InferenceServerClient(server.url.removeprefix("http://")) as client:
        yield http, client


def test_it_finds_the_server_and_its_models(triton):
    http, client = triton
    assert client.is_server_live() and client.is_server_ready()
    assert client.is_model_ready("standard") and client.is_model_ready("standard", "1")
    assert not client.is_model_ready("standard", "2") and not client.is_model_ready("nothing")
    assert "binary_tensor_data" in client.get_server_metadata()["extensions"]
    assert client.get_model_metadata("standard")["inputs"][0]["datatype"] == "UINT8"
    with pytest.raises(http.InferenceServerException, match="no such model"):
        client.get_model_metadata("nothing")


@pytest.mark.parametrize("binary", [True, False])
def test_it_calls_a_pipeline_as_a_model(server, triton, binary):
    http, client = triton
    images = np.random.default_rng(0).integers(0, 256, (4, 9, 7, 3), np.uint8)
    with server.client() as own:
        index = np.arange(20, 24)
        expected, _ = own.augment({"image": images, "index": index}, pipeline="strong", aug_seed=7, epoch=3)
    image = http.InferInput("image", images.shape, "UINT8").set_data_from_numpy(images, binary_data=binary)
    address = {"index": 20, "aug_seed": 7, "epoch": 3}
    wanted = [http.InferRequestedOutput(name, binary_data=binary) for name in ("index", "image")]
    for outputs in (wanted, None):
        result = client.infer("strong", [image], outputs=outputs, request_id="a", parameters=address)
        np.testing.assert_array_equal(result.as_numpy("image"), expected["image"])
        np.testing.assert_array_equal(result.as_numpy("index"), index)
        assert result.get_response()["id"] == "a"


def test_its_other_ways_are_refused_with_a_text(triton):
    http, client = triton
    images = np.zeros((1, 4, 4, 3), np.uint8)
    image = http.InferInput("image", images.shape, "UINT8").set_data_from_numpy(images)
    for options in ({"priority": 1}, {"timeout": 5}, {"request_compression_algorithm": "gzip"}, {"sequence_id": 1}):
        with pytest.raises(http.InferenceServerException, match=r"send|unknown field"):
            client.infer("none", [image], parameters={"index": 0}, **options)
    text = np.array([b"a"], dtype=np.object_)
    with pytest.raises(http.InferenceServerException, match="datatype"):
        client.infer("none", [image, http.InferInput("label", [1], "BYTES").set_data_from_numpy(text)])
