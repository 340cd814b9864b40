"""What is generated from the registry is up to date, and an operation's class states what the generated tests need."""

import re

import kornia.augmentation
import pytest
import yaml

from augsvc.ops.operation import Operation
from augsvc.ops.pipeline import parse_pipeline
from augsvc.ops.registry import registry
from tests.pages import page
from tests.regenerate import BLOCKS, split

MAX_STRIP_BYTES = 40_000


@pytest.mark.parametrize("document", BLOCKS)
def test_the_generated_blocks_are_up_to_date(document):
    """As sets of lines: two branches that each add a row may be merged in any order (see .gitattributes)."""
    assert set(split(document)[1].splitlines()) == set(BLOCKS[document]().splitlines()), "run `make golden`"


@pytest.mark.parametrize("name", page.steps())
def test_every_operation_has_an_up_to_date_page(name):
    """What is measured is taken from the page, as long as the digest of what its strip is made from is the same."""
    step = page.steps()[name]
    path = page.FOLDER / f"{name}.md"
    assert path.exists(), "run `make golden`"
    cost = page.read_cost(name, step)
    assert path.read_text(encoding="utf-8") == page.build_page(step, cost), "run `make golden`"
    if issubclass(step, Operation):
        assert cost is not None
        assert 0 < (page.STRIPS / f"{name}.webp").stat().st_size < MAX_STRIP_BYTES


def test_only_registered_operations_have_pages():
    assert {path.stem for path in page.FOLDER.iterdir()} == page.steps().keys()
    assert {path.stem for path in page.STRIPS.iterdir()} == registry().keys()


@pytest.mark.parametrize("name", page.steps())
def test_the_example_of_a_page_is_a_pipeline(name):
    text = re.search(r"```yaml\n(.+?)```", (page.FOLDER / f"{name}.md").read_text(encoding="utf-8"), re.S)
    steps = parse_pipeline(yaml.safe_load(text[1])["pipeline"])
    assert [step.op for step in steps] == [name]


@pytest.mark.parametrize("name", registry())
def test_names_elsewhere_exist(name):
    """Those of Kornia, which is installed."""
    for known in filter(None, registry()[name].elsewhere.get("Kornia", "").split(", ")):
        assert hasattr(kornia.augmentation, known)


@pytest.mark.parametrize("name", registry())
def test_examples_begin_with_the_defaults_and_hold_every_mode(name):
    operation = registry()[name]
    assert operation.examples[0] == {}
    kinds = [base for base in operation.__mro__ if base.__module__.startswith("augsvc.ops.kinds")]
    shared = {
        field for kind in kinds for field in kind.model_fields
    }  # borders and interpolation have tests of their kind
    for field, schema in operation.model_json_schema()["properties"].items():
        if "enum" in schema and field not in shared:
            default = operation.model_fields[field].default
            assert {example.get(field, default) for example in operation.examples} == set(schema["enum"]), field


@pytest.mark.parametrize("name", registry())
def test_examples_and_identity_are_valid(name):
    operation = registry()[name]
    for example in operation.examples:
        operation.model_validate({"op": name, **example})
        operation.model_validate({"op": name, **example, **(operation.identity or {})})
