"""Checks pyproject.toml and constraints.txt against the minimum versions without known vulnerabilities, then runs pip-audit.

`make check` runs it. If pip-audit cannot reach its service, one line says so and nothing fails: the minimum versions are
checked without a network.
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
AUDIT_S = 15.0  # pip-audit caches its answers, so that a second run gets further

MINIMUM = {
    "starlette": "1.3.1",  # CVE-2026-54283: forms without limits; CVE-2025-62727: quadratic ranges
    "h11": "0.16.0",  # CVE-2025-43859: smuggling by chunks, behind a lenient proxy
    "pillow": "12.3.0",  # CVE-2026-40192, -25990, -42311, and others fixed in 12.3
    "torch": "2.10.0",  # CVE-2026-24747: loading a checkpoint runs its code
    "python-multipart": "0.0.32",  # no route accepts forms; checked if it is installed
}
OPEN_EXTRAS = ("torch",)  # the client's loaders load no checkpoint, and must not replace a training image's torch
DECLARED = ("starlette", "h11", "pillow", "torch")  # the server must declare these minimum versions


def requirements(project: Path) -> list[Requirement]:
    """All requirements of a project, extras included but those of `OPEN_EXTRAS`."""
    project_table = tomllib.loads(project.read_text(encoding="utf-8"))["project"]
    extras = {k: v for k, v in project_table.get("optional-dependencies", {}).items() if k not in OPEN_EXTRAS}
    lists = [project_table.get("dependencies", []), *extras.values()]
    return [Requirement(line) for lines in lists for line in lines]


def lower_bound(requirement: Requirement) -> Version:
    """The lowest version that a requirement allows; 0 without a lower bound."""
    bounds = [
        clause.version.removesuffix(".*")
        for clause in requirement.specifier
        if clause.operator in (">=", "==", "~=", ">")
    ]
    return max(map(Version, bounds), default=Version("0"))


def pins(constraints: Path) -> dict[str, Version]:
    """The tested versions, by package name."""
    lines = [line.partition("#")[0].strip() for line in constraints.read_text(encoding="utf-8").splitlines()]
    pinned = [Requirement(line) for line in lines if line]
    return {canonicalize_name(pin.name): lower_bound(pin) for pin in pinned}


def find_violations(projects: tuple[Path, ...] = PROJECTS, constraints: Path = CONSTRAINTS) -> list[str]:
    """One sentence for each requirement or pin below its minimum, or without one; the first project is the server."""
    violations = []
    for project in projects:
        named = [(canonicalize_name(requirement.name), requirement) for requirement in requirements(project)]
        violations += [
            f"{project.name} of {project.parent.name}: {requirement} allows less than {MINIMUM[name]}"
            for name, requirement in named
            if name in MINIMUM and lower_bound(requirement) < Version(MINIMUM[name])
        ]
        if project is projects[0]:
            violations += [
                f"{project.name}: {name} has no minimum version" for name in DECLARED if name not in dict(named)
            ]
    pinned = pins(constraints)
    for name, minimum in MINIMUM.items():
        if name in DECLARED and name not in pinned:
            violations.append(f"{constraints.name}: {name} has no version")
        elif name in pinned and pinned[name] < Version(minimum):
            violations.append(f"{constraints.name}: {name}=={pinned[name]} is less than {minimum}")
    return violations


def parse_report(report: str) -> tuple[list[str], str]:
    """The vulnerabilities in a report of pip-audit, and one line about its coverage."""
    try:
        packages = json.loads(report)["dependencies"]
    except ValueError:
        return [], "pip-audit: nothing audited, its service cannot be reached"
    audited = [package for package in packages if "skip_reason" not in package]
    vulnerable = [
        f"{p['name']}=={p['version']}: {vulnerability['id']}" for p in audited for vulnerability in p["vulns"]
    ]
    if not audited:
        return [], "pip-audit: nothing audited, this package index has no vulnerability data"
    return (
        vulnerable,
        f"pip-audit: {len(audited)} of {len(packages)} versions audited, {len(vulnerable)} vulnerabilities",
    )


def run_pip_audit(requirements_file: Path) -> str:
    """pip-audit's JSON report on the versions in a file; empty if it times out."""
    options = ["--no-deps", "--disable-pip", "--progress-spinner", "off", "--timeout", "3", "--format", "json"]
    command = [sys.executable, "-m", "pip_audit", "--requirement", str(requirements_file), *options]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=AUDIT_S, check=False).stdout
    except subprocess.TimeoutExpired:
        return ""


def audit(constraints: Path = CONSTRAINTS) -> tuple[list[str], str]:
    """Audits the tested versions. One package first (0.7 s), since an index without data takes 7.4 s for all."""
    with tempfile.TemporaryDirectory() as folder:
        first = Path(folder) / "first.txt"
        first.write_text(f"h11=={pins(constraints)['h11']}\n", encoding="utf-8")
        vulnerable, line = parse_report(run_pip_audit(first))
    return parse_report(run_pip_audit(constraints)) if "nothing" not in line else (vulnerable, line)


if __name__ == "__main__":
    violations = find_violations()
    vulnerable, line = audit()
    print(line)
    sys.exit("\n".join(violations + vulnerable) or None)
