"""Generated requests: each is answered, none causes a server error."""

import json
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from augsvc_client.wire import encode_spec

FUZZ = settings(max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
OPERATIONS = (
    "rotation",
    "affine",
    "gaussian_blur",
    "gaussian_noise",
    "whitening",
    "downsample",
    "pixel_dropout",
    "erasing",
)
PARAMETERS = ("op", "id", "p", "degrees", "sigma", "std", "mode", "scale", "rate", "border", "strength", "ratio", "x")
FIELDS = ("dataset", "pipeline", "size", "fit", "channels", "subset", "order_seed", "aug_seed", "shuffle", "output", "")

numbers = st.one_of(
    st.integers(-(1 << 80), 1 << 80),
    st.integers(-2, 70),
    st.floats(),
    st.floats(0, 2),
    st.sampled_from([1 << 53, 2**63]),
)
texts = st.one_of(
    st.text(max_size=12), st.text("\ud800\x00\n/.%", max_size=5), st.sampled_from(["none", "strong", "NCHW"])
)
anything = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
operation = st.builds(
    lambda op, more: {"op": op, **more},
    st.sampled_from(OPERATIONS),
    st.dictionaries(
        st.sampled_from(PARAMETERS) | texts,
        numbers | st.lists(numbers, min_size=2, max_size=2).map(sorted) | anything,
        max_size=2,
    ),
)
specification = st.builds(
    lambda usual, more: {**usual, **more},
    st.fixed_dictionaries(
        {
            "dataset": st.sampled_from(["digits/test", "digits/test", "shapes/test", "pets", "nowhere"]),
            "pipeline": st.lists(operation, max_size=3) | st.just("light"),
            "size": st.lists(st.integers(1, 24), min_size=2, max_size=2),
        }
    ),
    st.dictionaries(st.sampled_from(FIELDS), anything, max_size=2),
)


def sound(reply):
    """A good answer, or an error of the client's in the one form."""
    if reply.status not in (200, 206):
        assert reply.status == 501 or 400 <= reply.status < 500, reply
        reply.refused(reply.status, reply.json["error"]["code"])
    return reply


@pytest.fixture(scope="module")
def stream(server):
    return server.open({"dataset": "digits/test", "pipeline": "light"})


@FUZZ
@given(spec=specification)
def test_any_specification(server, spec):
    reply = sound(server.post(json.dumps(spec)))
    if reply.status == 200:  # then it can be served, and again from what the answer says
        stream = reply.json
        batch = server.batch(stream, 0, 0, 2)
        assert batch.status == 200, batch
        assert len(batch.arrays["index"]) == 2
        assert server.open(stream["spec"])["id"] == stream["id"]


@FUZZ
@given(body=st.binary(max_size=60) | anything.map(lambda value: json.dumps(value).encode()))
def test_any_body(server, body):
    sound(server.post(body))


number = st.one_of(st.integers(-5, 500), st.integers(-(1 << 70), 1 << 70)).map(str)
odd = texts | st.sampled_from(["1_0", "+5", " 7", "0x1", "１"])
value = number | odd.map(lambda text: quote(text, errors="replace"))


@FUZZ
@given(
    epoch=value.filter(bool),
    query=st.lists(st.tuples(st.sampled_from(["start", "count", "count", "view", "x"]), value), min_size=1, max_size=5),
)
def test_any_address(server, stream, epoch, query):
    text = "&".join(f"{name}={sent}" for name, sent in query)
    reply = sound(server.get(f"/v1/streams/{stream['id']}/epochs/{epoch}?{text}"))
    if reply.status == 200 and "augsvc-digest" in reply.headers:
        assert 1 <= len(reply.arrays["index"]) <= stream["samples"]


@FUZZ
@given(
    header=st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=80)
    | anything.map(lambda value: encode_spec(json.dumps(value).encode()))
    | st.binary(max_size=50).map(encode_spec),
    tag=st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=20),
)
def test_any_header(server, header, tag):
    reply = server.get(f"/v1/streams/{'5' * 32}/epochs/0?start=0&count=1", Augsvc_Spec=header, If_None_Match=tag)
    assert sound(reply).status != 200


@FUZZ
@given(path=st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="#"), max_size=30))
def test_any_path(server, path):
    sound(server.get("/" + path))
