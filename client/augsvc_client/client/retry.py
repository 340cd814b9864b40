"""When to ask whom again: the one place that decides it for every call.

    answer → check_status → the caller            200
                    → Unauthorized          401, 403: at once
                    → RequestRefused        any other 4xx, and 501: at once
                    → RetryState.failed           the next replica:
                        StreamDiffers             409: passed over; StreamChanged if all do so five times running
                        RetryLater               408, 425, 429, 5xx: not before its Retry-After
                        BadResponse, OSError  cut, corrupt (there or here), of another stream, or none at all

A batch is a pure function of its address, so asking again is always right; only for how long is a choice.
"""

import http.client
import random
import time
from collections.abc import Iterator, Mapping, Sequence

from augsvc_client.errors import BadResponse, RequestRefused, ServerUnavailable, StreamChanged, Unauthorized
from augsvc_client.transport.address import Replica, describe_error
from augsvc_client.transport.connection import Response
from augsvc_client.transport.deadline import Deadline

RETRYABLE = (BadResponse, OSError, http.client.HTTPException)
IDENTITY = ("id", "dataset_version", "arithmetic")

_RANDOM = random.SystemRandom()  # jitter must not move the caller's generators
_FIRST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 2.0
_FIRST_PATIENCE_S = 30.0
_MOST_DOUBLINGS = 10
_MISMATCHED_ROUNDS = 5
_TRY_LATER = (408, 425, 429)
_NOT_IMPLEMENTED = 501
_DAMAGED = "body_damaged"  # what arrived there is not what was sent from here


class RetryLater(BadResponse):
    """The replica cannot answer now; it named a time in seconds to come back after, or None."""

    def __init__(self, message: str, after_s: float | None) -> None:
        super().__init__(message)
        self.after_s = after_s


class StreamDiffers(BadResponse):
    """The replica would send other bytes; `there` is its id, dataset_version and arithmetic."""

    def __init__(self, message: str, there: Mapping[str, str]) -> None:
        super().__init__(message)
        self.there = there


