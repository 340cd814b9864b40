"""Samples that are one file each, with an index of all files: what every format over separate files shares.

The files are indexed when the server starts and at each reload; reading a file that has changed since then fails, because
the same address must never give different bytes. Messages of ValueError are for the operator and name paths; those of the errors
that `read` raises reach clients and name files below the dataset's folder only.
"""

import hashlib
import json
import logging
import os
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from io import BufferedReader
from pathlib import Path

from augsvc.arrays import I64, Sample
from augsvc.data.cache import DecodedCache
from augsvc.data.decoders.apart import DecoderLost
from augsvc.data.disk_cache import KEY_BYTES, Decoded
from augsvc.data.formats.files import (
    ABSENT,
    FORBIDDEN,
    PAUSES_S,
    Identity,
    NotIndexed,
    has_device,
    open_below,
    read_below,
    read_range_below,
    retry_faults,
)
from augsvc.data.formats.format import PathFormat
from augsvc.data.formats.index import Index, Links
from augsvc.data.formats.object_store import ObjectStore, open_stored
from augsvc.data.formats.reader import Reader
from augsvc.data.source import Source
from augsvc.errors import AugsvcError, DatasetChanged, DatasetUnavailable, Undecodable
from augsvc_client.text import printable

MAX_LOGGED = 1000  # files of one dataset that are named in the log

logger = logging.getLogger("augsvc.data")
logger.addHandler(logging.NullHandler())  # commands without a log name faulty files themselves


class FilesFormat(PathFormat):
    """The operator's settings that all formats over separate files have; those that change a sample are part of its version."""

    digest_contents: bool = False  # reads every file at start-up, so that the version covers their contents

    @property
    def covers_contents(self) -> bool:
        """As the settings say."""
        return self.digest_contents


@dataclass(frozen=True, slots=True)
class Files:
    """The files at the time of indexing."""

    index: Index  # a file a sample
    root: Path  # that the names are relative to, without links
    links: Links
    key: str  # of decoded samples in the cache
    masks: Index | None = None  # of each sample, where they are files
    store: ObjectStore | None = None  # that has them; None: they are below `root`

    @property
    def indices(self) -> tuple[Index, ...]:
        """Those that there are."""
        return (self.index,) if self.masks is None else (self.index, self.masks)

    def read(self, within: Index, index: int, n_bytes: int) -> tuple[bytes, Identity]:
        """The first `n_bytes` of a file, and what it was when it was read; raises OSError and NotIndexed."""
        if self.store is not None:
            return self.store.read(within.names[index], n_bytes)
        return read_below(*locate_file(self, within, index), n_bytes)

    def read_range(self, within: Index, index: int, start: int, n_bytes: int) -> tuple[bytes, Identity]:
        """As `read`, of the bytes from `start` on."""
        if self.store is not None:
            return self.store.read_range(within.names[index], start, n_bytes)
        return read_range_below(*locate_file(self, within, index), start, n_bytes)

    def open(self, within: Index, index: int) -> BufferedReader:
        """A file; raises as `read`."""
        if self.store is not None:
            return open_stored(self.store, within.names[index], within.identity(index))
        return os.fdopen(open_below(*locate_file(self, within, index)), "rb")

    def same(self, other: "Files") -> bool:
        """Whether all files are the same ones; both have the same names."""
        pairs = zip(self.indices, other.indices, strict=True)
        try:
            return self.root == other.root and all(ours.same_files(theirs) for ours, theirs in pairs)
        except DatasetChanged:  # an index on disk was damaged
            return False


