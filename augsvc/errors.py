"""Everything that can go wrong, and what a client is told of it.

    AugsvcError                   500 internal
      SpecInvalid                 422 spec_invalid         a field of the request is wrong; `field` names it
        SizeRequired              422 size_required
        SpecTooLarge              422 spec_too_large
        NeedsStatistics           422 needs_statistics     the dataset has no fitted statistics
        NeedsDataset              422 needs_dataset        push mode has no dataset
      BadRequest                  400 bad_request          not HTTP
      BadJson                     400 bad_json
      Unauthorized                401 unauthorized
      NotFound                    404 not_found
        UnknownStream             404 unknown_stream
        UnknownDataset            404 unknown_dataset
      MethodNotAllowed            405 method_not_allowed
      StreamMismatch              409 stream_mismatch      this replica would give other bytes
      RequestTooLarge             413 request_too_large
      WrongContentType            415 wrong_content_type
      PastTheEnd                  416 past_the_end
      BatchTooLarge               422 batch_too_large
      BodyMalformed               422 body_malformed       not one well-formed safetensors body
      BodyDamaged                 400 body_damaged         other bytes than were sent
      DuplicateIndex              422 duplicate_index
      TooMuchAtOnce               429 too_much_at_once     the job has its share of what may be under way
      OverQuota                   429 over_quota           the token's bytes per second are used up
      HeadersTooLarge             431 headers_too_large
      NotAvailable                501 not_available        not built yet, or it fails this server's self-test
      Overloaded                  503 overloaded           too many bytes are asked for at once
      DeadlineExceeded            503 deadline_exceeded    no answer within request_timeout_s
      EngineLost                  503 engine_lost          the process cannot compute any more and ends
      DeviceOutOfMemory           503 device_out_of_memory the device has no memory for one sample
      Starting                    503 starting             the self-test is still running
      Draining                    503 draining
      DatasetUnavailable          503 dataset_unavailable  a file could not be read now
      DatasetUnreadable           503 dataset_unreadable   64 samples in a row cannot be decoded
    Undecodable                   never leaves the server: the sample is replaced
    Cancelled                     never leaves the server: nobody waits for the answer any more

A code never changes its meaning. Every 429 and 503 says when to come back. A message is this project's own text: never a
path, an address or a library's words.
"""

import math
from collections.abc import Mapping
from typing import ClassVar


class AugsvcError(Exception):
    """The root: carries the HTTP status and the stable code of its class."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal"
    retry_after_s: int | None = None  # said to the client where waiting helps

    def __init__(self, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.field = field


class SpecInvalid(AugsvcError):
    """A field of the request is wrong."""

    status, code = 422, "spec_invalid"


class SizeRequired(SpecInvalid):
    """The dataset's samples have more than one size, so the canvas must be named."""

    code = "size_required"


class SpecTooLarge(SpecInvalid):
    """A specification over 64 kB, or over 4 kB compressed."""

    code = "spec_too_large"


class NeedsStatistics(SpecInvalid):
    """An operation needs statistics fitted on the dataset, and it has none."""

    code = "needs_statistics"


class NeedsDataset(SpecInvalid):
    """An operation needs a dataset, and the samples came from a client."""

    code = "needs_dataset"


class BadRequest(AugsvcError):
    """What arrived is not an HTTP/1.1 request."""

    status, code = 400, "bad_request"


class BadJson(AugsvcError):
    """The body is not JSON."""

    status, code = 400, "bad_json"


class Unauthorized(AugsvcError):
    """No token, or one that is not known here."""

    status, code = 401, "unauthorized"


class NotFound(AugsvcError):
    """No such address."""

    status, code = 404, "not_found"


class UnknownStream(NotFound):
    """This replica does not know the id, and the request carried no specification."""

    code = "unknown_stream"


class UnknownDataset(NotFound):
    """No dataset of that name is served here."""

    code = "unknown_dataset"


class MethodNotAllowed(AugsvcError):
    """The address exists, the method does not."""

    status, code = 405, "method_not_allowed"


class StreamMismatch(AugsvcError):
    """This replica's bytes for the specification would not be those the id names."""

    status, code = 409, "stream_mismatch"

    def __init__(self, message: str, here: Mapping[str, str]) -> None:
        super().__init__(message)
        self.here = dict(here)  # id, dataset_version and arithmetic, as far as the request has them


class RequestTooLarge(AugsvcError):
    """The body is over max_request_bytes."""

    status, code = 413, "request_too_large"


class WrongContentType(AugsvcError):
    """The body is of another type than the address takes."""

    status, code = 415, "wrong_content_type"


class PastTheEnd(AugsvcError):
    """The range starts at or past the end of the epoch."""

    status, code = 416, "past_the_end"


class BodyMalformed(AugsvcError):
    """The body is not one well-formed safetensors file, or lacks what it must hold."""

    status, code = 422, "body_malformed"


class BodyDamaged(AugsvcError):
    """The body does not have the digest that was sent with it: bytes changed on the way."""

    status, code = 400, "body_damaged"


class DuplicateIndex(AugsvcError):
    """An index stands twice in one request, so two samples would share random numbers."""

    status, code = 422, "duplicate_index"


class BatchTooLarge(AugsvcError):
    """The batch would be over max_batch_bytes."""

    status, code = 422, "batch_too_large"


class TooMuchAtOnce(AugsvcError):
    """A job has its share of the bytes that may be under way, and others want theirs."""

    status, code, retry_after_s = 429, "too_much_at_once", 1


class OverQuota(AugsvcError):
    """The bytes that a token may take in a second are used up; `owed_s` is when they are paid for."""

    status, code = 429, "over_quota"

    def __init__(self, message: str, owed_s: float) -> None:
        super().__init__(message)
        self.retry_after_s = max(1, math.ceil(owed_s))


class HeadersTooLarge(AugsvcError):
    """The request's headers are over the limit."""

    status, code = 431, "headers_too_large"


class NotAvailable(AugsvcError):
    """Named by the contract, but not built yet, or broken on this server: it fails the self-test."""

    status, code = 501, "not_available"


class Overloaded(AugsvcError):
    """More bytes are asked for at once than the server may hold."""

    status, code, retry_after_s = 503, "overloaded", 1


class DeadlineExceeded(AugsvcError):
    """Nothing came of the request, or of its body, within request_timeout_s; the work is given up."""

    status, code, retry_after_s = 503, "deadline_exceeded", 1


class EngineLost(AugsvcError):
    """Nothing can be computed any more, or what is in hand gives no sign; the process ends, for another to be started."""

    status, code, retry_after_s = 503, "engine_lost", 1


class DeviceOutOfMemory(AugsvcError):
    """The device that computes has not enough memory left, not even for one sample at a time."""

    status, code, retry_after_s = 503, "device_out_of_memory", 1


class Starting(AugsvcError):
    """The self-test is still running."""

    status, code, retry_after_s = 503, "starting", 1


class Draining(AugsvcError):
    """The server is stopping."""

    status, code, retry_after_s = 503, "draining", 1


class DatasetUnavailable(AugsvcError):
    """A file could not be read now, though it should be there: retried, then said."""

    status, code, retry_after_s = 503, "dataset_unavailable", 1


class DatasetUnreadable(AugsvcError):
    """Too many samples in a row cannot be decoded."""

    status, code, retry_after_s = 503, "dataset_unreadable", 10  # its operator has to see to it


class Undecodable(Exception):
    """A sample was read whole and cannot be decoded: it is replaced, and counted."""


class Cancelled(Exception):
    """The work is not wanted any more."""
