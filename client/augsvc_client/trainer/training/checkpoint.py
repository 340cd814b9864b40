"""A run on disk, and exactly the same run again: one safetensors file, with JSON in its metadata. Nothing in it is code.

    Course → save_checkpoint → DIR/checkpoint.safetensors → load_checkpoint → Course that ends in the same weights

Draws need no state: those of the service belong to addresses, and dropout's to step numbers.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from augsvc_client.trainer.distributed import gathered, is_first, rank, world_size
from augsvc_client.trainer.training.evaluate import Score
from augsvc_client.trainer.training.loop import Course, Diverged, Epoch, Pace

NAME = "checkpoint.safetensors"
_VERSION = 1
_MODEL, _AVERAGE, _OPTIMISER, _BEST, _LOSSES = "model.", "average.", "optimiser.", "best.", "losses"
_FREE = (
    *("training.device", "training.checkpoint_s", "training.tensorboard", "data.prefetch", "data.wait_s"),
    *("ablation.seeds", "ablation.alone", "ablation.corrupted"),
)


def save_checkpoint(course: Course, folder: Path) -> None:
    """Write it whole or not at all; the first rank writes, and all of them call this after the same step.

    Raises Diverged, before the last good one is touched, where a weight or a loss is no number.
    """
    tensors = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in _tensors(course)}
    if not all(bool(tensor.isfinite().all()) for tensor in tensors.values() if tensor.is_floating_point()):
        raise Diverged("weights or losses are no numbers any more: lower optimiser.lr, or set optimiser.clip_norm")
    if not is_first():
        return
    metadata = {"augsvc": json.dumps(_rest(course))}
    beside = folder / f"{NAME}.new"
    save_file(tensors, beside, metadata=metadata)
    beside.replace(folder / NAME)


def load_checkpoint(course: Course, folder: Path) -> None:
    """Put a course that was just made from the same recipe where the checkpoint was taken.

    Raises ValueError for a file that is none, and for one of another recipe, naming what differs; StateMismatch for
    another dataset.
    """
    rest, tensors = _read(folder / NAME)
    _check(course, rest)
    learner = course.learner
    learner.model.load_state_dict(_under(_MODEL, tensors))
    if learner.average is not None:
        learner.average.load_state_dict(_under(_AVERAGE, tensors))
    learner.optimiser.load_state_dict({"state": _slots(tensors), "param_groups": rest["param_groups"]})
    learner.rates.load_state_dict(rest["rates"])
    learner.steps = rest["steps"]
    course.loader.load_state_dict(rest["loader"])
    course.history = [_epoch(each) for each in rest["history"]]
    losses = tensors[_LOSSES].chunk(world_size())[rank()].to(learner.device) if _LOSSES in tensors else ()
    course.losses = list(losses)
    course.pace, course.best, course.since_best = Pace(**rest["pace"]), rest["best"], rest["since_best"]
    course.best_weights = _under(_BEST, tensors) or None


def _tensors(course: Course) -> Iterator[tuple[str, torch.Tensor]]:
    learner = course.learner
    yield from ((_MODEL + name, tensor) for name, tensor in learner.model.state_dict().items())
    if learner.average is not None:
        yield from ((_AVERAGE + name, tensor) for name, tensor in learner.average.state_dict().items())
    for number, slots in learner.optimiser.state_dict()["state"].items():
        for name, value in slots.items():
            if value is not None:
                yield f"{_OPTIMISER}{number}.{name}", torch.as_tensor(value)
    yield from ((_BEST + name, tensor) for name, tensor in (course.best_weights or {}).items())
    if course.losses:
        yield _LOSSES, gathered(torch.stack(course.losses))  # one rank's after the other's


def _rest(course: Course) -> dict[str, Any]:
    learner = course.learner
    rates = {key: value for key, value in learner.rates.state_dict().items() if not callable(value)}
    return {
        "version": _VERSION,
        "recipe": learner.recipe.model_dump(mode="json"),
        "world_size": world_size(),
        "param_groups": learner.optimiser.state_dict()["param_groups"],
        "rates": rates,
        "steps": learner.steps,
        "loader": course.loader.state_dict(),
        "history": [asdict(epoch) for epoch in course.history],
        "pace": asdict(course.pace),
        "best": course.best,
        "since_best": course.since_best,
    }


def _read(path: Path) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    try:
        with safe_open(path, framework="pt") as file:
            rest = json.loads((file.metadata() or {})["augsvc"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no mapping
    except (SafetensorError, KeyError, ValueError) as err:
        raise ValueError(f"{path} is no checkpoint of this trainer") from err
    if rest.get("version") != _VERSION:
        raise ValueError(f"{path} is a checkpoint of version {rest.get('version')}, and this trainer reads {_VERSION}")
    return rest, tensors


def _check(course: Course, rest: Mapping[str, Any]) -> None:
    here, there = _flat(course.learner.recipe.model_dump(mode="json")), _flat(rest["recipe"])
    names = sorted(name for name in here | there if here.get(name) != there.get(name) and name not in _FREE)
    differences = [f"{name} ({there.get(name)} in the checkpoint, {here.get(name)} here)" for name in names]
    if rest["world_size"] != world_size():
        differences.append(f"the number of processes ({rest['world_size']} in the checkpoint, {world_size()} here)")
    if differences:
        raise ValueError(f"the checkpoint is of another run; these differ: {'; '.join(differences)}")


def _flat(recipe: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    return {f"{group}.{name}": value for group, fields in recipe.items() for name, value in fields.items()}


def _under(prefix: str, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _slots(tensors: Mapping[str, torch.Tensor]) -> dict[int, dict[str, torch.Tensor]]:
    """The optimiser's state by parameter."""
    slots: dict[int, dict[str, torch.Tensor]] = {}
    for key, tensor in _under(_OPTIMISER, tensors).items():
        number, _, name = key.partition(".")
        slots.setdefault(int(number), {})[name] = tensor
    return slots


def _epoch(saved: Mapping[str, Any]) -> Epoch:
    scores = {name: Score(**score) for name, score in saved["scores"].items()}
    return Epoch(saved["number"], saved["loss"], Pace(**saved["pace"]), scores)
