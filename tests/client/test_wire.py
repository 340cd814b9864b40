"""The wire: what one side writes the other reads, equal batches are equal bytes, and nothing malformed gets in."""

import json
import zlib

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given, settings
from hypothesis import strategies as st

from augsvc_client import WireError, wire

STREAM = "0123456789abcdef" * 2
DTYPES = [
    "bool",
    "uint8",
    "int8",
    "int16",
    "uint16",
    "float16",
    "int32",
    "uint32",
    "float32",
    "int64",
    "uint64",
    "float64",
]

names = st.text(min_size=1, max_size=8).filter(lambda name: name != "__metadata__" and name.isprintable())
specs = st.builds(wire.TensorSpec, st.sampled_from(DTYPES), st.lists(st.integers(0, 4), max_size=3).map(tuple))
layouts = st.builds(wire.Layout, st.dictionaries(names, specs, max_size=6), st.just(STREAM))


def filled(layout, n, epoch=0, start=0):
    buffer, views = layout.allocate(n)
    buffer[:] = np.arange(buffer.size) * 37 % 2  # valid for every dtype, bool included
    layout.seal(buffer, n, epoch=epoch, start=start)
    return buffer, views


def same(left, right):
    return left.dtype == right.dtype and left.shape == right.shape and left.tobytes() == right.tobytes()


@settings(deadline=None)
@given(layouts, st.integers(0, 5), st.integers(0, 2**24 - 1), st.integers(0, 2**32))
def test_round_trip_and_the_safetensors_library_reads_it(layout, n, epoch, start):
    buffer, views = filled(layout, n, epoch, start)
    arrays, metadata = wire.parse(buffer)
    assert metadata == {"stream": STREAM, "epoch": str(epoch), "start": str(start)}
    library = safetensors.numpy.load(buffer.tobytes())
    assert arrays.keys() == views.keys() == library.keys()
    for name, view in views.items():
        assert same(arrays[name], view)
        assert same(library[name], view)
        assert view.shape == (n, *layout.tensors[name].row)
        assert view.flags.aligned
        assert view.flags.writeable
        assert arrays[name].size == 0 or np.shares_memory(arrays[name], buffer)


@settings(deadline=None)
@given(layouts, st.integers(0, 5), st.integers(0, 2**24 - 1), st.integers(0, 2**32))
def test_the_header_is_a_constant_of_the_stream(layout, n, epoch, start):
    buffer, _ = filled(layout, n, epoch, start)
    assert layout.header_bytes % 64 == 0
    assert int.from_bytes(buffer[:8].tobytes(), "little") == layout.header_bytes
    assert buffer.size == layout.size(n) == 8 + layout.header_bytes + n * layout.row_bytes
    assert np.array_equal(buffer, filled(layout, n, epoch, start)[0])


def test_bytes_do_not_depend_on_the_order_of_names_and_are_pinned():
    pairs = [("label", wire.TensorSpec("int64", ())), ("image", wire.TensorSpec("uint8", (1, 2, 2)))]
    one, two = (filled(wire.Layout(dict(order), STREAM), 2, 3, 4)[0] for order in (pairs, pairs[::-1]))
    assert one.tobytes() == two.tobytes()
    head = one[8 : 8 + 256].tobytes().rstrip()
    assert head == (
        b'{"__metadata__":{"epoch":"3","start":"4","stream":"0123456789abcdef0123456789abcdef"},'
        b'"image":{"data_offsets":[16,24],"dtype":"U8","shape":[2,1,2,2]},'
        b'"label":{"data_offsets":[0,16],"dtype":"I64","shape":[2]}}'
    )


def test_what_a_layout_refuses():
    u8 = wire.TensorSpec("uint8", (1,))
    for tensors in ({"__metadata__": u8}, {"x": wire.TensorSpec("object", ())}, {"x": wire.TensorSpec("uint8", (-1,))}):
        with pytest.raises(ValueError, match=r"."):
            wire.Layout(tensors, STREAM)
    with pytest.raises(ValueError, match="over"):
        wire.Layout({"x" * 2**20: u8}, STREAM)
    layout = wire.Layout({"x": u8}, STREAM)
    with pytest.raises(ValueError, match="samples"):
        layout.allocate(-1)
    buffer, _ = layout.allocate(1)
    for n, epoch, start in ((2, 0, 0), (1, 2**24, 0), (1, 0, -1)):
        with pytest.raises(ValueError, match=r"expected|out of range"):
            layout.seal(buffer, n, epoch=epoch, start=start)


def test_a_layout_does_not_follow_later_changes_of_its_mapping():
    tensors = {"x": wire.TensorSpec("uint8", (1,))}
    layout = wire.Layout(tensors, STREAM)
    tensors.clear()
    assert layout.row_bytes == 1


