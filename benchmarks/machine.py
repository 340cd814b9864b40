"""The machine and the versions of a run: no names of hosts or people."""

import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numba
import numpy as np
import torch

from augsvc.cpus import cores

ROOT = Path(__file__).parent.parent


def machine() -> dict[str, Any]:
    """CPU, cores, versions, commit and date."""
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "commit": commit(ROOT),
        "cpu": _cpu(),
        "cores": cores(),
        "system": f"{platform.system()} {platform.machine()}",
        "versions": {
            "python": platform.python_version(),
            "numpy": np.__version__,
            "numba": numba.__version__,
            "torch": torch.__version__,
        },
    }


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown")


def commit(checkout: Path) -> str:
    """The working tree's commit, with "+" if its code was changed since."""
    try:
        head = subprocess.run(
            ["git", "rev-parse", "--short=10", "HEAD"], cwd=checkout, capture_output=True, text=True, check=True
        )
        changed = subprocess.run(["git", "diff", "--quiet", "HEAD", "--", "augsvc", "benchmarks/*.py"], cwd=checkout)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return head.stdout.strip() + ("+" if changed.returncode else "")
