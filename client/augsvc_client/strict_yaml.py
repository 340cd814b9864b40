"""Reads YAML as PyYAML's safe loader does, but refuses repeated keys, of which the last would win without a word.

The server's settings and the trainer's recipes are read with it; needs PyYAML, which the rest of the client does not.
"""

from typing import Any

import yaml


class RepeatedKey(yaml.MarkedYAMLError):
    """A mapping has a key twice; the problem says which, and on which lines."""


class _Loader(yaml.SafeLoader):
    """Checks the keys as they are written: those of merged mappings (`<<`) may be overridden."""

    def compose_mapping_node(self, anchor: dict[Any, yaml.Node]) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        first: dict[tuple[str, str], yaml.ScalarNode] = {}
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and (other := first.setdefault((key.tag, key.value), key)) is not key:
                lines = f"lines {other.start_mark.line + 1} and {key.start_mark.line + 1}"
                problem = f"the key {key.value!r} is repeated, on {lines}; keep one of them"
                raise RepeatedKey(problem=problem, problem_mark=key.start_mark)
        return node


def load_yaml(text: str) -> Any:  # YAML is any value
    """The value of a YAML text.

    Raises:
        RepeatedKey: a mapping has a key twice.
        yaml.YAMLError: it is no YAML.
    """
    return yaml.load(text, Loader=_Loader)  # noqa: S506 - a safe loader
