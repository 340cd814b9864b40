"""Decoding that may take long, in a process that can be killed: a thread cannot, and one file would hold it.

A process decodes one file. It takes 0.3 s to start, of decodes that are estimated to take over a second. Bytes and arrays pass in
memory files, so neither side waits for the other. There are as many at a time as threads that read, which the cache's count of
decoding memory bounds.
"""

import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from math import ceil
from threading import Lock
from typing import IO, Any

import numpy as np

from augsvc.data.decoders.child import DONE, FAILED, OUT_OF_MEMORY, UNDECODABLE, as_arrays
from augsvc.errors import Cancelled, Undecodable
from augsvc_client.text import printable

APART_S = 1.0  # of CPU, estimated, above which a file is decoded in a process
CPU_FACTOR, CPU_S = 10.0, 20.0  # times the estimate is allowed, and the most seconds
WALL_S = 25.0  # below the shortest watchdog of a server without progress
_CRASHES = (signal.SIGSEGV, signal.SIGABRT, signal.SIGFPE)  # by the bytes; SIGBUS and SIGILL are of the machine

logger = logging.getLogger("augsvc.data")


class DecoderLost(Exception):
    """There is no result, for a reason that may pass."""


class _CannotStart(Exception):
    """This machine starts no process now."""


class DecoderProcesses:
    """Runs decoders in processes. `kills` counts those that reached a limit of time, for the metrics."""

    def __init__(self, max_cpu_s: float = CPU_S, wall_s: float = WALL_S) -> None:
        self.kills = 0
        self._max_cpu_s, self._wall_s = max_cpu_s, wall_s
        self._running: set[subprocess.Popen[bytes]] = set()
        self._stopped, self._has_warned = False, False
        self._lock = Lock()

    def run(
        self, decode: Callable[..., Any], data: bytes, arguments: Sequence[Any], seconds: float, n_bytes: int
    ) -> list[Any]:
        """The arrays of `decode(data, *arguments)`, estimated to take `seconds` and `n_bytes`; `decode` is a module's function.

        A process that someone else kills is replaced once. Where none can be started, this thread decodes.

        Raises:
            Undecodable: as `decode`; or it ended the process. Only the bytes decide that, never a machine's speed: else a sample
                would be replaced on one replica and decoded on another.
            MemoryError: it takes over twice as much memory.
            DecoderLost: it took far more CPU than estimated, the machine is too busy, two processes were killed, or the decoder
                raised another exception.
            Cancelled: `stop` was called.
        """
        cpu_s = ceil(min(CPU_FACTOR * seconds + 1.0, self._max_cpu_s))  # the kernel counts whole seconds
        call = json.dumps([decode.__module__, decode.__qualname__, arguments, n_bytes, cpu_s])
        try:
            for _ in range(2):
                with _memory_file() as given, _memory_file() as made:
                    given.write(data)
                    given.seek(0)
                    status = self._exit_status(call, given, made)
                    if status == -signal.SIGXCPU:
                        self.kills += 1
                        raise DecoderLost(f"decoding it took more than {cpu_s} s of CPU")
                    if (arrays := self._result(status, made)) is not None:
                        return arrays
        except _CannotStart as err:
            self._warn(str(err))
            return as_arrays(decode(data, *arguments))
        raise DecoderLost("its decoder process was killed twice")

    def stop(self) -> None:
        """Ends all processes, for good."""
        with self._lock:
            self._stopped = True
            for process in self._running:
                process.kill()

    def _exit_status(self, call: str, given: IO[bytes], made: IO[bytes]) -> int:
        """Of a process that has ended, or that was killed by this call: then DecoderLost or Cancelled is raised."""
        process = _start(call, given, made)
        try:
            with self._lock:
                self._running.add(process)
                if self._stopped:
                    process.kill()
            status = process.wait(self._wall_s)
        except subprocess.TimeoutExpired as err:
            self.kills += 1
            raise DecoderLost(f"decoding it took longer than {self._wall_s:g} s on a busy machine") from err
        finally:
            with self._lock:
                self._running.discard(process)
                stopped = self._stopped
            process.kill()
            process.wait()
        if stopped:
            raise Cancelled
        return status

    def _result(self, status: int, made: IO[bytes]) -> list[Any] | None:
        """The arrays; None if someone else killed the process."""
        size = made.seek(0, os.SEEK_END)
        made.seek(0)
        if status == DONE:
            arrays = []
            while made.tell() < size:
                arrays.append(np.load(made, allow_pickle=False))
            return arrays
        if status == UNDECODABLE:
            raise Undecodable(made.read().decode())
        if status == OUT_OF_MEMORY:
            raise MemoryError
        if status == FAILED:
            raise DecoderLost(f"its decoder failed: {printable(made.read().decode(errors='replace'))}")
        if -status in _CRASHES:
            raise Undecodable("it ends the decoder")
        if status > 0:
            raise _CannotStart(f"a decoder process ended with the status {status}")
        return None

    def _warn(self, reason: str) -> None:
        if not self._has_warned:
            self._has_warned = True
            logger.warning("large files are decoded where they cannot be interrupted: %s (logged once)", reason)


def _memory_file() -> IO[bytes]:
    try:
        return os.fdopen(os.memfd_create("augsvc-decoder"), "w+b")
    except (AttributeError, OSError) as err:
        raise _CannotStart(f"there are no files in memory: {err}") from err


def _start(call: str, given: IO[bytes], made: IO[bytes]) -> "subprocess.Popen[bytes]":
    """A new session keeps a terminal's Ctrl-C from it; -P keeps the working directory from its modules."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-P", "-m", "augsvc.data.decoders.child", call]
    try:
        return subprocess.Popen(  # noqa: S603 - this interpreter, with settings of the operator
            command, stdin=given, stdout=made, stderr=subprocess.DEVNULL, env=environment, start_new_session=True
        )
    except (OSError, TypeError, ValueError) as err:
        raise _CannotStart(f"no process can be started: {err}") from err
