"""Compiled kernels on disk, under a digest of all that they depend on.

Numba's own cache looks at the file of the cached function alone, so it misses what changed in the functions that this one
calls; and of two processes that write at once for different CPUs one may find the other's code. Here a file's name is the
digest of the kernels' sources, of the compiler's versions and options, of the CPU and of the types: what stands there can
only be right, and is written in another place first, then moved.
"""

import hashlib
import logging
import os
import pickle
import platform
import sys
import tempfile
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import llvmlite
import numba
import numpy as np
from numba.core import compiler, serialize
from numba.core.caching import NullCache

from augsvc.executors.fused import kernels

logger = logging.getLogger("augsvc")
_DIGEST_BYTES = 32
_OPTIONS = (
    "OPT",
    "BOUNDSCHECK",
    "DEBUGINFO_DEFAULT",
    "ENABLE_AVX",
    "LOOP_VECTORIZE",
    "SLP_VECTORIZE",
)  # NUMBA_… set them


def keep_compiled(dispatchers: Iterable[Any], folder: Path | None) -> None:
    """Makes kernels look for their code in a folder before they compile, and leave it there; in memory only without one.

    A folder that cannot be written is no error: the log says that every start compiles anew.
    """
    if folder is not None and not _writable(folder):
        logger.warning("kernel_cache: the folder cannot be written, so the kernels are compiled anew at every start")
        folder = None
    for dispatcher in dispatchers:
        dispatcher._cache = NullCache() if folder is None else _KernelCache(folder, _name(dispatcher.py_func))


def default_folder() -> Path | None:
    """The user's own cache folder; None where the user has no home."""
    try:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    except RuntimeError:
        return None
    return Path(base) / "augsvc" / "kernels"


@cache
def sources_digest() -> str:
    """SHA-256 over the kernels' own sources."""
    digest = hashlib.sha256()
    for path in sorted(Path(next(iter(kernels.__path__))).glob("*.py")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


class _KernelCache(NullCache):  # type: ignore[misc]  # Numba has no types
    """One function's code: a file for each set of types and each CPU."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder, self._name = folder, name

    @property
    def cache_path(self) -> str:
        """The folder."""
        return str(self._folder)

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """The compiled function, or None if it is not there or cannot be read."""
        target_context.refresh()
        path = self._path(sig, target_context)
        try:
            content = path.read_bytes()
            digest, data = content[:_DIGEST_BYTES], content[_DIGEST_BYTES:]
            if hashlib.sha256(data).digest() != digest:
                raise ValueError("the file is damaged")
            return compiler.CompileResult._rebuild(target_context, *pickle.loads(data))  # noqa: S301 - our own file
        except FileNotFoundError:
            return None
        except Exception:  # whatever is wrong with it, compiling is right
            logger.warning("kernel_cache: %s cannot be used, and is compiled anew", path.name, exc_info=True)
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Leaves the compiled function for the next process."""
        content = serialize.dumps(data._reduce())
        path = self._path(sig, data.target_context)
        try:
            with tempfile.TemporaryDirectory(dir=self._folder) as aside:  # nothing is left of it on a full disk
                written = Path(aside) / path.name
                written.write_bytes(hashlib.sha256(content).digest() + content)
                written.replace(path)
        except OSError:
            logger.warning("kernel_cache: %s cannot be written", path.name, exc_info=True)

    def _path(self, sig: Any, target_context: Any) -> Path:
        versions = (sys.version, platform.machine(), numba.__version__, llvmlite.__version__, np.__version__)
        options = [str(getattr(numba.config, name)) for name in _OPTIONS]
        parts = (sources_digest(), self._name, str(sig), versions, options, target_context.codegen().magic_tuple())
        return self._folder / f"{self._name}-{hashlib.sha256(repr(parts).encode()).hexdigest()[:32]}.kernel"


def _name(function: Any) -> str:
    return f"{function.__module__.rpartition('.')[2]}.{function.__qualname__}"


def _writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError:
        return False
    return True
