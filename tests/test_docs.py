"""The documents match the code, and the code stays readable."""

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
from augsvc.ops.registry import registry
from augsvc.planning.image_plan import Plan
from augsvc.settings import Settings
from tests.harness import open_cpu

ROOT = Path(__file__).parent.parent
DOCUMENTS = sorted(
    str(path.relative_to(ROOT)) for folder in ("", "docs", "deploy", "client") for path in (ROOT / folder).glob("*.md")
)
LONGEST_FILE, LONGEST_TEST = 350, 600
LONGEST_TREE = 14  # lines that ARCHITECTURE.md has for one package
MOST_ENTRIES = 20  # at the top of augsvc/


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


def test_every_operation_is_in_the_readme_and_the_changelog():
    for name in registry():
        for document in ("README.md", "CHANGELOG.md"):
            named = f"`{name}`" in text(document)
            assert named, f"name the operation `{name}` in {document}"


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
    names: dict[str, object] = {}
    exec(textwrap.dedent(code[1]), names)  # noqa: S102 - the document's own example
    for bits in range(1, 9):
        plan = Plan.of([names["Posterize"](bits=bits)], Canvas(16, 16, 1), "cover")
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
