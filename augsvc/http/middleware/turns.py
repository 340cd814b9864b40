"""The pace of requests whose clients have shown no token. The event loop is everyone's, so all of them together have a rate."""

import asyncio
from ipaddress import IPv4Address, IPv6Address, ip_address
from weakref import WeakValueDictionary

from starlette.types import Scope

from augsvc.http.middleware.tokens import RateLimiter

REQUEST_BYTES = 1 << 16  # that a request counts as, beside its response


class Turns:
    """Requests wait until all before them are paid for, one of each network in rotation.

    A network has at most one request in the queue of all, so its own flood makes it wait, and another one for as many turns as
    there are networks: the probe of an orchestrator is answered within milliseconds.
    """

    def __init__(self, requests_per_s: int) -> None:
        self.quota = RateLimiter(requests_per_s * REQUEST_BYTES)  # their responses count too
        self._locks: WeakValueDictionary[tuple[int, str], asyncio.Lock] = WeakValueDictionary()

    async def wait(self, network: str) -> None:
        """Returns when it is the turn of this network's next request, which is then paid for."""
        async with self._lock(network), self._lock(""):  # the first who waits is the next
            if owed_s := self.quota.owed_s:
                await asyncio.sleep(owed_s)
            self.quota.spend(REQUEST_BYTES)

    def _lock(self, name: str) -> asyncio.Lock:
        """Kept while it is held or waited for. Below Ray Serve the application runs in two event loops."""
        key = id(asyncio.get_running_loop()), name
        lock = self._locks.get(key)
        if lock is None:
            lock = self._locks[key] = asyncio.Lock()
        return lock


def network_of(scope: Scope) -> str:
    """The IPv4 address or the IPv6 network of 64 bits that a request comes from; all clients of a Unix socket have one."""
    peer = scope.get("client")
    try:
        address: IPv4Address | IPv6Address = ip_address(peer[0]) if peer else IPv4Address(0)
    except ValueError:  # of another server than ours
        return str(peer)
    if isinstance(address, IPv6Address):
        mapped = address.ipv4_mapped
        return address.packed[:8].hex() if mapped is None else str(mapped)
    return str(address)
