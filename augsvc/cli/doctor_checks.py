"""The checks of `augsvc doctor`. Each returns what it has seen, or raises what a person has to mend."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import torch

import augsvc
from augsvc.cli.bounds import find_excess
from augsvc.cli.doctor import Warn
from augsvc.cli.folders import check_disk_cache, check_kernel_cache, check_uploads
from augsvc.cli.listener import open_listener
from augsvc.cli.memory import fit_memory
from augsvc.cli.memory_limit import memory_limit
from augsvc.cli.open_files import fit_open_files
from augsvc.cpus import cores
from augsvc.data.catalog import open_catalog
from augsvc.data.decoders.registry import DECODERS, probe_outcomes
from augsvc.data.formats.files import explain_unreadable
from augsvc.data.formats.format import DatasetFormat
from augsvc.engine.memory_budget import BATCHES
from augsvc.errors import Undecodable
from augsvc.executors.factory import choose_device, open_executor, runs_on_cuda
from augsvc.ops.registry import registry
from augsvc.settings import Settings
from augsvc.validation import human

_THREADS, _THREADS_PER_CORE = 64, 2  # of a server: its queues' and the web framework's; its workers' and readers'
_CLOCK_S = 0.2  # for which the clocks are compared
_MAX_SKEW_S = 0.05  # a thread of a busy machine reads them some milliseconds apart
_FUTURE_S = 60.0  # file servers' clocks differ by seconds
_MOST_FILES = 10_000  # of a dataset whose times are read


def check_device(settings: Settings, warn: Warn) -> str:
    """The executor opens on the device, which runs something."""
    device = choose_device(settings.device, settings.executor)
    executor = open_executor(settings.executor, device, None)
    torch.ones(1, device=device).add_(1).item()
    if device.type == "cpu" and torch.cuda.is_available() and not runs_on_cuda(settings.executor):
        warn("this machine's GPU is not used: executor fused needs augsvc[cuda] for it")
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{executor.threads} cores"
    return f"{device}, {name}, executor {executor.name}"


def check_threads(_: Settings, __: Warn) -> str:
    """As many threads start as a server has."""
    count = _THREADS + _THREADS_PER_CORE * cores()
    stop = threading.Event()
    threads: list[threading.Thread] = []
    try:
        for _number in range(count):
            thread = threading.Thread(target=stop.wait, daemon=True)
            thread.start()
            threads.append(thread)
    except RuntimeError as err:
        raise ValueError(
            f"only {len(threads)} of {count} threads start: raise the limit of processes (ulimit -u, pids.max, TasksMax)"
        ) from err
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    return f"{cores()} of {os.cpu_count()} cores usable, {count} threads start"


def check_connections(settings: Settings, _: Warn) -> str:
    """The limit of open files leaves room for max_connections."""
    return f"up to {fit_open_files(settings).max_connections:,}"  # logs what it lowers


def check_memory(settings: Settings, _: Warn) -> str:
    """The settings' bounds fit the limit of the container, else the machine's memory."""
    limit = memory_limit()
    fit_memory(settings, limit)  # logs what it lowers, and what is too large
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    budget = BATCHES * settings.max_batch_bytes
    bound = f"limit {human(limit)}" if limit is not None else f"no limit, machine {human(machine)}"
    return f"{bound}; memory budget {human(budget)}, cache {human(settings.cache_bytes)}"


def check_bounds(settings: Settings, warn: Warn) -> str:
    """No setting is above another one that bounds it."""
    for line in find_excess(settings):
        warn(line)
    return "each within those that bound it"


def check_decoders(_: Settings, __: Warn) -> str:
    """Each decoder decodes its probe."""
    lacking = [name for name in DECODERS if probe_outcomes(name)["unchanged"] == "undecodable"]
    if lacking:
        raise ValueError(
            f"{', '.join(lacking)}: this machine's libraries decode no such files; reinstall them with pip"
        )
    return ", ".join(DECODERS)


def check_clock(_: Settings, __: Warn) -> str:
    """The wall clock runs as the monotonic clock does, and is not behind the installation."""
    skew = measure_skew()
    if abs(skew) > _MAX_SKEW_S:
        raise ValueError(f"the wall clock was set by {skew:+.2f} s within {_CLOCK_S} s: let NTP adjust it gradually")
    behind = Path(augsvc.__file__).stat().st_mtime - time.time()
    if behind > _FUTURE_S:
        raise ValueError(
            f"the wall clock is {behind:,.0f} s behind the installation: TLS certificates would be refused"
        )
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime())


def measure_skew() -> float:
    """By how many seconds the wall clock runs ahead of the monotonic clock in _CLOCK_S."""
    before = time.time() - time.monotonic()
    time.sleep(_CLOCK_S)
    return time.time() - time.monotonic() - before


def check_address(settings: Settings, _: Warn) -> str:
    """The server can listen there."""
    with ExitStack() as stack:
        _listener, url = stack.enter_context(open_listener(settings))
        return f"{url} is free"


def check_tokens(settings: Settings, _: Warn) -> str:
    """The tokens file is valid."""
    names = sorted(settings.tokens())
    return f"of {', '.join(names)}" if names else "none: clients need no token"


def check_operations(settings: Settings, _: Warn) -> str:
    """The operator's modules of operations can be imported."""
    registry(settings.operations)
    return f"built-in ones and those of {', '.join(settings.operations)}" if settings.operations else "built-in ones"


