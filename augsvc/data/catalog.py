"""All datasets that a server serves, by name: the embedded ones and the operator's."""

from collections.abc import Iterable, Mapping
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType
from typing import Annotated

from pydantic import Field

from augsvc.data.builtin.digits import Digits
from augsvc.data.builtin.photos import PHOTOS, TEXTURES, Patches, Pictures
from augsvc.data.builtin.shapes import Shapes
from augsvc.data.builtin.tones import Tones
from augsvc.data.cache import DecodedCache
from augsvc.data.formats.audio_folder import AudioFolderSettings, open_audio_folder
from augsvc.data.formats.image_folder import ImageFolderSettings, open_image_folder
from augsvc.data.source import SPLITS, Source
from augsvc.errors import UnknownDataset
from augsvc.numerics.color_statistics import ColorStatistics, parse_statistics, read_statistics
from augsvc.validation import nearest

# What the operator may say of a dataset: one settings model a format. A new one is named here and in `_open`.
DatasetSettings = Annotated[ImageFolderSettings | AudioFolderSettings, Field(discriminator="format")]


class Catalog:
    """Sources by their names; never changes once made."""

    def __init__(self, sources: Iterable[Source], cache: DecodedCache) -> None:
        """Refuses two sources of one name with ValueError. `cache` is the one that they share."""
        self.cache = cache
        by_name: dict[str, Source] = {}
        for source in sources:
            if source.info.name in by_name:
                raise ValueError(f"two datasets are named {source.info.name!r}: rename one of them")
            by_name[source.info.name] = source
        self._sources: Mapping[str, Source] = MappingProxyType(by_name)

    def get(self, name: str) -> Source:
        """The source of that name.

        Raises:
            UnknownDataset: none has it.
        """
        try:
            return self._sources[name]
        except KeyError as err:
            raise UnknownDataset(f"no dataset has this name{self._hint(name)}", field="dataset") from err

    def _hint(self, name: str) -> str:
        """The split that may be meant, of a name that is one but for its split; else the nearest name."""
        whole = name.partition("/")[0]
        same = [
            known for known in sorted(self._sources, reverse=True) if known.partition("/")[0] == whole
        ]  # train, test
        if same:
            return f"; did you mean {' or '.join(same)}?"
        return nearest(name, self._sources) or "; GET /v1/datasets lists them"

    def names(self) -> tuple[str, ...]:
        """All names, sorted."""
        return tuple(sorted(self._sources))


def embedded(cache: DecodedCache | None = None) -> list[Source]:
    """The datasets that need no files of the operator's; scenes and clips are kept in `cache` once made."""
    photos, textures = Pictures(PHOTOS), Pictures(TEXTURES)
    sources: list[Source] = [
        source
        for split in SPLITS
        for source in (
            Digits(split),
            Patches(split, photos),
            Patches(split, textures),
            Shapes(split, cache),
            Tones(split, cache),
        )
    ]
    for source in sources:
        if (colors := _shipped(source.info.name.split("/")[0])) is not None:
            source.info = source.info.fitted(colors)
    return sources


def _shipped(name: str) -> ColorStatistics | None:
    """The statistics of an embedded dataset, from the package data (`make statistics`).

    They were fitted on NAME/train and serve NAME/test too: a model must see test pictures through the very map that its
    training pictures went through, and what is known of the test split must not leak into it.
    """
    file = files("augsvc.data.builtin").joinpath("fitted", f"{name}.json")
    return parse_statistics(file.read_text(encoding="utf-8")) if file.is_file() else None


def open_catalog(settings: Mapping[str, DatasetSettings], cache_bytes: int) -> Catalog:
    """The embedded datasets and the operator's, over one cache of `cache_bytes`.

    Raises:
        ValueError: for the operator: a name is taken, or a folder cannot be served (the text names the cure).
    """
    cache = DecodedCache(cache_bytes)
    sources = embedded(cache)
    taken = {source.info.name.split("/")[0] for source in sources}
    for name, dataset in settings.items():
        if name.split("/")[0] in taken:
            raise ValueError(f"the dataset name {name!r} belongs to an embedded dataset: choose another")
        sources += _open(name, dataset, cache)
    return Catalog(sources, cache)


def _open(name: str, settings: DatasetSettings, cache: DecodedCache) -> list[Source]:
    if isinstance(settings, AudioFolderSettings):
        return open_audio_folder(name, settings, cache)
    opened = open_image_folder(name, settings, cache)
    if settings.statistics is not None:
        _give(opened, name, settings.statistics)
    return opened


def _give(sources: Iterable[Source], name: str, path: Path) -> None:
    """Both splits of an operator's dataset get the same statistics, for the reason that `_shipped` gives."""
    try:
        colors = read_statistics(path)
        for source in sources:
            source.info = source.info.fitted(colors)
    except ValueError as err:
        raise ValueError(f"dataset {name!r}, statistics: {err}") from err
