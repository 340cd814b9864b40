"""What a column's values are, and which of them equal a filter's."""

import pytest

from augsvc.data.columns import Column


@pytest.mark.parametrize(
    "values", [["1_1", "11", "2"], ["9007199254740993", "9007199254740992"], [2**53 + 1, 2**53]], ids=str
)
def test_different_values_stay_different(values):
    column = Column.of(values)
    assert column.kind == "text"
    assert [column.equal_to((str(value),)).tolist().count(True) for value in values] == [1] * len(values)


def test_numbers_are_numbers():
    assert Column.of(["1e300", "-0.5", " 11", "", str(2**60)]).kind == "number"
    assert Column.of([10**20, 1.5, None]).equal_to((1.5,)).tolist() == [False, True, False]


@pytest.mark.parametrize("values", [["True", "FALSE", "true", ""], [True, False, True, None]], ids=str)
def test_booleans_are_found_in_any_spelling(values):
    column = Column.of(values)
    assert column.equal_to((True,)).tolist() == [True, False, True, False]
    assert column.equal_to((False,)).tolist() == [False, True, False, False]
