"""The Dockerfile, as far as the tests have to read it: stages, and what an image inherits from those below it."""

import json
import re
import shlex

from tests.deploy.composed import ROOT

Instruction = tuple[str, str]  # "ENV", "PATH=… HOME=…"


def stages() -> dict[str, list[Instruction]]:
    """Name → instructions, the FROM first; in the file's order."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    found: dict[str, list[Instruction]] = {}
    name = ""
    for line in re.sub(r"\\\n\s*", "", "\n".join(lines)).splitlines():
        word, rest = line.split(maxsplit=1)
        if word == "FROM":
            name = rest.split(" AS ")[1]
        found.setdefault(name, []).append((word, rest))
    return found


def instructions(target: str) -> list[Instruction]:
    """Those that made an image, from its base on."""
    found = stages()
    own = found[target]
    below = own[0][1].split()[0]
    return (instructions(below) if below in found else []) + own


def last(target: str, word: str) -> str:
    """What holds of the image."""
    return [rest for each, rest in instructions(target) if each == word][-1]


def environment(target: str) -> dict[str, str]:
    """The image's variables."""
    lines = [rest for word, rest in instructions(target) if word == "ENV"]
    return dict(pair.split("=", 1) for line in lines for pair in shlex.split(line))


def health(target: str) -> list[str]:
    """The command of its HEALTHCHECK."""
    return json.loads(last(target, "HEALTHCHECK").split("CMD", 1)[1])
