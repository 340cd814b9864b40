"""The error tree: every error has an HTTP status and a stable code.

    AugsvcError                   500 internal
      SpecInvalid                 422 spec_invalid         a field of the request is wrong; `field` names it
        SizeRequired              422 size_required
        SpecTooLarge              422 spec_too_large
        PlanTooCostly             422 plan_too_costly      a sample would take too long
        NeedsStatistics           422 needs_statistics     the dataset has no fitted statistics
        NeedsDataset              422 needs_dataset        push mode has no dataset
      BadRequest                  400 bad_request          not HTTP
      BadJson                     400 bad_json
      Unauthorized                401 unauthorized
      Forbidden                   403 forbidden            the token lacks a right
      NotFound                    404 not_found
        UnknownStream             404 unknown_stream
        UnknownDataset            404 unknown_dataset
        UnknownModel              404 unknown_model        of the Open Inference Protocol
      MethodNotAllowed            405 method_not_allowed
      StreamMismatch              409 stream_mismatch      this replica would produce different bytes
      ReloadFailed                409 reload_failed        a dataset cannot be indexed now
      NameTaken                   409 name_taken           another dataset or client has the name
      UploadConflict              409 upload_conflict      another upload of the name, or another offset
      RequestTooLarge             413 request_too_large
      UploadTooLarge              413 upload_too_large     over the quota, or what the server keeps
      HostNotAllowed              421 host_not_allowed     the Host is not a name of this server
      WrongContentType            415 wrong_content_type
      PastTheEnd                  416 past_the_end
      BatchTooLarge               422 batch_too_large
      BodyMalformed               422 body_malformed       not a valid body of tensors
      BodyDamaged                 400 body_damaged         the digest does not match
      UploadInvalid               422 upload_invalid       not the announced tar file, or no dataset
      DuplicateIndex              422 duplicate_index
      TooMuchAtOnce               429 too_much_at_once     the job is at its in-flight limit
      OverQuota                   429 over_quota           a quota of the token is used up
      HeadersTooLarge             431 headers_too_large
      NotAvailable                501 not_available        not implemented, or it fails the self-test
      Overloaded                  503 overloaded           the memory budget is exhausted
      TooManyConnections          503 too_many_connections the server has max_connections
      DeadlineExceeded            503 deadline_exceeded    no response within request_timeout_s
      EngineLost                  503 engine_lost          the process cannot compute any more and exits
      DeviceOutOfMemory           503 device_out_of_memory the device has no memory for one sample
      Starting                    503 starting             the self-test is still running
      Draining                    503 draining
      DatasetUnavailable          503 dataset_unavailable  a file could not be read now, which may pass
      StorageFull                 507 storage_full         the server's disk is full
      DatasetChanged              410 dataset_changed      a file is not the indexed one any more, or is missing
      DatasetUnreadable           422 dataset_unreadable   64 samples in a row cannot be decoded

The meaning of a code never changes. Every 429 and 503 carries Retry-After. A message is this project's own text: never a
path, an address or a library's message.
"""

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar

from augsvc.timing import Cancelled as Cancelled
from augsvc.timing import Pending as Pending
from augsvc_client.decoding.errors import Undecodable as Undecodable  # raised by the decoders, which `predict` shares


class AugsvcError(Exception):
    """The root: carries the HTTP status and the stable code of its class."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal"
    retry_after_s: int | None = None  # sent to the client where waiting helps

    def __init__(
        self, message: str, *, field: str | None = None, details: Mapping[str, object] = MappingProxyType({})
    ) -> None:
        """`details`: further fields of the response."""
        super().__init__(message)
        self.message, self.field, self.details = message, field, details


class SpecInvalid(AugsvcError):
    """A field of the request is wrong."""

    status, code = 422, "spec_invalid"


class SizeRequired(SpecInvalid):
    """The dataset's samples have no common size that is known, so that `size` (of clips `seconds`, `sample_rate`) is required."""

    code = "size_required"


class SpecTooLarge(SpecInvalid):
    """A specification over 64 kB, or over 4 kB compressed."""

    code = "spec_too_large"


class PlanTooCostly(SpecInvalid):
    """A sample is estimated to take more than max_sample_s, or more than the memory budget."""

    code = "plan_too_costly"


class NeedsStatistics(SpecInvalid):
    """An operation needs statistics fitted on the dataset, and it has none."""

    code = "needs_statistics"


class NeedsDataset(SpecInvalid):
    """An operation needs a dataset, and the samples came from a client."""

    code = "needs_dataset"


class BadRequest(AugsvcError):
    """The bytes are not an HTTP/1.1 request."""

    status, code = 400, "bad_request"


class BadJson(AugsvcError):
    """The body is not JSON."""

    status, code = 400, "bad_json"


class Unauthorized(AugsvcError):
    """No token, or an unknown one."""

    status, code = 401, "unauthorized"


class Forbidden(AugsvcError):
    """The route needs an operator's token, or one with the right to upload."""

    status, code = 403, "forbidden"


class NotFound(AugsvcError):
    """No such route."""

    status, code = 404, "not_found"


