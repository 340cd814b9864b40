"""Where the numbers of a run come from: versions of the programs, machine and time, for result.json."""

import platform
from collections.abc import Mapping
from datetime import datetime, timezone
from importlib.metadata import version
from typing import Any

import torch

_PACKAGES = ("augsvc-client", "torch", "numpy")
_SERVER_FIELDS = ("version", "executor", "device", "arithmetic")


def collect_provenance(server: Mapping[str, Any]) -> dict[str, Any]:
    """Versions of packages, Python and CPU or GPU here, the server's description of itself, and the time (UTC)."""
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {
        "packages": {name: version(name) for name in _PACKAGES},
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
        "gpu": gpu,
        "torch_threads": torch.get_num_threads(),
        "server": {name: server[name] for name in _SERVER_FIELDS if name in server},
        "finished": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }
