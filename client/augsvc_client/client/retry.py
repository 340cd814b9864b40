"""When to ask which replica again: the one place that decides it for every call.

    response → check_status → the caller     200
                    → Unauthorized           401, 403: immediately
                    → RequestRefused         any other 4xx, and 501: immediately
                    → RetryState.failed      the next replica:
                        Lasting              dataset_changed, dataset_unreadable: RequestRefused if all replicas answer so
                        NotAugsvc            a redirect, HTML, other JSON with status 200; TLS at http://, none at
                                             https://: ServerUnavailable if all do so three rounds running
                        lasting TLS errors   a certificate that is not trusted: ServerUnavailable if all have one
                        StreamDiffers        409: passed over; StreamChanged if all do so in five rounds running
                        RetryLater           408, 425, 429, 5xx: not before its Retry-After; 503 starting: the deadline
                                             is that of the call after the last progress of the start
                        BadResponse, OSError cut, corrupt (there or here), of another stream, or none at all

A batch is a pure function of its address, so asking again is always right; only the time to do so is a choice.
"""

import http.client
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from augsvc_client.errors import BadResponse, RequestRefused, ServerUnavailable, StreamChanged, Unauthorized
from augsvc_client.text import printable
from augsvc_client.transport.address import Replica, describe_error
from augsvc_client.transport.connection import Request, Response
from augsvc_client.transport.deadline import Deadline
from augsvc_client.transport.tls import is_lasting, is_noise

RETRYABLE = (BadResponse, OSError, http.client.HTTPException)
IDENTITY = ("id", "dataset_version", "arithmetic")

_RANDOM = random.SystemRandom()  # jitter must not advance the caller's generators
_FIRST_PAUSE_S = 0.05
_MAX_PAUSE_S = 2.0
_FIRST_PATIENCE_S = 30.0
_MAX_DOUBLINGS = 10
_MISMATCHED_ROUNDS = 5
_FOREIGN_ROUNDS = 3  # within half a second: a damaged status line is no other server
_RETRY_LATER = (408, 425, 429)
_NOT_IMPLEMENTED = 501
_LASTING = ("dataset_changed", "dataset_unreadable")  # waiting does not help; another replica may have intact files
_FORBIDDEN = "forbidden"  # the token is valid, and lacks a right
_STARTING = "starting"
_LONGEST_START_S = 3600.0  # that a call waits for beyond its own time: a server that only counts on is abandoned
_BODY_DAMAGED = "body_damaged"  # the server did not receive the bytes that were sent


class Start(NamedTuple):
    """How far a server's start is: how much of a step is done."""

    step: str
    done: int


class RetryLater(BadResponse):
    """The replica cannot answer now; `after_s` is its Retry-After in seconds, or None; `start`: of one that starts."""

    def __init__(self, message: str, after_s: float | None, start: Start | None = None) -> None:
        super().__init__(message)
        self.after_s, self.start = after_s, start


class Lasting(BadResponse):
    """The replica cannot answer, and waiting will not change that; `refusal` says why."""

    def __init__(self, message: str, refusal: RequestRefused) -> None:
        super().__init__(message)
        self.refusal = refusal


class NotAugsvc(BadResponse):
    """The address is not that of a server of this version; waiting will not change that."""


class StreamDiffers(BadResponse):
    """The replica would send other bytes; `there` is its id, dataset_version and arithmetic."""

    def __init__(self, message: str, there: Mapping[str, str]) -> None:
        super().__init__(message)
        self.there = there


