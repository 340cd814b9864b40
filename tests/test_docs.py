"""The documents match the code, and the code stays readable."""

import ast
import inspect
import re
import textwrap
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from augsvc import errors
from augsvc.numerics.geometry import Camera, Canvas
from augsvc.numerics.rng import Address
from augsvc.ops.image.color.posterize import Posterize
from augsvc.planning.image_plan import Plan
from augsvc.settings import Settings
from tests.harness import open_cpu

ROOT = Path(__file__).parent.parent
DOCUMENTS = sorted(
    str(path.relative_to(ROOT))
    for folder in ("", "docs", "docs/operations", "docs/tutorials", "deploy", "client")
    for path in (ROOT / folder).glob("*.md")
)
LONGEST_FILE, LONGEST_TEST = 350, 600
LONGEST_TREE = 14  # lines that ARCHITECTURE.md has for one package
LONGEST_CHANGE = 130  # characters
MOST_ENTRIES = 20  # at the top of augsvc/
MOST_PARAMETERS, MOST_KERNEL_PARAMETERS = 8, 10
CONTRACTED = {"RemoteDataLoader.__init__", "AugmentingDataLoader.__init__", "Client.augment"}  # fields of the contract
DENIED = (
    "afresh|anew|dearest|given up|in hand|in mid-\\w+|lets? go|nobody|of its own|of one's own|of theirs|pictures?|so many|told|"
    "under way|who asks|whoever|whom|whomever"
)
PROSE = ("*.py", "*.js", "*.css", "*.html", "*.md", "*.toml", "*.rst", "*.yaml", "*.yml", "*.sh", "*.conf")


def text(name):
    return (ROOT / name).read_text(encoding="utf-8")


def tracked(pattern):
    rooms = ("augsvc", "client", "tests", "examples", "benchmarks")
    return [path for room in rooms for path in (ROOT / room).rglob(pattern)]


def test_every_error_code_is_documented_and_none_else():
    classes = [c for c in vars(errors).values() if inspect.isclass(c) and issubclass(c, errors.AugsvcError)]
    known = {(str(c.status), c.code) for c in classes}
    assert set(re.findall(r"^\| (\d{3}) \| `(\w+)` \|", text("docs/errors.md"), re.M)) == known
    assert len({c.code for c in classes}) == len(classes)


def test_the_head_of_errors_draws_the_tree():
    drawn = set(re.findall(r"^ +(\w+) +(\d{3}) (\w+)", inspect.getdoc(errors) or "", re.M))
    classes = [c for c in vars(errors).values() if inspect.isclass(c) and issubclass(c, errors.AugsvcError)]
    assert drawn == {(c.__name__, str(c.status), c.code) for c in classes}


def test_every_setting_is_documented_and_none_else():
    assert set(re.findall(r"^\| `(\w+)` \|", text("docs/settings.md"), re.M)) == set(Settings.model_fields)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_lead_somewhere(document):
    folder = (ROOT / document).parent
    for target, heading in re.findall(r"\]\((?!https?:)([^)#\s]*)#?([^)\s]*)\)", text(document)):
        path = folder / target if target else ROOT / document
        assert path.exists(), target
        if heading and path.suffix == ".md":
            assert heading in headings(path), f"{target}#{heading}"


def headings(path):
    """The anchors that GitHub makes of a document's headings."""
    lines = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.M)
    return {re.sub(r"[^\w\- ]", "", line.lower()).replace(" ", "-") for line in lines}


def test_the_example_of_contributing_is_an_operation():
    code = re.search(r"```python\n(.*?)   ```", text("CONTRIBUTING.md"), re.S)
    assert code
    assert textwrap.dedent(code[1]) == text("augsvc/ops/image/color/posterize.py")
    for bits in range(1, 9):
        plan = Plan.of([Posterize(bits=bits)], Canvas(16, 16, 1), "cover")
        ramp = np.arange(256, dtype=np.uint8).reshape(16, 16)
        draws, cameras = (
            plan.draw(0, Address(np.arange(1), 0, 0)),
            [Camera.of(np.eye(3)[None], Canvas(16, 16, 1), [(16, 16)])],
        )
        expected = ImageOps.posterize(Image.fromarray(ramp), bits)
        for executor in ("fused", "kornia"):
            seen = np.empty((1, 1, 16, 16), np.uint8)
            open_cpu(executor).render(plan, [ramp[..., None]], cameras, draws, seen, lambda: None)
            assert (seen[0, 0] == np.asarray(expected)).all(), (executor, bits)


