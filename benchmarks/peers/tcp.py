"""Raw TCP on loopback: `sendall` of one buffer, `recv_into` another; the next is requested before this one is read."""

import multiprocessing
import platform
import socket
from typing import Any

import numpy as np

from benchmarks.peers import Missing, Peer, Run, taking

_children: list[Any] = []


def make(pipeline: list[dict[str, Any]], images: np.ndarray) -> Run:
    """Sends the images as they are."""
    if pipeline:
        raise Missing("augments nothing")
    close()
    listener = socket.create_server(("127.0.0.1", 0))
    child = multiprocessing.get_context("spawn").Process(
        target=_send, args=(listener.getsockname(), images), daemon=True
    )
    child.start()
    _children.append(child)
    connection, _ = listener.accept()
    listener.close()
    body = np.empty_like(images)
    connection.sendall(b"+")

    def run() -> np.ndarray:
        connection.sendall(b"+")
        rest = body.data.cast("B")
        while rest:
            rest = rest[connection.recv_into(rest) :]
        return body

    return run


def close() -> None:
    """Ends the sender."""
    while _children:
        child = _children.pop()
        child.terminate()
        child.join()


def _send(address: Any, images: np.ndarray) -> None:
    body = np.ascontiguousarray(images).data.cast("B")
    with socket.create_connection(address) as connection:
        while connection.recv(1):
            connection.sendall(body)


PEERS = {"tcp": Peer("raw TCP, `sendall` and `recv_into`", platform.release, make, taking(1), close=close)}
