"""Reads many batches from one response, frame by frame.

frame = u64 body length, body, u64 XXH3-64 of the body (little-endian)
"""

from collections.abc import Callable

from augsvc_client.client.retry import check_status
from augsvc_client.errors import BadResponse
from augsvc_client.transport.connection import BodyReader, Request, Response, parse_body
from augsvc_client.transport.deadline import Deadline
from augsvc_client.wire import Arrays

_INTEGER_BYTES = 8


CheckFrame = Callable[[str, Arrays, dict[str, str], int], None]
"""(url, arrays, metadata, index) → None; raises BadResponse if it is not the frame of this index."""


def check_frames(response: Response | BodyReader, request: Request) -> BodyReader:
    """The body of a response of frames; raises what any other response means."""
    if isinstance(response, BodyReader):
        return response
    check_status(response, request)
    raise BadResponse(f"{response.replica.url} sent no frames")


def read_frame(body: BodyReader, limit_bytes: int, deadline: Deadline) -> tuple[Arrays, dict[str, str]]:
    """The next frame's tensors and metadata; raises BadResponse if it is malformed, or OSError."""
    length = _read_integer(body, deadline)
    if length > limit_bytes:
        raise BadResponse(
            f"{body.replica.url} announced a frame of {length} bytes, more than the limit of {limit_bytes}"
        )
    frame = body.read(length, deadline)
    return parse_body(body.replica, frame, f"{_read_integer(body, deadline):016x}")


def _read_integer(body: BodyReader, deadline: Deadline) -> int:
    return int.from_bytes(body.read(_INTEGER_BYTES, deadline).bytes.tobytes(), "little")
