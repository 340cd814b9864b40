"""All datasets of a server, by name: the built-in ones and the operator's."""

from collections.abc import Iterable, Mapping
from importlib.resources import files
from types import MappingProxyType
from typing import get_args

from augsvc.data.builtin.digits import Digits
from augsvc.data.builtin.photos import PHOTOS, TEXTURES, CollectionImages, Patches
from augsvc.data.builtin.shapes import Shapes
from augsvc.data.builtin.tones import Tones
from augsvc.data.cache import DecodedCache
from augsvc.data.formats.format import DatasetFormat
from augsvc.data.source import Source, Split
from augsvc.errors import UnknownDataset
from augsvc.numerics.color_statistics import ColorStatistics, parse_statistics
from augsvc.validation import nearest


class Catalog:
    """Sources by name; immutable."""

    def __init__(self, sources: Iterable[Source], cache: DecodedCache) -> None:
        """Raises ValueError if two sources have the same name. `cache` is the one that they share."""
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
            UnknownDataset: there is none.
        """
        try:
            return self._sources[name]
        except KeyError as err:
            raise UnknownDataset(f"no dataset has this name{self._hint(name)}", field="dataset") from err

    def media_of(self, name: str) -> str | None:
        """The medium of a dataset, `image` or `audio`; None if there is none of that name."""
        source = self._sources.get(name)
        return source.info.media if source else None

    def _hint(self, name: str) -> str:
        """The splits of a name that lacks one, or the nearest name."""
        whole = name.partition("/")[0]
        splits = [known for known in self._sources if known.partition("/")[0] == whole]
        if splits:
            return f"; did you mean {' or '.join(splits)}?"
        return nearest(name, self._sources) or "; GET /v1/datasets lists them"

    def names(self) -> tuple[str, ...]:
        """All names, sorted."""
        return tuple(sorted(self._sources))


def embedded(cache: DecodedCache | None = None) -> list[Source]:
    """The built-in datasets; rendered scenes and clips are kept in `cache`."""
    photos, textures = CollectionImages(PHOTOS), CollectionImages(TEXTURES)
    sources: list[Source] = [
        source
        for split in get_args(Split)
        for source in (
            Digits(split),
            Patches(split, photos),
            Patches(split, textures),
            Shapes(split, cache),
            Tones(split, cache),
        )
    ]
    for source in sources:
        if (colors := _package_statistics(source.info.name.split("/")[0])) is not None:
            source.info = source.info.fitted(colors)
    return sources


def _package_statistics(name: str) -> ColorStatistics | None:
    """The statistics of a built-in dataset, from the package data (`make statistics`).

    They were fitted on NAME/train and apply to NAME/test too: see `give_statistics`.
    """
    file = files("augsvc.data.builtin").joinpath("fitted", f"{name}.json")
    return parse_statistics(file.read_text(encoding="utf-8")) if file.is_file() else None


def open_catalog(settings: Mapping[str, DatasetFormat], cache_bytes: int) -> Catalog:
    """The built-in datasets and the operator's, over one cache of `cache_bytes`.

    Raises:
        ValueError: for the operator: names are taken, or datasets cannot be served (the text names each, and the cure).
    """
    cache = DecodedCache(cache_bytes)
    sources = embedded(cache)
    taken = {source.info.name.split("/")[0] for source in sources}
    faults: list[str] = []
    for name, dataset in settings.items():
        if name.split("/")[0] in taken:
            faults.append(f"the dataset name {name!r} belongs to a built-in dataset: choose another")
            continue
        try:
            sources += dataset.open(name, cache)
        except ValueError as err:
            faults.append(str(err))
    if faults:
        raise ValueError("\n".join(faults))
    return Catalog(sources, cache)
