"""The process that decodes one file: its bytes on standard input, arrays or the reason why there are none on standard output.

python -m augsvc.data.decoders.child '[module, function, arguments, bytes of memory, seconds of CPU]'
"""

import json
import resource
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from augsvc_client.decoding.errors import Undecodable

DONE, UNDECODABLE, OUT_OF_MEMORY, FAILED = 0, 3, 4, 5  # exit statuses; Python's own are 1 and 2
_MAX_TEXT = 300  # bytes of an unforeseen error's text
_SPARE_BYTES = 256 << 20  # beside twice the estimate, which is of the peak


def as_arrays(result: Any) -> list[np.ndarray[Any, Any]]:
    """What a decoder returns, an array or a tuple with numbers, as arrays."""
    return [np.asarray(part) for part in (result if isinstance(result, tuple) else (result,))]


def main() -> int:
    """Decodes within the limits; returns the exit status."""
    module, function, arguments, n_bytes, cpu_s = json.loads(sys.argv[1])
    arguments = [tuple(value) if isinstance(value, list) else value for value in arguments]  # as before JSON
    decode, data = getattr(import_module(module), function), sys.stdin.buffer.read()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _limit(resource.RLIMIT_CPU, cpu_s, cpu_s + 1)
    most = _data_bytes() + 2 * n_bytes + _SPARE_BYTES
    _limit(resource.RLIMIT_DATA, most, most)
    with open(1, "wb", closefd=False) as out:  # numpy writes to a real file without a copy
        try:
            for array in as_arrays(decode(data, *arguments)):
                np.save(out, array)
        except Undecodable as err:
            out.write(str(err).encode())
            return UNDECODABLE
        except MemoryError:
            return OUT_OF_MEMORY
        except Exception as err:  # else the same bytes would be decoded where they cannot be interrupted
            out.seek(0)
            out.truncate()  # arrays that were written before
            out.write(f"{type(err).__name__}: {err}".encode(errors="replace")[:_MAX_TEXT])
            return FAILED
    return DONE


def _limit(what: int, soft: int, hard: int) -> None:
    """Sets a limit of this process, within the one that it was started with."""
    _, most = resource.getrlimit(what)
    if most != resource.RLIM_INFINITY:
        soft, hard = min(soft, most), min(hard, most)
    resource.setrlimit(what, (soft, hard))


def _data_bytes() -> int:
    """The data of this process so far, of which RLIMIT_DATA is the limit."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmData:"))


if __name__ == "__main__":
    sys.exit(main())
