"""A replica that can never serve again says so and ends as failed, so that its supervisor starts another."""

import subprocess
import sys
import textwrap

import pytest

from tests.http import serving

SETTLING = """
import asyncio, gc
from augsvc.http import create_app
from augsvc.http.server.uvicorn_server import Server
from augsvc.settings import Settings

app = create_app(Settings(port=0))
server = Server(app, 1.0, 1.0, 100)
asyncio.run(server.on_tick(0))
print(gc.get_freeze_count())
app.state.lifecycle._engine.start()
asyncio.run(server.on_tick(0))
print(gc.get_freeze_count(), len(gc.get_objects()))
"""

BROKEN = '''
    """An operation that ends the thread which computes, as a defect in the thread's own loop would."""

    from typing import Literal

    import numpy as np
    import torch

    from augsvc.arrays import I64
    from augsvc.executors.reference import image as kornia
    from augsvc.engine.fair_queue import FairQueue
    from augsvc.numerics.geometry import Canvas
    from augsvc.ops.kinds.opaque import Opaque
    from augsvc.ops.operation import Draw


    class Fatal(Opaque):
        """Breaks the loop, outside of the self-test."""

        op: Literal["fatal"] = "fatal"

        def lower(self, draw: Draw, canvas: Canvas) -> I64:
            return np.zeros((len(draw.selected), 1), dtype=np.int64)

        def apply(self, image: torch.Tensor, lowered: I64) -> torch.Tensor:
            width = image.shape[-1]
            if width == 77:
                FairQueue._next = None
            if width == 78:  # as a GPU after a failed assertion: it answers no more, and the library has words for it
                kornia.is_lost = lambda device: True
                raise RuntimeError("CUDA error: device-side assert triggered in /srv/kernel.cu")
            if width == 75 or (width == 76 and len(image) > 1):
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
            return image
'''


@pytest.fixture(params=["fused"])
def fragile(serve, tmp_path, monkeypatch, request):
    (tmp_path / "fatal.py").write_text(textwrap.dedent(BROKEN), encoding="utf-8")
    monkeypatch.setattr(serving, "CLEAN", serving.CLEAN | {"PYTHONPATH": str(tmp_path)})
    return serve(operations=["fatal"], log_format="json", executor=request.param).ready(wait_for_self_test=False)


def asked(server, width, pipeline=({"op": "fatal"},)):
    return server.batch(
        server.open({"dataset": "digits/train", "pipeline": list(pipeline), "size": [8, width]}), 0, 0, 12
    )


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


@pytest.mark.parametrize("fragile", ["kornia"], indirect=True)
def test_a_device_without_memory_is_asked_for_less_and_refuses_what_it_cannot_and_one_that_is_lost_ends_the_server(
    fragile,
):
    assert asked(fragile, 76).arrays["image"].tobytes() == asked(fragile, 76, ()).arrays["image"].tobytes()
    refusal = asked(fragile, 75)
    refusal.refused(503, "device_out_of_memory")
    assert int(refusal.headers["retry-after"]) >= 1
    assert asked(fragile, 74).status == 200, "it lives"
    asked(fragile, 78).refused(503, "engine_lost")
    assert fragile.wait() == 1
    said = fragile.output()
    assert "compute device lost" in said and "device-side assert" in said, "for the operator"
    assert "the engine's thread has ended" in said


def test_what_a_start_leaves_holds_up_no_answer():
    """A garbage collection visits all objects that are not frozen and delays every response."""
    done = subprocess.run(
        [sys.executable, "-c", SETTLING], capture_output=True, text=True, check=True, env=serving.CLEAN
    )
    before, after, left = map(int, done.stdout.split())
    assert before == 0
    assert left < after / 100