def test_files_stay_readable():
    for path in tracked("*.py"):
        limit = LONGEST_TEST if "tests" in path.parts else LONGEST_FILE
        assert len(path.read_text(encoding="utf-8").splitlines()) <= limit, path


def test_the_top_of_the_server_stays_small():
    assert len([path for path in (ROOT / "augsvc").iterdir() if path.name != "__pycache__"]) <= MOST_ENTRIES


def test_the_map_of_modules_stays_small():
    for package in ("augsvc/", "client/augsvc_client/"):
        tree = re.search(rf"^    {package}\n((?:      .+\n)+)", text("ARCHITECTURE.md"), re.M)
        assert tree, f"ARCHITECTURE.md has no map of {package}"
        assert 1 + tree[1].count("\n") <= LONGEST_TREE, package
        rooms = {path.parent.name for path in (ROOT / package).glob("*/__init__.py")}
        assert set(re.findall(r"^      (\w+)/", tree[1], re.M)) == rooms


def test_the_prose_is_plain():
    """Words that plain technical English does not need; CONTRIBUTING.md's glossary has the ones to use."""
    hits = list(denied_words())
    assert not hits, "\n".join(hits)


def denied_words():
    """The files that hold denied words, with the words."""
    denied = re.compile(rf"\b({DENIED})\b", re.I)
    for path in prose():
        words = sorted({match[0].lower() for match in denied.finditer(plain(path))})
        if words:
            yield f"{path.relative_to(ROOT)}: {', '.join(words)}"


def prose():
    yield from (ROOT / name for name in [*DOCUMENTS, "Makefile", "Dockerfile", "pyproject.toml"])
    for folder in ("augsvc", "client/augsvc_client", "docs", "tests", "examples", "benchmarks", "deploy", ".github"):
        for pattern in PROSE:
            yield from (path for path in (ROOT / folder).rglob(pattern) if path != Path(__file__))


def plain(path):
    """A file's words: identifiers in pieces, lines joined, without the glossary and the HTML element `picture`."""
    words = path.read_text(encoding="utf-8").partition("## Glossary")[0]
    return re.sub(r"</?picture>|[\s_#]+", " ", words)


def test_functions_take_few_parameters():
    """A command's parameters are its options, a route's its query; the contract's keywords are the specification's fields."""
    crowded = set()
    for path in (path for path in tracked("*.py") if not {"tests", "cli"} & set(path.parts)):
        limit = MOST_KERNEL_PARAMETERS if "kernels" in path.parts else MOST_PARAMETERS
        for name, function in functions(ast.parse(path.read_text(encoding="utf-8"))):
            arguments = [argument.arg for argument in ast.walk(function.args) if isinstance(argument, ast.arg)]
            count = len([name for name in arguments if name not in ("self", "cls")])
            if count > limit and not is_endpoint(function) and name not in CONTRACTED:
                crowded.add(f"{path.relative_to(ROOT)}: {name} takes {count} parameters")
    assert not crowded, "\n".join(sorted(crowded))


def functions(node, owner=""):
    """Every function below a node, methods as Class.method."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield owner + child.name, child
        yield from functions(child, f"{child.name}." if isinstance(child, ast.ClassDef) else "")


def is_endpoint(function):
    """Whether it is a route."""
    names = {
        node.attr
        for decorator in function.decorator_list
        for node in ast.walk(decorator)
        if isinstance(node, ast.Attribute)
    }
    return not names.isdisjoint({"get", "post"})


def test_each_change_has_one_short_line():
    """Keep a Changelog's own sections and form; a change that needs more has a document."""
    changes = text("CHANGELOG.md").partition("## [Unreleased]")[2]
    assert set(re.findall(r"^### (.+)$", changes, re.M)) <= {
        *("Added", "Changed", "Deprecated", "Removed", "Fixed", "Security")
    }
    long = [line for line in changes.splitlines() if len(line) > LONGEST_CHANGE or line.startswith("  ")]
    assert not long, (
        f"one line of at most {LONGEST_CHANGE} characters for each change (git may have merged both sides of it):\n"
        + "\n".join(long)
    )