class RetryState:
    """The state of one call: its deadline, how each replica failed, and when to ask again.

    A round asks every replica once, except those that named a later time. After it, `pause_s` gives up or returns how
    long to wait: exponentially longer, with jitter, so that a restarted fleet does not meet all clients at the same time.
    """

    def __init__(self, replicas: Sequence[Replica], wait_s: float, identity: Mapping[str, str]) -> None:
        self._replicas, self._wait_s, self._identity = replicas, wait_s, identity
        self.first = replicas[0]
        self._end_s = time.monotonic() + wait_s
        self._last_end_s = self._end_s + _LONGEST_START_S
        self._round = 0
        self._timed_out_rounds = 0
        self._timed_out = False
        self._mismatched_rounds = 0
        self._causes: dict[Replica, str] = {}
        self._concrete_causes: dict[Replica, str] = {}  # all but timeouts
        self._not_before_s: dict[Replica, float] = {}
        # in each step of a start; one that begins again does not count
        self._furthest: dict[tuple[Replica, str], int] = {}
        self._there: dict[Replica, Mapping[str, str]] = {}
        self._mismatched: set[Replica] = set()
        self._refusals: dict[Replica, RequestRefused] = {}
        self._foreign: dict[Replica, int] = {}  # rounds in a row that something else than an augsvc server answered
        self._closed: dict[Replica, int] = {}  # rounds in a row that the connection was closed before a response
        self._answered: set[Replica] = set()  # by the server itself, so that it is running
        self._garbled: set[Replica] = set()  # responses that cannot be used
        self._last: Exception | None = None

    def due(self) -> Iterator[Replica]:
        """The replicas to ask in this round."""
        for replica in self._replicas:
            now_s = time.monotonic()
            if self._not_before_s.get(replica, now_s) <= now_s < self._end_s:
                yield replica

    def deadline(self) -> Deadline:
        """The deadline of one attempt: while its bytes make progress, it may take all the time of the call."""
        return Deadline(self.patience_s(), self._end_s)

    def patience_s(self) -> float:
        """Seconds that one attempt may take without progress: one that hangs must leave time for another.

        Doubled by rounds with a timeout and by no others: while a server restarts, many attempts are refused quickly.
        """
        left_s = max(self._end_s - time.monotonic(), 0.0)
        limit_s = left_s if len(self._replicas) == 1 else left_s / 2
        return float(min(limit_s, _FIRST_PATIENCE_S * _power_of_two(self._timed_out_rounds)))

    def failed(self, replica: Replica, err: Exception) -> str:
        """Note why a replica gave no good response; returns the cause in words."""
        self._refusals.pop(replica, None)
        err = self._find_tls(replica, err)
        self._count_foreign(replica, err)
        if isinstance(err, Lasting):
            self._refusals[replica] = err.refusal
        if not isinstance(err, TimeoutError):  # what answers may take longer than the rest of the call
            self._answered.discard(replica)
            self._garbled.discard(replica)
        if isinstance(err, RetryLater | Lasting):
            self._answered.add(replica)
        elif isinstance(err, BadResponse) and not isinstance(err, NotAugsvc):
            self._garbled.add(replica)
        if isinstance(err, RetryLater) and err.start is not None:
            self._note_start(replica, err.start)
        if isinstance(err, StreamDiffers):
            self._mismatched.add(replica)
            self._there[replica] = err.there
        if isinstance(err, RetryLater) and err.after_s is not None:
            self._not_before_s[replica] = time.monotonic() + err.after_s * _RANDOM.uniform(1.0, 1.25)
        cause = str(err) if isinstance(err, BadResponse) else f"{replica.url}: {describe_error(err)}"
        if not isinstance(err, TimeoutError):
            self._concrete_causes[replica] = cause
        else:
            self._timed_out = True
            if replica in self._concrete_causes:  # a timeout explains less than the failure before it
                cause = f"{self._concrete_causes[replica]}, later {describe_error(err)}"
        self._causes[replica] = cause
        self._last = err
        return cause

    def _note_start(self, replica: Replica, start: Start) -> None:
        """The call has its whole time again when the start of a server is further than ever: kernels compile for minutes."""
        if start.done > self._furthest.get((replica, start.step), -1):
            if self._furthest or self._causes:  # else the call has just begun
                self._end_s = min(time.monotonic() + self._wait_s, self._last_end_s)
            self._furthest[replica, start.step] = start.done

    def _find_tls(self, replica: Replica, err: Exception) -> Exception:
        """The error, or a clearer one: servers with TLS close a plain connection without a word, rarely with an alert."""
        closed = isinstance(err, ConnectionError | http.client.BadStatusLine)
        closed = closed and not isinstance(err, ConnectionRefusedError)
        self._closed[replica] = self._closed.get(replica, 0) + 1 if closed else 0
        if self._closed[replica] == _FOREIGN_ROUNDS and replica.speaks_tls():
            self._foreign[replica] = _FOREIGN_ROUNDS
            return NotAugsvc(f"{replica.url}: the server has TLS; use https://")
        return err

    def _count_foreign(self, replica: Replica, err: Exception) -> None:
        """Damaged bytes look like another server too, but for one round; a certificate is certain."""
        if not isinstance(err, NotAugsvc) and not is_lasting(err):
            self._foreign[replica] = 0
        else:
            is_certain = is_lasting(err) and not is_noise(err)
            self._foreign[replica] = _FOREIGN_ROUNDS if is_certain else self._foreign.get(replica, 0) + 1

    def pause_s(self) -> float:
        """End the round: seconds to wait before the next. Raises StreamChanged or ServerUnavailable after the last.

        Raises RequestRefused or ServerUnavailable early if no replica can answer, however long the caller waits.
        """
        foreign = sum(rounds >= _FOREIGN_ROUNDS for rounds in self._foreign.values())
        if len(self._refusals) + foreign == len(self._replicas):
            for refusal in self._refusals.values():
                raise refusal from None
            raise ServerUnavailable(f"no augsvc server can be used at urls=: {self._describe_causes()}") from self._last
        now_s = time.monotonic()
        self._mismatched_rounds = self._mismatched_rounds + 1 if len(self._mismatched) == len(self._replicas) else 0
        self._mismatched.clear()
        if self._there and (now_s >= self._end_s or self._mismatched_rounds >= _MISMATCHED_ROUNDS):
            raise StreamChanged(self._describe_changes()) from self._last
        if now_s >= self._end_s:
            raise ServerUnavailable(self._describe_failures()) from self._last
        backoff_s: float = min(_FIRST_PAUSE_S * _power_of_two(self._round), _MAX_PAUSE_S) * _RANDOM.uniform(0.5, 1.0)
        self._round += 1
        self._timed_out_rounds, self._timed_out = self._timed_out_rounds + self._timed_out, False
        until_s = min(self._not_before_s.get(replica, now_s) for replica in self._replicas)
        return min(max(backoff_s, until_s - now_s), self._end_s - now_s)

    def _describe_failures(self) -> str:
        causes = self._describe_causes()
        hint = "Is `augsvc serve` running there, and is the address right (urls=, AUGSVC_URL)? "
        if len(self._answered) == len(self._replicas):
            hint = ""
        elif len(self._answered | self._garbled) == len(self._replicas):
            hint = "Does a proxy or another program change or cut the responses? "
        within = f"{self._wait_s:g} s{' of the last progress of a start' if self._furthest else ''}"
        return f"no good response within {within} ({causes}). {hint}wait_s= sets how long to retry."

    def _describe_causes(self) -> str:
        return "; ".join(self._causes.get(replica, f"{replica.url}: not asked") for replica in self._replicas)

    def _describe_changes(self) -> str:
        changes = []
        for replica, there in self._there.items():
            differences = [
                f"{key} is {there.get(key, 'unknown')}, not {ours}"
                for key, ours in self._identity.items()
                if there.get(key) != ours
            ]
            others = [f"{key} is {value}" for key, value in there.items() if key not in self._identity]
            changes.append(f"{replica.url}: {', '.join(differences + others) or 'no reason given'}")
        version = self._identity.get("dataset_version")
        data_changed = version and any(
            there.get("dataset_version", version) != version for there in self._there.values()
        )
        on_new_data = " To use the new data, drop dataset_version=; augsvc-train: without --resume, in another folder."
        return (
            f"no replica computes this stream any more ({'; '.join(changes)}). Serve the same data and version of augsvc "
            f"again, or start a new stream (drop id=; accept_arithmetic=True if only the arithmetic differs)."
            f"{on_new_data if data_changed else ''}"
        )


