"""Translates transforms of torchvision, Albumentations, Kornia, audiomentations and torch-audiomentations into pipelines.

    result = import_transform(v2.Compose([v2.RandomResizedCrop(224), v2.RandomHorizontalFlip()]))
    result.lines     # what became of each part: equal, near or refused
    result.fields()  # the fields of a specification

No text is evaluated, and nothing is imported by its name.
"""

from augsvc.importing.builder import Line, Verdict
from augsvc.importing.framing import Size
from augsvc.importing.node import CannotRead
from augsvc.importing.objects import read_object
from augsvc.importing.text import read_text
from augsvc.importing.translate import Import, translate

__all__ = ["CannotRead", "Import", "Line", "Verdict", "import_text", "import_transform"]


def import_transform(transform: object, size: Size | None = None) -> Import:
    """Translates a transform object of one of these libraries.

    `size`: (height, width) of the images that enter it, for parameters in pixels.

    Raises:
        CannotRead: it is of no library that is known, or cannot be one pipeline.
    """
    return translate(*read_object(transform), size)


def import_text(text: str, size: Size | None = None) -> Import:
    """Translates what `print` shows of a transform of torchvision, Kornia or audiomentations, Albumentations' `to_dict` as JSON
    or YAML, or a configuration of torch-audiomentations.

    Raises:
        CannotRead: the text is in none of these forms, or the transform cannot be one pipeline.
    """
    return translate(*read_text(text), size)
