"""Reads the printed form of torchvision's and Kornia's transforms: what `print(transform)` shows. Nothing is evaluated."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from augsvc.importing.node import MAX_NESTING, CannotRead, Node, Value

_TOKEN = re.compile(
    r"""(?P<space>\s+)
    |(?P<number>[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)
    |(?P<text>'[^'\n]*'|"[^"\n]*")
    |(?P<opaque><[^<>\n]*>)
    |(?P<name>-?[A-Za-z_][A-Za-z0-9_.]*)
    |(?P<sign>[()\[\]{},=:])""",
    re.VERBOSE,
)
_CONSTANTS: dict[str, Value] = {"None": None, "True": True, "False": False}
_CLOSING = {"(": ")", "[": "]", "{": "}"}


class _Token(NamedTuple):
    kind: str
    text: str
    line: int


class _Call(NamedTuple):
    """A name with what its brackets hold, before it is known whether it is a transform."""

    name: str
    keywords: dict[str, object]
    positional: list[object]


def parse_printed(text: str) -> Node:
    """The transform of a printed form; a list of transforms is a Compose of them.

    Raises:
        CannotRead: naming the line, for a text that is none, or is nested too deeply.
    """
    reader = _Reader([*_tokens(text), _Token("end", "the end", text.count("\n") + 1)])
    call = reader.value(0)
    if reader.next.kind != "end":
        raise reader.unexpected("the end")
    if isinstance(call, list) and call and all(isinstance(item, _Call) for item in call):
        call = _Call("Compose", {}, call)
    if not isinstance(call, _Call):
        raise CannotRead("is no printed transform: it begins with no name and bracket, such as Compose(")
    return _node(call)


def _tokens(text: str) -> Iterator[_Token]:
    position, line = 0, 1
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise CannotRead(f"line {line}: {text[position]!r} is in no printed transform")
        if match.lastgroup != "space":
            yield _Token(str(match.lastgroup), match[0], line)
        line += match[0].count("\n")
        position = match.end()


class _Reader:
    """A recursive descent over the tokens; commas between items are optional, as line ends separate them too."""

    def __init__(self, tokens: list[_Token]) -> None:
        self._tokens = tokens
        self._index = 0

    @property
    def next(self) -> _Token:
        return self._tokens[self._index]

    def unexpected(self, expected: str) -> CannotRead:
        return CannotRead(f"line {self.next.line}: {self.next.text!r} stands where {expected} is expected")

    def value(self, depth: int) -> object:
        """A number, text, list, mapping, name or call."""
        if depth > 2 * MAX_NESTING:
            raise CannotRead(f"line {self.next.line}: brackets are nested over {2 * MAX_NESTING} deep")
        token = self.next
        if token.kind == "name":
            return self._named(depth)
        if token.kind == "sign" and token.text in "([{":
            return self._bracket(depth)
        if token.kind not in ("number", "text", "opaque"):
            raise self.unexpected("a value")
        self._index += 1
        if token.kind == "number":
            return float(token.text) if re.search(r"[.eE]", token.text) else int(token.text[:40])
        return token.text[1:-1] if token.kind == "text" else token.text

    def _accept(self, sign: str) -> bool:
        if self.next.kind == "sign" and self.next.text == sign:
            self._index += 1
            return True
        return False

    def _named(self, depth: int) -> object:
        name = self.next.text
        self._index += 1
        call = _Call(name, {}, [])
        if not (self.next.kind == "sign" and self.next.text == "("):
            return _CONSTANTS.get(name, name)
        while not self._is_label() and self._accept("("):  # torchvision's RandomChoice prints its p in a second pair
            while not self._accept(")"):
                if not self._accept(","):
                    self._item(call, depth + 1)
        return call

    def _is_label(self) -> bool:
        """Whether a child's label follows: Kornia prints (RandomAffine_0): RandomAffine(…)."""
        ahead = [token.text for token in self._tokens[self._index : self._index + 4]]
        return ahead[0] == "(" and ahead[2:] == [")", ":"]

    def _item(self, call: _Call, depth: int) -> None:
        ahead = [token.text for token in self._tokens[self._index : self._index + 2]]
        if self._is_label():
            self._index += 4
            call.positional.append(self.value(depth))
        elif self.next.kind == "name" and ahead[1:2] == ["="]:
            self._index += 2
            if ahead[0] in call.keywords:
                raise CannotRead(f"line {self.next.line}: {ahead[0]} is given twice")
            call.keywords[ahead[0]] = self.value(depth)
        else:
            call.positional.append(self.value(depth))

    def _bracket(self, depth: int) -> object:
        opening = self.next.text
        self._index += 1
        values: list[object] = []
        keys: list[str] = []
        while not self._accept(_CLOSING[opening]):
            value = self.value(depth + 1)
            if opening == "{":
                keys.append(str(value))
                if not self._accept(":"):
                    raise self.unexpected("a colon")
                value = self.value(depth + 1)
            values.append(value)
            self._accept(",")
        return dict(zip(keys, values, strict=True)) if opening == "{" else values


def _node(call: _Call) -> Node:
    """A call as a transform: calls in it are children, in lists too, but for Kornia's generators of parameters; names without
    brackets are dropped, as in `Lambda(f)`; other values without a name, which print does not show, are unknown parameters.
    """
    listed = [item for value in call.positional for item in (value if isinstance(value, list) else [value])]
    children = [item for item in listed if isinstance(item, _Call) and not item.name.endswith("Generator")]
    parameters = {}
    for name, value in call.keywords.items():
        if isinstance(value, list) and value and all(isinstance(item, _Call) for item in value):
            children += value
        elif value is not None:
            parameters[name] = _plain(value)
    unnamed = [value for value in call.positional if _is_plain(value)]
    parameters |= {f"value {k} without a name": _plain(value) for k, value in enumerate(unnamed, 1)}
    name = call.name.rpartition(".")[2] if call.name.startswith(("torchvision.", "kornia.")) else call.name
    return Node(name, parameters, tuple(_node(child) for child in children), printed=True)


def _is_plain(value: object) -> bool:
    """Whether a value is a number, true, false, or a list of such."""
    return all(map(_is_plain, value)) if isinstance(value, list) else isinstance(value, bool | int | float)


def _plain(value: object) -> Value:
    """A value of a parameter; `tensor([…])` is its list, another call its name."""
    if isinstance(value, _Call):
        return _plain(value.positional[0]) if value.name == "tensor" and value.positional else value.name
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    return value if isinstance(value, bool | int | float | str) else None
