"""The documentation site: Sphinx over the repository's Markdown, which a forge shows as it is.

The source folder is the repository, so that links between documents and to code lead to the same files as on a forge. What
Markdown has no form for is added here: the tables of contents.

    sphinx-build -c docs . _site
"""

from importlib.metadata import version as installed_version
from pathlib import Path
from types import MappingProxyType

from sphinx.application import Sphinx

project = "augsvc"
author = "The augsvc authors"
version = release = installed_version("augsvc")
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
root_doc = "docs/index"
include_patterns = [
    *("docs/**", "ARCHITECTURE.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"),
    *("deploy/*.md", "deploy/ray/*.md", "deploy/helm/*.md"),
]
exclude_patterns = ["docs/site"]

myst_heading_anchors = 4  # those that a forge makes
default_role = "code"  # of single backticks in docstrings
autodoc_member_order = "bysource"
autodoc_typehints = "description"

html_theme = "furo"
html_title = f"augsvc {release}"
html_extra_path = ["site"]
html_copy_source = False
html_show_sphinx = False
html_show_copyright = False

CONTENTS = MappingProxyType(
    {
        "docs/index": {
            "Start": ("docs/installation", "docs/usage", "docs/when", "docs/comparison", "docs/how_it_works"),
            "Tutorials": tuple(
                f"docs/tutorials/{name}"
                for name in (
                    *("classification", "detection", "segmentation", "keypoints"),
                    *("speech", "dataset", "contrastive", "ddp"),
                )
            ),
            "Training": tuple(
                f"docs/{name}"
                for name in ("batches", "sampling", "operations", "gallery", "import", "loops", "trainer", "page")
            ),
            "Operating": (
                *(f"docs/{name}" for name in ("doctor", "settings", "datasets", "monitoring", "serving")),
                *("deploy/README", "deploy/RESTARTS", "deploy/ray/README", "deploy/helm/README", "SECURITY"),
            ),
            "Reference": tuple(
                f"docs/{name}" for name in ("http", "inference", "errors", "python", "executors", "benchmarks")
            ),
            "Project": ("ARCHITECTURE", "CONTRIBUTING", "CHANGELOG"),
        },
        "docs/operations": {"": ("docs/operations/*",)},
    }
)


LISTED = {entry for entries in CONTENTS["docs/index"].values() for entry in entries}
FURTHER = tuple(
    sorted({f"docs/{path.stem}" for path in Path(__file__).parent.glob("*.md")} - LISTED - {root_doc})
)  # a new document is in the sidebar before it is given a place


def add_contents(app: Sphinx, document: str, source: list[str]) -> None:
    """Appends a document's tables of contents, which the sidebar shows."""
    contents = CONTENTS.get(document, {})
    if document == root_doc and FURTHER:
        contents = {**contents, "Further": FURTHER}
    for caption, entries in contents.items():
        options = [":hidden:", ":glob:", *([f":caption: {caption}"] if caption else [])]
        source[0] += "\n\n" + "\n".join(["```{toctree}", *options, "", *(f"/{entry}" for entry in entries), "```"])


def setup(app: Sphinx) -> None:
    """Adds the tables of contents."""
    app.connect("source-read", add_contents)
