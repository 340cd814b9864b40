"""The Host header of requests to a server without tokens.

Such a server on a loopback interface trusts every program of its machine. A web page is not one: by DNS rebinding its name
may come to mean 127.0.0.1, and its scripts then count as this server's own. Their requests still carry the page's name as
Host. A name that is an address cannot be bound to another one.
"""

import re

from augsvc.errors import HostNotAllowed
from augsvc.settings import Settings, is_loopback

_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[^\[\]:]+)(:\d*)?")  # RFC 9110, 7.2: a name or address, and a port


class HostFilter:
    """Accepts loopback names and the settings' `allowed_hosts`, where a filter is needed."""

    def __init__(self, settings: Settings) -> None:
        self._allowed = {name.lower().removesuffix(".") for name in settings.allowed_hosts}
        local = settings.uds is None and is_loopback(settings.host)
        self._active = bool(self._allowed) or (local and settings.tokens_file is None)

    def require(self, headers: list[tuple[bytes, bytes]]) -> None:
        """Raises HostNotAllowed for a request that names another host, none, or several."""
        hosts = [value.decode("latin-1").lower() for name, value in headers if name == b"host"]
        if self._active and not (len(hosts) == 1 and self._accepts(hosts[0])):
            raise HostNotAllowed(
                "the request's Host is not a name of this server; use a loopback name, or add it to the setting allowed_hosts"
            )

    def _accepts(self, host: str) -> bool:
        match = _HOST.fullmatch(host)
        if match is None:
            return False
        name = match[1].removesuffix(".")  # of an absolute name
        return name in self._allowed or is_loopback(name.strip("[]"))
