"""Everything a caller of the client may have to handle, and what to do about it.

    AugsvcError
      ServerUnavailable    no replica gave a good answer within wait_s: is it running, is the address right?
      RequestRefused       a replica refused the request: asking again would not help; it says what is wrong
        Unauthorized       no token, or one that is not known there
      StreamChanged        every replica would send other bytes than the stream's: dataset or arithmetic has changed
      StateMismatch        a saved state contradicts the loader it is loaded into
      NotInstalled         a loader needs torch: pip install 'augsvc-client[torch]'
      BadResponse            one answer that is not what was asked; the next replica is tried, so it ends up as a cause
      WireError            bytes that are not a well-formed body or specification header

No message holds a token.
"""


class AugsvcError(Exception):
    """The root: everything this package raises on its own account, wrong arguments (ValueError) apart."""


class ServerUnavailable(AugsvcError):
    """The deadline passed: names the replicas, what each said last, and what to look at."""


class RequestRefused(AugsvcError):
    """A replica refused the request for good.

    `status` is the HTTP status, `code` the service's stable code, `message` its text, `field` the field at fault.
    """

    def __init__(self, status: int, code: str, message: str, field: str | None = None) -> None:
        super().__init__(status, code, message, field)
        self.status = status
        self.code = code
        self.message = message
        self.field = field

    def __str__(self) -> str:
        place = f" (field {self.field})" if self.field else ""
        return f"{self.message}{place} [{self.status} {self.code}]"


class Unauthorized(RequestRefused):
    """The replica wants a token, or another one."""


class StreamChanged(AugsvcError):
    """No replica computes this stream's bytes any more: names what differs."""


class StateMismatch(AugsvcError):
    """The state belongs to another stream than the loader's: names what differs."""


class NotInstalled(AugsvcError, ImportError):
    """A package that this part needs is not installed: says which to install."""


class BadResponse(AugsvcError):
    """An answer whose bytes are not those that were asked for."""


class WireError(AugsvcError):
    """Malformed bytes. `too_large` is true where only the size is wrong."""

    def __init__(self, message: str, *, too_large: bool = False) -> None:
        super().__init__(message)
        self.too_large = too_large
