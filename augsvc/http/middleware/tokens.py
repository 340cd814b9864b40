"""Who may ask, and for how much: the tokens file, read again whenever it changes, and each client's quota.

A quota is one number, `bytes_per_s`: what a client costs the others is the link and the memory that its bytes lie in,
and batches, pictures and uploads of any stream are counted in it alike. How much may be under way at once needs no
number of its own: augsvc.fairness divides that among the clients that want some. The bytes of a request and its answer
are paid for afterwards, so a batch may be larger than what a second allows; who owes is refused until it is paid.
"""

import hmac
import logging
import math
import time
from collections.abc import Callable

from augsvc.errors import OverQuota, Unauthorized
from augsvc.settings import Settings, TokenEntry

logger = logging.getLogger("augsvc")
_SAVED_S = 1.0  # an idle client saves what so many seconds allow


class Allowance:
    """Bytes a second of one client; None is without bound. May be overdrawn."""

    def __init__(self, bytes_per_s: int | None, clock: Callable[[], float] = time.monotonic) -> None:
        self.bytes_per_s, self._clock = bytes_per_s, clock
        self._paid_at_s = -math.inf  # when all that was spent is paid for

    @property
    def owed_s(self) -> float:
        """Seconds until nothing is owed."""
        return max(0.0, self._paid_at_s - self._clock()) if self.bytes_per_s else 0.0

    def spend(self, n_bytes: int) -> None:
        """Counts bytes."""
        if self.bytes_per_s:
            begun_s = max(self._paid_at_s, self._clock() - _SAVED_S)
            self._paid_at_s = begun_s + n_bytes / self.bytes_per_s

    def require(self) -> None:
        """Raises OverQuota if something is owed."""
        if owed_s := self.owed_s:
            raise OverQuota("this token's bytes per second are used up: come back when Retry-After says", owed_s)


class Keyring:
    """The tokens of the settings' tokens_file, as it is now. A file that cannot be used leaves those that were."""

    def __init__(self, settings: Settings) -> None:
        """Raises ValueError for the operator: the file cannot be used."""
        self._settings = settings
        self._allowances: dict[str, Allowance] = {}
        self._seen = self._signature()
        self._take(settings.tokens())

    @property
    def guarded(self) -> bool:
        """Whether there are tokens at all."""
        return self._settings.tokens_file is not None

    def client(self, authorization: bytes) -> tuple[str, Allowance]:
        """The name and the quota of whoever sent that header. All tokens are compared, each in constant time.

        Raises:
            Unauthorized: nobody that is known.
        """
        self._refresh()
        token = authorization[7:] if authorization[:7].lower() == b"bearer " else b""
        known = [name for name, one in self._tokens.items() if hmac.compare_digest(token, one)]  # no early end
        if not known:
            raise Unauthorized("send a token of this server as Authorization: Bearer")
        return known[0], self._allowances[known[0]]

    def forget(self) -> None:
        """The file will be read again, whether it looks changed or not."""
        self._seen = None

    def _refresh(self) -> None:
        """A look at the file costs some microseconds, so a revoked token is refused from the next request on."""
        signature = self._signature()
        if signature == self._seen:
            return
        self._seen = signature
        try:
            self._take(self._settings.tokens())
        except ValueError as err:
            logger.error("the tokens that were read before stay valid: %s", err)
        else:
            logger.info("tokens_file was read again: %d clients", len(self._tokens))

    def _signature(self) -> tuple[int, ...] | None:
        path = self._settings.tokens_file
        try:
            found = path.stat() if path else None
        except OSError:
            return (0,)
        return (found.st_mtime_ns, found.st_size, found.st_ino) if found else None

    def _take(self, entries: dict[str, TokenEntry]) -> None:
        self._tokens = {name: entry.token.get_secret_value().encode() for name, entry in entries.items()}
        kept, self._allowances = self._allowances, {}
        for name, entry in entries.items():  # what is owed stays owed
            allowance = self._allowances[name] = kept.get(name) or Allowance(None)
            allowance.bytes_per_s = entry.bytes_per_s
