"""A pause of the machine is not an engine's silence."""

import threading

from augsvc.engine.awake_clock import TICK_S, AwakeClock
from augsvc.engine.fair_queue import FairQueue


class Monotonic:
    now = 1000.0

    def __call__(self):
        return self.now


def test_it_runs_with_the_process_and_stands_still_while_that_is_suspended():
    monotonic = Monotonic()
    clock = AwakeClock(monotonic)
    for _ in range(40):  # ten seconds
        monotonic.now += TICK_S
        clock.tick()
    assert clock() == 10.0
    monotonic.now += 3600.0  # a laptop that slept, a container that was frozen
    clock.tick()
    assert clock() == 11.0
    monotonic.now += 0.5
    assert clock() == 11.5, "also between ticks"


def test_a_paused_task_is_neither_silent_nor_charged_for_the_pause():
    monotonic, charged = Monotonic(), []
    clock = AwakeClock(monotonic)
    queue: FairQueue[None] = FairQueue("test", clock, lambda *charge: charged.append(charge))
    gate, begun = threading.Event(), threading.Event()
    task = queue.submit("a", lambda: (begun.set(), gate.wait(), None)[2])
    begun.wait()
    monotonic.now += 3600.0
    clock.tick()
    assert queue.seconds_since_heartbeat <= 1.0
    gate.set()
    task.result()
    queue.stop()
    assert charged == [("a", 1.0)]
