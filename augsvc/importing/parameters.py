"""Reads the parameters of one transform: every one is checked, and one that a translator does not read is refused by name."""

from collections.abc import Collection, Mapping
from math import isfinite

from augsvc.importing.node import Node, Value

Range = tuple[float, float]
_MOST = 1e9  # of any number


class Refused(Exception):
    """A transform is not translated; `str` is the reason."""


class Parameters:
    """The parameters of a transform that have not been read yet."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self._unread = dict(node.parameters)
        self.ranges: dict[str, Range] = {}  # what was read as a range to draw from, in the library's units

    def take(self, name: str) -> Value:
        """A parameter as it was given, None if it was not."""
        return self._unread.pop(name, None)

    def put(self, name: str, value: Value) -> None:
        """Adds a part of a parameter, to be read by a name."""
        self._unread[name] = value

    def require_none_left(self) -> None:
        """Refuses parameters that no translator has read."""
        if self._unread:
            raise Refused(f"has unknown parameters: {', '.join(sorted(self._unread))}")

    def ignore(self, *names: str) -> None:
        """Skips parameters that have no effect on the images and labels of a stream."""
        for name in names:
            self.take(name)

    def require(self, name: str, allowed: Collection[Value], reason: str) -> None:
        """Refuses a parameter that is given with another value than those `allowed`."""
        value = self.take(name)
        if value is not None and not any(type(value) is type(other) and value == other for other in allowed):
            raise Refused(f"{name} {show(value)}: {reason}")

    def number(self, name: str, default: float | None = None, low: float = -_MOST, high: float = _MOST) -> float:
        """A finite number; without a default it has to be given."""
        value = self.take(name)
        return _number(name, default if value is None else value, low, high)

    def whole(self, name: str, default: int | None = None, low: float = 0, high: float = 16384) -> int:
        """A whole number."""
        number = self.number(name, default, low, high)
        if not number.is_integer():
            raise Refused(f"{name} must be a whole number, not {number:g}")
        return int(number)

    def p(self, default: float) -> float:
        """The probability."""
        return self.number("p", default, 0.0, 1.0)

    def flag(self, name: str, default: bool) -> bool:
        """A boolean."""
        value = self.take(name)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise Refused(f"{name} must be True or False, not {show(value)}")
        return value

    def word(self, name: str, default: str) -> str:
        """A name, in lower case; of an enumeration the last part."""
        value = self.take(name)
        if value is None:
            return default
        if not isinstance(value, str):
            raise Refused(f"{name} must be a name, not {show(value)}")
        return value.rpartition(".")[2].strip("<>").partition(":")[0].lower()

    def numbers(self, name: str, counts: Collection[int] = ()) -> list[float]:
        """A list of finite numbers, of one of the lengths if any are named; a number is a list of one; [] if it is not given."""
        value = self.take(name)
        if value is None:
            return []
        values = value if isinstance(value, list | tuple) else [value]
        if counts and len(values) not in counts:
            raise Refused(f"{name} must have {' or '.join(map(str, counts))} numbers, not {len(values)}")
        return [_number(name, item) for item in values]

    def range(self, name: str, default: Range | None = None) -> Range:
        """[low, high]; a number is the range of itself alone."""
        values = self.numbers(name, (1, 2)) or list(default or ())
        if not values:
            raise Refused(f"{name} is missing")
        return self.draws(name, values[0], values[-1])

    def draws(self, name: str, low: float, high: float) -> Range:
        """Records a range that is drawn from, refused if its low end is above its high end."""
        self.ranges[name] = ordered(name, low, high)
        return low, high

    def limits(self, name: str, default: float | Range, middle: float = 0.0, least: float = -_MOST) -> Range:
        """[low, high]; a number n is middle ± n, not below `least`."""
        values = self.numbers(name, (1, 2)) or (list(default) if isinstance(default, tuple) else [default])
        if len(values) == 2:
            return self.draws(name, *values)
        return self.draws(name, max(least, middle - abs(values[0])), middle + abs(values[0]))

    def size(self, *names: str) -> tuple[int, int]:
        """(height, width), of a parameter of one or two numbers, or of two parameters."""
        sides = [side for name in names for side in self.sides(name)]
        if not sides:
            raise Refused(f"{names[0]} is missing")
        return sides[0], sides[-1]

    def sides(self, name: str) -> list[int]:
        """One or two sides of an image, in pixels; [] if they are not given."""
        sides = self.numbers(name, (1, 2))
        if not all(side.is_integer() and 1 <= side <= 4096 for side in sides):
            raise Refused(f"{name} must be whole numbers from 1 to 4096")
        return [int(side) for side in sides]


def ordered(name: str, low: float, high: float) -> Range:
    """The range, refused if its low end is above its high end."""
    if low > high:
        raise Refused(f"{name} has an empty range, {low:g} to {high:g}")
    return low, high


def negated(limits: Range) -> Range:
    """The range of the negated numbers."""
    return 0.0 - limits[1], 0.0 - limits[0]


def scaled(limits: Range, factor: float, offset: float = 0.0) -> Range:
    """The range times a positive factor, plus an offset, to nine digits."""
    low, high = (float(f"{limit * factor + offset:.9g}") for limit in limits)
    return low, high


def show(value: Value) -> str:
    """A value for a message, cut to 60 characters."""
    text = repr(value)
    return text if len(text) <= 60 else text[:59] + "…"


def _number(name: str, value: Value, low: float = -_MOST, high: float = _MOST) -> float:
    if value is None:
        raise Refused(f"{name} is missing")
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Refused(f"{name} must be a number, not {show(value)}")
    if not (abs(value) <= _MOST and isfinite(value)):
        raise Refused(f"{name} must be a finite number, at most 1e9")
    if not low <= value <= high:
        raise Refused(f"{name} must be from {low:g} to {high:g}, not {value:g}")
    return float(value)


def choose(options: Mapping[str, str], word: str, name: str) -> str:
    """Our word for theirs, refused if there is none."""
    if word not in options:
        raise Refused(f"{name} {word!r} has no counterpart")
    return options[word]
