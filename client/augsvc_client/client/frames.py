"""Many batches in one answer, read frame by frame; what a broken connection leaves out is asked for again.

request → Hunt → Connections.reading → frames (u64 length, body, u64 xxh3) → arrays
"""

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt

from augsvc_client.client.retry import RETRIED, Hunt, judged
from augsvc_client.errors import BadAnswer
from augsvc_client.transport.address import Replica
from augsvc_client.transport.connection import Answer, Connections, Reading, Request, whole
from augsvc_client.transport.deadline import Pace
from augsvc_client.wire import Arrays

_NUMBER_BYTES = 8


def read_frames(
    connections: Connections,
    hunt: Callable[[], Hunt],
    failed: Callable[[Replica, str], None],
    request: Callable[[int], Request],
    accept: Callable[[Replica, Arrays, dict[str, str], int], Arrays],
    frames: int,
) -> Iterator[Arrays]:
    """The arrays of so many frames, in order. `hunt` begins a search, one for each frame; `request(i)` asks for the
    frames from i on; `accept` raises BadAnswer for arrays that are not frame i; `failed` is told who failed, and how.

    Raises what the hunt raises when its time is over.
    """
    done, search = 0, hunt()
    while done < frames and not connections.closing.is_set():
        before = done
        for replica in search.due():
            try:
                asked = request(done)
                with connections.reading(replica, asked, search.pace()) as answer:
                    reading = opened(answer, asked)
                    while done < frames and not reading.at_end:
                        arrays, metadata = _frame(reading, asked.limit_bytes, search.pace())
                        arrays = accept(replica, arrays, metadata, done)
                        done += 1
                        yield arrays
                        search = hunt()  # after it: how long the caller takes is nobody's failure
            except RETRIED as err:
                failed(replica, search.failed(replica, err))
            if done > before:
                break
        if done == before:
            connections.closing.wait(search.pause_s())


def opened(answer: Answer | Reading, asked: Request) -> Reading:
    """An answer of frames; raises what any other one means."""
    if isinstance(answer, Reading):
        return answer
    judged(answer, with_token="Authorization" in asked.headers)
    raise BadAnswer(f"{answer.replica.url} gave no frames")


def _frame(answer: Reading, limit_bytes: int, pace: Pace) -> tuple[Arrays, dict[str, str]]:
    length = _number(answer.piece(_NUMBER_BYTES, pace).bytes)
    if length > limit_bytes:
        raise BadAnswer(f"{answer.replica.url} announced a frame of {length} bytes, at most {limit_bytes} can be right")
    body = answer.piece(length, pace)
    return whole(answer.replica, body, f"{_number(answer.piece(_NUMBER_BYTES, pace).bytes):016x}")


def _number(piece: npt.NDArray[np.uint8]) -> int:
    return int.from_bytes(piece.tobytes(), "little")
