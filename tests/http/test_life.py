"""A replica that can never serve again says so and ends as failed, so that its supervisor starts another."""

import textwrap

import pytest

from tests.http import serving

BROKEN = '''
    """An operation that ends the thread which computes, as a defect in the thread's own loop would."""

    from typing import Literal

    import numpy as np
    import torch

    from augsvc.batch import I64
    from augsvc.fairness import FairThread
    from augsvc.geometry import Canvas
    from augsvc.ops.base import Draw, Opaque


    class Fatal(Opaque):
        """Breaks the loop, outside of the self-test."""

        op: Literal["fatal"] = "fatal"

        def lower(self, draw: Draw, canvas: Canvas) -> I64:
            return np.zeros((len(draw.selected), 1), dtype=np.int64)

        def apply(self, image: torch.Tensor, lowered: I64) -> torch.Tensor:
            if image.shape[-1] == 77:
                FairThread._next = None
            return image
'''


@pytest.fixture
def fragile(serve, tmp_path, monkeypatch):
    (tmp_path / "fatal.py").write_text(textwrap.dedent(BROKEN), encoding="utf-8")
    monkeypatch.setattr(serving, "CLEAN", serving.CLEAN | {"PYTHONPATH": str(tmp_path)})
    return serve(operations=["fatal"], log_format="json").ready()


def test_a_server_whose_engine_is_lost_ends_as_failed(fragile):
    stream = fragile.open({"dataset": "digits/train", "pipeline": [{"op": "fatal"}], "size": [77, 77]})
    usual = fragile.open({"dataset": "digits/train", "size": [8, 8]})
    assert fragile.get("/healthz").status == 200
    first = fragile.batch(stream, 0, 0, 2)
    assert first.status in (200, 503), first  # it was computed before the thread ended
    seen = []
    try:  # what comes until the port is closed is an answer that says: somewhere else, or later
        while len(seen) < serving.TRIES:
            seen.append(fragile.get("/healthz"))
            seen.append(fragile.batch(usual, 0, 0, 2))
    except OSError:
        pass
    for reply in seen:
        if reply.status != 200:
            assert reply.json["error"]["code"] in ("engine_lost", "draining")
            assert int(reply.headers["retry-after"]) >= 1
    assert fragile.wait() == 1
    assert "the engine's thread has ended" in fragile.output()
