"""Lists of named entries in responses: operations, datasets, replicas."""

from typing import Any

from augsvc_client.client.retry import NotAugsvc
from augsvc_client.transport.connection import Response


def read_entries(name: str, response: Response) -> list[dict[str, Any]]:
    """The list of that name, of objects that each have a name; raises NotAugsvc."""
    entries = response.json().get(name)
    if isinstance(entries, list) and all(isinstance(e, dict) and isinstance(e.get("name"), str) for e in entries):
        return entries
    raise NotAugsvc(f"{response.replica.url} sent no list of {name}")
