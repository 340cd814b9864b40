"""The least versions that are safe, against pyproject.toml and constraints.txt; then pip-audit, where its service knows them.

`make check` runs it. What pip-audit cannot find out is said in one line and fails nothing: the floors hold without a network.
"""

import json
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parent.parent
CONSTRAINTS = ROOT / "constraints.txt"
PROJECTS = (ROOT / "pyproject.toml", ROOT / "client" / "pyproject.toml")
AUDIT_S = 15.0  # the first time; what it was told is kept, so that the next run gets further

FLOORS = {
    "starlette": "1.3.1",  # CVE-2026-54283: forms without limits; CVE-2025-62727: quadratic ranges
    "h11": "0.16.0",  # CVE-2025-43859: smuggling by chunks, behind a lenient proxy
    "pillow": "12.3.0",  # CVE-2026-40192, -25990, -42311, and what 12.3 mends besides
    "torch": "2.10.0",  # CVE-2026-24747: loading a checkpoint runs its code
    "python-multipart": "0.0.32",  # nothing here takes forms; if it comes along, then not an old one
}
DECLARED = ("starlette", "h11", "pillow", "torch")  # a server may not be installed with less


def requirements(project: Path) -> list[Requirement]:
    """All that a project asks for, extras included."""
    told = tomllib.loads(project.read_text(encoding="utf-8"))["project"]
    lists = [told.get("dependencies", []), *told.get("optional-dependencies", {}).values()]
    return [Requirement(line) for lines in lists for line in lines]


def least(requirement: Requirement) -> Version:
    """The lowest version that its lower bounds let in; 0 without any."""
    bounds = [
        each.version.removesuffix(".*") for each in requirement.specifier if each.operator in (">=", "==", "~=", ">")
    ]
    return max(map(Version, bounds), default=Version("0"))


def pins(constraints: Path) -> dict[str, Version]:
    """The tested versions by name."""
    lines = [line.partition("#")[0].strip() for line in constraints.read_text(encoding="utf-8").splitlines()]
    pinned = [Requirement(line) for line in lines if line]
    return {canonicalize_name(each.name): least(each) for each in pinned}


def undercut(projects: tuple[Path, ...] = PROJECTS, constraints: Path = CONSTRAINTS) -> list[str]:
    """What is below a floor, or has none, a sentence each; the first project is the server's."""
    wrong = []
    for project in projects:
        named = [(canonicalize_name(each.name), each) for each in requirements(project)]
        wrong += [
            f"{project.name} of {project.parent.name}: {each} lets in less than {FLOORS[name]}"
            for name, each in named
            if name in FLOORS and least(each) < Version(FLOORS[name])
        ]
        if project is projects[0]:
            wrong += [f"{project.name}: {name} has no floor" for name in DECLARED if name not in dict(named)]
    pinned = pins(constraints)
    for name, floor in FLOORS.items():
        if name in DECLARED and name not in pinned:
            wrong.append(f"{constraints.name}: {name} has no version")
        elif name in pinned and pinned[name] < Version(floor):
            wrong.append(f"{constraints.name}: {name}=={pinned[name]} is less than {floor}")
    return wrong


def heard(report: str) -> tuple[list[str], str]:
    """The known vulnerabilities in a report of pip-audit's, and one line on what it could look at."""
    try:
        looked_at = json.loads(report)["dependencies"]
    except ValueError:
        return [], "pip-audit: nothing audited, its service cannot be reached"
    known = [each for each in looked_at if "skip_reason" not in each]
    found = [f"{each['name']}=={each['version']}: {one['id']}" for each in known for one in each["vulns"]]
    if not known:
        return [], "pip-audit: nothing audited, the index here does not tell of vulnerabilities"
    return found, f"pip-audit: {len(known)} of {len(looked_at)} versions audited, {len(found)} vulnerabilities"


def asked(requirements_file: Path) -> str:
    """pip-audit's report on the versions in a file; empty where it has none."""
    options = ["--no-deps", "--disable-pip", "--progress-spinner", "off", "--timeout", "3", "--format", "json"]
    command = [sys.executable, "-m", "pip_audit", "--requirement", str(requirements_file), *options]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=AUDIT_S, check=False).stdout
    except subprocess.TimeoutExpired:
        return ""


def audit(constraints: Path = CONSTRAINTS) -> tuple[list[str], str]:
    """What pip-audit knows of the tested versions: of one first (0.7 s): all that an index does not know took 7.4 s."""
    with tempfile.TemporaryDirectory() as folder:
        one = Path(folder) / "one.txt"
        one.write_text(f"h11=={pins(constraints)['h11']}\n", encoding="utf-8")
        found, line = heard(asked(one))
    return heard(asked(constraints)) if "nothing" not in line else (found, line)


if __name__ == "__main__":
    below = undercut()
    vulnerable, line = audit()
    print(line)
    sys.exit("\n".join(below + vulnerable) or None)
