"""Files in an object store (S3, Google Cloud Storage, Azure) or on an HTTP server, read by ranges of bytes through obstore.

An object is the indexed one while its entity tag and size are the same, or the time of modification, without a tag. A request
that times out, or gets an error that may pass, is repeated with growing pauses; then it is a fault of the network like any other.
The library's messages hold addresses and headers, so none is passed on.
"""

import errno
import hashlib
import re
from collections.abc import Callable, Mapping
from copy import copy
from datetime import timedelta
from io import BufferedReader, RawIOBase
from typing import TYPE_CHECKING, Any, TypeVar

from augsvc.data.formats.files import Identity
from augsvc_client.text import printable

if TYPE_CHECKING:
    from obstore import ObjectMeta

URL = re.compile(
    r"(?:s3|gs|az|azure|https?)://[^/?#@\s]+(?:/[^?#\s]*)?"
)  # no user, password or query: they may be secret
_SILENCE_S = 5.0  # without a byte, after which an attempt has failed
_TIMEOUT_S = 30.0  # of an attempt
_RETRIES = 4
_RETRYING_S = 12.0  # from the first attempt on: a request of a trainer waits 60 s
_FIRST_PAUSE_S = 0.1  # then twice as long each time

_BUFFER_BYTES = 1 << 16  # requested together of a manifest or the headers of a shard
_MAX_RANGE_BYTES = 16 << 20  # of a request, which has to end in _TIMEOUT_S

T = TypeVar("T")


class ObjectStore:
    """The objects below one URL, by their names relative to it. Safe to share among threads."""

    def __init__(self, url: str, options: Mapping[str, str]) -> None:
        """`options` are obstore's for the kind of store; without credentials among them, those of the environment are used.

        Raises:
            ValueError: for the operator: obstore is not installed, or the options are wrong.
        """
        try:
            import obstore
            from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError
            from obstore.store import from_url
        except ImportError as err:
            raise ValueError("`url` needs obstore: pip install 'augsvc[stores]'") from err
        self.url, self._prefix = url.rstrip("/"), ""
        self._obstore, self._error, self._forbidden = obstore, BaseError, (PermissionDeniedError, UnauthenticatedError)
        allow_http = options.get("allow_http", "").lower() == "true" or url.startswith("http://")
        silence = timedelta(seconds=_SILENCE_S)
        timeouts = {"connect_timeout": silence, "read_timeout": silence, "timeout": timedelta(seconds=_TIMEOUT_S)}
        backoff = {"init_backoff": timedelta(seconds=_FIRST_PAUSE_S), "max_backoff": silence, "base": 2}
        arguments: dict[str, Any] = {
            "client_options": {**timeouts, "allow_http": allow_http},
            "retry_config": {
                "max_retries": _RETRIES,
                "retry_timeout": timedelta(seconds=_RETRYING_S),
                "backoff": backoff,
            },
        }
        if config := {name: value for name, value in options.items() if name != "allow_http"}:
            arguments["config"] = config
        try:
            self._store = from_url(self.url, **arguments)
        except (BaseError, ValueError, TypeError):  # whose text may hold the options
            raise ValueError(
                "`url` or an option in `store` is wrong: see obstore's documentation of this store"
            ) from None

    @property
    def is_listable(self) -> bool:
        """Whether `list` can work: not of an HTTP server."""
        return not self.url.startswith("http")

    def inside(self, folder: str) -> "ObjectStore":
        """The objects below a folder."""
        inner = copy(self)
        inner.url, inner._prefix = f"{self.url}/{folder}", f"{self._prefix}{folder}/"
        return inner

    def list(self) -> dict[str, Identity]:
        """All objects by name, sorted, in requests of 1,000; raises OSError."""

        def list_all() -> dict[str, Identity]:
            prefix = self._prefix.rstrip("/") or None
            pages = self._obstore.list(self._store, prefix)
            return {meta["path"].removeprefix(self._prefix): _identify(meta) for page in pages for meta in page}

        return dict(sorted(self._access(list_all).items()))

    def identify(self, name: str) -> Identity:
        """An object, by one request; raises OSError."""
        return self._access(lambda: _identify(self._obstore.head(self._store, self._prefix + name)))

    def read(self, name: str, n_bytes: int) -> tuple[bytes, Identity]:
        """The first `n_bytes` of an object, and what it was when it was read.

        Raises:
            OSError: it cannot be read: ENOENT, EACCES, or EIO for what may pass.
        """

        def get() -> tuple[bytes, Identity]:
            result = self._obstore.get(self._store, self._prefix + name)
            identity = _identify(result.meta)
            return (bytes(result.bytes()) if identity.n_bytes <= n_bytes else b""), identity

        data, identity = self._access(get)  # whole: not all HTTP servers know ranges
        return (data, identity) if identity.n_bytes <= n_bytes else self.read_range(name, 0, n_bytes)

    def read_range(self, name: str, start: int, n_bytes: int) -> tuple[bytes, Identity]:
        """As `read`, of the bytes from `start` on."""

        def get() -> tuple[bytes, Identity]:
            result = self._obstore.get(self._store, self._prefix + name, options={"range": (start, start + n_bytes)})
            return bytes(result.bytes()), _identify(result.meta)

        try:
            return self._access(get)
        except OSError as err:
            if err.errno != errno.EIO:
                raise
            identity = self.identify(name)
            if start < identity.n_bytes:
                if self.is_listable:
                    raise
                raise OSError(
                    errno.EIO, "no range of its bytes could be read, which an HTTP server must know"
                ) from None
            return b"", identity  # a range behind the end is an error too

    def _access(self, access: Callable[[], T]) -> T:
        try:
            return access()
        except (FileNotFoundError, ValueError):  # a name that no store can have
            raise FileNotFoundError(errno.ENOENT, "no such object") from None
        except self._forbidden:
            raise PermissionError(errno.EACCES, "access denied by the store") from None
        except self._error:
            raise OSError(
                errno.EIO, "the store did not answer, or refused; check its address and the credentials"
            ) from None


