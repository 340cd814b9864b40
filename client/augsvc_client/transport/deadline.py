"""The deadline of one attempt, extended while bytes make progress."""

import time

MIN_BYTES_PER_S = 16384  # the server's default min_client_bytes_per_s


class Deadline:
    """`patience_s` seconds from now, renewed whenever MIN_BYTES_PER_S times as many bytes have moved.

    It never passes `last_s` (of time.monotonic). A batch of 9.6 MB that shares a line of 10 Mbit/s with three others
    takes 31 s and is not abandoned after 30; a peer that sends a byte now and then is.
    """

    def __init__(self, patience_s: float, last_s: float) -> None:
        self._patience_s, self._last_s = patience_s, last_s
        self._renewal_bytes = patience_s * MIN_BYTES_PER_S
        self._renew()

    def _renew(self) -> None:
        self._moved_bytes = 0
        self._end_s = min(time.monotonic() + self._patience_s, self._last_s)

    def add_bytes(self, n_bytes: int) -> None:
        """Count bytes that were sent or received."""
        self._moved_bytes += n_bytes
        if self._moved_bytes >= self._renewal_bytes:
            self._renew()

    def remaining_s(self) -> float:
        """Seconds that are left now; raises TimeoutError if there are none."""
        remaining_s = self._end_s - time.monotonic()
        if remaining_s <= 0:
            raise TimeoutError
        return remaining_s
