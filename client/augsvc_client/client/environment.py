"""Defaults from environment variables, and the check of values that become headers."""

import hashlib
import os
import secrets
import socket
from pathlib import Path

_JOB_BYTES = 4


def check_header_value(name: str, value: str) -> str:
    """The value; raises ValueError, without naming it, if it cannot be sent in a header."""
    if not (value.isascii() and value.isprintable() and " " not in value):
        raise ValueError(f"{name} must be printable ASCII without spaces, to be sent in a header")
    return value


def token_from_environment() -> str | None:
    """AUGSVC_TOKEN, else the content of the file that AUGSVC_TOKEN_FILE names: a container's secret.

    Raises ValueError for a file without a token, so that no request is sent without one by mistake.
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
    """One name for all ranks of a run: AUGSVC_JOB, else a hash of torchrun's variables, else random.

    torchrun's run id is "none" unless the user sets one, so the rendezvous address is part of the hash; many hosts may
    have the same loopback address, so the host name is part of it too where that is used.
    """
    address, port, run_id = (os.environ.get(name, "") for name in ("MASTER_ADDR", "MASTER_PORT", "TORCHELASTIC_RUN_ID"))
    if job := os.environ.get("AUGSVC_JOB"):
        return job
    if not (address and port):
        return secrets.token_hex(_JOB_BYTES)
    host = socket.gethostname() if address.startswith("127.") or address in ("localhost", "::1") else ""
    return hashlib.sha256("\0".join([host, address, port, run_id]).encode()).hexdigest()[: 2 * _JOB_BYTES]