class UnknownStream(NotFound):
    """This replica does not know the id, and the request carried no specification."""

    code = "unknown_stream"


class UnknownDataset(NotFound):
    """No such dataset."""

    code = "unknown_dataset"


class UnknownModel(NotFound):
    """No model of the Open Inference Protocol has that name or version."""

    code = "unknown_model"


class MethodNotAllowed(AugsvcError):
    """The route exists, but not for this method."""

    status, code = 405, "method_not_allowed"


class StreamMismatch(AugsvcError):
    """This replica would produce different bytes than those that the id names; its own id, dataset_version and arithmetic are
    details."""

    status, code = 409, "stream_mismatch"


class ReloadFailed(AugsvcError):
    """A dataset cannot be indexed now; its former version is still served."""

    status, code = 409, "reload_failed"


class NameTaken(AugsvcError):
    """The name is that of a built-in dataset, of the operator's, or of another client's upload."""

    status, code = 409, "name_taken"


class UploadConflict(AugsvcError):
    """Another upload of this name is in progress, or the announced one continues at another offset, which is a detail."""

    status, code = 409, "upload_conflict"


class UploadTooLarge(AugsvcError):
    """The upload is over the token's quota, or over what the server keeps of all uploads."""

    status, code = 413, "upload_too_large"


class UploadInvalid(AugsvcError):
    """The bytes are not those that were announced, no tar file of plain files, or no dataset of the format."""

    status, code = 422, "upload_invalid"


class StorageFull(AugsvcError):
    """The disk of the uploads is full."""

    status, code = 507, "storage_full"


class RequestTooLarge(AugsvcError):
    """The body is over max_request_bytes."""

    status, code = 413, "request_too_large"


class HostNotAllowed(AugsvcError):
    """The request's Host is neither localhost nor in allowed_hosts."""

    status, code = 421, "host_not_allowed"


class WrongContentType(AugsvcError):
    """The route takes another content type."""

    status, code = 415, "wrong_content_type"


class PastTheEnd(AugsvcError):
    """The range starts at or past the end of the epoch."""

    status, code = 416, "past_the_end"


class BodyMalformed(AugsvcError):
    """The body is not a valid safetensors file, or a tensor is missing or invalid."""

    status, code = 422, "body_malformed"


class BodyDamaged(AugsvcError):
    """The body does not match the digest sent with it: bytes changed in transit."""

    status, code = 400, "body_damaged"


class DuplicateIndex(AugsvcError):
    """An index occurs twice in a request: two samples would share random numbers."""

    status, code = 422, "duplicate_index"


class BatchTooLarge(AugsvcError):
    """The batch would be over max_batch_bytes."""

    status, code = 422, "batch_too_large"


class TooMuchAtOnce(AugsvcError):
    """The job is at its in-flight limit, and other jobs request their share."""

    status, code, retry_after_s = 429, "too_much_at_once", 1


class OverQuota(AugsvcError):
    """A quota of the token is used up for the next `owed_s` seconds."""

    status, code = 429, "over_quota"

    def __init__(self, message: str, owed_s: float) -> None:
        super().__init__(message)
        self.retry_after_s = max(1, math.ceil(owed_s))


class HeadersTooLarge(AugsvcError):
    """The request's headers are over the limit."""

    status, code = 431, "headers_too_large"


class NotAvailable(AugsvcError):
    """Named by the contract but not implemented, or it fails this server's self-test."""

    status, code = 501, "not_available"


class Overloaded(AugsvcError):
    """The memory budget is exhausted."""

    status, code, retry_after_s = 503, "overloaded", 1


class TooManyConnections(AugsvcError):
    """The server has as many connections as max_connections allows, all of them at work."""

    status, code, retry_after_s = 503, "too_many_connections", 1


class DeadlineExceeded(AugsvcError):
    """The request, or its body, did not complete within request_timeout_s; the work is cancelled."""

    status, code, retry_after_s = 503, "deadline_exceeded", 1


class EngineLost(AugsvcError):
    """The engine's thread has ended, or a task makes no progress; the process exits, to be restarted."""

    status, code, retry_after_s = 503, "engine_lost", 1


class DeviceOutOfMemory(AugsvcError):
    """The device has not enough free memory for one sample."""

    status, code, retry_after_s = 503, "device_out_of_memory", 1


class Starting(AugsvcError):
    """The self-test is still running; how far it is, is a detail: `progress`."""

    status, code, retry_after_s = 503, "starting", 1


class Draining(AugsvcError):
    """The server is shutting down."""

    status, code, retry_after_s = 503, "draining", 1


class DatasetUnavailable(AugsvcError):
    """A file of the dataset could not be read, after several attempts, for a reason that may pass."""

    status, code, retry_after_s = 503, "dataset_unavailable", 1


class DatasetChanged(AugsvcError):
    """A file of the dataset was modified, replaced, removed or made unreadable after it was indexed; waiting does not help."""

    status, code = 410, "dataset_changed"


class DatasetUnreadable(AugsvcError):
    """Too many samples in a row are undecodable, on every replica of this dataset version."""

    status, code = 422, "dataset_unreadable"
