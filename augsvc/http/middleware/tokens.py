"""Bearer tokens, from a file that is reread when it changes, and the quota of each client.

A quota is one number, `bytes_per_s`: a client takes link and memory in proportion to its bytes, so batches, previews
and uploads of any stream count alike. Bytes in flight need no quota: the engine's memory budget divides them among
clients. The bytes of a request and its response are charged afterwards, so a batch may exceed the bytes of a second;
the next request is refused until the debt is paid.
"""

import hmac
import logging
import math
import time
from collections.abc import Callable

from augsvc.errors import OverQuota, Unauthorized
from augsvc.settings import Settings, TokenEntry

logger = logging.getLogger("augsvc")
_BURST_S = 1.0  # an idle client saves up the bytes of this many seconds


class RateLimiter:
    """A token bucket over one client's bytes, which may be overdrawn; without `bytes_per_s` it limits nothing."""

    def __init__(self, bytes_per_s: int | None, clock: Callable[[], float] = time.monotonic) -> None:
        self.bytes_per_s, self._clock = bytes_per_s, clock
        self._paid_at_s = -math.inf  # when all bytes so far are paid for

    @property
    def owed_s(self) -> float:
        """Seconds until all bytes so far are paid for."""
        return max(0.0, self._paid_at_s - self._clock()) if self.bytes_per_s else 0.0

    def spend(self, n_bytes: int) -> None:
        """Counts bytes."""
        if self.bytes_per_s:
            from_s = max(self._paid_at_s, self._clock() - _BURST_S)
            self._paid_at_s = from_s + n_bytes / self.bytes_per_s

    def require(self) -> None:
        """Raises OverQuota while bytes are owed."""
        if owed_s := self.owed_s:
            raise OverQuota("byte quota exceeded; retry after Retry-After", owed_s)


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
        previous, self._limiters = self._limiters, {}
        for name, entry in entries.items():  # owed bytes stay owed
            limiter = self._limiters[name] = previous.get(name) or RateLimiter(None)
            limiter.bytes_per_s = entry.bytes_per_s
