"""Checkpoints: one safetensors file with JSON in its metadata, from which a run continues exactly. It contains no code.

    TrainingState → save_checkpoint → DIR/checkpoint.safetensors → load_checkpoint → TrainingState, same final weights
    events of train → with_checkpoints → the same events

No generator state is saved: the service's draws depend on the sample and epoch, those of dropout on the step index.
"""

import json
import signal
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Annotated, Any

import torch
from pydantic import AfterValidator, TypeAdapter
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from augsvc_client.errors import AugsvcError
from augsvc_client.trainer.distributed import broadcast_flag, gather_rows, is_main_process, rank, world_size
from augsvc_client.trainer.files import check_readable, write_file
from augsvc_client.trainer.recipe import Recipe
from augsvc_client.trainer.training.interrupt import Interrupted, StopRequest, catch_signals
from augsvc_client.trainer.training.loop import Diverged, Epoch, Pace, Step, TrainingState
from augsvc_client.trainer.training.problem import Notify

FILE_NAME = "checkpoint.safetensors"
_VERSION = 1
_CURE = "delete it to start the run over"
_MODEL, _AVERAGE, _OPTIMISER, _BEST = "model.", "average.", "optimiser.", "best."
_LOSSES, _ACCURACIES = "losses", "accuracies"
_MAY_DIFFER = (  # fields that may change between a checkpoint and the run that resumes it
    *("training.device", "training.checkpoint_s", "training.tensorboard", "data.prefetch", "data.wait_s"),
    *("ablation.seeds", "ablation.alone", "ablation.corrupted"),
)


def _check_described(entry: dict[str, Any]) -> dict[str, Any]:
    if not (isinstance(entry.get("version"), str) and isinstance(entry.get("classes"), list)):
        raise ValueError("a dataset needs a version and classes")
    return entry


@dataclass(frozen=True, slots=True, kw_only=True)
class _Metadata:
    """What a checkpoint has besides tensors; fields of its recipe that earlier versions did not have are at their defaults."""

    version: int = _VERSION
    recipe: Recipe
    world_size: int
    param_groups: list[dict[str, Any]]
    rates: dict[str, Any]
    steps: int
    loader: dict[str, Any]
    datasets: dict[str, Annotated[dict[str, Any], AfterValidator(_check_described)]] = field(default_factory=dict)
    history: list[Epoch]
    pace: Pace
    best: float
    since_best: int


def save_checkpoint(state: TrainingState, folder: Path, position: Mapping[str, Any] | None = None) -> None:
    """Write a checkpoint atomically; all ranks call this after the same step, and rank 0 writes. `position`: the loader's state
    after that step, where it has been read on since.

    Raises Diverged if a weight or a loss is not finite, and OSError on a full disk; the previous checkpoint then stays.
    """
    tensors = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in _tensors(state)}
    if not all(bool(tensor.isfinite().all()) for tensor in tensors.values() if tensor.is_floating_point()):
        raise Diverged("weights or losses are not finite any more: lower optimiser.lr, or set optimiser.clip_norm")
    if not is_main_process():
        return
    write_file(folder / FILE_NAME, save(tensors, metadata={"augsvc": json.dumps(_describe(state, position))}))


def read_datasets(folder: Path) -> dict[str, dict[str, Any]]:
    """The datasets that a run reads, as the server described them when it began; empty without a checkpoint in `folder`.

    Raises ValueError as load_checkpoint.
    """
    return _read(folder / FILE_NAME)[0].datasets if (folder / FILE_NAME).exists() else {}


def read_recipe(folder: Path) -> Recipe:
    """The recipe that a run was started with; raises ValueError without a checkpoint in `folder`, and as load_checkpoint."""
    return _read(folder / FILE_NAME)[0].recipe


def load_checkpoint(state: TrainingState, folder: Path) -> None:
    """Bring a new state of the same recipe to where the checkpoint was saved.

    Raises ValueError for a file that is not a checkpoint, for a damaged one, and for one of another recipe, naming the
    differences; StateMismatch for another dataset.
    """
    metadata, tensors = _read(folder / FILE_NAME)
    try:
        _check_same_run(state, metadata)
        _restore(state, metadata, tensors)
    except (KeyError, IndexError, TypeError, AttributeError, RuntimeError) as err:
        raise ValueError(f"{folder / FILE_NAME} is damaged: {_CURE}") from err


