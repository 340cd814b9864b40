"""What decodes the files of a dataset."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Protocol

from augsvc.data.decoders.registry import probe_digest
from augsvc.data.disk_cache import Decoded


class Reader(Protocol):
    """Decodes the files of one dataset."""

    @property
    def form(self) -> bytes:
        """A digest of everything that decoding depends on besides a file's contents: settings and libraries."""

    def inspect(self, data: bytes) -> None:
        """Logs what the operator should know of a file, also of one that was decoded by an earlier process."""

    def decoding_bytes(self, data: bytes) -> int:
        """The memory that decoding a file takes at its peak, by its header."""

    def reduced(self, data: bytes, least: tuple[int, int]) -> "tuple[Reader, tuple[int, int]] | None":
        """What decodes a file smaller, to (H, W) of at least `least`, and its whole (H, W); None where it is decoded whole."""

    def decode(self, data: bytes) -> Decoded:
        """The pixels or samples of a file's contents; raises Undecodable."""


def digest_form(settings: Mapping[str, object], decoders: Iterable[str]) -> bytes:
    """The `form` of a reader with settings that are JSON."""
    probes = {name: _probe(name) for name in decoders}
    return hashlib.sha256(json.dumps([settings, probes], sort_keys=True).encode()).digest()


@cache
def _probe(decoder: str) -> str:
    return probe_digest(decoder)
