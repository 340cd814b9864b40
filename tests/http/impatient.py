"""An operator's module that shortens what a server waits for, so that tests need not: its times are not settings."""

from typing import Literal

from augsvc.batch import F64
from augsvc.http import life, server
from augsvc.ops.base import Draw, Tone

server.KEEP_ALIVE_S = 0.05
server.WINDOW_S = 0.2
server.CLOSE_S = 3.0
life.LEAST_PATIENCE_S = 0.1


class Impatient(Tone):
    """Changes nothing: a module named in the settings has an operation."""

    op: Literal["impatient"] = "impatient"

    def table(self, draw: Draw) -> F64 | None:
        return None
