"""Reads a large JSON file one element at a time: as Python objects, COCO's 448 MB would take gigabytes."""

import codecs
import json
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, BinaryIO

from pydantic_core import from_json

from augsvc_client.text import printable

_CHUNK = 1 << 20  # bytes of a read
_MAX_ELEMENT = 64 << 20  # characters that one element may take
_SPACE = re.compile(r"[ \t\n\r]*")
_NEXT_OBJECT = re.compile(r"\}[ \t\n\r]*,[ \t\n\r]*\{")
_NAME_END = re.compile(r'"[ \t\n\r]*:')


class BadJson(ValueError):
    """The file is no JSON object of lists, or ends early."""


class RepeatedName(BadJson):
    """An object has a name twice, of which parsers silently take the last."""


def to_distinct(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object, as `object_pairs_hook` of the standard library; raises RepeatedName."""
    values = dict(pairs)
    if len(values) < len(pairs):
        names = [name for name, _ in pairs]
        repeated = next(name for name in names if names.count(name) > 1)
        where = f" in the object with the id {values['id']!r}" if "id" in values else ""
        raise RepeatedName(f"the name {printable(repeated)!r} is repeated{where}")
    return values


_scan = json.JSONDecoder(object_pairs_hook=to_distinct).raw_decode


class JsonStream:
    """The members of the JSON object that a file holds; `update` is called with every chunk of bytes that is read."""

    def __init__(self, file: BinaryIO, update: Callable[[bytes], object]) -> None:
        self._file, self._update = file, update
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")()
        self._text, self._position, self._is_read = "", 0, False
        self._is_tried = False  # to parse many objects of this text together

    def elements(self) -> Iterator[tuple[str, Any]]:
        """The elements of every member that is a list, as (member, element); another member as (member, value).

        Raises:
            BadJson: the file is damaged; elements before the damage were yielded.
        """
        names: set[str] = set()
        self._expect("{")
        if self._peek() == "}":
            self._expect("}")
        else:
            while True:
                name = self._value()
                if not isinstance(name, str):
                    raise BadJson("a name is no string")
                if name in names:
                    raise RepeatedName(f"the name {printable(name)!r} is repeated")
                names.add(name)
                self._expect(":")
                if self._peek() == "[":
                    for element in self._list():
                        yield name, element
                else:
                    yield name, self._value()
                if not self._goes_on("}"):
                    break
        if self._peek():
            raise BadJson("there is text after the object")

    def _list(self) -> Iterator[Any]:
        self._expect("[")
        if self._peek() == "]":
            self._expect("]")
            return
        while True:
            values = self._many_objects() or [self._value()]
            yield from values
            if not self._goes_on("]"):
                return

    def _many_objects(self) -> list[Any]:
        """The objects up to the last "}, {" of what is read; none where the objects themselves may hold it, or where one
        may have a name twice.

        Parsed together: one by one they take the standard library 11 s for COCO's training split, together 5 s.
        """
        if self._is_tried or self._peek() != "{":
            return []
        self._is_tried = True
        ends = [match.start() for match in _NEXT_OBJECT.finditer(self._text, self._position)]
        if not ends:
            return []
        end = ends[-1]
        text = self._text[self._position : end + 1]
        try:
            objects: list[Any] = from_json(f"[{text}]")
        except ValueError:
            return []
        if sum(map(_count_names, objects)) != len(_NAME_END.findall(text)):
            return []
        self._position = end + 1
        return objects

    def _goes_on(self, end: str) -> bool:
        """Whether a comma follows, and not the end."""
        if self._peek() == end:
            self._position += 1
            return False
        self._expect(",")
        return True

    def _expect(self, sign: str) -> None:
        if self._peek() != sign:
            raise BadJson(f"{sign!r} is missing" if self._peek() else "the file ends early")
        self._position += 1

    def _peek(self) -> str:
        """The next character that is no space; empty at the end of the file."""
        while True:
            match = _SPACE.match(self._text, self._position)
            self._position = match.end() if match else self._position
            if self._position < len(self._text):
                return self._text[self._position]
            if not self._read():
                return ""

    def _value(self) -> Any:
        self._peek()
        while True:
            try:
                value, end = _scan(self._text, self._position)
            except json.JSONDecodeError as err:
                if not self._read():
                    reason = "the file ends early" if err.pos >= len(self._text) - 1 else err.msg
                    raise BadJson(reason) from None
            except RecursionError:
                raise BadJson("it is nested too deeply") from None
            except RepeatedName:
                raise
            except ValueError:  # of the interpreter, for integers of more than 4,300 digits
                raise BadJson("a number has too many digits") from None
            else:
                if end < len(self._text) or not self._read():  # else a number may go on in the next chunk
                    self._position = end
                    return value

    def _read(self) -> bool:
        """Reads on, at least as much as is left; false at the end of the file."""
        if self._is_read:
            return False
        rest = len(self._text) - self._position
        if rest > _MAX_ELEMENT:
            raise BadJson("an element is damaged or too long")
        data = self._file.read(max(_CHUNK, rest))
        self._update(data)
        self._is_read = not data
        try:
            self._text = self._text[self._position :] + self._decoder.decode(data, final=not data)
        except UnicodeDecodeError:
            raise BadJson("it is not text in UTF-8") from None
        self._position, self._is_tried = 0, False
        return True


def _count_names(value: Any) -> int:
    """The names in an object and the objects within it: no more than the text has, which may repeat some."""
    if isinstance(value, dict):
        return len(value) + sum(_count_names(inner) for inner in value.values() if isinstance(inner, dict | list))
    if isinstance(value, list) and value and isinstance(value[0], dict):  # not the numbers of polygons, one by one
        return sum(map(_count_names, value))
    return 0