def read_or_refuse(data):
    try:
        arrays, metadata = wire.parse(data)
    except WireError:
        return
    assert all(isinstance(array, np.ndarray) for array in arrays.values())
    assert all(isinstance(value, str) for value in metadata.values())


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_random_bytes_are_refused(data):
    read_or_refuse(data)


@settings(deadline=None)
@given(layouts, st.integers(0, 3), st.data())
def test_a_truncated_body_is_refused(layout, n, data):
    whole = filled(layout, n)[0].tobytes()
    with pytest.raises(WireError):
        wire.parse(whole[: data.draw(st.integers(0, len(whole) - 1))])
    with pytest.raises(WireError):
        wire.parse(whole + b"\0")


@settings(deadline=None)
@given(layouts, st.data())
def test_mutated_bytes_are_read_or_refused(layout, data):
    body = bytearray(filled(layout, 2)[0].tobytes())
    for _ in range(data.draw(st.integers(1, 4))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    read_or_refuse(body)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6) | st.sampled_from(["U8", "BOOL"]),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["dtype", "shape", "data_offsets", "x"]), inner)
    ),
    max_leaves=12,
)
entries = st.fixed_dictionaries(
    {
        "dtype": st.sampled_from(["U8", "BOOL", "I64", "X"]),
        "shape": st.lists(st.sampled_from([0, 1, 2, 2**62, 2**64, -1, True, 1.0]), max_size=70),
        "data_offsets": st.lists(st.sampled_from([0, 1, 2, 8, 16, 2**64, -1]), max_size=3),
    }
)


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(["a", "b", "__metadata__"]), json_values | entries), st.integers(0, 16))
def test_any_header_is_read_or_refused(head, n_bytes):
    text = json.dumps(head).encode()
    read_or_refuse(len(text).to_bytes(8, "little") + text + bytes(n_bytes))


def body_of(text, data=b""):
    return len(text).to_bytes(8, "little") + text + data


@pytest.mark.parametrize(
    "body",
    [
        body_of(b"[]"),
        body_of(b"{"),
        body_of(b"{}", b"\0"),
        body_of(b'{"a":1,"a":1}'),
        body_of(b'{"__metadata__":{"epoch":1}}'),
        body_of(b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
        body_of(b'{"a":' + b"9" * 5000 + b"}"),
        body_of(b'{"a":{"dtype":"BOOL","shape":[1],"data_offsets":[0,1]}}', b"\2"),
        body_of(b'{"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}', b"\0\0"),
        body_of(
            b'{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}}',
            b"123",
        ),
        body_of(b'{"a":{"dtype":"U8","shape":[0,4611686018427387904,4611686018427387904],"data_offsets":[0,0]}}'),
        body_of(b'{"a":{"dtype":"U8","shape":[' + b"1," * 99 + b'1],"data_offsets":[0,1]}}', b"\0"),
        body_of(b'{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"more":1}}', b"\0"),
        (2**63).to_bytes(8, "little"),
    ],
)
def test_malformed_bodies(body):
    with pytest.raises(WireError):
        wire.parse(body)


@settings(deadline=None)
@given(st.binary(max_size=2000))
def test_a_specification_round_trips(spec):
    value = wire.encode_spec(spec)
    assert wire.decode_spec(value) == spec
    assert "=" not in value


def test_a_bomb_is_not_inflated():
    assert wire.decode_spec(wire.encode_spec(b"x" * 65536)) == b"x" * 65536
    with pytest.raises(WireError) as refused:
        wire.decode_spec(wire.encode_spec(b"x" * 10_000_000))
    assert refused.value.too_large


@settings(deadline=None)
@given(st.text(max_size=60) | st.binary(max_size=60).map(wire.encode_spec).map(lambda value: value[:-3]))
def test_any_specification_header_is_read_or_refused(value):
    try:
        wire.decode_spec(value)
    except WireError as refused:
        assert not refused.too_large


@pytest.mark.parametrize("packed", [zlib.compress(b"{}")[:-1], zlib.compress(b"{}") + b"x"])
def test_a_specification_that_is_cut_or_followed_is_refused(packed):
    import base64

    with pytest.raises(WireError):
        wire.decode_spec(base64.urlsafe_b64encode(packed).decode().rstrip("="))


def test_digest_is_xxh3_64():
    assert wire.digest(b"") == "2d06800538d394c2"  # the reference implementation's value for no bytes, seed 0
    data = np.arange(100, dtype=np.uint8)
    assert wire.digest(data) == wire.digest(data.tobytes()) == wire.digest(memoryview(data.tobytes()))
