"""What can befall a device that computes: its memory ends, for now, or it is lost, for good."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

from augsvc.errors import AugsvcError, Cancelled, DeviceOutOfMemory, EngineLost

logger = logging.getLogger("augsvc")
_NO_MEMORY = 2  # cudaErrorMemoryAllocation: how torch says it of pinned memory


def ran_out_of_memory(error: Exception) -> bool:
    """Whether that is what an error of torch's says."""
    pinned = isinstance(error, torch.AcceleratorError) and getattr(error, "error_code", None) == _NO_MEMORY
    return pinned or isinstance(error, torch.OutOfMemoryError)


def is_lost(device: torch.device) -> bool:
    """Whether a device answers no more: a failed assertion or a bad access in a kernel leaves it so for all of the process.

    It is asked, because what follows such an error, and by which name, differs between drivers.
    """
    try:
        torch.zeros(1, device=device).cpu()
    except Exception as err:
        return not ran_out_of_memory(err)
    return False


@contextmanager
def watched(lost: Callable[[], bool]) -> Iterator[None]:
    """Work on a device. An error after which it is `lost` becomes EngineLost: this process can never compute again."""
    try:
        yield
    except (AugsvcError, Cancelled):
        raise
    except Exception as err:
        if not lost():
            raise
        logger.critical("the device that computes is lost", exc_info=err)
        raise EngineLost("the device of this server is lost, and the server ends: ask another one") from err


def in_halves(n: int, work: Callable[[slice], None]) -> None:
    """`work` on samples 0 … n − 1; those that there is not enough memory for are cut in two and tried again.

    Raises:
        DeviceOutOfMemory: there is not enough for one sample.
    """
    todo = [slice(0, n)] if n else []
    while todo:
        rows = todo.pop()
        try:
            work(rows)
            continue
        except Exception as err:
            if not ran_out_of_memory(err):
                raise
        torch.cuda.empty_cache()  # only now: the error's frames held what there was
        todo += reversed(halves(rows))


def halves(rows: slice) -> list[slice]:
    """Samples that there was not enough memory for, as two parts.

    Raises:
        DeviceOutOfMemory: it is one.
    """
    if rows.stop - rows.start == 1:
        raise DeviceOutOfMemory(
            "the device has not enough memory left for one sample of this stream: ask for a smaller size, or try again "
            "when others use less of it"
        )
    middle = (rows.start + rows.stop) // 2
    return [slice(rows.start, middle), slice(middle, rows.stop)]
