"""The index of a dataset's files: which are samples, what they are on disk, and what the operator should know."""

import os
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.lib.recfunctions import repack_fields

from augsvc.arrays import ranges
from augsvc.data.formats.files import IDENTITY, Identity, retry_faults
from augsvc.data.formats.names import Rows
from augsvc.data.formats.stored_index import StoredIndex
from augsvc_client.text import printable

MOST_NAMED = 5  # faults of one kind in a message
LINK_CURE = "put the files themselves there, or name the folder that it leads into in `follow_links`"
MAX_DEPTH = 100  # folders below a class
_CHUNK = 1 << 14  # files that are compared together
_COPY = re.compile(  # what file managers add: "cat copy 2", "cat - Copy (3)", "cat (1)", "Copy of cat"
    r"^copy of |( - |[ _-])copy( \d+)?( ?\(\d+\))?$| ?\((copy|\d+)\)$"
)


@dataclass(frozen=True, slots=True)
class FileType:
    """Which files are indexed."""

    extensions: frozenset[str]  # lower case, with the dot
    plural: str  # for messages
    optional: str = ""  # of further ones: which setting takes them

    def describe_needed(self) -> str:
        """What files must be named."""
        return f"files named {', '.join(sorted(self.extensions))}{self.optional}"


@dataclass(frozen=True, slots=True)
class Links:
    """Where symbolic links may lead."""

    root: Path  # of the dataset, without links: links to files may lead anywhere below it
    follow: tuple[Path, ...] = ()  # further folders; if there are any, links to folders are followed too

    def root_of(self, target: str) -> Path | None:
        """The allowed folder that holds a path without links."""
        return next((root for root in (self.root, *self.follow) if Path(target).is_relative_to(root)), None)


def find_links(root: Path, follow: Sequence[Path], pause: Callable[[float], None]) -> Links:
    """The links of a dataset in the folder `root`; raises ValueError for a folder of `follow_links` that is none."""
    for folder in follow:
        if not retry_faults(str(folder), folder.is_dir, pause):
            raise ValueError(f"{printable(str(folder))} is not a directory (`follow_links`)")
    return Links(root, tuple(Path(os.path.realpath(folder)) for folder in follow))


@dataclass(slots=True)
class Index:
    """The files below one folder of classes, sorted by their names relative to it."""

    classes: tuple[str, ...] = ()
    names: Sequence[str] = ()
    counts: dict[str, int] = field(default_factory=dict)  # class → files in it, in the order of the files
    targets: dict[str, str] = field(default_factory=dict)  # name → absolute path, of files behind links
    left_out: Counter[str] = field(default_factory=Counter)  # files that are no samples, by extension
    leftovers: Counter[str] = field(default_factory=Counter)  # of operating systems and storage, by name
    unreadable: dict[str, tuple[str, str]] = field(default_factory=dict)  # folder → why, and what to do
    irregular: list[str] = field(default_factory=list)  # links that lead nowhere, pipes and sockets, named like samples
    doubtful: list[str] = field(default_factory=list)  # classes whose names may be those of something else
    joined: dict[str, list[str]] = field(default_factory=dict)  # class → its sub-folders, if no files are beside them
    loose: int = 0  # samples outside every class
    identities: Rows = field(default_factory=lambda: np.empty(0, IDENTITY))
    digests: list[bytes] = field(default_factory=list)  # SHA-256 of the contents, if the version covers them
    drop: Callable[[], None] = lambda: None  # forgets the index on disk once a file has changed

    def take_rows(self, stored: StoredIndex) -> None:
        """Reads names and identities, which are the same, from disk."""
        self.names, self.identities, self.drop = stored.names, stored.identities, stored.drop

    def sizes(self) -> Iterator[int]:
        """Bytes of every file."""
        for rows in ranges(len(self.identities), _CHUNK):
            yield from self.identities[rows]["n_bytes"].tolist()

    def fingerprints(self) -> Iterator[bytes]:
        """What a modified or replaced file differs in, of every file: without the status, which permissions change too."""
        fields = [name for name in IDENTITY.names or () if name != "changed_ns"]
        for rows in ranges(len(self.identities), _CHUNK):
            yield from (identity.tobytes() for identity in repack_fields(self.identities[rows][fields]))

    def identity(self, index: int) -> Identity:
        """The file at the time of indexing."""
        return Identity(*self.identities[index : index + 1].item())

    def same_files(self, other: "Index") -> bool:
        """Whether all files are the same ones; both have the same names."""
        return self.targets == other.targets and all(
            np.array_equal(self.identities[rows], other.identities[rows])
            for rows in ranges(len(self.identities), _CHUNK)
        )

    def faults(self, plural: str) -> Iterator[str]:
        """Why samples are missing or may be wrong, one sentence each; `plural` says what the files are."""
        for folder, (reason, cure) in sorted(self.unreadable.items()):
            yield f"{printable(folder)} {reason}, and its {plural} are missing: {cure}"
        if self.doubtful:
            yield f"served as classes: {list_names(self.doubtful)}; move what is no class elsewhere, or set `layout: classes`"
        if self.loose:
            yield f"{plural} beside the class folders ignored ({self.loose:,}): move each into the folder of its class"
        if self.irregular:
            yield f"links that lead nowhere, pipes or sockets ignored: {list_names(sorted(self.irregular))}"

    def notes(self, plural: str) -> Iterator[str]:
        """What the operator should know, one sentence each; `plural` says what the files are."""
        unreadable = {name.partition("/")[0] for name in self.unreadable}
        if empty := [label for label in self.classes if not self.counts[label] and label not in unreadable]:
            yield f"no {plural} in {list_names(empty)}: remove an empty folder unless its class is to be kept"
        if self.joined:
            inner = [
                f"{label} ({', '.join(folders[:2])}{', …' * (len(folders) > 2)})"
                for label, folders in self.joined.items()
            ]
            yield (
                f"sub-folders joined to one class: {list_names(inner)}; if they are the classes, move them up, else set "
                f"`layout: classes`"
            )
        yield from note_twins(self.classes)
        if self.leftovers:
            counts = ", ".join(
                f"{printable(name)} ({count:,})" for name, count in self.leftovers.most_common(MOST_NAMED)
            )
            more = len(self.leftovers) - MOST_NAMED
            others = f" and {more} more" if more > 0 else ""
            yield f"{self.leftovers.total():,} hidden or system entries ignored: {counts}{others}"


def list_names(names: Sequence[str]) -> str:
    """The first names, printable, and how many more there are."""
    listed = ", ".join(printable(name) for name in names[:MOST_NAMED])
    return f"{listed} and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else listed


def note_twins(classes: Sequence[str]) -> Iterator[str]:
    """A note on classes with nearly the same name, if there are some."""
    alike: dict[str, list[str]] = {}
    for label in classes:
        alike.setdefault(unicodedata.normalize("NFKC", label).casefold().strip(), []).append(label)
    if twins := [label for labels in alike.values() if len(labels) > 1 for label in labels]:
        yield f"classes whose names differ only in case, form or spaces: {list_names(twins)}"
    originals = {name: _COPY.sub("", name) for name in alike}
    if copies := [label for name, own in originals.items() if own != name and own in alike for label in alike[name]]:
        yield f"classes named like copies of others: {list_names(copies)}; merge or remove them"
