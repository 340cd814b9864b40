"""An operator's module that shortens what a server waits for, so that tests need not: its times are not settings."""

from typing import Literal

from augsvc.arrays import F64
from augsvc.data.formats import file_source, files
from augsvc.http import lifecycle
from augsvc.http.server import protocol
from augsvc.http.server import uvicorn_server as server
from augsvc.numerics.geometry import Canvas
from augsvc.ops.kinds.image import Statistics, Tone
from augsvc.ops.operation import Draw

server.KEEP_ALIVE_S = 0.05
protocol.READ_WINDOW_S = 0.2
server.CLOSE_TIMEOUT_S = 3.0
lifecycle.MIN_HEARTBEAT_TIMEOUT_S = 0.1


class Impatient(Tone):
    """Changes nothing: a module named in the settings has an operation."""

    op: Literal["impatient"] = "impatient"

    def table(self, draw: Draw, canvas: Canvas, statistics: Statistics) -> F64 | None:
        return None


def read_below(root, name, n_bytes):
    """A disk that does not answer: where a file has become a FIFO, it waits for the writer."""
    if (root / name).is_fifo():
        (root / name).read_bytes()
    return files.read_below(root, name, n_bytes)


file_source.read_below = read_below
