"""The interface of a dataset format, and the discovery of all formats: every module of this package that defines one."""

import importlib
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from functools import cache, reduce
from inspect import isabstract, isclass
from operator import or_
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, get_args

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler
from pydantic_core import CoreSchema

from augsvc.data import formats
from augsvc.data.cache import DecodedCache
from augsvc.data.source import Source
from augsvc.numerics.color_statistics import read_statistics


class DatasetFormat(BaseModel, ABC):
    """The operator's settings of one dataset. A subclass declares `format: Literal["name"]` and its other fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")

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

    @classmethod
    def path_fields(cls) -> frozenset[str]:
        """The fields that hold paths, which a settings file gives relative to its folder."""
        return frozenset(
            name for name, field in cls.model_fields.items() if Path in (field.annotation, *get_args(field.annotation))
        )


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
def dataset_formats() -> Mapping[str, type[DatasetFormat]]:
    """The formats by name, sorted.

    Raises:
        ValueError: two have the same name.
    """
    by_name: dict[str, type[DatasetFormat]] = {}
    for info in pkgutil.iter_modules(formats.__path__, formats.__name__ + "."):
        module = importlib.import_module(info.name)
        for member in vars(module).values():
            own = isclass(member) and issubclass(member, DatasetFormat) and member.__module__ == info.name
            if own and not isabstract(member):
                (name,) = get_args(member.model_fields["format"].annotation)
                if name in by_name:
                    raise ValueError(f"{info.name}.{member.__name__}: the format {name!r} is taken by {by_name[name]}")
                by_name[name] = member
    return MappingProxyType(dict(sorted(by_name.items())))


class _AnyFormat:
    """Validates as the union of all formats, with `format` as the discriminator."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        union = reduce(or_, dataset_formats().values())
        return handler.generate_schema(Annotated[union, Field(discriminator="format")])


DatasetSettings = Annotated[DatasetFormat, _AnyFormat()]
