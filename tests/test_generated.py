"""What is generated from the registry is up to date, and an operation's class states what the generated tests need."""

import pytest

from augsvc.ops.registry import registry
from tests.regenerate import BLOCKS, split


@pytest.mark.parametrize("document", BLOCKS)
def test_the_generated_blocks_are_up_to_date(document):
    """As sets of lines: two branches that each add a row may be merged in any order (see .gitattributes)."""
    assert set(split(document)[1].splitlines()) == set(BLOCKS[document]().splitlines()), "run `make golden`"


@pytest.mark.parametrize("name", registry())
def test_examples_begin_with_the_defaults_and_hold_every_mode(name):
    operation = registry()[name]
    assert operation.examples[0] == {}
    kind = next(base for base in operation.__mro__ if base.__module__.startswith("augsvc.ops.kinds"))
    for field, schema in operation.model_json_schema()["properties"].items():
        if "enum" in schema and field not in kind.model_fields:
            default = operation.model_fields[field].default
            assert {example.get(field, default) for example in operation.examples} == set(schema["enum"]), field


@pytest.mark.parametrize("name", registry())
def test_examples_and_identity_are_valid(name):
    operation = registry()[name]
    for example in operation.examples:
        operation.model_validate({"op": name, **example})
        operation.model_validate({"op": name, **example, **(operation.identity or {})})
