"""Compiled kernels on disk: Numba's own cache, in a folder named by everything that the machine code depends on.

Numba's index depends on the source file of the cached function alone, so it misses changes in the functions that it
calls; and two processes on different CPUs that fill one folder at the same time may load each other's code. Hence a folder
for each digest of all kernel sources, versions, options and the CPU: within one, there is only one version of the code.

Numba does not check its files either: damaged machine code would crash the process at every start, or compute wrong values.
Hence a digest in front of the code.
"""

import errno
import hashlib
import inspect
import logging
import os
import pickle
import platform
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import llvmlite
import numba
import numpy as np
from llvmlite import binding
from numba import config
from numba.core.caching import FunctionCache, IndexDataCacheFile

from augsvc.data.private_folder import explain_unusable, is_own, make_private
from augsvc.executors.fused import kernels
from augsvc.executors.fused.kernels import cpu

logger = logging.getLogger("augsvc")
_OPTIONS = (  # environment variables NUMBA_… that change the code
    "OPT",
    "BOUNDSCHECK",
    "DEBUGINFO_DEFAULT",
    "ENABLE_AVX",
    "LOOP_VECTORIZE",
    "SLP_VECTORIZE",
    "CPU_NAME",
    "CPU_FEATURES",
)
_FORMAT = "a digest, then the code"  # of the files; other formats lie in other folders
_DIGEST_BYTES = hashlib.sha256().digest_size


def keep_compiled(dispatchers: Sequence[Any], folder: Path | None) -> None:
    """Makes kernels load their machine code from a folder and save it there after compilation; None: memory only.

    A folder that cannot be used is logged, and the kernels are compiled again at every start. Numba unpickles the files,
    so a folder that another user owns or may write to is not used.
    """
    if folder is None:
        return
    try:
        caches = _open_caches(dispatchers, folder)
    except OSError as err:
        logger.warning("kernel_cache: %s; kernels are compiled again at every start", explain_unusable(err))
        return
    for dispatcher, cache in zip(dispatchers, caches, strict=True):
        dispatcher._cache = cache  # what its method `enable_caching` does, with Numba's class


def is_compiled(folder: Path) -> bool:
    """Whether a folder has code of the largest kernel, for this machine and these versions. It is made if there is none.

    Raises:
        OSError: it cannot be used.
    """
    with tempfile.TemporaryFile(dir=_open_folder(folder)):
        (cache,) = _open_caches([cpu.render], folder)
    return _has_code(cache.cache_path, cpu.render)


def is_kept(dispatcher: Any) -> bool:
    """Whether the folder that `keep_compiled` gave a kernel has code of it."""
    return _has_code(dispatcher._cache.cache_path, dispatcher)


def keeps(dispatcher: Any) -> bool:
    """Whether a kernel is saved once it is compiled, for the next start; not after a failure to do so."""
    return dispatcher._cache.cache_path is not None and not getattr(dispatcher._cache, "failed", False)


def _has_code(folder: str | None, dispatcher: Any) -> bool:
    function = dispatcher.py_func
    module = function.__module__.rpartition(".")[2]
    return folder is not None and any(Path(folder).glob(f"{module}.{function.__name__}-*.nbc"))


def code_digest() -> str:
    """Hex digest of everything that the kernels' machine code depends on: sources, versions, compiler options and the CPU."""
    versions = (_FORMAT, sys.version, platform.machine(), numba.__version__, llvmlite.__version__, np.__version__)
    options = [str(getattr(config, name)) for name in _OPTIONS]
    cpu = (binding.get_host_cpu_name(), binding.get_host_cpu_features().flatten())
    digest = hashlib.sha256(repr((versions, options, cpu)).encode())
    root = Path(next(iter(kernels.__path__)))
    for path in sorted(root.rglob("*.py")):
        digest.update(f"\0{path.relative_to(root)}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:32]


class _CheckedFile(IndexDataCacheFile):  # type: ignore[misc]  # Numba has no types
    """Numba's files of one function, with the SHA-256 of the machine code in front of it."""

    def _save_data(self, name: str, data: Any) -> None:
        code = self._dump(data)
        with self._open_for_write(self._data_path(name)) as file:
            file.write(hashlib.sha256(code).digest() + code)

    def _load_data(self, name: str) -> Any:
        path = Path(self._data_path(name))
        content = path.read_bytes()
        digest, code = content[:_DIGEST_BYTES], content[_DIGEST_BYTES:]
        if hashlib.sha256(code).digest() != digest:
            raise ValueError(f"{path} is damaged: its content does not match its digest")
        return pickle.loads(code)  # noqa: S301  # in a folder that only this user may write to


class _KernelCache(FunctionCache):  # type: ignore[misc]
    """Numba's cache of one function. A file that cannot be read or written is logged, and the function compiled."""

    def __init__(self, function: Any) -> None:
        super().__init__(function)
        self.failed = False  # to write
        # Beside Numba's folder, which is named by the path of the sources: the same code at another path is loaded, too.
        self._cache_path = str(Path(self.cache_path).parent)
        # As Numba 0.68 stamps an index; older versions by the file's time, so that installations would evict each other's code
        stamp = hashlib.sha256(Path(inspect.getfile(function)).read_bytes()).digest()
        self._cache_file = _CheckedFile(self.cache_path, self._impl.filename_base, stamp)

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """The compiled function; None if it has to be compiled."""
        with _log_failure("cannot be read"):
            result = super().load_overload(sig, target_context)
            # the index of another process with another signature may name the same file
            return result if result is None or result.signature.args == sig else None
        with _log_failure("cannot be emptied"):
            self.flush()
        return None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Saves a compiled function for the next process."""
        saved = False
        with _log_failure("cannot be written"):
            super().save_overload(sig, data)
            saved = True
        self.failed = not saved


def _open_caches(dispatchers: Sequence[Any], folder: Path) -> list[_KernelCache]:
    inner = _open_folder(folder)
    before, config.CACHE_DIR = config.CACHE_DIR, str(inner)
    try:
        caches = [_KernelCache(dispatcher.py_func) for dispatcher in dispatchers]
    except RuntimeError as err:  # Numba could write to no place
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(inner)) from err
    finally:
        config.CACHE_DIR = before
    if not all(Path(cache.cache_path).is_relative_to(inner) for cache in caches):  # Numba tries other places
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(inner))
    return caches


def _open_folder(folder: Path) -> Path:
    """The folder below it of this code, made if there is none; raises OSError as `make_private` does, and for foreign files."""
    inner = folder / code_digest()
    for directory in (folder, inner):
        make_private(directory)
    for path in inner.rglob("*"):
        with suppress(FileNotFoundError):  # another process has replaced it
            if not is_own(path.lstat()):  # from a time when others could write to the folder
                raise PermissionError(f"{inner} holds files of another user: delete it")
    return inner


@contextmanager
def _log_failure(problem: str) -> Iterator[None]:
    """Logs an error with a cached file and suppresses it: the kernel is compiled instead."""
    try:
        yield
    except Exception as err:
        reason = explain_unusable(err) if isinstance(err, OSError) else str(err) or type(err).__name__
        logger.warning("kernel_cache: a file %s: %s; the kernel is compiled again", problem, reason)
