"""How long one attempt may take: no longer than its bytes are on the way, and those of a slow line are."""

import time

LEAST_BYTES_PER_S = 16384  # as the server's own min_client_bytes_per_s


class Deadline:
    """An attempt's time: `patience_s` seconds, anew whenever LEAST_BYTES_PER_S times as many bytes have moved.

    At `last_s` (of time.monotonic) it ends anyway. A batch of 9.6 MB, one of four over 10 Mbit/s, comes in 31 s and is
    not given up after 30; a peer that sends a byte now and then is.
    """

    def __init__(self, patience_s: float, last_s: float) -> None:
        self._patience_s, self._last_s = patience_s, last_s
        self._enough_bytes = patience_s * LEAST_BYTES_PER_S
        self._begin()

    def _begin(self) -> None:
        self._moved_bytes = 0
        self._end_s = min(time.monotonic() + self._patience_s, self._last_s)

    def moved(self, n_bytes: int) -> None:
        """So many bytes came or went."""
        self._moved_bytes += n_bytes
        if self._moved_bytes >= self._enough_bytes:
            self._begin()

    def remaining_s(self) -> float:
        """Seconds to its end as things are; raises TimeoutError if there are none."""
        rest_s = self._end_s - time.monotonic()
        if rest_s <= 0:
            raise TimeoutError
        return rest_s
