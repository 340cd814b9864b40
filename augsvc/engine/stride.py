"""What a job will ask for next, told from the starts that it asked for.

All ranks of a run share the job's name and each keeps several requests on their way, so starts of several walks arrive
interleaved and not quite in order. Sorted they are one progression: its stride is the commonest distance between
neighbours, and what comes next lies behind the furthest one. Where an epoch ended and the next began is learnt from the
last turn. A guess only ever costs time, and one that keeps being wrong is not acted upon.
"""

from collections import Counter, deque
from itertools import pairwise
from typing import NamedTuple

from augsvc.numerics.rng import MAX_EPOCHS

_WINDOW = 32  # starts remembered; and by how many requests a walk may lag behind another (8 ranks with 4 on their way)
_JUDGED = 8  # guesses that the trust is made of


class Place(NamedTuple):
    """Where a batch begins; places compare in the order in which they are walked."""

    epoch: int
    start: int


class Walk:
    """The starts of one job in one stream, in batches of one size. Belongs to one thread at a time."""

    def __init__(self, samples: int, count: int, *, onward: bool) -> None:
        """`samples`: of an epoch. `count`: of a batch. `onward`: an epoch's end goes on to the next epoch."""
        self._samples, self._count, self._onward = samples, count, onward
        self._begin_anew(Place(0, 0))

    def _begin_anew(self, front: Place) -> None:
        self._seen: deque[Place] = deque(maxlen=_WINDOW)
        self._front, self._stride = front, self._count
        self._first: int | None = None  # start of an epoch, and its last one, where the walk has turned once
        self._last = self._furthest
        self._asked = 0
        self._due: dict[Place, int] = {}  # what is expected → the number of the request that it should be
        self._right: deque[bool] = deque(maxlen=_JUDGED)

    @property
    def _furthest(self) -> int:
        return max(0, self._samples - self._count)

    @property
    def trusted(self) -> bool:
        """Whether guesses came true: at least one, and twice as many as did not, of the last eight."""
        right = sum(self._right)
        return right > 0 and 2 * (len(self._right) - right) <= right

    def expected(self) -> tuple[Place, ...]:
        """What was expected and not asked for yet, nearest first; empty while guesses do not come true."""
        return tuple(sorted(self._due)) if self.trusted else ()

    def asked(self, place: Place, depth: int) -> None:
        """A request came; from now on the next `depth` ones are expected."""
        if not self._near(place):
            self._begin_anew(place)
        if self._due.pop(place, None) is not None:
            self._right.append(True)
        self._asked += 1
        self._learn_ends(place)
        self._seen.append(place)
        self._front = max(self._front, place)
        if (stride := self._measured()) != self._stride:
            self._stride, self._due = stride, {}
            self._right.clear()
        self._forget_late_ones()
        self._expect(depth)

    def _near(self, place: Place) -> bool:
        if not self._seen:
            return False
        if place.epoch == self._front.epoch:
            return abs(place.start - self._front.start) <= _WINDOW * self._stride
        return abs(place.epoch - self._front.epoch) == 1

    def _learn_ends(self, place: Place) -> None:
        here = self._front.epoch
        if place.epoch == here + 1:
            self._last = max((one.start for one in self._seen if one.epoch == here), default=self._furthest)
            self._first = place.start
        elif place.epoch == here - 1:  # a late one
            self._last = max(self._last, place.start)
        elif place.start > self._last:  # the epoch before was left early, this one is not
            self._last = self._furthest
        elif self._first is not None:
            self._first = min(self._first, place.start)

    def _measured(self) -> int:
        """The commonest distance between neighbours; one that is seen only once must be the batch's own length."""
        starts = sorted({one.start for one in self._seen if one.epoch == self._front.epoch})
        distances = Counter(after - before for before, after in pairwise(starts))
        if not distances:
            return self._stride
        stride, times = min(distances.items(), key=lambda found: (-found[1], found[0]))
        return stride if times > 1 or stride == self._count else self._stride

    def _forget_late_ones(self) -> None:
        for place, due in list(self._due.items()):
            if self._asked > due + _WINDOW:
                del self._due[place]
                self._right.append(False)

    def _expect(self, depth: int) -> None:
        place = self._after(self._front)
        for number in range(1, depth + 1):
            if place is None:
                return
            if place not in self._seen:
                self._due.setdefault(place, self._asked + number)
            place = self._after(place)

    def _after(self, place: Place) -> Place | None:
        if place.start + self._stride <= self._last:
            return Place(place.epoch, place.start + self._stride)
        if not self._onward or place.epoch + 1 >= MAX_EPOCHS:
            return None
        return Place(place.epoch + 1, place.start % self._stride if self._first is None else self._first)