def _restore(state: TrainingState, metadata: _Metadata, tensors: Mapping[str, torch.Tensor]) -> None:
    learner = state.learner
    learner.model.load_state_dict(_select(_MODEL, tensors))
    if learner.ema is not None:
        learner.ema.load_state_dict(_select(_AVERAGE, tensors))
    slots = _slots(tensors)
    _check_shapes(slots, learner.optimiser)
    learner.optimiser.load_state_dict({"state": slots, "param_groups": metadata.param_groups})
    learner.scheduler.load_state_dict(metadata.rates)
    learner.steps = metadata.steps
    state.loader.load_state_dict(metadata.loader)
    state.history = metadata.history
    if any(tensors[name].ndim != 1 for name in (_LOSSES, _ACCURACIES) if name in tensors):
        raise TypeError("the losses are no numbers, one for each step")
    state.losses, state.accuracies = (
        list(tensors[name].chunk(world_size())[rank()].to(learner.device)) if name in tensors else []
        for name in (_LOSSES, _ACCURACIES)
    )
    state.pace, state.best, state.since_best = metadata.pace, metadata.best, metadata.since_best
    state.best_weights = _select(_BEST, tensors) or None
    if state.best_weights is not None and _shapes(state.best_weights) != _shapes(learner.eval_model.state_dict()):
        raise TypeError("the best weights are those of another network")


def with_checkpoints(
    events: Iterable[Step | Epoch], state: TrainingState, folder: Path, warn: Notify
) -> Iterator[Step | Epoch]:
    """The events, with a checkpoint every `training.checkpoint_s` seconds and at the end.

    `warn` gets a line about a checkpoint that cannot be written, e.g. on a full disk: the run goes on. The first Ctrl-C or
    SIGTERM ends it after the current step, with a checkpoint and Interrupted; a second one ends it immediately. Diverged
    names the last good checkpoint; after an error of the client (alone, without other ranks) there is one of the last step.
    """
    folder.mkdir(parents=True, exist_ok=True)
    saved_s, has_checkpoint = perf_counter(), state.learner.steps > 0  # a resumed run has one
    warned: set[str] = set()
    position: Mapping[str, Any] | None = None

    def save(then: str) -> bool:
        try:
            save_checkpoint(state, folder)
        except OSError as err:  # on rank 0 alone, after all ranks have sent their part
            line = f"{err}; {then}"
            if line not in warned:
                warn(line)
            warned.add(line)
            return False
        return True

    try:
        with catch_signals() as request:
            for event in events:
                position = _last_position(event, state)
                # all ranks decide alike, because a checkpoint gathers the losses of all ranks
                stop = broadcast_flag(request.signum is not None)
                if stop:
                    save_checkpoint(state, folder)
                    raise _interruption(request, state)
                if broadcast_flag(perf_counter() - saved_s >= state.learner.recipe.training.checkpoint_s):
                    has_checkpoint = save("the run goes on, and tries again at its next checkpoint") or has_checkpoint
                    saved_s = perf_counter()
                yield event
            save("the run has ended, and cannot be resumed from there")  # in here: a signal must not end it
            if broadcast_flag(request.signum is not None):
                raise _interruption(request, state)
    except AugsvcError:
        _save_last(state, folder, position)
        raise
    except Diverged as err:
        last = f"the last good checkpoint is {folder / FILE_NAME}" if has_checkpoint else "there is no checkpoint yet"
        raise Diverged(f"{err}; {last}") from err


def _last_position(event: Step | Epoch, state: TrainingState) -> Mapping[str, Any] | None:
    """The loader's state after the last step of an epoch, whose evaluation begins when the loader has left the epoch."""
    return state.loader.state_dict() if isinstance(event, Step) and not event.more else None


def _save_last(state: TrainingState, folder: Path, position: Mapping[str, Any] | None) -> None:
    """After an error of the client, whose own text counts."""
    if world_size() == 1 and state.learner.steps:
        with suppress(OSError, Diverged):
            save_checkpoint(state, folder, position)


