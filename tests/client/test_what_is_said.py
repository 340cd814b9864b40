"""What the client says when something is wrong: the telling cause, the argument at fault, what to do. Never a token."""

import ssl
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from replica import Replica

from augsvc_client import (
    AugsvcError,
    Client,
    NotInstalled,
    RemoteDataLoader,
    ServerUnavailable,
    StateMismatch,
    Unauthorized,
)
from augsvc_client.client.retry import NotAugsvc, RetryLater, RetryState
from augsvc_client.errors import BadResponse
from augsvc_client.specification import differing
from augsvc_client.transport.address import Replica as Address

GOOD, BAD = "s3cret", "b4d"
ABSENT = "http://127.0.0.1:9"
SQUARE = r"size is \(height, width\) in pixels, for example \(96, 96\)"
OPERATIONS = r"pipeline is a preset's name or a list of operations, for example \[\{\"op\": \"rotation\""

# --- the cause of a failure


def last_words(*failures):
    """What a call says whose one replica failed in these ways before the deadline."""
    (replica,) = replicas = [Address.parse("https://a")]
    state = RetryState(replicas, 0.0, {})
    for failure in failures:
        state.failed(replica, failure)
    with pytest.raises(ServerUnavailable) as ended:
        state.pause_s()
    return str(ended.value)


@pytest.mark.parametrize(
    ("failures", "said"),
    [
        ([ssl.SSLError()], "(https://a: the TLS handshake failed)"),
        ([TimeoutError()], "(https://a: no complete response in time)"),
        ([ssl.SSLEOFError()], "(https://a: the connection was closed before a response came)"),
        ([ssl.SSLError(), TimeoutError()], "(https://a: the TLS handshake failed, later no complete response in time)"),
        (
            [ssl.SSLError(), TimeoutError(), TimeoutError()],
            "(https://a: the TLS handshake failed, later no complete response in time)",
        ),
        ([TimeoutError(), ssl.SSLError()], "(https://a: the TLS handshake failed)"),
        ([RetryLater("a is busy", None), TimeoutError()], "(a is busy, later no complete response in time)"),
        ([ConnectionRefusedError(), RetryLater("a is busy", None)], "(a is busy)"),
    ],
)
def test_a_concrete_failure_outlasts_a_timeout(failures, said):
    assert said in last_words(*failures)


# --- tokens


@pytest.mark.parametrize(
    ("failures", "asked"),
    [
        ([RetryLater("busy", None), TimeoutError()], False),
        ([TimeoutError()], True),
        ([RetryLater("busy", None), OSError()], True),
    ],
)
def test_a_server_that_answered_is_not_looked_for(failures, asked):
    assert ("is the address right" in last_words(*failures)) == asked


@pytest.mark.parametrize(
    ("failures", "asked"),
    [
        ([BadResponse("a sent a malformed body")], True),
        ([BadResponse("a sent a malformed body"), TimeoutError()], True),
        ([BadResponse("a sent a malformed body"), RetryLater("busy", None)], False),
        ([BadResponse("a sent a malformed body"), ConnectionRefusedError()], False),
        ([NotAugsvc("a sent HTML")], False),
    ],
)
def test_a_server_whose_responses_are_unusable_is_not_looked_for(failures, asked):
    words = last_words(*failures)
    assert ("change or cut the responses" in words) == asked
    assert not (asked and "augsvc serve" in words)


def test_without_a_token_the_error_asks_for_one(monkeypatch):
    monkeypatch.delenv("AUGSVC_TOKEN", raising=False)
    with Replica(token=GOOD) as replica, Client(replica.url, wait_s=60) as client:
        with pytest.raises(Unauthorized) as refused:
            client.version()
        asked = f"{replica.url} requires a token; set token= or AUGSVC_TOKEN"
        assert asked in str(refused.value)


def test_with_another_token_the_error_says_that_it_is_not_known():
    with Replica(token=GOOD) as replica, Client(replica.url, token=BAD, wait_s=60) as client:
        with pytest.raises(Unauthorized, match="does not accept this token") as refused:
            client.version()
        assert BAD not in repr(refused.value) + str(refused.value)
        assert "requires a token" not in str(refused.value)


# --- arguments of a loader


def loader(**more):
    return RemoteDataLoader(ABSENT, **{"dataset": "digits/train", "batch_size": 1, **more})


@pytest.mark.parametrize(
    "size", [96, "96x96", (96,), (96, 96, 3), (96.0, 96.0), (0, 96), (True, 96), ("96", "96"), {"height": 96}]
)
def test_a_size_that_is_none(size):
    with pytest.raises(ValueError, match=SQUARE):
        loader(size=size)


@pytest.mark.parametrize("size", [(96, 64), [96, 64], np.array([96, 64]), (np.int64(96), 64)])
def test_a_size_in_any_sequence(size):
    assert loader(size=size)._spec["size"] == [96, 64]


@pytest.mark.parametrize(
    "pipeline",
    [None, 3, {"op": "rotation"}, ["rotation"], [None], b"light", [["op", "rotation"]]],
)
def test_a_pipeline_that_is_none(pipeline):
    with pytest.raises(ValueError, match=OPERATIONS):
        loader(pipeline=pipeline)


def test_fields_of_a_specification_or_a_file_as_the_pipeline():
    with pytest.raises(
        ValueError, match=r"pass them with \*\*, as in RemoteDataLoader\(url, dataset=..., \*\*fields\)"
    ):
        loader(pipeline={"size": [8, 8], "pipeline": []})
    with pytest.raises(ValueError, match=r"not read from files, .* pass \*\*json.load\(file\)"):
        loader(pipeline=Path("pipeline.json"))


