"""What the client takes from environment variables that needs more than a look."""

import hashlib
import os
import secrets
import socket
from pathlib import Path

_JOB_BYTES = 4


def token_from_environment() -> str | None:
    """AUGSVC_TOKEN, else what stands in the file that AUGSVC_TOKEN_FILE names: a container's secret.

    Raises ValueError for a file without a token, so that none is never sent in its place.
    """
    token, path = os.environ.get("AUGSVC_TOKEN"), os.environ.get("AUGSVC_TOKEN_FILE")
    if token or not path:
        return token
    try:
        token = Path(path).read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as err:
        raise ValueError(
            f"AUGSVC_TOKEN_FILE: {path} cannot be read: does it exist, and may this user read it?"
        ) from err
    if not token:
        raise ValueError(f"AUGSVC_TOKEN_FILE: {path} holds no token")
    return token


def job_from_environment() -> str:
    """One name for all ranks of a run: AUGSVC_JOB, else made of what torchrun tells every one of them, else made up.

    Its run id is "none" unless somebody names it, so that the address where the ranks meet is part of it; one that only
    this host can reach is that of many hosts.
    """
    told = [os.environ.get(name, "") for name in ("MASTER_ADDR", "MASTER_PORT", "TORCHELASTIC_RUN_ID")]
    if job := os.environ.get("AUGSVC_JOB"):
        return job
    if not all(told[:2]):
        return secrets.token_hex(_JOB_BYTES)
    host = socket.gethostname() if told[0].startswith("127.") or told[0] in ("localhost", "::1") else ""
    return hashlib.sha256("\0".join([host, *told]).encode()).hexdigest()[: 2 * _JOB_BYTES]
