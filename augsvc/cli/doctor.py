"""`augsvc doctor`: one line for each part of a setup, without serving or rendering anything.

settings → packages, the checks of doctor_checks.py, and one for each dataset → Finding → a line, and the exit status
"""

import logging
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, metadata, requires, version
from pathlib import Path

import typer
from packaging.requirements import Requirement
from rich.console import Console

import augsvc
from augsvc.cli.common import safe
from augsvc.data.private_folder import explain_unusable
from augsvc.errors import AugsvcError
from augsvc.settings import Settings, load_settings

Warn = Callable[[str], None]
_DEVELOPMENT = {"dev", "docs"}  # extras that a server does not use


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report."""

    level: str  # ok, warning or failed
    subject: str
    text: str


def doctor(config: Path | None) -> None:
    """Prints the findings; exits with 1 if one of them is a failure."""
    console, failed = Console(emoji=False), False
    colors = {"ok": "green", "warning": "yellow", "failed": "red"}
    for finding in diagnose(config):
        line = f"[{colors[finding.level]}]{finding.level}[/] {safe(finding.subject)}: {safe(finding.text)}"
        console.print(line, highlight=False, soft_wrap=True)
        failed |= finding.level == "failed"
    if failed:
        raise typer.Exit(1)


def diagnose(config: Path | None) -> Iterator[Finding]:
    """The findings, as each check ends; of invalid settings only those."""
    try:
        settings = load_settings(config, {})
    except ValueError as err:
        yield from (Finding("failed", "settings", line) for line in str(err).split("\n"))
        return
    yield Finding("ok", "settings", str(config) if config else "defaults and AUGSVC_* variables")
    yield from run_check("packages", partial(check_packages, settings))
    from augsvc.cli.doctor_checks import CHECKS, check_dataset  # torch and the kernels: seconds

    checks: dict[str, Callable[[Settings, Warn], str]] = dict(CHECKS)
    checks |= {f"dataset {name}": partial(check_dataset, name, entry) for name, entry in settings.datasets.items()}
    for subject, check in checks.items():
        yield from run_check(subject, partial(check, settings))


def run_check(subject: str, check: Callable[[Warn], str]) -> Iterator[Finding]:
    """What a check returns or raises; then its warnings, logged ones included."""
    warnings: list[str] = []
    handler = _Warnings(warnings.append)
    logger = logging.getLogger("augsvc")
    logger.addHandler(handler)
    try:
        yield Finding("ok", subject, check(warnings.append))
    except AugsvcError as err:
        yield Finding("failed", subject, err.message)
    except OSError as err:
        yield Finding("failed", subject, explain_unusable(err))
    except ValueError as err:  # of a dataset all its faults, each with the name that the line begins with
        lines = str(err).split("\n")
        yield from (Finding("failed", subject, re.sub("^dataset '[^']*': ", "", line)) for line in lines)
    except Exception as err:  # of libraries: whatever it is, the other lines are printed too
        yield Finding("failed", subject, f"{type(err).__name__}: {err}")
    finally:
        logger.removeHandler(handler)
    yield from (Finding("warning", subject, text) for text in warnings)


class _Warnings(logging.Handler):
    """Passes on the text of warnings."""

    def __init__(self, warn: Warn) -> None:
        super().__init__(logging.WARNING)
        self._warn = warn

    def emit(self, record: logging.LogRecord) -> None:
        self._warn(record.getMessage())


def check_packages(_: Settings, __: Warn) -> str:
    """Both distributions are of one release, and their requirements are installed."""
    wrong = [text for name in ("augsvc", "augsvc-client") for text in missing(name, "")]
    if wrong:
        raise ValueError(f"{'; '.join(wrong)}: reinstall augsvc in this environment")
    extras = [extra for extra in metadata("augsvc").get_all("Provides-Extra", []) if extra not in _DEVELOPMENT]
    present = [f"{extra} {'not installed' if any(missing('augsvc', extra)) else 'installed'}" for extra in extras]
    return f"augsvc {augsvc.__version__}; extras: {', '.join(present)}"


def missing(distribution: str, extra: str) -> Iterator[str]:
    """The requirements of a distribution, or of one of its extras, that are not installed or of another version."""
    for requirement in map(Requirement, requires(distribution) or ()):
        if requirement.marker is None:
            applies = not extra
        else:
            applies = requirement.marker.evaluate({"extra": extra})
            applies &= not (extra and requirement.marker.evaluate({"extra": ""}))
        if not applies:
            continue
        try:
            installed = version(requirement.name)
        except PackageNotFoundError:
            yield f"{requirement.name} is not installed"
            continue
        if not requirement.specifier.contains(installed, prereleases=True):
            yield f"{requirement.name} {installed} is installed, {distribution} needs {requirement.specifier}"
