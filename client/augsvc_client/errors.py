"""The exceptions of the client.

    AugsvcError
      ServerUnavailable    no replica gave a good response within wait_s, or none is an augsvc server: is the address right?
      RequestRefused       a replica refused the request; retrying would not help, the message gives the reason
        Unauthorized       no token, or one that the replica does not accept
      StreamChanged        no replica computes the stream's bytes any more: dataset or arithmetic has changed
      StateMismatch        a saved state contradicts the loader it is loaded into
      NotInstalled         a loader needs torch: pip install 'augsvc-client[torch]'
      BadResponse          a response that does not fit the request; the next replica is tried, so it becomes a cause
      WireError            bytes that are not a well-formed body or specification header

No message holds a token.
"""


class AugsvcError(Exception):
    """The root of all exceptions that this package raises, except ValueError for wrong arguments."""


class ServerUnavailable(AugsvcError):
    """The deadline passed, or no address is that of an augsvc server; the message names each, its last failure, what to check."""


class RequestRefused(AugsvcError):
    """A replica refused the request; retrying would not help.

    `status` is the HTTP status, `code` the service's stable code, `message` its text, `field` the invalid field.
    """

    def __init__(self, status: int, code: str, message: str, field: str | None = None) -> None:
        super().__init__(status, code, message, field)
        self.status = status
        self.code = code
        self.message = message
        self.field = field

    def __str__(self) -> str:
        field = f" (field {self.field})" if self.field else ""
        return f"{self.message}{field} [{self.status} {self.code}]"


class Unauthorized(RequestRefused):
    """The replica requires a token, or another one."""


class StreamChanged(AugsvcError):
    """No replica computes this stream's bytes any more; the message names the differences."""


class StateMismatch(AugsvcError):
    """The state belongs to another stream than the loader's; the message names the differences."""


class NotInstalled(AugsvcError, ImportError):
    """A required package is not installed; the message says which one to install."""


class BadResponse(AugsvcError):
    """A response that does not fit the request."""


class WireError(AugsvcError):
    """Malformed bytes. `too_large` is true if only the size is wrong."""

    def __init__(self, message: str, *, too_large: bool = False) -> None:
        super().__init__(message)
        self.too_large = too_large