def _interruption(request: StopRequest, state: TrainingState) -> Interrupted:
    signum = request.signum or signal.SIGINT  # another rank's
    cause = "terminated" if signum == signal.SIGTERM else "interrupted"
    return Interrupted(f"{cause} after step {state.learner.steps}", signum)


def _tensors(state: TrainingState) -> Iterator[tuple[str, torch.Tensor]]:
    learner = state.learner
    yield from ((_MODEL + name, tensor) for name, tensor in learner.model.state_dict().items())
    if learner.ema is not None:
        yield from ((_AVERAGE + name, tensor) for name, tensor in learner.ema.state_dict().items())
    for i, slots in learner.optimiser.state_dict()["state"].items():
        for name, value in slots.items():
            if value is not None:
                yield f"{_OPTIMISER}{i}.{name}", torch.as_tensor(value)
    yield from ((_BEST + name, tensor) for name, tensor in (state.best_weights or {}).items())
    if state.losses:
        yield _LOSSES, gather_rows(torch.stack(state.losses))  # in rank order
        yield _ACCURACIES, gather_rows(torch.stack(state.accuracies))


def _describe(state: TrainingState, position: Mapping[str, Any] | None) -> Any:
    learner = state.learner
    metadata = _Metadata(
        recipe=learner.recipe,
        world_size=world_size(),
        param_groups=learner.optimiser.state_dict()["param_groups"],
        rates={key: value for key, value in learner.scheduler.state_dict().items() if not callable(value)},
        steps=learner.steps,
        loader=dict(position or state.loader.state_dict()),
        datasets={name: dict(entry) for name, entry in state.datasets.items()},
        history=state.history,
        pace=state.pace,
        best=state.best,
        since_best=state.since_best,
    )
    return TypeAdapter(_Metadata).dump_python(metadata, mode="json")


def _read(path: Path) -> tuple[_Metadata, dict[str, torch.Tensor]]:
    try:
        check_readable(path)
    except ValueError as err:
        raise ValueError(f"{path} cannot be read: {err}; make it readable, or remove it to start the run over") from err
    try:
        with safe_open(path, framework="pt") as file:
            saved = json.loads((file.metadata() or {})["augsvc"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
        version = saved["version"]
        if version == _VERSION:
            return TypeAdapter(_Metadata).validate_python(saved), tensors
    except (SafetensorError, KeyError, TypeError, ValueError, RecursionError) as err:
        raise ValueError(f"{path} is not a checkpoint of this trainer, or damaged: {_CURE}") from err
    raise ValueError(f"{path} is a checkpoint of version {version}; this trainer reads version {_VERSION}: {_CURE}")


def _check_same_run(state: TrainingState, metadata: _Metadata) -> None:
    here, saved = state.learner.recipe.flat(), metadata.recipe.flat()
    names = [name for name in here if here[name] != saved[name] and name not in _MAY_DIFFER]
    differences = [f"{name} ({saved[name]} in the checkpoint, {here[name]} here)" for name in sorted(names)]
    if metadata.world_size != world_size():
        differences.append(f"the number of processes ({metadata.world_size} in the checkpoint, {world_size()} here)")
    if differences:
        raise ValueError(f"the checkpoint belongs to another run; these fields differ: {'; '.join(differences)}")


def _select(prefix: str, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _shapes(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in tensors.items()}


def _slots(tensors: Mapping[str, torch.Tensor]) -> dict[int, dict[str, torch.Tensor]]:
    """The optimiser state by parameter index."""
    slots: dict[int, dict[str, torch.Tensor]] = {}
    for key, tensor in _select(_OPTIMISER, tensors).items():
        i, _, name = key.partition(".")
        slots.setdefault(int(i), {})[name] = tensor
    return slots


def _check_shapes(slots: Mapping[int, Mapping[str, torch.Tensor]], optimiser: torch.optim.Optimizer) -> None:
    """Raises TypeError for a slot that is neither one number nor of its parameter's shape, which torch finds in the next step."""
    parameters = [parameter for group in optimiser.param_groups for parameter in group["params"]]
    for i, own in slots.items():
        for name, tensor in own.items():
            if tensor.ndim and tensor.shape != parameters[i].shape:
                raise TypeError(f"{name} of parameter {i} has another shape than the parameter")
