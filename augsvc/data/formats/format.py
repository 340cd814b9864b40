"""The interface of a dataset format, and the discovery of all formats: the package's, and those of the operator's modules."""

import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache, reduce
from inspect import isabstract, isclass
from operator import or_
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Annotated, Any, get_args

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler, ValidationError, model_validator
from pydantic_core import CoreSchema, InitErrorDetails, PydanticCustomError

from augsvc.data import formats
from augsvc.data.cache import DecodedCache
from augsvc.data.source import Source
from augsvc.numerics.color_statistics import read_statistics
from augsvc.validation import import_for

_SWITCH = PydanticCustomError("switch", "must not be a switch (on, yes, true): give its value")


class DatasetFormat(BaseModel, ABC):
    """The operator's settings of one dataset. A subclass declares `format: Literal["name"]` and its other fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _refuse_switches(cls, settings: object) -> object:
        """`max_frames: on` of YAML would be 1. A validator of each field cannot say it: the one of `format` must not have any."""
        for name, value in settings.items() if isinstance(settings, dict) else ():
            field = cls.model_fields.get(name)
            if isinstance(value, bool) and field and bool not in (field.annotation, *get_args(field.annotation)):
                finding = InitErrorDetails(type=_SWITCH, loc=(name,), input=value)
                raise ValidationError.from_exception_data(cls.__name__, [finding])
        return settings

    @abstractmethod
    def open(self, name: str, cache: DecodedCache) -> list[Source]:
        """The dataset's sources: NAME, or one for each split, as NAME/train. Decoded samples may be kept in `cache`.

        Raises:
            ValueError: for the operator: it cannot be served; the text names the cure.
        """

    @property
    def decoding_bytes(self) -> int:
        """The most memory that decoding one file may take, by the format's bounds."""
        return 0

    @property
    def covers_contents(self) -> bool:
        """Whether the version covers the contents of all files, not their names and sizes alone."""
        return True

    @classmethod
    def path_fields(cls) -> frozenset[str]:
        """The fields that hold paths, which a settings file gives relative to its folder."""
        return frozenset(
            name for name, field in cls.model_fields.items() if Path in (field.annotation, *get_args(field.annotation))
        )


class PathFormat(DatasetFormat):
    """The operator's settings that all formats of files have."""

    path: Path
    follow_links: tuple[Path, ...] = ()  # folders that links may lead into, besides `path`


def give_statistics(sources: Iterable[Source], name: str, path: Path) -> None:
    """Gives every split of a dataset the same fitted statistics: a model must see test images through the map that its
    training images went through, and no knowledge of the test split may leak into it.

    Raises:
        ValueError: for the operator: the file cannot be used.
    """
    try:
        colors = read_statistics(path)
        for source in sources:
            source.info = source.info.fitted(colors)
    except ValueError as err:
        raise ValueError(f"dataset {name!r}, statistics: {err}") from err


@cache
def dataset_formats(modules: tuple[str, ...] = ()) -> Mapping[str, type[DatasetFormat]]:
    """The formats by name, sorted: the package's, and those that `modules` of the operator's define.

    Raises:
        ValueError: two have the same name, a module cannot be imported or defines no format, or a format has no name.
    """
    by_name: dict[str, type[DatasetFormat]] = {}
    package = [info.name for info in pkgutil.iter_modules(formats.__path__, formats.__name__ + ".")]
    for module_name in (*package, *modules):
        defined = _formats_of(import_for(module_name, "sources"))
        if module_name in modules and not defined:
            raise ValueError(f"sources: module {module_name} defines no dataset format")
        for member in defined:
            names = get_args(member.model_fields["format"].annotation) if "format" in member.model_fields else ()
            if len(names) != 1 or not isinstance(names[0], str):
                raise ValueError(f"{module_name}.{member.__name__}: declare `format: Literal[NAME]`")
            if names[0] in by_name:
                raise ValueError(
                    f"{module_name}.{member.__name__}: the format {names[0]!r} is taken by {by_name[names[0]]}"
                )
            by_name[names[0]] = member
    return MappingProxyType(dict(sorted(by_name.items())))


def _formats_of(module: ModuleType) -> list[type[DatasetFormat]]:
    """The formats that a module defines, not those that it imports."""
    own = [
        member
        for member in vars(module).values()
        if isclass(member) and issubclass(member, DatasetFormat) and member.__module__ == module.__name__
    ]
    return [member for member in own if not isabstract(member)]


@dataclass(frozen=True, slots=True)
class AnyFormat:
    """Validates as the union of all formats, also those of `modules`, with `format` as the discriminator."""

    modules: tuple[str, ...] = ()

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        union = reduce(or_, dataset_formats(self.modules).values())
        return handler.generate_schema(Annotated[union, Field(discriminator="format")])


DatasetSettings = Annotated[DatasetFormat, AnyFormat()]
