"""What the client takes from environment variables that needs more than a look."""

import os
from pathlib import Path


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
