"""Bearer tokens, from a file that is reread when it changes, and the quota of each client.

A client costs the others the link and the memory of its bytes, and the engine's time. `bytes_per_s` counts batches, previews
and uploads of any stream alike; `engine_fraction` counts the seconds of each task, also of one that was cancelled or failed.
Bytes in flight need no quota: the engine's memory budget divides them among clients. What a request costs is paid for
afterwards, so a batch may be larger than the bytes of a second; the next request is refused until it is paid for.
"""

import hmac
import logging
import math
import threading
import time
from collections.abc import Callable

from augsvc.errors import OverQuota, Unauthorized
from augsvc.settings import Settings, TokenEntry

logger = logging.getLogger("augsvc")
_BURST_S = 1.0  # an idle client saves up the bytes of this many seconds


class Bucket:
    """A token bucket, which may be overdrawn; without a rate it limits nothing."""

    def __init__(self, rate: float | None, clock: Callable[[], float]) -> None:
        self.rate, self._clock = rate, clock
        self._paid_at_s = -math.inf  # when all units so far are paid for
        self._lock = threading.Lock()

    @property
    def owed_s(self) -> float:
        """Seconds until all units so far are paid for."""
        return max(0.0, self._paid_at_s - self._clock()) if self.rate else 0.0

    def spend(self, units: float) -> None:
        """Counts units, from any thread."""
        with self._lock:
            if self.rate:
                from_s = max(self._paid_at_s, self._clock() - _BURST_S)
                self._paid_at_s = from_s + units / self.rate


class RateLimiter:
    """The quotas of one client: its bytes, and its seconds of the engine."""

    def __init__(
        self,
        bytes_per_s: int | None,
        engine_fraction: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._bytes, self._engine = Bucket(bytes_per_s, clock), Bucket(engine_fraction, clock)

    def change(self, bytes_per_s: int | None, engine_fraction: float | None) -> None:
        """Sets other rates; what is owed stays owed."""
        self._bytes.rate, self._engine.rate = bytes_per_s, engine_fraction

    @property
    def owed_s(self) -> float:
        """Seconds until everything so far is paid for."""
        return max(self._bytes.owed_s, self._engine.owed_s)

    def spend(self, n_bytes: int) -> None:
        """Counts bytes."""
        self._bytes.spend(n_bytes)

    def spend_engine(self, seconds: float) -> None:
        """Counts seconds of the engine, from any thread."""
        self._engine.spend(seconds)

    def require(self) -> None:
        """Raises OverQuota while bytes or seconds are owed."""
        if owed_s := self.owed_s:
            name = "byte" if self._bytes.owed_s > self._engine.owed_s else "engine time"
            raise OverQuota(f"{name} quota exceeded; retry after Retry-After", owed_s)


class TokenStore:
    """The tokens of the settings' tokens_file, reread when it changes. An unusable file leaves the previous tokens valid."""

    def __init__(self, settings: Settings) -> None:
        """Raises ValueError, for the operator, if the file cannot be used."""
        self._settings = settings
        self._limiters: dict[str, RateLimiter] = {}
        self._signature = self._stat()
        self._load(settings.tokens())

    @property
    def required(self) -> bool:
        """Whether requests need a token."""
        return self._settings.tokens_file is not None

    def authenticate(self, authorization: bytes) -> tuple[str, RateLimiter]:
        """The client's name and quota, by its Authorization header. Each token is compared in constant time.

        Raises:
            Unauthorized: the token is unknown.
        """
        self._refresh()
        token = authorization[7:] if authorization[:7].lower() == b"bearer " else b""
        clients = [name for name, known in self._tokens.items() if hmac.compare_digest(token, known)]  # no early end
        if not clients:
            raise Unauthorized("send a valid token of this server as Authorization: Bearer")
        return clients[0], self._limiters[clients[0]]

    def is_operator(self, client: str) -> bool:
        """Whether a client's token is an operator's."""
        return client in self._operators

    def upload_bytes(self, client: str) -> int | None:
        """The bytes on disk that a client's uploads may take; None if it may not upload."""
        return self._upload_bytes.get(client)

    def charge(self, client: str, seconds: float) -> None:
        """Counts seconds of the engine against a client's quota, from any thread. Without tokens there is none."""
        if (limiter := self._limiters.get(client)) is not None:
            limiter.spend_engine(seconds)

    def invalidate(self) -> None:
        """Makes the next request reread the file, even if it seems unchanged."""
        self._signature = None

    def _refresh(self) -> None:
        """One stat of the file costs a few microseconds, so a revoked token is refused from the next request on."""
        signature = self._stat()
        if signature == self._signature:
            return
        self._signature = signature
        try:
            self._load(self._settings.tokens())
        except ValueError as err:
            logger.error("tokens_file is unusable; the previous tokens stay valid: %s", err)
        else:
            logger.info("tokens_file reread: %d clients", len(self._tokens))

    def _stat(self) -> tuple[int, ...] | None:
        path = self._settings.tokens_file
        try:
            status = path.stat() if path else None
        except OSError:
            return (0,)
        return (status.st_mtime_ns, status.st_size, status.st_ino) if status else None

    def _load(self, entries: dict[str, TokenEntry]) -> None:
        self._tokens = {name: entry.token.get_secret_value().encode() for name, entry in entries.items()}
        self._operators = frozenset(name for name, entry in entries.items() if entry.operator)
        self._upload_bytes = {name: entry.upload for name, entry in entries.items()}
        limiters = {name: self._limiters.get(name) or RateLimiter(None) for name in entries}
        for name, entry in entries.items():  # what is owed stays owed
            limiters[name].change(entry.bytes_per_s, entry.engine_fraction)
        self._limiters = limiters
