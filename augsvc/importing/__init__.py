"""Translates transforms of torchvision, Albumentations and Kornia into pipelines.

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
    """Translates a transform object of torchvision, Albumentations or Kornia.

    `size`: (height, width) of the images that enter it, for parameters in pixels.

    Raises:
        CannotRead: it is of no library that is known, or cannot be one pipeline.
    """
    return translate(*read_object(transform), size)


def import_text(text: str, size: Size | None = None) -> Import:
    """Translates what `print` shows of a transform of torchvision or Kornia, or Albumentations' `to_dict` as JSON or YAML.

    Raises:
        CannotRead: the text is in none of these forms, or the transform cannot be one pipeline.
    """
    return translate(*read_text(text), size)