class StoredFile(RawIOBase):
    """An object as a file that is read by ranges; each must be of the indexed object."""

    def __init__(self, store: ObjectStore, name: str, indexed: Identity) -> None:
        self._store, self._name, self._indexed = store, name, indexed
        self._position = 0

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def tell(self) -> int:
        """The position, in bytes."""
        return self._position

    def seek(self, offset: int, whence: int = 0) -> int:
        """Moves to a position from the start (0), the position (1) or the end (2), and returns it."""
        self._position = (0, self._position, self._indexed.n_bytes)[whence] + offset
        return self._position

    def readinto(self, buffer: Any) -> int:
        """Fills a buffer; raises OSError with the object's name, and ValueError if the object has changed."""
        n_bytes = max(0, min(len(buffer), self._indexed.n_bytes - self._position, _MAX_RANGE_BYTES))
        if not n_bytes:
            return 0
        try:
            if n_bytes == self._indexed.n_bytes:
                data, identity = self._store.read(self._name, n_bytes)
            else:
                data, identity = self._store.read_range(self._name, self._position, n_bytes)
        except OSError as err:
            raise OSError(err.errno, err.strerror, f"{self._store.url}/{self._name}") from err
        if identity != self._indexed or len(data) != n_bytes:
            raise ValueError(f"{printable(self._name)} changed while it was read")
        buffer[:n_bytes] = data
        self._position += n_bytes
        return n_bytes


def open_stored(store: ObjectStore, name: str, indexed: Identity) -> BufferedReader:
    """An object as a file; reading it raises as `StoredFile.readinto`."""
    return BufferedReader(StoredFile(store, name, indexed), _BUFFER_BYTES)


def _identify(meta: "ObjectMeta") -> Identity:
    """An object as a file is identified: its tag in place of the inode, else its time in seconds (a listing has milliseconds)."""
    tag = (meta["e_tag"] or "").removeprefix("W/").strip('"')
    inode = int.from_bytes(hashlib.sha256(tag.encode()).digest()[:8], "little") if tag else 0
    modified_s = 0 if tag else int(meta["last_modified"].timestamp())
    return Identity(meta["size"], 0, inode, modified_s * 1_000_000_000, 0)