def check_built_in(_: Settings, __: Warn) -> str:
    """The packages that carry the built-in datasets are complete."""
    return ", ".join(open_catalog({}, 0).names())


def check_dataset(name: str, entry: DatasetFormat, _: Settings, warn: Warn) -> str:
    """The dataset can be indexed and its first sample read; its files are not of the future."""
    try:
        return _open_dataset(name, entry, warn)
    except OSError as err:
        raise ValueError(explain_unreadable(err)) from err


def _open_dataset(name: str, entry: DatasetFormat, warn: Warn) -> str:
    catalog = open_catalog({name: entry}, 0)  # which refuses the names of built-in ones
    sources = [
        source for source in catalog.sources() if name in (source.info.name, source.info.name.rpartition("/")[0])
    ]
    for source in sources:
        try:
            source.read(0)
        except Undecodable as err:
            if not source.defect(0):  # else it is logged
                warn(f"{source.info.name}: {source.describe(0)} cannot be decoded ({err})")
        for fault in source.faults():
            warn(f"{source.info.name}: {fault}")
    newest = max((newest_time(path) for path in dataset_paths(entry)), default=0.0)
    if (ahead := newest - time.time()) > _FUTURE_S:
        warn(f"files were modified {ahead:,.0f} s in the future: compare this machine's clock with the file server's")
    return "; ".join(f"{source.info.name}: {len(source):,} samples" for source in sources)


def dataset_paths(entry: DatasetFormat) -> Iterator[Path]:
    """The files and folders that an operator's dataset names."""
    for field in sorted(entry.path_fields()):
        value = getattr(entry, field)
        yield from value if isinstance(value, list | tuple) else [value] if value else []


def newest_time(path: Path) -> float:
    """The latest time of modification of a file, or of the first _MOST_FILES entries below a folder; seconds since 1970."""
    newest, waiting, count = path.stat().st_mtime, [path] if path.is_dir() else [], 0
    while waiting and count < _MOST_FILES:
        with os.scandir(waiting.pop()) as entries:
            for entry in entries:
                count += 1
                newest = max(newest, entry.stat(follow_symlinks=False).st_mtime)
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(Path(entry.path))
    return newest


CHECKS: tuple[tuple[str, Callable[[Settings, Warn], str]], ...] = (
    ("device", check_device),
    ("threads", check_threads),
    ("connections", check_connections),
    ("memory", check_memory),
    ("bounds", check_bounds),
    ("kernel cache", check_kernel_cache),
    ("disk cache", check_disk_cache),
    ("uploads", check_uploads),
    ("decoders", check_decoders),
    ("clock", check_clock),
    ("tokens", check_tokens),
    ("address", check_address),
    ("operations", check_operations),
    ("built-in datasets", check_built_in),
)