def _power_of_two(exponent: int) -> int:
    return 1 << min(exponent, _MAX_DOUBLINGS)


def check_status(response: Response, request: Request) -> Response:
    """The response to `request` if its status is 200; raises what any other status means."""
    if response.status == http.client.OK:
        media_type = response.headers.get("Content-Type", "")
        if media_type.startswith("text/"):
            raise NotAugsvc(
                f"{response.replica.url} answered with {media_type}, expected an augsvc server's batch or JSON"
            )
        return response
    url, status = response.replica.url, response.status
    error, start = _parse_error(response)
    code = error.get("code", f"http_{status}")
    if status in (401, 403):
        if code == _FORBIDDEN:
            raise Unauthorized(status, code, f"{url}: {error.get('message', 'this token lacks the right')}")
        problem = "does not accept this token" if "Authorization" in request.headers else "requires a token"
        raise Unauthorized(status, code, f"{url} {problem}; set token= or AUGSVC_TOKEN")
    if status == 409 and code == "stream_mismatch":
        raise StreamDiffers(f"{url} computes another stream", {key: error[key] for key in IDENTITY if key in error})
    words = f"{url} answered {status} {code}" + (f": {error['message']}" if "message" in error else "")
    if code in _LASTING:
        raise Lasting(words, RequestRefused(status, code, error.get("message", words), error.get("field")))
    if status in _RETRY_LATER or (status >= 500 and status != _NOT_IMPLEMENTED):
        raise RetryLater(words, _retry_after_s(response), start if code == _STARTING else None)
    if code == _BODY_DAMAGED:
        raise BadResponse(f"{url} did not receive the bytes that were sent")
    if status >= 400:
        message = error.get(
            "message", f"{url} gave no reason: is it the address of an augsvc server, with TLS at https://?"
        )
        raise RequestRefused(status, code, message, error.get("field"))
    location = response.headers.get("Location")
    to = f" (to {location})" if location is not None else ""
    raise NotAugsvc(f"{url} answered {status}{to}, expected 200: urls= must name the server itself")


def _parse_error(response: Response) -> tuple[dict[str, str], Start | None]:
    """The fields that are text, and how far a start is."""
    try:
        error = response.json().get("error")
    except BadResponse:  # for example a load balancer's own page
        error = None
    if not isinstance(error, dict):
        return {}, None
    start = None
    match error.get("progress"):
        case {"step": str(step), "done": int(done)}:
            start = Start(step, done)
    return {key: printable(value) for key, value in error.items() if isinstance(value, str)}, start


def _retry_after_s(response: Response) -> float | None:
    value = response.headers.get("Retry-After", "")
    return float(value) if value.isascii() and value.isdigit() else None  # the server never sends a date
