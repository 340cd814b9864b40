"""Files of a run: read up to a bound, replaced in one step."""

import errno
import json
import os
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter

T = TypeVar("T")


def read_file(path: Path, max_bytes: int) -> bytes:
    """The content of a regular file; raises OSError, and ValueError for a larger one or another kind of file."""
    if path.exists() and not path.is_file():
        raise ValueError("not a regular file")
    with path.open("rb") as file:
        data = file.read(max_bytes + 1)
    if len(data) > max_bytes:
        raise ValueError(f"larger than {max_bytes:,} bytes")
    return data


def read_json(path: Path, kind: type[T], max_bytes: int = 4 << 20) -> T:
    """The JSON in a file as a dataclass, or another type that pydantic knows; raises OSError, and ValueError for all else."""
    return TypeAdapter(kind).validate_json(read_file(path, max_bytes))


def check_readable(path: Path) -> None:
    """Raise ValueError, with the reason, for what is no regular file or cannot be opened: libraries hide why they cannot."""
    if path.exists() and not path.is_file():  # opening a pipe would wait for its writer
        raise ValueError("not a regular file")
    try:
        path.open("rb").close()
    except OSError as err:
        raise ValueError(err.strerror or str(err)) from err


def write_file(path: Path, content: str | bytes) -> None:
    """Replace a file in one step, so that an interruption or a full disk leaves the previous one; raises OSError.

    Text is written as UTF-8; a file name that is not UTF-8 becomes an escape, which JSON reads as that name again. What is
    not a regular file, e.g. /dev/stdout, is written to directly.
    """
    data = content.encode("utf-8", "backslashreplace") if isinstance(content, str) else content
    direct = path.is_symlink() or (path.exists() and not path.is_file())
    target = path if direct else path.with_name(f"{path.name}.new")
    try:
        with os.fdopen(_open_at_once(target), "wb") as file:
            file.write(data)
        if not direct:
            target.replace(path)
    except OSError as err:
        if not direct:
            target.unlink(missing_ok=True)
        raise describe_write_error(err, path) from err


def write_json(path: Path, value: Any) -> None:
    """Replace a file as `write_file`, by strict JSON; raises ValueError for values that JSON does not have, e.g. NaN."""
    write_file(path, json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def _open_at_once(path: Path) -> int:
    """A descriptor to write with; a pipe that no process reads is an error, not a wait."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NONBLOCK, 0o666)
    os.set_blocking(descriptor, True)
    return descriptor


def describe_file_error(err: OSError) -> str:
    """An error of a file for people: its name, the reason without its number, and the cure."""
    if not err.strerror:  # an error of our own
        return str(err) or type(err).__name__
    cures = {
        errno.ENOENT: ": check the name",
        errno.ENOTDIR: ": a part of the name is a file",
        errno.EISDIR: ": give a file",
        errno.EEXIST: ": give another name, or remove it",
        errno.ENAMETOOLONG: ": give a shorter name",
        errno.EACCES: ": check that this user may use it",
        errno.EPERM: ": check that this user may use it",
        errno.EROFS: ": give a place that can be written to",
        errno.ENOSPC: ": free space on its disk",
        errno.EDQUOT: ": free space on its disk",
    }
    name = "" if err.filename is None else f"{err.filename}: "
    return f"{name}{err.strerror}{cures.get(err.errno or 0, '')}"


def describe_write_error(err: OSError, path: Path) -> OSError:
    """The error with the name of the file, which errors of a write lack: "run-out/model.json: No space left on device"."""
    cure = "; remove the folder of this name" if isinstance(err, IsADirectoryError) else ""
    return OSError(f"{path} could not be written: {err.strerror or err}{cure}")
