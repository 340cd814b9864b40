"""Writes the coverage and the distances in docs/import.md: `.venv-bench/bin/python -m tests.importing.coverage`.

Every class is in exactly one of the three: translated, refused, out of scope.
"""

import inspect
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

from augsvc.importing.builder import Table, nearest_operation
from augsvc.importing.node import Library
from augsvc.importing.peers import PEERS
from augsvc.importing.translate import TABLES
from tests.importing.distances import measure

PAGE = Path(__file__).parents[2] / "docs" / "import.md"
BEGIN, END = "<!-- coverage: begin -->\n", "<!-- coverage: end -->\n"
_PACKAGES: Mapping[Library, str] = {
    "torchvision": "torchvision.transforms.v2",
    "albumentations": "albumentations",
    "kornia": "kornia.augmentation",
    "audiomentations": "audiomentations",
    "torch_audiomentations": "torch_audiomentations",
}
_NO_TRANSFORMS = {  # classes beside them: enumerations, settings, and what is for volumes and videos alone
    "torchvision": {"AutoAugmentPolicy", "InterpolationMode"},
    "albumentations": {"BboxParams", "KeypointParams", "suppress"},
    "kornia": set(),
    "audiomentations": set(),
    "torch_audiomentations": set(),
}


def module_of(library: Library) -> ModuleType:
    """The library's module of transforms.

    Raises:
        ImportError: it is not installed.
    """
    if library == "torchvision":  # its extension cannot be loaded beside a CPU build of torch
        import benchmarks.peers.torchvision  # noqa: F401 - defines what the import needs
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return __import__(_PACKAGES[library], fromlist=["_"])


def classes(library: Library) -> set[str]:
    """The names of all public classes of transforms and containers, from the library itself."""
    found = {
        name
        for name, value in vars(module_of(library)).items()
        if inspect.isclass(value) and not name.startswith("_") and value.__module__.startswith(library)
    }
    if library == "kornia":  # its policies are in a package below; its augmentations of volumes have names of their own
        found |= {"AutoAugment", "RandAugment", "TrivialAugment"}
        found = {name for name in found if "3D" not in name}
    return found - _NO_TRANSFORMS[library]


def placed(table: Table) -> list[str]:
    """The names of a table; one that is in it twice is here twice."""
    return [*table.translators, *table.refused, *table.out_of_scope]


def rows() -> str:
    """A table of the counts, and of each library the classes that are refused."""
    lines = [
        "| library | classes | translated | refused, with a nearest operation | out of scope |",
        "|---|---|---|---|---|",
    ]
    sections = []
    for library in PEERS:  # of images
        table = TABLES[library]
        module, of_library = module_of(library), classes(library)
        version = __import__(library).__version__
        translated, refused = (len(of_library & set(names)) for names in (table.translators, table.refused))
        scope = len(of_library & set(table.out_of_scope))
        lines.append(f"| {library} {version} | {len(of_library)} | {translated} | {refused} | {scope} |")
        reasons = [
            f"| `{name}` | {reason} | {f'`{op}`' if op else '–'} |"
            for name, (reason, stated) in sorted(table.refused.items())
            for op in [nearest_operation(table.library, name, stated)]
        ]
        measured = [f"| {names} | {verdict} | {worst} |" for names, verdict, worst in measure(library, module)]
        head = [f"### Measured: {library}", "", "| transform | verdict | mean, 99.9 % (levels) |", "|---|---|---|"]
        sections.append("\n".join([*head, *measured]))
        head = [f"### Refused: {library}", "", "| class | what it does | nearest |", "|---|---|---|"]
        sections.append("\n".join([*head, *reasons]))
    return "\n".join(lines) + "\n\n" + "\n\n".join(sections) + "\n"


def main() -> None:
    """Writes the part of the page between the markers."""
    page = PAGE.read_text(encoding="utf-8")
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(before + BEGIN + re.sub(r" +$", "", rows(), flags=re.M) + END + after, encoding="utf-8")


if __name__ == "__main__":
    main()
