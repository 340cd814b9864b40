"""The page while its server starts: how far it is, and on by itself when it is ready; and the dataset that it opens on."""

import os
import textwrap

import pytest

from tests.http import serving
from tests.http.browsing import expect

# An operator's module that holds up the self-test until somebody writes into a pipe.
HELD = '''
    """An operation whose module makes the server's start last until GATE is opened for writing."""

    import os
    from pathlib import Path
    from typing import Literal

    import numpy as np
    import torch

    from augsvc.arrays import I64
    from augsvc.numerics.geometry import Canvas
    from augsvc.ops.kinds.opaque import Opaque
    from augsvc.ops.operation import Draw
    from augsvc.streams.selftest import SelfTest

    warm_up = SelfTest.warm_up


    def held(self: SelfTest) -> None:
        Path(os.environ["GATE"]).read_bytes()
        warm_up(self)


    SelfTest.warm_up = held


    class Held(Opaque):
        """Changes nothing."""

        op: Literal["held"] = "held"

        def lower(self, draw: Draw, canvas: Canvas) -> I64:
            return np.zeros((len(draw.selected), 1), dtype=np.int64)

        def apply(self, image: torch.Tensor, lowered: I64) -> torch.Tensor:
            return image
'''


@pytest.fixture
def held(serve, tmp_path, monkeypatch):
    """A server that starts, and what lets it go on."""
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    (tmp_path / "held_start.py").write_text(textwrap.dedent(HELD), encoding="utf-8")
    monkeypatch.setattr(serving, "CLEAN", serving.CLEAN | {"PYTHONPATH": str(tmp_path), "GATE": str(gate)})
    return serve(operations=["held_start"], datasets={}), lambda: gate.write_bytes(b"")


def test_a_page_that_is_opened_too_early_says_so_and_goes_on_by_itself(visit, held):
    server, go_on = held
    window = visit("", server)
    window.expected = ("Failed to load resource",)
    expect(window.find("#starting")).to_be_visible()
    expect(window.find("#starting-text")).to_contain_text("Self-test 0 of")
    expect(window.find("#server")).to_have_text("Starting …")
    expect(window.find("#notice")).to_be_hidden()
    expect(window.find("#workbench")).to_be_hidden()
    go_on()
    window.settled()
    expect(window.find("#starting")).to_be_hidden()
    expect(window.page.get_by_label("Dataset")).to_have_value("photos/train")
    assert window.images("augmented").any()


def test_the_page_opens_on_the_operators_own_dataset(visit, server):
    window = visit().settled()
    dataset = window.page.get_by_label("Dataset")
    expect(dataset).to_have_value("fleet")
    listed = dataset.locator("option").all_inner_texts()
    assert listed[:4] == ["fleet", "hurt", "pets", "ruin"]
    assert "photos/train" in listed[4:]
    by_name = {entry["name"]: entry["built_in"] for entry in server.get("/v1/datasets").json["datasets"]}
    assert [name for name, is_built_in in by_name.items() if not is_built_in] == listed[:4]
