"""One name of the uploads: its folder, the dataset that is served from it, and the upload that is not complete.

NAME/upload.json, NAME/upload.tar    an upload that is not complete
NAME/1f0c…/                          the files of a dataset
NAME/dataset.json                    which of these folders is served; it is replaced as a whole
"""

import shutil
import time
from collections.abc import Mapping
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from augsvc.data.uploads.part import Part, report_full_disk
from augsvc.data.uploads.records import Announcement, Kept, write_record
from augsvc.data.uploads.unpacking import BLOCK_BYTES

UNFINISHED_S = 86400.0  # after which an upload without progress is removed at the start

State = dict[str, object]  # as JSON


@dataclass(slots=True, eq=False)
class Upload:
    """The state of one name; its store's lock guards it."""

    folder: Path
    kept: Kept | None = None
    former: Kept | None = None  # for jobs that began with it
    pending: Announcement | None = None
    received: int = 0  # bytes of `pending` that count
    part: Part | None = None  # the one that may write
    installing: "Future[State] | None" = None
    is_served: bool = True

    @classmethod
    def load(cls, folder: Path) -> "Upload":
        """What a folder holds; removes what no record names, and an upload without progress for a day.

        Raises:
            ValueError: a record is damaged. OSError.
        """
        upload = cls(folder)
        with suppress(FileNotFoundError):
            upload.kept = Kept.model_validate_json(upload.record.read_bytes())
        for path in folder.iterdir():
            if path.is_dir() and not (upload.kept and path.name == upload.kept.folder):
                shutil.rmtree(path)
        with suppress(FileNotFoundError, ValidationError):
            status = upload.tar.stat()
            if time.time() - status.st_mtime < UNFINISHED_S:
                upload.pending = Announcement.model_validate_json(upload.announcement.read_bytes())
                upload.received = status.st_size if status.st_size <= upload.pending.n_bytes else 0
        if not upload.pending:
            upload.drop_pending()
        return upload

    @property
    def record(self) -> Path:
        """The file that names the dataset's folder."""
        return self.folder / "dataset.json"

    @property
    def announcement(self) -> Path:
        """The file that describes the tar file."""
        return self.folder / "upload.json"

    @property
    def tar(self) -> Path:
        """The tar file, as far as it has arrived."""
        return self.folder / "upload.tar"

    @property
    def latest(self) -> Announcement | None:
        """Of the upload that is not complete, else of the dataset."""
        return self.pending or (self.kept.announcement if self.kept else None)

    @property
    def client(self) -> str | None:
        """The client that has the name."""
        return self.latest.client if self.latest else None

    def announce(self, announcement: Announcement) -> None:
        """Replaces the upload that is not complete by a new one; raises StorageFull."""
        with report_full_disk():
            self.folder.mkdir(mode=0o750, exist_ok=True)
            self.tar.unlink(missing_ok=True)
            write_record(self.announcement, announcement)
        self.pending, self.received = announcement, 0

    def drop_pending(self) -> None:
        """Removes the upload that is not complete."""
        self.pending, self.received = None, 0
        for file in (self.tar, self.announcement):
            file.unlink(missing_ok=True)

    def disk_bytes(self, with_pending: bool = True) -> int:
        """Bytes that count against the quotas."""
        n_bytes, pending = sum(kept.disk_bytes for kept in (self.kept, self.former) if kept), self.pending
        return n_bytes + (needed_bytes(pending) if pending and with_pending else 0)

    def entry(self, name: str, latest: Announcement) -> Mapping[str, object]:
        """As JSON."""
        kept = self.kept
        state = "served" if self.is_served else "not_served"
        if self.pending:
            state = "verifying" if self.installing else "receiving"
        return {
            "name": name,
            "client": latest.client,
            "state": state,
            "disk_bytes": self.disk_bytes(),
            "n_bytes": latest.n_bytes,
            "offset": self.received if self.pending else latest.n_bytes,
            "sha256": latest.sha256,
            "format": latest.format,
            "datasets": dict(sorted(kept.versions.items())) if kept and self.is_served else {},
        }


def needed_bytes(announcement: Announcement) -> int:
    """The bytes that an upload reserves of the quotas."""
    return max(announcement.n_bytes, BLOCK_BYTES)
