"""Pixels as floats: a table of the 256 values, the same everywhere, in every form that leaves."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from augsvc.errors import SpecInvalid
from augsvc.planning.spec import Output
from augsvc.streams import render_image
from augsvc.streams.output import apply_tables, output_tables
from augsvc.streams.push import Push
from augsvc.streams.stream import Stream
from tests.harness import Run, executor, patch, run

IMAGENET = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
TORCH = {"float16": torch.float16, "bfloat16": torch.bfloat16, "float32": torch.float32}


@pytest.mark.parametrize("dtype", TORCH)
@pytest.mark.parametrize("scaling", [{}, IMAGENET], ids=["unit", "mean and std"])
def test_the_table_is_the_formula_rounded_as_torch_rounds(dtype, scaling):
    found = output_tables(Output(dtype=dtype, **scaling), 3, is_deep=False)
    mean, std = (np.array(scaling.get(name, [0.5] * 3))[:, None] for name in ("mean", "std"))
    exact = torch.from_numpy((np.arange(256) / 255 - mean) / std)
    expected = exact.float().to(TORCH[dtype])
    found = torch.from_numpy(found.view(np.int16) if dtype == "bfloat16" else found).view(TORCH[dtype])
    step = {"float32": 2e-7, "float16": 1e-3, "bfloat16": 8e-3}[
        dtype
    ]  # ½ a unit in the last place, where it falls other
    assert found.dtype == TORCH[dtype]
    assert (found.double() - expected.double()).abs().max() <= step * max(1.0, float(exact.abs().max()))
    assert (found == expected).double().mean() > 0.98


def test_the_ends_are_one():
    for dtype in ("float16", "float32"):
        table = output_tables(Output(dtype=dtype), 1, is_deep=False)[0]
        assert (table[0], table[255]) == (-1, 1)


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("dtype", TORCH)
def test_a_stream_of_floats_is_the_stream_of_bytes_through_the_table(layout, dtype):
    output = {"dtype": dtype, "layout": layout, **IMAGENET}
    bytes_ = run("strong", [patch("coffee", 40, 50)] * 3, output={"layout": layout}).images()
    floats = run("strong", [patch("coffee", 40, 50)] * 3, output=output).images()
    table = output_tables(Output(**output), 3, is_deep=False)
    channel = np.arange(3)[:, None, None] if layout == "NCHW" else np.arange(3)
    assert floats.tobytes() == table[channel, bytes_].tobytes()


def test_the_canonical_form_of_bytes_is_what_it_was():
    spec = run("none", [patch("coffee", 8, 8)]).stream.spec
    assert spec.fields()["output"] == {"dtype": "uint8", "layout": "NHWC"}
    with_mean = run("none", [patch("coffee", 8, 8)], output={"dtype": "float32", **IMAGENET}).stream.spec
    assert with_mean.fields()["output"]["mean"] == IMAGENET["mean"]


def test_floats_are_written_in_a_slice_for_each_thread(monkeypatch):
    seen = []

    def noted(pixels, *rest):
        seen.append(len(pixels))
        apply_tables(pixels, *rest)

    monkeypatch.setattr(render_image, "apply_tables", noted)
    stream = run("strong", [patch("coffee", 40, 50)] * 5, output={"dtype": "float32"}).stream
    stream = Stream.open(stream.spec, stream.source, replace(executor(), threads=3))
    Run(stream).batch()
    assert sorted(seen) == [1, 2, 2]


@pytest.mark.parametrize("name", ["mean", "std"])
def test_one_number_a_channel(name):
    output = {"dtype": "float32", "mean": [0.5], "std": [0.5]}
    with pytest.raises(SpecInvalid, match="3 values"):
        run("none", [patch("coffee", 8, 8)], output=output)
    run("none", [patch("coffee", 8, 8)], output=output, channels=1)
    arrays = {"image": np.zeros((1, 4, 4, 3), np.uint8), "index": np.arange(1)}
    with pytest.raises(SpecInvalid, match="3 values"):
        Push.of({"output": output}, arrays, executor(), {}, lambda *_: "id")
