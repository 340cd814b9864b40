"""Batches computed before they are asked for, while the engine has nothing else to do.

    a request → Walk (what this job will ask next) → Guess: in hand → kept → taken by the request that wants it, once

Bytes of guesses in hand and kept are at most `n_bytes`, divided among the jobs, apart from the room of what clients asked
for. A wrong guess costs time that nobody wanted.
"""

import time
import weakref
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from threading import Event, RLock

from augsvc.engine.stride import Place, Walk
from augsvc.streams.stream import Body, Range, Stream

IDLE_S = 60.0  # after which what was read ahead for a job is let go
MOST_LANES = 256
_DEEPEST = 32  # guesses of a lane


@dataclass(slots=True, eq=False)
class Lease:
    """Bytes that count as read ahead until they are given back, once. It must not lead to the memory it counts."""

    job: str
    n_bytes: int
    counted: bool = True


@dataclass(slots=True, eq=False)
class Guess:
    """A batch that nobody asked for yet. Nothing that its future holds may lead back here."""

    lane: "_Lane"
    place: Place
    lease: Lease
    future: "Future[Body]" = field(default_factory=Future)
    gone: Event = field(default_factory=Event)  # nobody will want it
    wanted: bool = False  # by a request, to which it belongs from then on

    @property
    def part(self) -> Range:
        """Which batch it is."""
        return self.lane.part(self.place)


class _Lane:
    """One job's requests for batches of one size of one stream."""

    def __init__(self, job: str, stream: Stream, part: Range) -> None:
        self.job, self.stream, self._count, self._view = job, stream, part.count, part.view
        self.walk = Walk(stream.samples, part.count, onward=stream.spec.shuffle)
        self.guesses: dict[Place, Guess] = {}
        self.open = self.most_open = 0
        self.used_s = 0.0

    def part(self, place: Place) -> Range:
        return Range(place.epoch, place.start, self._count, self._view)

    def size(self, place: Place) -> int:
        return self.stream.layout.size(min(self._count, self.stream.samples - place.start))


class ReadAhead:
    """Which batches to compute next, and those that were. Safe from any thread."""

    def __init__(self, n_bytes: int, clock: Callable[[], float] = time.monotonic) -> None:
        """`n_bytes`: of all guesses together; 0 makes none."""
        self._n_bytes, self._clock = n_bytes, clock
        self._lock = RLock()  # a finaliser may give back inside it
        self._lanes: OrderedDict[tuple[str, str, int, int], _Lane] = OrderedDict()  # the one used longest ago first
        self._held: dict[str, int] = {}
        self.hits = self.wasted = self.taken = 0

    def asked(self, job: str, stream: Stream, part: Range) -> Guess | None:
        """Notes a request, and gives the guess that answers it: finished, or in hand and now the request's own."""
        if not self._n_bytes:
            return None
        place, key = Place(part.epoch, part.start), (job, stream.id, part.count, part.view)
        with self._lock:
            lane = self._lanes.setdefault(key, _Lane(job, stream, part))
            self._lanes.move_to_end(key)
            lane.used_s = self._clock()
            lane.open += 1
            lane.most_open = max(lane.most_open, lane.open)
            guess = lane.guesses.pop(place, None)
            lane.walk.asked(place, min(lane.most_open, _DEEPEST))
            self._drop(lane, set(lane.guesses).difference(lane.walk.expected()))
            if len(self._lanes) > MOST_LANES:
                self._forget(next(iter(self._lanes)))
            if guess is None or guess.gone.is_set():
                return None
            guess.wanted = True
            self._give_back(guess.lease)
            self.hits += 1
            return guess

    def answered(self, job: str, stream: Stream, part: Range) -> None:
        """A request noted by `asked` is under way no more."""
        with self._lock:
            lane = self._lanes.get((job, stream.id, part.count, part.view))
            if lane is not None:
                lane.open = max(0, lane.open - 1)

    def begin(self) -> Guess | None:
        """The next batch that is worth computing now, if any; its bytes count from here on."""
        with self._lock:
            for key in [key for key, lane in self._lanes.items() if self._clock() - lane.used_s > IDLE_S]:
                self._forget(key)
            wanting = [lane for lane in self._lanes.values() if lane.walk.trusted]
            share = self._n_bytes // max(1, len({lane.job for lane in wanting}))
            for lane in sorted(wanting, key=lambda lane: self._held.get(lane.job, 0)):
                place = next((one for one in lane.walk.expected() if one not in lane.guesses), None)
                if place is not None and self._has_room(lane.job, lane.size(place), share):
                    return self._guess(lane, place)
        return None

    def give_way(self, guess: Guess) -> bool:
        """Whether the guess in hand is nobody's, so that its work may be ended for now."""
        with self._lock:
            if not guess.wanted and guess.lane.guesses.get(guess.place) is guess:
                del guess.lane.guesses[guess.place]
                guess.gone.set()
            return guess.gone.is_set()

    def finished(self, guess: Guess, body: Body) -> None:
        """Its bytes count until their memory is gone, unless a request took them over."""
        weakref.finalize(body.buffer, self._give_back, guess.lease).atexit = False

    def failed(self, guess: Guess) -> None:
        """It could not be computed. It is not tried again: whoever asks for it shall hear why."""
        with self._lock:
            guess.gone.set()
            self._give_back(guess.lease)

    def _guess(self, lane: _Lane, place: Place) -> Guess:
        guess = lane.guesses[place] = Guess(lane, place, Lease(lane.job, lane.size(place)))
        self._held[lane.job] = self._held.get(lane.job, 0) + guess.lease.n_bytes
        self.taken += guess.lease.n_bytes
        return guess

    def _has_room(self, job: str, n_bytes: int, share: int) -> bool:
        """Makes room at the cost of jobs that hold more than their share."""
        if self._held.get(job, 0) + n_bytes > share:
            return False
        for lane in list(self._lanes.values()):
            for place in list(lane.guesses):
                if self.taken + n_bytes <= self._n_bytes:
                    return True
                if self._held.get(lane.job, 0) > share:
                    self._drop(lane, {place})
        return self.taken + n_bytes <= self._n_bytes

    def _forget(self, key: tuple[str, str, int, int]) -> None:
        lane = self._lanes.pop(key)
        self._drop(lane, set(lane.guesses))

    def _drop(self, lane: _Lane, places: set[Place]) -> None:
        """Lets go of guesses: the memory of finished ones is free at once, the one in hand is ended by its `check`."""
        for place in places:
            guess = lane.guesses.pop(place)
            self.wasted += guess.future.done() and not guess.gone.is_set()
            guess.gone.set()

    def _give_back(self, lease: Lease) -> None:
        with self._lock:
            if lease.counted:
                lease.counted = False
                self.taken -= lease.n_bytes
                self._held[lease.job] -= lease.n_bytes
                if not self._held[lease.job]:
                    del self._held[lease.job]
