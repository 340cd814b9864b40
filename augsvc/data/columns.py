"""Columns beside the labels of a dataset, which subsets filter by."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from augsvc.arrays import Bools

Scalar = str | int | float | bool | None
_EXACT = 2.0**53


@dataclass(frozen=True, slots=True, eq=False)
class Column:
    """A value of each sample: a number (float64, NaN where it is missing), or the code (int32) of a text in `texts`."""

    values: npt.NDArray[Any]
    texts: tuple[str, ...] | None = None

    @property
    def kind(self) -> Literal["number", "text"]:
        """What its values are."""
        return "number" if self.texts is None else "text"

    @staticmethod
    def of(values: Sequence[Scalar]) -> "Column":
        """Numbers if all values are, or are texts of numbers; empty texts and None are missing. Booleans are true and false.

        Whole numbers that float64 cannot hold are texts, and so are numbers with underscores.
        """
        numbers = [_to_number(value) for value in values]
        if None not in numbers and not all(np.isnan(number) for number in numbers if number is not None):
            return Column(np.array(numbers, dtype=np.float64))
        texts = [_to_text(value) for value in values]
        codes = {text: code for code, text in enumerate(dict.fromkeys(texts))}
        return Column(np.array([codes[text] for text in texts], dtype=np.int32), tuple(codes))

    def equal_to(self, wanted: Sequence[str | float | bool]) -> Bools:
        """Which samples (N,) have one of these values.

        Raises:
            TypeError: a text for a column of numbers, or the reverse.
        """
        if self.texts is None:
            if any(isinstance(value, str | bool) for value in wanted):
                raise TypeError("its values are numbers")
            return np.isin(self.values, np.array(wanted, dtype=np.float64))
        if any(not isinstance(value, str | bool) for value in wanted):
            raise TypeError("its values are texts")
        chosen = {value for value in wanted if isinstance(value, str)}
        booleans = {_to_text(value) for value in wanted if isinstance(value, bool)}  # a table may write True or TRUE
        codes = [code for code, text in enumerate(self.texts) if text in chosen or text.lower() in booleans]
        return np.isin(self.values, codes)

    def between(self, low: float, high: float) -> Bools:
        """Which samples (N,) have a number in [low, high]; raises TypeError for a column of texts."""
        if self.texts is not None:
            raise TypeError("its values are texts")
        return (self.values >= low) & (self.values <= high)


Columns = Mapping[str, Column]


def _to_number(value: Scalar) -> float | None:
    if isinstance(value, bool):
        return None
    if value is None or value == "":
        return float("nan")
    if isinstance(value, str) and "_" in value:  # float() would read 1_1 as 11
        return None
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if abs(number) < float("inf") and not _is_rounded(value, number) else None


def _is_rounded(value: str | float, number: float) -> bool:
    """Whether a whole number, as an identifier, lost digits: above 2^53 several would become one."""
    if abs(number) < _EXACT or not abs(number) < float("inf") or isinstance(value, float):
        return False
    try:
        return int(value) != int(number)
    except ValueError:  # as "1e300"
        return False


def _to_text(value: Scalar) -> str:
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
