"""The registry refuses what the author of an operation can get wrong, and names module, class and reason."""

import textwrap

import pytest

from augsvc.executors.runnable import require_runnable
from augsvc.ops.registry import registry
from tests.harness import open_cpu

HEAD = """
from typing import Annotated, ClassVar, Literal
import numpy as np
from augsvc.ops.kinds.image import Additive, Filter, Noise, Replace, Tone
from augsvc.ops.operation import Drawn, Interval, Kind, Operation

class Good(Tone):
    op: Literal["good"] = "good"
    x: Annotated[Interval, Drawn(lane=1, low=0.0, high=1.0, count=4)] = (0.0, 1.0)

    def table(self, draw, canvas, statistics): ...
"""
DEFECTS = {
    "lane 0": ("x: Annotated[Interval, Drawn(lane=0, low=0.0, high=1.0)] = (0.0, 1.0)", "'x' has lane 0"),
    "lane 256": ("x: Annotated[Interval, Drawn(lane=256, low=0.0, high=1.0)] = (0.0, 1.0)", "lanes are 1 to 255"),
    "a lane twice": (
        "x: Annotated[Interval, Drawn(lane=3, low=0.0, high=1.0)] = (0.0, 1.0)\n"
        "    y: Annotated[Interval, Drawn(lane=3, low=0.0, high=1.0)] = (0.0, 1.0)",
        "'x' and 'y' share lane 3",
    ),
    "no value": ("x: Annotated[Interval, Drawn(lane=1, low=0.0, high=1.0, count=0)] = (0.0, 1.0)", "draws 0 values"),
    "a word on the next one's lane": (
        "x: Annotated[Interval, Drawn(lane=1, low=0.0, high=1.0, count=5)] = (0.0, 1.0)\n"
        "    y: Annotated[Interval, Drawn(lane=2, low=0.0, high=1.0)] = (0.0, 1.0)",
        "'x' and 'y' share lane 2",
    ),
    "a word beyond the last lane": (
        "x: Annotated[Interval, Drawn(lane=255, low=0.0, high=1.0, count=5)] = (0.0, 1.0)",
        "'x' has lane 256",
    ),
}
CLASSES = {
    "abstract": ('class Bad(Filter):\n    op: Literal["bad"] = "bad"', "does not implement kernels"),
    "no name": ("class Bad(Tone):\n    pass", "it has no name"),
    "a name that is taken": ('class Bad(Tone):\n    op: Literal["rotation"] = "rotation"', "taken by augsvc.*Rotation"),
    "no kind": ('class Bad(Operation):\n    op: Literal["bad"] = "bad"', "it has no kind"),
} | {
    name: (f'class Bad(Tone):\n    op: Literal["bad"] = "bad"\n    {fields}', reason)
    for name, (fields, reason) in DEFECTS.items()
}
NOT_RUN = {
    "an audio filter": (
        'class Bad(Operation):\n    op: Literal["bad"] = "bad"\n    media = "audio"\n    kind = Kind.FILTER',
        "runs no audio operation of kind 'filter' that is derived from Operation: derive it from one of .*SoundFilter",
    ),
    "an image kind for audio": (
        'class Bad(Tone):\n    op: Literal["bad"] = "bad"\n    media = "audio"',
        "runs no audio operation of kind 'tone' that is derived from Tone",
    ),
    "another kind than its class": (
        'class Bad(Tone):\n    op: Literal["bad"] = "bad"\n    kind = Kind.ERASE',
        "runs no image operation of kind 'erase' that is derived from Tone",
    ),
    "two kinds": (
        'class Bad(Tone, Filter):\n    op: Literal["bad"] = "bad"\n    def kernels(self, draw, canvas): ...',
        "kind 'tone' that is derived from Filter, Tone",
    ),
    "a tone without matrix and table": (
        'class Bad(Tone):\n    op: Literal["bad"] = "bad"\n    def tables(self, draw): ...',
        "a tone without `matrix` and `table` changes nothing",
    ),
    "an unknown law": (
        'class Uniform: pass\nclass Bad(Noise):\n    op: Literal["bad"] = "bad"\n    def law(self, draw) -> Uniform: ...',
        "annotated to return Uniform: .* knows the laws Additive, Replace",
    ),
    "an unknown law among others": (
        'class Bad(Noise):\n    op: Literal["bad"] = "bad"\n    def law(self, draw) -> Additive | str: ...',
        "annotated to return Additive, str",
    ),
    "a law that is imported for type checkers only": (
        'class Bad(Noise):\n    op: Literal["bad"] = "bad"\n    def law(self, draw) -> "Absent": ...',
        "annotation of `law` cannot be read .*'Absent' is not defined.*outside of TYPE_CHECKING",
    ),
    "a law without annotation": (
        'class Bad(Noise):\n    op: Literal["bad"] = "bad"\n    def law(self, draw): ...',
        "annotated to return None",
    ),
}


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Writes a module of operations below a name that no other test uses, and returns the name."""
    monkeypatch.syspath_prepend(tmp_path)

    def write(text):
        name = f"operations_{tmp_path.name}".replace("-", "_")
        (tmp_path / f"{name}.py").write_text(HEAD + textwrap.dedent(text), encoding="utf-8")
        return name

    return write


@pytest.mark.parametrize(("text", "reason"), CLASSES.values(), ids=CLASSES)
def test_a_defect_is_refused_at_import_with_module_class_and_reason(module, text, reason):
    name = module(text)
    with pytest.raises(ValueError, match=rf"^operations: {name}\.Bad: .*{reason}"):
        registry((name,))


@pytest.mark.parametrize("executor", ["fused", "kornia"])
@pytest.mark.parametrize(("text", "reason"), NOT_RUN.values(), ids=NOT_RUN)
def test_an_operation_that_no_executor_runs_is_refused(module, text, reason, executor):
    name = module(text)
    with pytest.raises(ValueError, match=rf"^operations: {name}\.Bad: .*{reason}"):
        require_runnable(registry((name,)), open_cpu(executor))


@pytest.mark.parametrize("returns", ["Additive", "Replace", "Additive | Replace"])
def test_known_laws_are_accepted(module, returns):
    name = module(f'class Fine(Noise):\n    op: Literal["fine"] = "fine"\n    def law(self, draw) -> {returns}: ...')
    require_runnable(registry((name,)), open_cpu("fused"))


@pytest.mark.parametrize("text", ["1 / 0", "import no_such_module", "def broken(:"])
def test_a_module_that_cannot_be_imported_is_refused_in_one_line(module, text):
    name = module(text)
    with pytest.raises(ValueError, match=f"^operations: module {name} cannot be imported") as refused:
        registry((name,))
    assert "\n" not in str(refused.value)


def test_operations_are_found_in_every_folder_and_sorted():
    assert list(registry()) == sorted(registry())
    assert {operation.__module__.split(".")[2] for operation in registry().values()} == {"image", "audio"}
