"""Where a run trains, looked at before it begins, and how long it will take, said once it has begun.

Recipe → choose_device → Device (name, capability, memory, bf16) → scaled: the recipe for it, and what to tell
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from time import perf_counter
from typing import TypeVar

import torch

from augsvc_client.trainer.recipe import Recipe
from augsvc_client.trainer.training.loop import Epoch, Step

ON_A_CPU = {"training.epochs": 20, "data.batch_size": 64}  # where the recipe leaves them to their defaults
_LEAST_CAPABILITY = (7, 0)  # the first with tensor cores
_LOOKED_AT = 8  # steps before the time is estimated
_SKIPPED = 2  # of them: the first ones warm up

Event = TypeVar("Event", bound=Step | Epoch)


@dataclass(frozen=True, slots=True)
class Device:
    """One device: `capability` (major, minor) and `memory_bytes` are a GPU's, None for a CPU."""

    kind: str
    name: str
    capability: tuple[int, int] | None
    memory_bytes: int | None
    bf16: bool

    def in_words(self) -> str:
        """One line for a person."""
        if self.capability is None:
            return f"training on a CPU, {self.name}"
        memory = f"{(self.memory_bytes or 0) / 2**30:.0f} GiB"
        bf16 = "with bf16" if self.bf16 else "without bf16"
        return f"training on {self.name}, capability {'.'.join(map(str, self.capability))}, {memory}, {bf16}"


def choose_device(name: str) -> Device:
    """What `training.device` means here; raises ValueError for a GPU that is not there."""
    if name == "cuda" and not torch.cuda.is_available():
        raise ValueError("training.device is cuda, and torch finds no such device here: give auto or cpu")
    if name == "cpu" or not torch.cuda.is_available():
        return Device("cpu", f"{torch.get_num_threads()} threads of it", None, None, False)
    properties = torch.cuda.get_device_properties(torch.cuda.current_device())
    bf16 = torch.cuda.is_bf16_supported(including_emulation=False)
    return Device("cuda", properties.name, (properties.major, properties.minor), properties.total_memory, bf16)


def scaled(recipe: Recipe, device: Device) -> tuple[Recipe, list[str]]:
    """The recipe for that device, and warnings: on a CPU, fields that nobody set are lowered."""
    if device.capability is not None:
        weak = device.capability < _LEAST_CAPABILITY
        return recipe, [f"{device.name} has no tensor cores: expect a slow run"] if weak else []
    lowered = {name: value for name, value in ON_A_CPU.items() if not _is_set(recipe, name)}
    warnings = ["no GPU is used: this takes many times as long as with one"]
    if lowered:
        changes = ", ".join(f"{name}={value}" for name, value in lowered.items())
        warnings.append(f"scaled for a CPU: {changes} (set them to have others)")
    return recipe.changed(lowered), warnings


def use_threads(recipe: Recipe) -> Recipe:
    """Let torch use as many of the CPU's threads as the recipe says; the recipe with that number, on which sums depend."""
    threads = recipe.training.threads or max(1, torch.get_num_threads() // 2)
    torch.set_num_threads(threads)
    return recipe.changed({"training.threads": threads})


def estimated_s(steps_s: float, steps: int, total: int) -> float:
    """Seconds of `total` steps, of which so many took that long; tests left out."""
    return steps_s / steps * total


def with_estimate(events: Iterable[Event], tell: Callable[[str], None]) -> Iterator[Event]:
    """The events, unchanged; after a few steps `tell` gets one line about the run's time."""
    seen, began_s = 0, 0.0
    for event in events:
        if isinstance(event, Step):
            seen += 1
            if seen == _SKIPPED:
                began_s = perf_counter()
            if seen == _LOOKED_AT and event.total > 2 * _LOOKED_AT:
                left_s = estimated_s(perf_counter() - began_s, _LOOKED_AT - _SKIPPED, event.total - event.number)
                tell(f"{event.total} steps: about {in_words(left_s)} to go, tests left out")
        yield event


def in_words(seconds: float) -> str:
    """A time as people say it."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} minutes"
    return f"{seconds / 3600:.1f} hours"


def _is_set(recipe: Recipe, name: str) -> bool:
    group, _, field = name.partition(".")
    return field in getattr(recipe, group).model_fields_set
