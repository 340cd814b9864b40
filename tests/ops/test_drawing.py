"""The laws of drawn parameters: distributions against SciPy, bounds in the schema, words that stay where they are."""

from typing import Annotated, Literal

import numpy as np
import pytest
from scipy import stats

from augsvc.errors import SpecInvalid
from augsvc.numerics.rng import Address
from augsvc.ops.drawing import draw_operations
from augsvc.ops.kinds.image import Tone
from augsvc.ops.laws import INTEGERS, LOG_UNIFORM, NORMAL, SIGNED, SYMMETRIC_BETA, UNIFORM
from augsvc.ops.operation import Drawn, Interval
from augsvc.ops.pipeline import parse_pipeline

SAMPLES = 20_000
LAWS = {
    "uniform": UNIFORM,
    "log_uniform": LOG_UNIFORM,
    "integers": INTEGERS,
    "signed": SIGNED,
    "normal": NORMAL,
    "symmetric_beta": SYMMETRIC_BETA,
}


class Every(Tone):
    """One parameter for each law, of three values."""

    op: Literal["every"] = "every"
    uniform: Annotated[Interval, Drawn(lane=1, low=-9.0, high=9.0, count=3, law=UNIFORM)] = (-1.0, 3.0)
    log_uniform: Annotated[Interval, Drawn(lane=2, low=0.1, high=9.0, count=3, law=LOG_UNIFORM)] = (0.5, 2.0)
    integers: Annotated[Interval, Drawn(lane=3, low=-9.0, high=9.0, count=3, law=INTEGERS)] = (-2.0, 4.0)
    signed: Annotated[Interval, Drawn(lane=4, low=0.0, high=9.0, count=3, law=SIGNED)] = (1.0, 3.0)
    normal: Annotated[Interval, Drawn(lane=5, low=0.0, high=9.0, count=3, law=NORMAL)] = (2.0, 2.0)
    symmetric_beta: Annotated[Interval, Drawn(lane=7, low=0.04, high=64.0, count=3, law=SYMMETRIC_BETA)] = (1.0, 1.0)

    def table(self, draw, canvas, statistics):
        return None


def draw_every(samples=SAMPLES, **fields):
    operation = parse_pipeline([{"op": "every", **fields}], {"every": Every})
    return draw_operations(operation, [77], 5, Address(np.arange(samples), 2, 1))[0]


def assert_independent(values):
    """Between the values of a sample, and between neighbouring samples."""
    pairs = [(values[:, 0], values[:, 1]), (values[:, 1], values[:, 2]), (values[1:, 0], values[:-1, 0])]
    for one, other in pairs:
        assert abs(np.corrcoef(one, other)[0, 1]) < 4.5 / np.sqrt(len(one))


CONTINUOUS = [
    ("uniform", (-1, 3), stats.uniform(-1, 4).cdf),
    ("log_uniform", (0.5, 2), stats.loguniform(0.5, 2).cdf),
    ("signed", (1, 3), lambda x: np.where(x < 0, (np.clip(x, -3, -1) + 3) / 4, 0.5 + (np.clip(x, 1, 3) - 1) / 4)),
    ("signed", (0, 2), stats.uniform(-2, 4).cdf),
    ("normal", (2, 2), stats.norm(0, 2).cdf),
    *(("symmetric_beta", (alpha, alpha), stats.beta(alpha, alpha).cdf) for alpha in (0.2, 0.5, 1, 2, 32)),
]


@pytest.mark.parametrize(("name", "interval", "distribution"), CONTINUOUS, ids=lambda value: str(value)[:16])
def test_values_follow_their_law(name, interval, distribution):
    values = draw_every(**{name: interval}).value(name)
    assert values.shape == (SAMPLES, 3)
    assert_independent(values)
    assert stats.kstest(values.ravel(), distribution).pvalue > 1e-3


def test_integers_are_equally_probable_with_both_limits():
    values = draw_every(integers=[-2, 4]).value("integers")
    assert_independent(values)
    levels, counts = np.unique(values, return_counts=True)
    assert levels.tolist() == [-2, -1, 0, 1, 2, 3, 4]
    assert stats.chisquare(counts).pvalue > 1e-3
    assert (draw_every(9, integers=3).value("integers") == 3).all()


def test_the_spread_of_a_normal_and_the_alpha_of_a_beta_are_drawn_from_their_intervals():
    normal, beta = draw_every(normal=[0, 2]).value("normal"), draw_every(symmetric_beta=[1, 3]).value("symmetric_beta")
    assert abs(normal.var() / (4 / 3) - 1) < 0.05
    variance = np.mean([stats.beta(alpha, alpha).var() for alpha in np.linspace(1, 3, 501)])
    assert abs(beta.var() / variance - 1) < 0.03


@pytest.mark.parametrize("word", [0, 1, 0xFFFFFFFE, 0xFFFFFFFF])
@pytest.mark.parametrize("name", LAWS)
def test_at_the_ends_of_the_words_values_are_finite_and_within_their_limits(name, word):
    low, high = {"symmetric_beta": (0.04, 64.0), "log_uniform": (0.1, 9.0)}.get(name, (0.0, 9.0))
    law = LAWS[name]
    values = law.values(low, high, np.full((1, 1, law.words), word, np.uint32))
    assert np.isfinite(values).all()
    limits = {"symmetric_beta": (0, 1), "signed": (-9, 9), "normal": (-6.4 * 9, 6.4 * 9)}.get(name, (low, high))
    assert limits[0] - 1e-12 <= values.item() <= limits[1] + 1e-12


def test_a_law_takes_its_words_alone():
    """A parameter's words do not depend on the settings of another."""
    one, other = draw_every(50), draw_every(50, normal=[0, 1], integers=[1, 2], symmetric_beta=9)
    assert {name: mark.words for name, mark in Every.parameters().items()} == {
        name: 3 * law.words for name, law in LAWS.items()
    }
    for name, words in one.words.items():
        np.testing.assert_array_equal(words, other.words[name])


def test_bounds_and_whole_numbers_are_in_the_schema_and_refused_by_name():
    properties = Every.model_json_schema()["properties"]
    assert properties["integers"]["anyOf"][0] == {"type": "integer", "minimum": -9.0, "maximum": 9.0}
    assert properties["signed"]["anyOf"][0] == {"type": "number", "minimum": 0.0, "maximum": 9.0}
    for fields, message in (
        ({"integers": 1.5}, "integers takes whole numbers"),
        ({"integers": [0, 2.5]}, "integers takes whole numbers"),
        ({"integers": [0, 10]}, "from -9.0 to 9.0"),
        ({"signed": [-1, 1]}, "from 0.0 to 9.0"),
    ):
        with pytest.raises(SpecInvalid, match=message) as refused:
            draw_every(1, **fields)
        assert refused.value.field == f"pipeline.0.{next(iter(fields))}"
