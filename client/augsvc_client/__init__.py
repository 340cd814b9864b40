"""The client of augsvc: batches by address (`Client`, NumPy only) and a loader for torch (`RemoteDataLoader`).

Importing it imports no torch; a loader does when it is used.
"""

from augsvc_client.client import Client, Stream
from augsvc_client.errors import (
    AugsvcError,
    BadAnswer,
    NotInstalled,
    RequestRefused,
    ServerUnavailable,
    StateMismatch,
    StreamChanged,
    Unauthorized,
    WireError,
)
from augsvc_client.loaders import RemoteDataLoader

__all__ = [
    "AugsvcError",
    "BadAnswer",
    "Client",
    "NotInstalled",
    "RemoteDataLoader",
    "RequestRefused",
    "ServerUnavailable",
    "StateMismatch",
    "Stream",
    "StreamChanged",
    "Unauthorized",
    "WireError",
]

__version__ = "0.1.0"
