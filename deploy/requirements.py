"""Prints the requirements of pyproject files, one a line, without this project's own distributions.

An image installs them before the code, so that a code change keeps their layer:

    requirements.py pyproject.toml client/pyproject.toml:train      (after the colon: an extra)
"""

import sys
import tomllib
from pathlib import Path


def asked_for(given: str) -> list[str]:
    """The requirements of FILE, or of FILE:EXTRA."""
    name, _, extra = given.partition(":")
    project = tomllib.loads(Path(name).read_text(encoding="utf-8"))["project"]
    found = project["dependencies"] + (project["optional-dependencies"][extra] if extra else [])
    return [each for each in found if not each.startswith("augsvc")]


if __name__ == "__main__":
    wanted = dict.fromkeys(each for given in sys.argv[1:] for each in asked_for(given))
    sys.stdout.write("".join(f"{each}\n" for each in wanted))
