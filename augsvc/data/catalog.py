"""All datasets of a server, by name: the built-in ones and the operator's."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from itertools import chain
from types import MappingProxyType
from typing import get_args

from augsvc.data.builtin.digits import Digits
from augsvc.data.builtin.photos import PHOTOS, TEXTURES, CollectionImages, Patches
from augsvc.data.builtin.shapes import Shapes
from augsvc.data.builtin.tones import Tones
from augsvc.data.cache import DECODING_BYTES, DecodedCache
from augsvc.data.disk_cache import DiskCache
from augsvc.data.formats.files import explain_unreadable
from augsvc.data.formats.format import DatasetFormat
from augsvc.data.source import PARTS, Changes, Source, Split
from augsvc.errors import UnknownDataset
from augsvc.numerics.color_statistics import ColorStatistics, parse_statistics
from augsvc.validation import nearest_names

MAX_NAME = 100  # characters of an unknown name that a message repeats
_MAX_HINTS = 3  # names in a hint


@dataclass(frozen=True, slots=True)
class Replacement:
    """What a reload changes in one dataset: versions, and counts of samples."""

    name: str
    former_version: str | None  # None: it is new
    version: str | None  # None: it is not served any more
    former_samples: int
    samples: int
    added: int
    removed: int
    changed: int  # modified, replaced or moved
    added_classes: tuple[str, ...]
    removed_classes: tuple[str, ...]
    labels_moved: bool  # a class that stays has another label

    @staticmethod
    def of(name: str, former: Source | None, source: Source | None) -> "Replacement":
        """Of a source by another one."""
        versions = (former.info.version if former else None, source.info.version if source else None)
        samples = (len(former) if former else 0, len(source) if source else 0)
        changes = source.changes_since(former) if source and former else Changes(samples[1], samples[0])
        # dicts: there may be tens of thousands of classes
        theirs, ours = (
            {name: label for label, name in enumerate(kept.info.classes)} if kept else {} for kept in (former, source)
        )
        added = tuple(name for name in ours if name not in theirs)
        removed = tuple(name for name in theirs if name not in ours)
        moved = any(theirs.get(name, label) != label for name, label in ours.items())
        counts = (changes.added, changes.removed, changes.changed)
        return Replacement(name, *versions, *samples, *counts, added, removed, moved)

    @property
    def differs(self) -> bool:
        """Whether it changes anything."""
        return self.version != self.former_version or self.changed > 0


class Catalog:
    """Sources by name; those of the operator's datasets may be replaced, all of one dataset at the same time."""

    def __init__(
        self,
        sources: Iterable[Source],
        cache: DecodedCache,
        opened: Mapping[str, Sequence[Source]] = MappingProxyType({}),
    ) -> None:
        """`opened`: the sources of the operator's datasets, by the names in the settings. `cache` is the one that all share.

        Raises:
            ValueError: two sources have the same name.
        """
        self.cache = cache
        self._fixed, self._opened = tuple(sources), dict(opened)
        self._sources = self._by_name(self._opened)

    def _by_name(self, opened: Mapping[str, Sequence[Source]]) -> Mapping[str, Source]:
        by_name: dict[str, Source] = {}
        for source in (*self._fixed, *chain.from_iterable(opened.values())):
            if source.info.name in by_name:
                raise ValueError(f"two datasets are named {source.info.name!r}: rename one of them")
            by_name[source.info.name] = source
        return MappingProxyType(dict(sorted(by_name.items())))

    def compare(self, dataset: str, sources: Iterable[Source]) -> list[Replacement]:
        """What `replace` would change."""
        before = {source.info.name: source for source in self._opened.get(dataset, ())}
        after = {source.info.name: source for source in sources}
        return [Replacement.of(name, before.get(name), after.get(name)) for name in sorted(before | after)]

    def replace(self, dataset: str, sources: Iterable[Source]) -> list[Source]:
        """Serves these sources of an operator's dataset; returns those that are not served any more.

        Raises:
            ValueError: two sources would have the same name.
        """
        opened = {**self._opened, dataset: tuple(sources)}
        self._sources = self._by_name(opened)
        former, self._opened = self._opened.get(dataset, ()), opened
        return [source for source in former if source not in opened[dataset]]

    def get(self, name: str) -> Source:
        """The source of that name.

        Raises:
            UnknownDataset: there is none.
        """
        if (source := self.find(name)) is None:
            hint = self.suggest(name) or "; GET /v1/datasets lists them"
            raise UnknownDataset(f"no dataset has this name: {name[:MAX_NAME]!r}{hint}", field="dataset")
        return source

    def find(self, name: str) -> Source | None:
        """The source of that name, if there is one."""
        return self._sources.get(name)

    def sources(self) -> tuple[Source, ...]:
        """All sources, sorted by name."""
        return tuple(self._sources.values())

    def media_of(self, name: str) -> str | None:
        """The medium of a dataset, `image` or `audio`; None if there is none of that name."""
        source = self.find(name)
        return source.info.media if source else None

    def suggest(self, name: str) -> str:
        """A hint for an unknown name, or nothing: the named split of the dataset of that name or a similar one, else all."""
        whole, _, split = name[:MAX_NAME].partition("/")
        own = {known.partition("/")[0]: None for known in self._sources}
        bases = [whole] if whole in own else nearest_names(whole, own)
        exact = [f"{base}/{split}" for base in bases if f"{base}/{split}" in self._sources]
        listed = [f"{base}{part}" for base in bases for part in ("", *(f"/{part}" for part in PARTS))]
        others = [known for known in self._sources if known.partition("/")[0] in bases]
        names = exact or [known for known in listed if known in self._sources] or others
        return f"; did you mean {' or '.join(names[:_MAX_HINTS])}?" if names else ""

    def names(self) -> tuple[str, ...]:
        """All names, sorted."""
        return tuple(self._sources)


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
        source.info = replace(source.info, built_in=True)
        if (colors := _package_statistics(source.info.name.split("/")[0])) is not None:
            source.info = source.info.fitted(colors)
    return sources


def _package_statistics(name: str) -> ColorStatistics | None:
    """The statistics of a built-in dataset, from the package data (`make statistics`).

    They were fitted on NAME/train and apply to NAME/test too: see `give_statistics`.
    """
    file = files("augsvc.data.builtin").joinpath("fitted", f"{name}.json")
    return parse_statistics(file.read_text(encoding="utf-8")) if file.is_file() else None


def open_catalog(
    settings: Mapping[str, DatasetFormat],
    cache_bytes: int,
    min_decoding_bytes: int = DECODING_BYTES,
    disk: DiskCache | None = None,
) -> Catalog:
    """The built-in datasets and the operator's, over one `DecodedCache` of these bytes.

    Raises:
        ValueError: for the operator: names are taken, or datasets cannot be served (the text names each, and the cure).
    """
    cache = DecodedCache(cache_bytes, min_decoding_bytes, disk=disk)
    sources = embedded(cache)
    taken = {source.info.name.split("/")[0] for source in sources}
    opened: dict[str, list[Source]] = {}
    faults: list[str] = []
    for name, dataset in settings.items():
        if name.split("/")[0] in taken:
            faults.append(f"the dataset name {name!r} belongs to a built-in dataset: choose another")
            continue
        try:
            opened[name] = dataset.open(name, cache)
        except ValueError as err:
            faults.append(str(err))
        except OSError as err:
            faults.append(f"dataset {name!r}: {explain_unreadable(err)}")
    if faults:
        raise ValueError("\n".join(faults))
    return Catalog(sources, cache, opened)
