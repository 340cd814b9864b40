"""Reads YAML as PyYAML's safe loader does, but refuses repeated keys, of which the last would win without a word, and aliases
of aliases, a few lines of which stand for more values than a machine can hold.

The server's settings and the trainer's recipes are read with it; needs PyYAML, which the rest of the client does not.
"""

from typing import Any

import yaml
from yaml.constructor import ConstructorError
from yaml.reader import ReaderError

_MAX_VALUES, _MAX_EXPANSION = (
    100_000,
    10,
)  # values with every alias written out, unless those written are a tenth of them
_UNCOUNTED = 1 << 62  # no need to count further


class RepeatedKey(yaml.MarkedYAMLError):
    """A mapping has a key twice; the problem says which, and on which lines."""


class _Loader(yaml.SafeLoader):
    """Checks the keys as they are written: those of merged mappings (`<<`) may be overridden."""

    def get_single_node(self) -> yaml.Node | None:
        node = super().get_single_node()
        counts: dict[int, int] = {}
        if node is not None and _count_values(node, counts) > max(_MAX_VALUES, _MAX_EXPANSION * len(counts)):
            raise yaml.YAMLError(f"its aliases stand for more than {_MAX_VALUES:,} values")
        return node

    def compose_mapping_node(self, anchor: dict[Any, yaml.Node]) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        first: dict[tuple[str, str], yaml.ScalarNode] = {}
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and (other := first.setdefault((key.tag, key.value), key)) is not key:
                lines = f"lines {other.start_mark.line + 1} and {key.start_mark.line + 1}"
                problem = f"the key {key.value!r} is repeated, on {lines}; keep one of them"
                raise RepeatedKey(problem=problem, problem_mark=key.start_mark)
        return node


def load_yaml(text: str | bytes) -> Any:  # YAML is any value
    """The value of a YAML text.

    Raises:
        RepeatedKey: a mapping has a key twice.
        yaml.YAMLError: it is not YAML, nested too deeply, or its aliases stand for more than 100,000 values.
        ValueError: a value of a kind that YAML knows is outside its range, for example a month of 13.
    """
    try:
        return yaml.load(text, Loader=_Loader)  # noqa: S506 - a safe loader
    except RecursionError as err:
        raise yaml.YAMLError("the values are nested too deeply") from err


def describe_yaml_error(err: Exception) -> str:
    """An error of `load_yaml` on one line, without the library's words."""
    if isinstance(err, RepeatedKey):
        return str(err.problem)
    if isinstance(err, yaml.MarkedYAMLError) and err.problem_mark is not None:
        where = f"line {err.problem_mark.line + 1}, column {err.problem_mark.column + 1}"
        if isinstance(err, ConstructorError):
            return f"the value at {where} is of a kind that is not read"
        return f"invalid YAML at {where}" + (
            ": indent with spaces, not with tabs" if r"'\t'" in str(err.problem) else ""
        )
    if isinstance(err, UnicodeError | ReaderError):
        return "it is not text in UTF-8, or has control characters"
    return str(err) if isinstance(err, yaml.YAMLError) else "a value is outside the range of its kind"


def _count_values(node: yaml.Node, counts: dict[int, int]) -> int:
    """The values of a node with its aliases written out; `counts` by node, 0 for those that contain this one."""
    count = counts.get(id(node))
    if count == 0:
        raise yaml.YAMLError("an alias refers to a value that contains it")
    if count is None:
        counts[id(node)] = 0
        count = min(_UNCOUNTED, 1 + sum(_count_values(child, counts) for child in _children(node)))
        counts[id(node)] = count
    return count


def _children(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [child for pair in node.value for child in pair]
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []
