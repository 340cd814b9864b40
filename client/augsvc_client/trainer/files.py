"""Files of a run: read up to a bound, replaced in one step."""

from pathlib import Path


def read_file(path: Path, max_bytes: int) -> bytes:
    """The content of a regular file; raises OSError, and ValueError for a larger one or another kind of file."""
    if path.exists() and not path.is_file():  # opening a pipe would wait for its writer
        raise ValueError("not a regular file")
    with path.open("rb") as file:
        data = file.read(max_bytes + 1)
    if len(data) > max_bytes:
        raise ValueError(f"larger than {max_bytes:,} bytes")
    return data


def write_file(path: Path, content: str | bytes) -> None:
    """Replace a file in one step, so that an interruption or a full disk leaves the previous one; raises OSError.

    Text is written as UTF-8; a file name that is not UTF-8 becomes an escape, which JSON reads as that name again. What is
    not a regular file, e.g. /dev/stdout, is written to directly.
    """
    data = content.encode("utf-8", "backslashreplace") if isinstance(content, str) else content
    direct = path.is_symlink() or (path.exists() and not path.is_file())
    target = path if direct else path.with_name(f"{path.name}.new")
    try:
        target.write_bytes(data)
        if not direct:
            target.replace(path)
    except OSError as err:
        if not direct:
            target.unlink(missing_ok=True)
        raise describe_write_error(err, path) from err


def describe_write_error(err: OSError, path: Path) -> OSError:
    """The error with the name of the file, which errors of a write lack: "run-out/model.json: No space left on device"."""
    return OSError(f"{path} could not be written: {err.strerror or err}")
