"""The client of augsvc: batches by address (`Client` and `Stream`, NumPy only) and loaders for torch.

`RemoteDataLoader` reads a dataset of the server; `AugmentingDataLoader` wraps a local loader and augments its samples there.

Importing the package does not import torch; a loader imports it when it is used.
"""

from importlib.metadata import version

from augsvc_client.client.client import Client
from augsvc_client.client.stream import Stream
from augsvc_client.errors import (
    AugsvcError,
    BadResponse,
    NotInstalled,
    RequestRefused,
    ServerUnavailable,
    StateMismatch,
    StreamChanged,
    Unauthorized,
    WireError,
)
from augsvc_client.instance_masks import pack_masks, unpack_masks
from augsvc_client.loaders.augmenting import AugmentingDataLoader
from augsvc_client.loaders.multi_view import MultiViewLoader
from augsvc_client.loaders.remote import RemoteDataLoader
from augsvc_client.spec_masks import apply_spec_masks
from augsvc_client.time_warps import apply_time_warps

__all__ = [
    "AugmentingDataLoader",
    "AugsvcError",
    "BadResponse",
    "Client",
    "MultiViewLoader",
    "NotInstalled",
    "RemoteDataLoader",
    "RequestRefused",
    "ServerUnavailable",
    "StateMismatch",
    "Stream",
    "StreamChanged",
    "Unauthorized",
    "WireError",
    "apply_spec_masks",
    "apply_time_warps",
    "pack_masks",
    "unpack_masks",
]

__version__ = version("augsvc-client")
