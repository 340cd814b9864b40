"""Writes deploy/requirements/*.txt: what the images install, each version with the hashes of its wheels.

    pyproject files → the installed distributions that they need → versions of constraints.txt → pip → hashes

Needs an environment with all of them (`make test` makes it) and PyPI; `pip install --dry-run --report` downloads no wheel.
"""

import json
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.metadata import requires
from pathlib import Path
from types import MappingProxyType
from typing import Any

from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "deploy/requirements"
SERVER, CLIENT = "pyproject.toml", "client/pyproject.toml"
# By file: the requirements of FILE, of its extra in FILE:EXTRA, or a distribution
SOURCES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "build": ("setuptools",),
        "torch": ("torch",),
        "server": (SERVER, CLIENT),
        "cuda": (f"{SERVER}:cuda",),
        "trainer": (CLIENT, f"{CLIENT}:train"),
    }
)
PYTHONS, MACHINES = ("3.11", "3.12", "3.13"), ("x86_64", "aarch64")
_OWN = frozenset({"augsvc", "augsvc-client", "torch"})  # torch comes from an index of its builds, which differ
_PLATFORMS = (*(f"manylinux_2_{minor}" for minor in range(28, 4, -1)), "manylinux2014", "linux")


def versions() -> dict[str, str]:
    """The tested version of each distribution."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pairs = (line.split("==") for line in lines if "==" in line)
    return {canonicalize_name(name): version for name, version in pairs}


def list_files() -> dict[str, set[str]]:
    """The distributions of each file; that of `cuda` is installed beside that of the server."""
    files = {file: find_requirements(sources) for file, sources in SOURCES.items()}
    files["cuda"] -= files["server"]
    return files


def find_requirements(sources: Iterable[str]) -> set[str]:
    """The names of all distributions that the sources need on any of PYTHONS and MACHINES, without _OWN."""
    waiting = [requirement for source in sources for requirement in _read(source)]
    seen: set[tuple[str, str]] = set()
    names = set()
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        for extra in ("", *requirement.extras):
            if (name, extra) in seen:
                continue
            seen.add((name, extra))
            if not name.startswith("augsvc"):
                waiting += [needed for needed in map(Requirement, requires(name) or ()) if _applies(needed, extra)]
        names.add(name)
    return names - _OWN


def _read(source: str) -> Iterator[Requirement]:
    name, _, extra = source.partition(":")
    if not name.endswith(".toml"):
        yield Requirement(name)
        return
    project = tomllib.loads((ROOT / name).read_text(encoding="utf-8"))["project"]
    for line in project["optional-dependencies"][extra] if extra else project["dependencies"]:
        if _applies(requirement := Requirement(line), ""):
            yield requirement


def _applies(requirement: Requirement, extra: str) -> bool:
    """Whether an image for any Python and machine needs it."""
    if requirement.marker is None:
        return not extra
    linux = {**default_environment(), "sys_platform": "linux", "platform_system": "Linux", "os_name": "posix"}
    environments = (
        {**linux, "python_version": python, "python_full_version": f"{python}.0", "platform_machine": machine}
        for python in PYTHONS
        for machine in MACHINES
    )
    marker = requirement.marker
    return any(
        marker.evaluate({**environment, "extra": extra})
        and not (extra and marker.evaluate({**environment, "extra": ""}))
        for environment in environments
    )


def read_hashes(pins: Sequence[str]) -> dict[str, set[str]]:
    """The SHA-256 of the wheels that pip selects for each Python and machine, by distribution."""
    hashes: dict[str, set[str]] = {}
    for python in PYTHONS:
        for machine in MACHINES:
            for entry in _report(pins, python, machine)["install"]:
                name = canonicalize_name(entry["metadata"]["name"])
                hashes.setdefault(name, set()).add(entry["download_info"]["archive_info"]["hashes"]["sha256"])
    return hashes


def _report(pins: Sequence[str], python: str, machine: str) -> Any:
    platforms = [option for platform in _PLATFORMS for option in ("--platform", f"{platform}_{machine}")]
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.json")
        command = [sys.executable, "-m", "pip", "--isolated", "--quiet", "install", "--dry-run", "--no-deps"]
        command += ["--index-url", "https://pypi.org/simple", "--only-binary", ":all:", "--target", folder]
        command += [*platforms, "--python-version", python, "--report", str(report), *pins]
        subprocess.run(command, check=True)  # noqa: S603 - of names and versions in this repository
        return json.loads(report.read_text(encoding="utf-8"))


def main() -> None:
    """Writes all files."""
    tested, files = versions(), list_files()
    hashes = read_hashes([f"{name}=={tested[name]}" for name in sorted(set().union(*files.values()))])
    FOLDER.mkdir(exist_ok=True)
    for file, needed in files.items():
        lines = ["# Written by deploy/lock.py from constraints.txt: do not edit.\n"]
        for name in sorted(needed):
            options = "".join(f" \\\n    --hash=sha256:{digest}" for digest in sorted(hashes[name]))
            lines.append(f"{name}=={tested[name]}{options}\n")
        (FOLDER / f"{file}.txt").write_text("".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