class FileSource(Source):
    """One file a sample; a subclass makes samples of what `reader` decodes, and sets `info`."""

    def __init__(
        self,
        files: Files,
        labels: I64,
        reader: Reader,
        cache: DecodedCache,
        max_file_bytes: int,
        pause: Callable[[float], None],
    ) -> None:
        """`labels` are those of the samples (len,); `pause` waits between the attempts of a read, for seconds."""
        self._files, self._labels, self._reader = files, labels, reader
        self._cache, self._max_file_bytes, self._pause = cache, max_file_bytes, pause
        self._defects: dict[int, str] = {}

    @abstractmethod
    def _build(self, decoded: Decoded, index: int) -> Sample:
        """The sample of a decoded file; raises Undecodable."""

    def _with_mask(self, sample: Sample, files: Files, index: int) -> Sample:
        """The sample with its mask, where it has one."""
        return sample

    def __len__(self) -> int:
        return len(self._labels)

    def read(self, index: int) -> Sample:
        """As `read_reduced`, whole."""
        return self.read_reduced(index, None)

    def read_reduced(self, index: int, least: tuple[int, int] | None) -> Sample:
        """The decoded file, from the cache if it is there; a JPEG smaller, of (H, W) of at least `least`.

        Raises:
            Undecodable: larger than the settings allow, or damaged.
            DatasetUnavailable: its file could not be read in three attempts, for a reason that may pass.
            DatasetChanged: its file is not the indexed one any more, is missing, or may not be read.
        """
        files = self._files  # which a reload exchanges
        name = files.key if least is None else f"{files.key} from {least[0]} × {least[1]}"
        return self._cache.get_or_make((name, index), partial(self._make, files, (name, index), least))

    def labels(self) -> I64:
        """The class of every file (len,)."""
        return self._labels.copy()

    def describe(self, index: int) -> str:
        """The file's name below the dataset's folder."""
        return self._files.index.names[index]

    def describe_all(self) -> Iterable[str]:
        """As `describe`."""
        return self._files.index.names

    def defect(self, index: int) -> str:
        """Why a file could not be decoded or read; empty if it could, or if over `MAX_LOGGED` files could not."""
        return self._defects.get(index, "")

    def fingerprints(self) -> Mapping[str, bytes]:
        """Each file's name, and what differs if it or its mask was modified or replaced: the contents, if the version covers
        them.
        """
        values, *masks = (files.digests or files.fingerprints() for files in self._files.indices)
        for more in masks:
            values = [value + mask for value, mask in zip(values, more, strict=True)]
        # dict() would hold the interpreter for half a second a million
        return {name: value for name, value in zip(self._files.index.names, values, strict=True)}

    def refresh(self, newer: Source) -> None:
        """From now on reads the files that `newer` has indexed, of the same version."""
        if isinstance(newer, FileSource) and not self._files.same(newer._files):
            self._files, self._defects = newer._files, {}

    def _make(self, files: Files, key: tuple[str, int], least: tuple[int, int] | None) -> Sample:
        index = key[1]
        try:
            decoded = self._decode(self._read_file(files, files.index, index), index, least)
            sample = self._with_mask(self._build(decoded, index), files, index)
        except Undecodable as err:
            self._note(index, str(err), f"cannot be decoded ({err}); replaced by the next sample")
            raise
        except DecoderLost as err:
            self._note(index, str(err), f"could not be decoded ({err})")
            raise DatasetUnavailable(
                f"sample {index} of {self.info.name!r}, {printable(files.index.names[index])}, could not be decoded: {err}"
            ) from err
        return replace(sample, key=key)

    def _decode(self, data: bytes, index: int, least: tuple[int, int] | None) -> Decoded:
        """The contents of a sample's file, decoded, or from the disk if they were before; raises Undecodable."""
        self._reader.inspect(data)
        reduced = None if least is None else self._reader.reduced(data, least)
        if reduced is None:
            return self._decode_with(self._reader, data)
        reader, full_size = reduced
        decoded = self._decode_with(reader, data)
        return decoded if decoded.values.shape[:2] == full_size else decoded._replace(full_size=full_size)

    def _decode_with(self, reader: Reader, data: bytes) -> Decoded:
        disk = self._cache.disk
        key = b"" if disk is None else hashlib.blake2b(reader.form + data, digest_size=KEY_BYTES).digest()
        decoded = None if disk is None else disk.find(key, self._cache.decoding, self._cache.buffers.take)
        if decoded is None:
            with self._cache.decoding(reader.decoding_bytes(data)):
                decoded = reader.decode(data)
            if disk is not None:
                disk.add(key, decoded)
        return decoded

    def _read_file(self, files: Files, within: Index, index: int) -> bytes:
        """An indexed file's contents; three attempts, also of a missing file, which may be being replaced."""
        indexed = within.identity(index)
        if indexed.n_bytes > self._max_file_bytes:
            raise Undecodable(f"the file is larger than max_file_bytes, {self._max_file_bytes:,}")
        n_bytes = indexed.n_bytes + 1  # one more than indexed, to notice that it has grown
        data, identity = self._retry(files, within, index, partial(files.read, within, index, n_bytes))
        self._require_indexed(within, index, data, identity, indexed)
        if not data:
            raise Undecodable("the file is empty")
        return data

    def _read_heads(self, most: int, n_bytes: int) -> Iterator[bytes]:
        """The first `n_bytes` of at most `most` files, spread evenly; those that cannot be read are passed over."""
        files = self._files
        for index in range(0, len(self), max(1, -(-len(self) // most))):
            with suppress(NotIndexed, OSError):
                yield files.read_range(files.index, index, 0, n_bytes)[0]

    def _retry(
        self, files: Files, within: Index, index: int, read: Callable[[], tuple[bytes, Identity]]
    ) -> tuple[bytes, Identity]:
        """The result of reading a file of a sample, in three attempts; a store has made them already."""
        for pause_s in (*(PAUSES_S if files.store is None else ()), None):
            try:
                return read()
            except NotIndexed:
                raise self._changed(within, index, "is no regular file any more") from None
            except OSError as err:
                if pause_s is None:
                    raise self._unreadable(files, within, index, err) from err
                self._pause(pause_s)
        raise AssertionError  # the last attempt returns or raises

    def _unreadable(self, files: Files, within: Index, index: int, err: OSError) -> AugsvcError:
        """DatasetChanged if waiting does not help (the client raises it immediately), else DatasetUnavailable."""
        if err.errno in ABSENT:
            device = within.identity(index).device
            mounted = files.store is not None or has_device(locate_file(files, within, index)[0], device)
            return self._changed(within, index, "is missing" + ("" if mounted else ": is its file system mounted?"))
        if err.errno in FORBIDDEN and files.store is None:  # a store's credentials expire, and are renewed
            return self._changed(within, index, "may not be read by the server's user")
        reason = err.strerror or type(err).__name__
        self._note(index, reason, f"could not be read after 3 attempts ({reason})")
        place = "its store and the object" if files.store is not None else "the file"
        return DatasetUnavailable(
            f"sample {index} of {self.info.name!r} could not be read after 3 attempts; check {place} "
            f"{printable(within.names[index])}"
        )

    def _require_indexed(self, within: Index, index: int, data: bytes, identity: Identity, indexed: Identity) -> None:
        """Raises DatasetChanged unless a file is the indexed one: by its contents if the version covers them, else by its
        place on the disk, size and time of modification.

        A change of the status alone is logged: of permissions and links, or a modification with its time set back.
        """
        if within.digests:
            if hashlib.sha256(data).digest() != within.digests[index]:
                raise self._changed(within, index, "has other contents")
            return
        if len(data) != indexed.n_bytes or identity._replace(changed_ns=indexed.changed_ns) != indexed:
            raise self._changed(within, index, "was modified or replaced")
        if identity != indexed:
            within.drop()
            note = "the file's links, permissions or time were changed"
            self._note(index, note, f"is served, but {note}; `digest_contents: true` would compare its contents")

    def _changed(self, within: Index, index: int, how: str) -> DatasetChanged:
        within.drop()
        self._note(
            index, how, f"changed after the server indexed it: it {how}; reload the datasets, or restart the server"
        )
        return DatasetChanged(
            f"sample {index} of {self.info.name!r} changed after the server indexed it: {printable(within.names[index])} "
            f"{how}; restore the file, then reload the datasets or restart the server"
        )

    def _note(self, index: int, defect: str, text: str) -> None:
        """Keeps a file's last defect, and logs it unless it had that one before."""
        known = self._defects.get(index)
        if defect != known and (known is not None or len(self._defects) < MAX_LOGGED):
            self._defects[index] = defect
            logger.warning("%s: %s %s (logged once)", self.info.name, printable(self.describe(index)), text)

    def _version(self, classes: Sequence[str], settings: Mapping[str, object], contents: bool) -> str:
        """The digest of names, sizes, classes and `settings` (all that change a sample), of the contents of masks, which hold
        labels, and optionally of all `contents`; never of times or the path."""
        form = {"classes": classes, **settings}
        digest = hashlib.sha256(json.dumps(form, sort_keys=True).encode())
        for within in self._files.indices:
            for index, (name, size) in enumerate(zip(within.names, within.sizes(), strict=True)):
                digest.update(b"\0%s\0%d" % (name.encode(), size))
                if contents or within is self._files.masks:
                    is_read = size <= self._max_file_bytes  # else it is undecodable, whatever it holds
                    within.digests.append(self._digest(within, index) if is_read else hashlib.sha256().digest())
                    digest.update(within.digests[-1])
        return digest.hexdigest()

    def _digest(self, within: Index, index: int) -> bytes:
        def digest() -> bytes:
            with self._files.open(within, index) as file:
                return hashlib.file_digest(file, "sha256").digest()

        path = str(self._files.root / within.names[index])
        try:
            return retry_faults(path, digest, self._pause)
        except (NotIndexed, OSError) as err:
            reason = getattr(err, "strerror", None) or "it changed meanwhile"
            raise ValueError(
                f"{printable(path)} cannot be read ({reason}), and the version covers its contents"
            ) from err


def locate_file(files: Files, within: Index, index: int) -> tuple[Path, str]:
    """A folder and the file's name below it, without links."""
    name = within.names[index]
    target = within.targets.get(name)
    if target is None:
        return files.root, name
    root = files.links.root_of(target) or files.root
    return root, os.path.relpath(target, root)