def test_a_pipeline_may_be_empty_or_a_tuple():
    assert loader(pipeline=())._spec["pipeline"] == []
    assert loader(pipeline=({"op": "rotation"},))._spec["pipeline"] == [{"op": "rotation"}]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"dataset": None}, "dataset is a name"),
        ({"subset": 5}, "subset is a mapping"),
        ({"output": "uint8"}, "output is a mapping"),
        ({"scale": 1}, r"scale is \(low, high\)"),
        ({"scale": (0, 1, 2)}, r"scale is \(low, high\)"),
        ({"pipeline": [{"op": "rotation", "degrees": {5}}]}, "pipeline cannot be sent as JSON"),
        ({"pipeline": [{"op": "rotation", "degrees": float("nan")}]}, "pipeline cannot be sent as JSON"),
        ({"order_seed": {1}}, "order_seed cannot be sent as JSON"),
    ],
)
def test_other_arguments_that_cannot_be_used(wrong, said):
    with pytest.raises(ValueError, match=said):
        loader(**wrong)


# --- states of other streams

TURN = {"op": "rotation", "id": "rotation", "degrees": [-15.0, 15.0], "p": 1.0}
BLUR = {"op": "gaussian_blur", "id": "gaussian_blur", "sigma": [0.1, 1.5], "p": 0.5}
NOISE = {"op": "gaussian_noise", "id": "gaussian_noise", "std": [0.0, 0.05], "p": 1.0}


@pytest.mark.parametrize(
    ("there", "here", "said"),
    [
        ([TURN, BLUR], [TURN, {**BLUR, "p": 1.0}], ["pipeline[1] gaussian_blur: p (0.5 in the state, 1.0 here)"]),
        (
            [TURN, BLUR],
            [{**TURN, "degrees": [0.0, 0.0]}, {**BLUR, "p": 1.0}],
            [
                "pipeline[0] rotation: degrees ([-15.0, 15.0] in the state, [0.0, 0.0] here)",
                "pipeline[1] gaussian_blur: p (0.5 in the state, 1.0 here)",
            ],
        ),
        ([TURN, BLUR], [TURN], ["pipeline (gaussian_blur only in the state)"]),
        ([TURN], [TURN, BLUR, NOISE], ["pipeline (gaussian_blur, gaussian_noise only here)"]),
        ([TURN, BLUR], [NOISE, TURN], ["pipeline (gaussian_blur only in the state; gaussian_noise only here)"]),
        ([TURN, BLUR], [BLUR, TURN], ["pipeline (the same operations in another order)"]),
        ([TURN, TURN], [TURN], ["pipeline (rotation only in the state)"]),
        ("none", [TURN], ["pipeline (none in the state, another here)"]),
        ([7], [TURN], ["pipeline (another in the state, another here)"]),
    ],
)
def test_pipelines_differ_by_operation_or_field(there, here, said):
    assert differing({"pipeline": here, "size": [4, 4]}, {"pipeline": there, "size": [4, 4]}) == said


def test_fields_differ_by_name():
    assert differing({"size": [4, 4], "channels": 3}, {"size": [8, 8]}) == [
        "channels (None in the state, 3 here)",
        "size ([8, 8] in the state, [4, 4] here)",
    ]
    assert differing({}, "damaged") == ["spec"]


def test_a_mismatch_does_not_print_whole_pipelines():
    with Replica() as replica:
        pipelines = [[TURN, BLUR, NOISE], [TURN, BLUR, {**NOISE, "std": [0.0, 0.1]}]]
        first, second = (
            RemoteDataLoader(replica.url, dataset="d", batch_size=2, pipeline=pipeline) for pipeline in pipelines
        )
        with first, second, pytest.raises(StateMismatch, match=r"pipeline\[2\] gaussian_noise: std") as refused:
            second.load_state_dict(first.state_dict())
        assert "sigma" not in str(refused.value)
        assert "degrees" not in str(refused.value)


def test_the_arithmetic_of_another_pipeline_is_no_news():
    with Replica() as replica:
        first = RemoteDataLoader(replica.url, dataset="d", batch_size=2, pipeline="light")
        second = RemoteDataLoader(replica.url, dataset="d", batch_size=2, pipeline="none")
        with first, second:
            state = first.state_dict()
            replica.arithmetic = "a2"  # a server names the arithmetic of the operations that a stream has
            with pytest.raises(StateMismatch, match=r"pipeline \(light in the state, none here\)") as refused:
                second.load_state_dict(state)
        assert "a2" not in str(refused.value)


# --- without torch


def test_a_loader_without_torch_names_what_to_install():
    code = (
        "import sys\n"
        "class Absent:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.partition('.')[0] == 'torch': raise ModuleNotFoundError(f'No module named {name}', name=name)\n"
        "sys.meta_path.insert(0, Absent())\n"
        "from augsvc_client import Client, RemoteDataLoader\n"
        f"Client({ABSENT!r}).close()\n"
        f"try: RemoteDataLoader({ABSENT!r}, dataset='d', batch_size=1)\n"
        "except ImportError as err: print(type(err).__name__, err)\n"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, capture_output=True, text=True)
    assert "pip install 'augsvc-client[torch]'" in done.stdout
    assert done.stdout.startswith("NotInstalled")
    assert issubclass(NotInstalled, AugsvcError)
