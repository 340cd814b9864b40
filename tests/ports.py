"""Ports for servers that get theirs as an option, or that restart at the same one.

A port that the kernel chose can go to another program before it is bound, or while its server restarts: a Ray cluster whose
proxy had lost its port was found ready, and requests reached another test's server. These ports are outside the kernel's
range (32768 … 60999 by default), and Ray's (10002 … 19999). Each process begins at another place.
"""

import itertools
import os
import socket

FIRST, END = 20_000, 32_000
_places = itertools.count(101 * os.getpid())  # more than a cluster takes: workers have neighbouring process ids


def choose_ports(how_many: int) -> list[int]:
    """Consecutive ports of 127.0.0.1 without a listener."""
    while True:
        ports = [FIRST + next(_places) % (END - FIRST) for _ in range(how_many)]
        if ports == sorted(ports) and all(map(_is_free, ports)):
            return ports


def choose_port() -> int:
    """One port."""
    return choose_ports(1)[0]


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(
            socket.SOL_SOCKET, socket.SO_REUSEADDR, 1
        )  # closed connections of earlier servers do not matter
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
