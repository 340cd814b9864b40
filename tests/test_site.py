"""The documentation site builds without a warning, and its search finds what people look for."""

import html
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_client import generate_latest
from sphinx.search.en import SearchEnglish

from augsvc import errors
from augsvc.http import create_app
from augsvc.ops.registry import containers, registry
from augsvc.settings import Settings

ROOT = Path(__file__).parent.parent

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    options = ["--fail-on-warning", "--keep-going", "--quiet", "-d", tmp_path_factory.mktemp("doctrees")]
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", *options, "-c", "docs", ".", folder], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def find(site):
    """The documents in which the site's search finds a word; as its script does, by the word's stem."""
    index = json.loads(re.fullmatch(r"Search\.setIndex\((.*)\)", (site / "searchindex.js").read_text(), re.S)[1])
    stem = SearchEnglish({}).stem

    def look_up(word):
        entries = (index[terms].get(stem(word), []) for terms in ("terms", "titleterms"))
        numbers = (number for entry in entries for number in ([entry] if isinstance(entry, int) else entry))
        return {index["docnames"][number] for number in numbers}

    return look_up


def codes():
    classes = (member for member in vars(errors).values() if isinstance(member, type))
    return sorted({member.code for member in classes if issubclass(member, errors.AugsvcError)})


def metrics():
    text = generate_latest(create_app(Settings(kernel_cache=None)).state.metrics.registry).decode()
    return sorted(name for name in re.findall(r"^# TYPE (augsvc_\w+) ", text, re.M) if not name.endswith("_created"))


def test_the_search_finds_operations_settings_error_codes_and_metrics(find):
    wanted = {name: f"docs/operations/{name}" for name in (*registry(), *containers())}
    wanted |= dict.fromkeys(Settings.model_fields, "docs/settings")
    wanted |= dict.fromkeys(codes(), "docs/errors")
    wanted |= dict.fromkeys(metrics(), "docs/monitoring")
    missed = {word: page for word, page in wanted.items() if page not in find(word)}
    assert len(wanted) > 150
    assert not missed


def test_every_page_is_in_the_sidebar_and_two_clicks_from_the_start(site):
    start = (site / "docs/index.html").read_text(encoding="utf-8")
    reached = linked(site, "docs/index.html", start)
    for page in list(reached):
        reached |= linked(site, page, (site / page).read_text(encoding="utf-8"))
    pages = {path.relative_to(site).as_posix() for path in site.rglob("*.html")}
    generated = {"index.html", "genindex.html", "py-modindex.html", "search.html", "docs/index.html"}
    assert pages - generated <= reached


def linked(site, page, text):
    """The pages of the site that a page links to."""
    targets = re.findall(r'href="([^"#:]+\.html)', text)
    paths = ((site / page).parent / target for target in targets)
    return {path.resolve().relative_to(site.resolve()).as_posix() for path in paths if path.exists()}


# a newcomer's questions, the page with the answer, and the words that answer
TRIAL = (
    ("How do I resume a run?", "docs/tutorials/classification.html", "load_state_dict"),
    ("How do I see images with their masks and boxes?", "docs/page.html", "mask"),
    ("What was drawn for this sample?", "docs/page.html", "receipt"),
    ("How do I add an operation of my own?", "CONTRIBUTING.html", "Put a class into a new file"),
    ("What does 409, or another error code, mean?", "docs/errors.html", "would produce different bytes"),
    ("How do I move my torchvision or Albumentations pipeline?", "docs/import.html", "augsvc import"),
    ("How do I move my torchvision or Albumentations pipeline?", "docs/operations.html", "coarse_dropout"),
    ("How do I make a run reproducible?", "docs/usage.html", "aug_seed"),
    ("How do I read a list of recordings?", "docs/tutorials/speech.html", "kaldi"),
    ("What happens when a GPU runs out of memory?", "docs/usage.html", "memory"),
    ("How do I train on several GPUs?", "docs/tutorials/ddp.html", "torchrun"),
    ("How do I train with Keras, JAX, Lightning, Accelerate or Hugging Face?", "docs/loops.html", "Keras 3"),
    ("How do I serve my own files?", "docs/tutorials/dataset.html", "image_folder"),
    ("How do I read a COCO, YOLO or Pascal VOC dataset?", "docs/datasets.html", "instances_train"),
    ("How do I weight classes, or make folds?", "docs/sampling.html", "balanced"),
    ("The server does not start, or trainers wait.", "docs/doctor.html", "augsvc doctor"),
    ("Is it fast enough?", "docs/when.html", "images a second"),
    ("How do I limit memory?", "docs/settings.html", "max_batch_bytes"),
    ("How do I use two machines, or more?", "docs/usage.html", "takes the other when it fails"),
    ("Which metric do I scale on?", "docs/monitoring.html", "scale on this one"),
    ("Who may read what?", "SECURITY.html", "clients with a token"),
)


def test_a_newcomers_questions_are_one_click_from_their_answers(site):
    start = (site / "docs/index.html").read_text(encoding="utf-8")
    words = {page: html.unescape(re.sub(r"<[^>]+>", "", (site / page).read_text("utf-8"))) for _, page, _ in TRIAL}
    asked = html.unescape(re.sub(r"<[^>]+>", "", start)).replace("’", "'")
    for question, page, answer in TRIAL:
        assert question in asked, question
        assert page in linked(site, "docs/index.html", start), question
        assert answer in words[page], (question, page)
