"""The training device: chosen before a run, with defaults scaled to it, and an estimate of the run's duration.

Recipe → choose_device → Device (name, capability, memory, bf16) → scale_for_device → the recipe for it, and warnings
"""

import statistics
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from time import perf_counter
from typing import TypeVar

import torch

from augsvc_client.trainer.recipe import Recipe
from augsvc_client.trainer.training.loop import Epoch, Step

CPU_DEFAULTS = {"training.epochs": 20, "data.batch_size": 64}  # in place of the recipe's defaults
_EVALUATION_BATCH = 256
# Of a default batch; `fire` takes about 130 bytes a pixel to evaluate and 300 to train: 1 and 2.5 GB
_MAX_PIXELS = 1 << 23
_SIDE = 32  # of the canvas, if it is open
_MIN_CAPABILITY = (7, 0)  # the first with tensor cores
_TIMED_RUNS = 30
_WARMUP_STEPS, _TIMED_STEPS = 2, 6  # the duration is estimated after both

Event = TypeVar("Event", bound=Step | Epoch)


@dataclass(frozen=True, slots=True)
class Device:
    """A training device; `capability` (major, minor) and `memory_bytes` describe a GPU and are None for a CPU."""

    kind: str
    name: str
    capability: tuple[int, int] | None
    memory_bytes: int | None
    bf16: bool

    def describe(self) -> str:
        """One line for the console."""
        if self.capability is None:
            return f"training on a CPU, {self.name}"
        memory = f"{(self.memory_bytes or 0) / 2**30:.0f} GiB"
        bf16 = "with bf16" if self.bf16 else "without bf16"
        return f"training on {self.name}, capability {'.'.join(map(str, self.capability))}, {memory}, {bf16}"


def choose_device(name: str) -> Device:
    """The device for `training.device` on this machine; raises ValueError for cuda without a GPU."""
    if name == "cuda" and not torch.cuda.is_available():
        raise ValueError("training.device is cuda, but torch finds no such device: use auto or cpu")
    if name == "cpu" or not torch.cuda.is_available():
        threads = torch.get_num_threads()
        return Device("cpu", f"{threads} thread{'' if threads == 1 else 's'}", None, None, False)
    properties = torch.cuda.get_device_properties(torch.cuda.current_device())
    bf16 = torch.cuda.is_bf16_supported(including_emulation=False)
    return Device("cuda", properties.name, (properties.major, properties.minor), properties.total_memory, bf16)


def scale_for_device(recipe: Recipe, device: Device) -> tuple[Recipe, list[str]]:
    """The recipe for that device, and warnings: on a CPU, fields that are not set get the values of CPU_DEFAULTS."""
    if device.capability is not None:
        slow = device.capability < _MIN_CAPABILITY
        return recipe, [f"{device.name} has no tensor cores: expect a slow run"] if slow else []
    limits = {**CPU_DEFAULTS, "data.batch_size": limit_batch(recipe, CPU_DEFAULTS["data.batch_size"])}
    if recipe.training.steps is not None:
        del limits["training.epochs"]
    given = recipe.flat(only_set=True)
    defaults = {name: value for name, value in limits.items() if name not in given}
    warnings = ["no GPU: training will be many times slower than with one"]
    if defaults:
        changes = ", ".join(f"{name}={value}" for name, value in defaults.items())
        warnings.append(f"scaled for a CPU: {changes} (set these fields to override)")
    return recipe.override(defaults), warnings


def limit_batch(recipe: Recipe, count: int = _EVALUATION_BATCH) -> int:
    """`count` samples, or fewer on a canvas, or of clips, whose batch would take gigabytes: 32 images of 512 × 512."""
    data = recipe.data
    height, width = data.size or (_SIDE, _SIDE)
    pixels = round(data.seconds * data.sample_rate) if data.seconds and data.sample_rate else height * width
    return max(1, min(count, _MAX_PIXELS // max(1, pixels)))


def use_threads(recipe: Recipe) -> Recipe:
    """Set torch's CPU threads to `training.threads`; returns the recipe with the number filled in, as sums depend on it."""
    threads = recipe.training.threads or max(1, torch.get_num_threads() // 2)
    torch.set_num_threads(threads)
    return recipe.override({"training.threads": threads})


def with_estimate(events: Iterable[Event], notify: Callable[[str], None]) -> Iterator[Event]:
    """The events, unchanged; after a few steps `notify` gets one line with the estimated duration, evaluation excluded."""
    steps, started_s = 0, 0.0
    for event in events:
        if isinstance(event, Step):
            steps += 1
            if steps == _WARMUP_STEPS:
                started_s = perf_counter()
            if steps == _WARMUP_STEPS + _TIMED_STEPS and event.total > 2 * steps:
                step_s = (perf_counter() - started_s) / _TIMED_STEPS
                remaining = format_duration(step_s * (event.total - event.number))
                notify(f"{event.total} steps: about {remaining} to go, evaluation excluded")
        yield event


def time_ms(work: Callable[[], object]) -> float:
    """Milliseconds that it takes."""
    started_s = perf_counter()
    work()
    return 1000 * (perf_counter() - started_s)


def median_ms(work: Callable[[], object]) -> float:
    """The median of 30 times, after one that is not counted."""
    work()
    return statistics.median(time_ms(work) for _ in range(_TIMED_RUNS))


def format_duration(seconds: float) -> str:
    """A duration as text, e.g. "75 s", "12 minutes", "3.5 hours"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} minutes"
    return f"{seconds / 3600:.1f} hours"
