"""All datasets that a server serves, by name: the embedded ones and the operator's."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from augsvc.cache import DecodedCache
from augsvc.errors import UnknownDataset
from augsvc.sources.base import SPLITS, Source
from augsvc.sources.digits import Digits
from augsvc.sources.image_folder import ImageFolderSettings, open_image_folder
from augsvc.sources.patches import PHOTOS, TEXTURES, Patches, Pictures
from augsvc.sources.shapes import Shapes
from augsvc.sources.tones import Tones
from augsvc.validation import nearest


class Catalogue:
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
            hint = nearest(name, self._sources) or "; GET /v1/datasets lists them"
            raise UnknownDataset(f"no dataset has this name{hint}", field="dataset") from err

    def names(self) -> tuple[str, ...]:
        """All names, sorted."""
        return tuple(sorted(self._sources))


def embedded(cache: DecodedCache | None = None) -> list[Source]:
    """The datasets that need no files of the operator's; scenes and clips are kept in `cache` once made."""
    photos, textures = Pictures(PHOTOS), Pictures(TEXTURES)
    return [
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


def open_catalogue(settings: Mapping[str, ImageFolderSettings], cache_bytes: int) -> Catalogue:
    """The embedded datasets and the operator's, over one cache of `cache_bytes`.

    Raises:
        ValueError: for the operator: a name is taken, or a folder cannot be served (the text names the cure).
    """
    cache = DecodedCache(cache_bytes)
    sources = embedded(cache)
    taken = {source.info.name.split("/")[0] for source in sources}
    for name, folder in settings.items():
        if name.split("/")[0] in taken:
            raise ValueError(f"the dataset name {name!r} belongs to an embedded dataset: choose another")
        sources += open_image_folder(name, folder, cache)
    return Catalogue(sources, cache)
