"""Many batches in one answer, read frame by frame; what a broken connection leaves out is asked for again.

request → RetryState → Connections.reading → frames (u64 length, body, u64 xxh3) → arrays
"""

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt

from augsvc_client.client.retry import RETRYABLE, RetryState, check_status
from augsvc_client.errors import BadResponse
from augsvc_client.transport.address import Replica
from augsvc_client.transport.connection import Connections, Reading, Request, Response, whole
from augsvc_client.transport.deadline import Deadline
from augsvc_client.wire import Arrays

_NUMBER_BYTES = 8


def read_frames(
    connections: Connections,
    state: Callable[[], RetryState],
    failed: Callable[[Replica, str], None],
    request: Callable[[int], Request],
    accept: Callable[[Replica, Arrays, dict[str, str], int], Arrays],
    frames: int,
) -> Iterator[Arrays]:
    """The arrays of so many frames, in order. `state` begins a search, one for each frame; `request(i)` asks for the
    frames from i on; `accept` raises BadResponse for arrays that are not frame i; `failed` is told who failed, and how.

    Raises what the state raises when its time is over.
    """
    done, search = 0, state()
    while done < frames and not connections.closing.is_set():
        before = done
        for replica in search.due():
            try:
                asked = request(done)
                with connections.reading(replica, asked, search.deadline()) as answer:
                    reading = opened(answer, asked)
                    while done < frames and not reading.at_end:
                        arrays, metadata = _frame(reading, asked.limit_bytes, search.deadline())
                        arrays = accept(replica, arrays, metadata, done)
                        done += 1
                        yield arrays
                        search = state()  # after it: how long the caller takes is nobody's failure
            except RETRYABLE as err:
                failed(replica, search.failed(replica, err))
            if done > before:
                break
        if done == before:
            connections.closing.wait(search.pause_s())


def opened(answer: Response | Reading, asked: Request) -> Reading:
    """An answer of frames; raises what any other one means."""
    if isinstance(answer, Reading):
        return answer
    check_status(answer, with_token="Authorization" in asked.headers)
    raise BadResponse(f"{answer.replica.url} gave no frames")


def _frame(answer: Reading, limit_bytes: int, deadline: Deadline) -> tuple[Arrays, dict[str, str]]:
    length = _number(answer.piece(_NUMBER_BYTES, deadline).bytes)
    if length > limit_bytes:
        raise BadResponse(
            f"{answer.replica.url} announced a frame of {length} bytes, at most {limit_bytes} can be right"
        )
    body = answer.piece(length, deadline)
    return whole(answer.replica, body, f"{_number(answer.piece(_NUMBER_BYTES, deadline).bytes):016x}")


def _number(piece: npt.NDArray[np.uint8]) -> int:
    return int.from_bytes(piece.tobytes(), "little")