class RetryState:
    """One call's search for a good answer: its deadline, what each replica said, and when to ask again.

    A round asks every replica once, those apart that named a later time. After it, `pause_s` gives up or says how long
    to wait: exponentially longer, with jitter, so that a fleet that comes back is not met by all clients at once.
    """

    def __init__(self, replicas: Sequence[Replica], wait_s: float, ours: Mapping[str, str]) -> None:
        self._replicas, self._wait_s, self._ours = replicas, wait_s, ours
        self.first = replicas[0]
        self._end_s = time.monotonic() + wait_s
        self._round = 0
        self._too_short = 0  # rounds in which an attempt was given up for its time
        self._given_up = False
        self._mismatched_rounds = 0
        self._causes: dict[Replica, str] = {}
        self._concrete: dict[Replica, str] = {}
        self._rest_until_s: dict[Replica, float] = {}
        self._there: dict[Replica, Mapping[str, str]] = {}
        self._mismatched: set[Replica] = set()
        self._last: Exception | None = None

    def due(self) -> Iterator[Replica]:
        """The replicas to ask in this round."""
        for replica in self._replicas:
            now_s = time.monotonic()
            if self._rest_until_s.get(replica, now_s) <= now_s < self._end_s:
                yield replica

    def deadline(self) -> Deadline:
        """How one attempt must go: while its bytes move, all of the call's time is its own."""
        return Deadline(self.patience_s(), self._end_s)

    def patience_s(self) -> float:
        """How long one attempt may take in which nothing moves: one that hangs must leave time for another.

        It is doubled by attempts that took too long and by no others: while a server restarts, many are refused at once.
        """
        left_s = max(self._end_s - time.monotonic(), 0.0)
        share_s = left_s if len(self._replicas) == 1 else left_s / 2
        return float(min(share_s, _FIRST_PATIENCE_S * _doubled(self._too_short)))

    def failed(self, replica: Replica, err: Exception) -> str:
        """Note why a replica gave no good answer; returns it in words."""
        if isinstance(err, StreamDiffers):
            self._mismatched.add(replica)
            self._there[replica] = err.there
        if isinstance(err, RetryLater) and err.after_s is not None:
            self._rest_until_s[replica] = time.monotonic() + err.after_s * _RANDOM.uniform(1.0, 1.25)
        cause = str(err) if isinstance(err, BadResponse) else f"{replica.url}: {describe_error(err)}"
        if not isinstance(err, TimeoutError):
            self._concrete[replica] = cause
        else:
            self._given_up = True
            if replica in self._concrete:  # our own patience tells less than what the replica did before
                cause = f"{self._concrete[replica]}, later {describe_error(err)}"
        self._causes[replica] = cause
        self._last = err
        return cause

    def pause_s(self) -> float:
        """End the round. Raises StreamChanged or ServerUnavailable when it was the last."""
        now_s = time.monotonic()
        self._mismatched_rounds = self._mismatched_rounds + 1 if len(self._mismatched) == len(self._replicas) else 0
        self._mismatched.clear()
        if self._there and (now_s >= self._end_s or self._mismatched_rounds >= _MISMATCHED_ROUNDS):
            raise StreamChanged(self._what_changed()) from self._last
        if now_s >= self._end_s:
            raise ServerUnavailable(self._what_failed()) from self._last
        pause_s: float = min(_FIRST_PAUSE_S * _doubled(self._round), _LONGEST_PAUSE_S) * _RANDOM.uniform(0.5, 1.0)
        self._round += 1
        self._too_short, self._given_up = self._too_short + self._given_up, False
        until_s = min(self._rest_until_s.get(replica, now_s) for replica in self._replicas)
        return min(max(pause_s, until_s - now_s), self._end_s - now_s)

    def _what_failed(self) -> str:
        said = "; ".join(self._causes.get(replica, f"{replica.url}: not asked") for replica in self._replicas)
        return (
            f"no good answer within {self._wait_s:g} s ({said}). Is `augsvc serve` running there, and is the address "
            f"right (urls=, AUGSVC_URL)? wait_s= sets how long to try."
        )

    def _what_changed(self) -> str:
        said = []
        for replica, there in self._there.items():
            parts = [
                f"{key} is {there.get(key, 'not told')}, not {ours}"
                for key, ours in self._ours.items()
                if there.get(key) != ours
            ]
            more = [f"{key} is {value}" for key, value in there.items() if key not in self._ours]
            said.append(f"{replica.url}: {', '.join(parts + more) or 'it gives no reason'}")
        return (
            f"no replica computes this stream any more ({'; '.join(said)}). Serve the same data and version of augsvc "
            f"again, or begin a new stream (drop id=; accept_arithmetic=True if only the arithmetic differs)."
        )


def _doubled(times: int) -> int:
    return 1 << min(times, _MOST_DOUBLINGS)


def check_status(answer: Response, *, with_token: bool) -> Response:
    """The answer if it is good; raises what its status means. `with_token`: the request carried one."""
    if answer.status == 200:
        return answer
    url, status = answer.replica.url, answer.status
    error = _error_of(answer)
    code = error.get("code", f"http_{status}")
    if status in (401, 403):
        given = "does not know this token, give another" if with_token else "asks for a token, and none was given"
        raise Unauthorized(status, code, f"{url} {given}: token= or AUGSVC_TOKEN")
    if status == 409 and code == "stream_mismatch":
        raise StreamDiffers(f"{url} computes another stream", {key: error[key] for key in IDENTITY if key in error})
    if status in _TRY_LATER or (status >= 500 and status != _NOT_IMPLEMENTED):
        raise RetryLater(f"{url} answered {status} {code}", _retry_after_s(answer))
    if code == _DAMAGED:
        raise BadResponse(f"{url} did not receive the bytes that were sent")
    if status >= 400:
        message = error.get("message", f"{url} refused without saying why: is it an augsvc server's address?")
        raise RequestRefused(status, code, message, error.get("field"))
    raise BadResponse(f"{url} answered {status} where 200 was expected: urls= must name the server itself")


def _error_of(answer: Response) -> dict[str, str]:
    try:
        error = answer.json().get("error")
    except BadResponse:  # a balancer's own page
        error = None
    return {key: value for key, value in error.items() if isinstance(value, str)} if isinstance(error, dict) else {}


def _retry_after_s(answer: Response) -> float | None:
    value = answer.headers.get("Retry-After", "")
    return float(value) if value.isascii() and value.isdigit() else None  # the other form, a date, is not ours
