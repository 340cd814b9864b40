"""Every class of the libraries is translated, refused or out of scope; of four libraries where they are installed."""

import inspect
import json

import pytest

from augsvc.importing import import_text
from augsvc.importing.translate import TABLES
from augsvc.ops.registry import containers, registry
from tests.importing.coverage import classes, module_of, placed
from tests.importing.forms import a, kornia

LIBRARIES = sorted(TABLES)


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_class_has_one_place(library):
    names = placed(TABLES[library])
    assert len(names) == len(set(names))


@pytest.mark.parametrize("library", LIBRARIES)
def test_every_class_has_a_place(library):
    try:
        of_library = classes(library)
    except ImportError:
        pytest.skip(f"{library} is not installed")
    assert of_library - set(placed(TABLES[library])) == set()


@pytest.mark.parametrize("library", LIBRARIES)
def test_the_nearest_operations_exist(library):
    table = TABLES[library]
    nearest = {entry.nearest for entry in table.translators.values()} | {near for _, near in table.refused.values()}
    assert nearest - {None} <= {*registry(), *containers()}


@pytest.mark.parametrize("library", LIBRARIES)
def test_the_names_that_operations_have_elsewhere_are_known(library):
    table = TABLES[library]
    for op, model in registry().items():
        for name in filter(None, model.elsewhere.get(table.library, "").split(", ")):
            assert name in placed(table), (op, name)


def test_the_nearest_operation_is_one_that_names_the_class():
    (line,) = kornia("RandomElasticTransform(p=0.5)").lines[1:]
    assert line.nearest == "elastic"


def test_no_parameter_of_albumentations_is_unknown():
    """What `to_dict` writes of each class with its defaults is read."""
    try:
        library = module_of("albumentations")
    except ImportError:
        pytest.skip("albumentations is not installed")
    sizes = {"height": 64, "width": 64, "size": (64, 64), "max_size": 64, "min_height": 64, "min_width": 64}
    for name in TABLES["albumentations"].translators:
        if not issubclass(getattr(library, name), library.BasicTransform):
            continue
        made = make(getattr(library, name), sizes)
        text = json.dumps({"__version__": "2.0.8", "transform": a("Compose", made.to_dict()["transform"], p=1.0)})
        notes = "; ".join(note for line in import_text(text, (64, 64)).lines for note in line.notes)
        assert "unknown parameters" not in notes, (name, notes)


def make(cls, sizes):
    """An instance with its defaults, and a size where it needs one."""
    taken = inspect.signature(cls.__init__).parameters
    return cls(**{name: size for name, size in sizes.items() if name in taken})
