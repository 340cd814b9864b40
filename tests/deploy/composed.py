"""deploy/compose.yaml as Compose reads it, as far as it uses the format: variables put in, fragments merged."""

import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

import yaml

ROOT = Path(__file__).parent.parent.parent
DEPLOY = ROOT / "deploy"


def dotenv() -> dict[str, str]:
    """What deploy/.env sets; its other lines are comments."""
    lines = (DEPLOY / ".env").read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def interpolated(text: str, variables: Mapping[str, str]) -> str:
    """`${NAME-default}` for a variable that is not set, `${NAME:-default}` for one that is empty too."""

    def value(found: re.Match[str]) -> str:
        name, kind, default = found.groups()
        given = variables.get(name)
        return default if given is None or (kind == ":-" and not given) else given

    return re.sub(r"\$\{(\w+)(:?-)([^}]*)\}", value, text)


def composed(**variables: str) -> dict:
    """The whole file."""
    text = (DEPLOY / "compose.yaml").read_text(encoding="utf-8")
    return yaml.safe_load(interpolated(text, {**dotenv(), **variables}))


def services(profile: str | None = None) -> dict[str, dict]:
    """The services, or those of one profile."""
    found = composed()["services"]
    return {name: each for name, each in found.items() if profile is None or profile in each["profiles"]}


def settings_with_data() -> str:
    """settings.yaml with its commented lines for custom folders enabled."""
    return re.sub(r"^#(?! \w)", "", (DEPLOY / "settings.yaml").read_text(encoding="utf-8"), flags=re.MULTILINE)


def seconds(duration: str) -> float:
    """`40s`, `2m`."""
    number, unit = re.fullmatch(r"(\d+)(s|m)", duration).groups()
    return float(number) * {"s": 1, "m": 60}[unit]


def make_secrets(deploy: Path, *names: str) -> str:
    """Runs a copy's make-secrets.sh."""
    made = subprocess.run(
        [deploy / "make-secrets.sh", *names], check=True, capture_output=True, text=True, env=os.environ
    )
    return made.stdout
