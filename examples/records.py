"""What results were measured with: the commit, and the versions of the packages.

read_commit, and a run's provenance → the JSON files of the examples → render_sources, list_changes
"""

import subprocess
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from augsvc_client.trainer.experiments.provenance import collect_provenance

ROOT = Path(__file__).resolve().parent.parent
Source = Mapping[str, Any]


def describe_here() -> dict[str, Any]:
    """The source of a run with a server of this environment."""
    return {"commit": read_commit(), **collect_provenance({"version": version("augsvc")})}


def read_commit() -> str | None:
    """The commit of this repository, with `-dirty` if files differ from it; None without git."""
    command = ["git", "-C", ROOT, "describe", "--always", "--dirty", "--abbrev=7", "--exclude=*"]
    try:
        return subprocess.run(command, capture_output=True, check=True, text=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def render_sources(sources: Mapping[str, Iterable[Source]]) -> str:
    """One line on the commits and versions that the results under each title were measured with."""
    titles: dict[str, list[str]] = {}
    for title, given in sources.items():
        for name in sorted({_name(source) for source in given}):
            titles.setdefault(name, []).append(title)
    if len(titles) == 1:
        return f"Measured with {next(iter(titles))}."
    lines = [f"{name} ({'; '.join(given)})" for name, given in titles.items()]
    return f"Measured with {'; '.join(lines)}."


def list_changes(title: str, sources: Iterable[Source], here: Source) -> list[str]:
    """A note for each commit or set of versions among the sources that is not the one here."""
    return [
        f"{title}: {name}; here {_name(here)}" for name in sorted({_name(source) for source in sources} - {_name(here)})
    ]


def _name(source: Source) -> str:
    """The commit and the versions, as text."""
    commit = f"commit {source['commit'] or 'unknown'}"
    if "packages" not in source:
        return f"{commit}, versions not recorded, so that it may be stale"
    versions = {**source["packages"], "augsvc": source["server"].get("version", "unknown"), "Python": source["python"]}
    return f"{commit}, {', '.join(f'{name} {version}' for name, version in versions.items())}"
