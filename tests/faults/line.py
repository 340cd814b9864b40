"""A line of limited bandwidth, on a simulated clock that its bytes advance: minutes there take no time here.

The sockets, the proxy and the server are real; each thread has a separate clock, so that nothing depends on the machine.
"""

import http.client
import threading
from types import SimpleNamespace

from augsvc_client.client import retry
from augsvc_client.transport import address, deadline

_PIECE_BYTES = 4096  # that come at once


class Line:
    """What the client's threads receive and send at `bytes_per_s`, and the clock that its deadlines go by."""

    def __init__(self, patch, bytes_per_s: float) -> None:
        self._bytes_per_s, self._here = bytes_per_s, threading.local()
        for module in (deadline, address, retry):
            patch.setattr(module, "time", SimpleNamespace(monotonic=self.now_s))
        receive, send = address._TimedReader.readinto, http.client.HTTPConnection.send

        def received(reader, buffer):
            n_bytes = receive(reader, memoryview(buffer)[:_PIECE_BYTES])
            self._carry(n_bytes)
            return n_bytes

        def sent(connection, data):
            if connection.sock is not None and len(data) / bytes_per_s > connection.sock.gettimeout():
                raise TimeoutError  # as sendall: it is the time for all of them
            send(connection, data)
            self._carry(len(data))

        patch.setattr(address._TimedReader, "readinto", received)
        patch.setattr(http.client.HTTPConnection, "send", sent)

    def now_s(self) -> float:
        """This thread's clock."""
        return getattr(self._here, "now_s", 0.0)

    def _carry(self, n_bytes: int) -> None:
        self._here.now_s = self.now_s() + n_bytes / self._bytes_per_s
