"""Queued work, and what becomes of it when its client leaves."""

import gc
import threading
import weakref
from concurrent.futures import CancelledError, Future

import numpy as np
import pytest

from augsvc.engine.memory_budget import Chunks, MemoryBudget
from augsvc.engine.work import Queues, Work
from augsvc.errors import Pending


@pytest.mark.parametrize("when", ["before it returns", "after it returned"])
def test_a_cancelled_validation_cancels_the_batch_that_it_queued(when):
    validation: Work[Work[bytes]] = Work(Future())
    batch: Work[bytes] = Work(Future())
    validation.future.set_running_or_notify_cancel()
    if when == "before it returns":
        validation.cancel()
        validation.future.set_result(batch)
    else:
        validation.future.set_result(batch)
        validation.cancel()
    assert batch.cancelled.is_set()
    assert batch.future.cancelled()


@pytest.mark.parametrize("error", [None, ValueError()])
def test_work_without_a_batch_is_cancelled_alone(error):
    validation: Work[None] = Work(Future())
    if error:
        validation.future.set_exception(error)
    validation.cancel()
    assert validation.cancelled.is_set()
    assert validation.future.cancelled() == (error is None)


def test_a_validation_that_is_cancelled_while_it_runs_cancels_what_it_queues():
    """Its handle is free by then, since it may have to run again after Pending."""
    queues, batch = Queues(lambda job, seconds: None, threading.Event(), Chunks(MemoryBudget(0), 0)), Work(Future())
    running, gate = threading.Event(), threading.Event()

    def validate():
        running.set()
        assert gate.wait(60)
        return batch

    validation = queues.submit_repeated(queues.validations, "job", validate)
    assert running.wait(60)
    validation.cancel()
    gate.set()
    with pytest.raises(CancelledError):
        batch.future.result(60)
    queues.stop()


@pytest.mark.parametrize("pending", [False, True])
def test_the_result_of_a_repeated_call_is_freed_without_a_garbage_collection(pending):
    """It is a push's batch, whose bytes count in the memory budget until then."""
    queues, opened = Queues(lambda job, seconds: None, threading.Event(), Chunks(MemoryBudget(0), 0)), Future()

    def call():
        if pending and not opened.done():
            raise Pending(opened)
        return np.zeros(1000)

    gc.disable()
    try:
        work = queues.submit_repeated(queues.validations, "job", call)
        opened.set_result(None)
        result = weakref.ref(work.future.result(60))
        del work, call
        queues.stop()
        assert result() is None
    finally:
        gc.enable()
