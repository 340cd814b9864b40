"""Colour maps that are the same for all samples are lowered once."""

import numpy as np
import pytest

from augsvc.numerics.geometry import Canvas
from augsvc.numerics.rng import Address
from augsvc.ops import laws
from augsvc.ops.image.color.gamma import Gamma
from augsvc.ops.kinds.image import Statistics
from augsvc.ops.pipeline import parse_pipeline
from augsvc.planning.image_plan import Plan

SAMPLES = 8


def tables(pipeline, rows=slice(None)):
    """The only stage's tables and the rows that have one, for some of the samples."""
    plan = Plan.of(parse_pipeline(pipeline), Canvas(4, 5, 3), "cover")
    draws = [draw.take(rows) for draw in plan.draw(3, Address(np.arange(SAMPLES), 0, 0))]
    (stage,) = plan.tones(plan.passes[0], draws, Statistics())
    return stage.table, stage.table_rows


@pytest.mark.parametrize(
    ("pipeline", "most"),
    [
        ([{"op": "gamma", "gamma": 1.3}], 1),
        ([{"op": "gamma", "gamma": 1.3, "p": 0.5}], 1),
        ([{"op": "gamma", "gamma": [1.3, 1.4]}], SAMPLES),
    ],
)
def test_fixed_parameters_are_lowered_once(monkeypatch, pipeline, most):
    lowered, table = [], Gamma.table
    monkeypatch.setattr(
        Gamma, "table", lambda self, draw, *args: lowered.append(len(draw.selected)) or table(self, draw, *args)
    )
    tables(pipeline)
    assert lowered == [most]


@pytest.mark.parametrize(("factor", "most"), [(1.3, 1), ([1.3, 1.4], 3)])
def test_fixed_parameters_are_lowered_for_the_first_batch_alone(monkeypatch, factor, most):
    lowered, table = [], Gamma.table
    monkeypatch.setattr(Gamma, "table", lambda self, *args: lowered.append(self.gamma) or table(self, *args))
    plan = Plan.of(parse_pipeline([{"op": "gamma", "gamma": factor, "p": 0.5}]), Canvas(4, 5, 3), "cover")
    batches = [plan.draw(3, Address(np.arange(n), epoch, 0)) for epoch, n in enumerate((1, 8, 5))]
    stages = [plan.tones(plan.passes[0], draws, Statistics()) for draws in batches]
    assert len(lowered) == most
    fresh = Plan.of(parse_pipeline([{"op": "gamma", "gamma": factor, "p": 0.5}]), Canvas(4, 5, 3), "cover")
    for draws, (stage,) in zip(batches[::-1], stages[::-1], strict=True):
        (expected,) = fresh.tones(fresh.passes[0], draws, Statistics())
        np.testing.assert_array_equal(stage.table_rows, expected.table_rows)
        np.testing.assert_array_equal(stage.table[stage.table_rows], expected.table[stage.table_rows])


def test_stages_of_fixed_tones_are_kept_for_batches_of_a_size_alone():
    pipeline = [{"op": "gamma", "gamma": 1.3}, {"op": "invert", "p": 0.5}]
    plan = Plan.of(parse_pipeline(pipeline), Canvas(4, 5, 3), "cover")
    seen = set()
    for start in [*range(30), 0]:  # of two samples, both are inverted, one or none
        for n in (2, 3):
            draws = plan.draw(3, Address(np.arange(start, start + n), 0, 0))
            seen.add((n, int(draws[1].selected.sum())))
            kept = plan.tones(plan.passes[0], draws, Statistics())
            fresh = Plan.of(parse_pipeline(pipeline), Canvas(4, 5, 3), "cover")
            for stage, expected in zip(kept, fresh.tones(fresh.passes[0], draws, Statistics()), strict=True):
                np.testing.assert_array_equal(stage.table_rows, expected.table_rows)
                np.testing.assert_array_equal(stage.table, expected.table)
    assert {(2, 0), (2, 1), (2, 2)} <= seen


@pytest.mark.parametrize(
    "law", [law for law in vars(laws).values() if isinstance(law, laws.Law)], ids=lambda law: law.text
)
def test_laws_say_whether_a_fixed_parameter_varies(law):
    words = np.random.default_rng(0).integers(0, 1 << 32, (64, 1, law.words), dtype=np.uint32)
    assert (np.unique(law.values(1.0, 1.0, words)).size > 1) == law.varies_at_a_point


@pytest.mark.parametrize("p", [1.0, 0.5])
@pytest.mark.parametrize(
    "later", [[], [{"op": "gamma", "gamma": [0.5, 2], "id": "b"}], [{"op": "gamma", "gamma": 2, "id": "b"}]]
)
def test_shared_tables_are_those_of_each_sample(p, later):
    pipeline = [{"op": "gamma", "gamma": 1.3, "p": p}, *later]
    together, rows = tables(pipeline)
    for k in range(SAMPLES):
        alone, row = tables(pipeline, slice(k, k + 1))
        np.testing.assert_array_equal(together[k], alone[0])
        assert rows[k] == row[0]
