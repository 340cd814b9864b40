"""An operator's own operation: the documented example, by the same laws, through a real server."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import ImageOps
from PIL.Image import fromarray

from augsvc.errors import SpecInvalid
from augsvc.ops.registry import registry
from augsvc.planning.spec import validate_spec
from augsvc.streams.probes import Probe, probe_spec
from augsvc.streams.selftest import SelfTest
from augsvc.streams.stream import Stream
from augsvc_client.wire import parse
from tests.forked import run_command
from tests.harness import open_cpu
from tests.http import serving

EXAMPLES = Path(__file__).parent.parent.parent / "examples"
STEP = {"op": "invert_highlights", "threshold": [0.2, 0.9], "p": 0.7}


@pytest.fixture
def known(monkeypatch):
    monkeypatch.syspath_prepend(EXAMPLES)
    return registry(("own_operation",))


def test_it_is_one_of_the_operations_where_it_is_named(known):
    assert set(known) == {*registry(), "invert_highlights"}
    spec = {"dataset": "d", "pipeline": [STEP]}
    assert validate_spec(spec, known).pipeline[0].op == "invert_highlights"
    with pytest.raises(SpecInvalid, match="unknown operation"):
        validate_spec(spec)


@pytest.mark.parametrize("name", ["fused", "kornia"])
def test_the_laws_hold_for_it(known, name):
    executor = open_cpu(name)
    stream = Stream.open(probe_spec({"pipeline": [STEP]}, known), Probe(), executor)
    with ThreadPoolExecutor(2) as workers:
        whole = parse(stream.produce(2, 0, 4, 0, workers, lambda: None).buffer)[0]
        for place in range(4):
            alone = parse(stream.produce(2, place, 1, 0, workers, lambda: None).buffer)[0]
            assert alone["image"].tobytes() == whole["image"][place : place + 1].tobytes()
    self_test = SelfTest(executor, known)
    assert self_test.arithmetic(stream) != self_test.arithmetic_of((), "image")


@pytest.mark.parametrize("module", ["no_such_module", "json"])
def test_a_module_without_operations_is_reported(module):
    with pytest.raises(ValueError, match=f"operations: module {module}"):
        registry((module,))


def test_a_server_serves_it(serve, monkeypatch):
    monkeypatch.setattr(serving, "CLEAN", serving.CLEAN | {"PYTHONPATH": str(EXAMPLES)})
    server = serve(operations=["own_operation"]).ready()
    entries = {entry["name"]: entry for entry in server.get("/v1/ops").json["ops"]}
    assert entries["invert_highlights"]["family"] is None  # it has no strip
    spec = {"dataset": "photos/train", "shuffle": False, "output": {"layout": "NHWC"}}
    with server.client() as client:
        plain = client.stream(spec).batch(0, 0, 4)["image"]
        seen = client.stream(spec | {"pipeline": [{"op": "invert_highlights", "threshold": 0.5}]}).batch(0, 0, 4)[
            "image"
        ]
    expected = [np.asarray(ImageOps.solarize(fromarray(image), 128)) for image in plain]
    assert (seen == np.stack(expected)).all()


BAD = """
from typing import Annotated, ClassVar, Literal
from augsvc.ops.kinds.image import Noise, Tone
from augsvc.ops.operation import Drawn, Interval, Kind, Operation
"""
REFUSED = {
    "a kind without an executor": (
        'class Vocoder(Operation):\n    op: Literal["vocoder"] = "vocoder"\n'
        '    media: ClassVar[str] = "audio"\n    kind: ClassVar[Kind] = Kind.OPAQUE\n',
        "Vocoder: executor fused runs no audio operation of kind 'opaque'",
    ),
    "an unknown law": (
        'class Bad(Noise):\n    op: Literal["bad"] = "bad"\n    def law(self, draw) -> str: ...\n',
        "Bad: `law` is annotated to return str",
    ),
    "a lane out of range": (
        'class Bad(Tone):\n    op: Literal["bad"] = "bad"\n'
        "    x: Annotated[Interval, Drawn(lane=256, low=0.0, high=1.0)] = (0.0, 1.0)\n",
        "Bad: parameter 'x' has lane 256",
    ),
    "a syntax error": ("class Bad(:\n", "cannot be imported (SyntaxError"),
}


@pytest.mark.parametrize("name", ["serve", "check"])
@pytest.mark.parametrize(("text", "reason"), REFUSED.values(), ids=REFUSED)
def test_the_command_refuses_what_no_executor_runs_in_one_line(tmp_path, text, reason, name):
    (tmp_path / "bad_operations.py").write_text(BAD + text, encoding="utf-8")
    (tmp_path / "settings.yaml").write_text("port: 0\noperations: [bad_operations]\n", encoding="utf-8")
    variables = serving.CLEAN | {"PYTHONPATH": str(tmp_path)}
    done = run_command([name, "--config", "settings.yaml"], tmp_path, variables, serving.START_S)
    assert done.returncode == 2
    assert "bad_operations" in done.stderr and reason in done.stderr
    assert len([line for line in done.stderr.splitlines() if " INFO " not in line]) == 1
    assert "listens" not in done.stdout
