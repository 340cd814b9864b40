"""One run from a recipe: what the server has settles the open fields, then loaders, network and loop, then the outcome.

Recipe → settle (asks the server) → run (loaders → Course → train → watch, checkpoints, logs) → Outcome
"""

import math
import signal
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from threading import Event, current_thread, main_thread
from time import perf_counter
from types import FrameType
from typing import Any

from rich.progress import Progress
from torch import nn

from augsvc_client.client.client import Client
from augsvc_client.loaders.remote import RemoteDataLoader
from augsvc_client.trainer.distributed import agreed, world_size
from augsvc_client.trainer.models.build import Facts, Inputs, build_model, facts
from augsvc_client.trainer.recipe import Recipe
from augsvc_client.trainer.training.checkpoint import NAME, load_checkpoint, save_checkpoint
from augsvc_client.trainer.training.data import (
    Sights,
    class_names,
    collect_sights,
    inputs_of,
    test_loader,
    trained_on,
    training_loader,
)
from augsvc_client.trainer.training.device import choose_device, with_estimate
from augsvc_client.trainer.training.evaluate import Predictions, Score, Uncertain, averaged, predict, predict_uncertain
from augsvc_client.trainer.training.learner import Learner, loss_floor
from augsvc_client.trainer.training.loop import Course, Diverged, Epoch, Pace, Step, train
from augsvc_client.trainer.training.progress import watch
from augsvc_client.trainer.training.tensorboard import logged

_SIDE, _SECONDS, _RATE = 32, 1.0, 16_000
_SHOWN_EPOCHS = 6
_CORRUPTED_SOUND = [{"op": "time_shift", "shift": [-0.2, 0.2]}, {"op": "white_noise", "snr": [0, 10]}]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a run left. `stream` is its specification and identity as the server gave them; `url` where it was served.

    `floor` is the lowest training loss that label smoothing leaves. `predictions`: the kept network's, by test; `views`:
    the same with test-time augmentation, for tests that have it; `uncertain`: with dropout on. `sights`: None for sound.
    """

    recipe: Recipe
    url: str
    model: nn.Module
    inputs: Inputs
    classes: Sequence[str]
    history: Sequence[Epoch]
    stream: Mapping[str, Any]
    facts: Facts
    floor: float
    sights: Sights | None
    predictions: Mapping[str, Predictions]
    views: Mapping[str, Predictions]
    uncertain: Mapping[str, Uncertain]

    @property
    def pace(self) -> Pace:
        """Of the whole run."""
        return sum((epoch.pace for epoch in self.history), Pace())

    def accuracy(self, test: str) -> float:
        """Of the kept network on that test set, in [0, 1]."""
        return self.predictions[test].score.accuracy

    @property
    def looks(self) -> dict[str, int]:
        """By the test whose best look gave the kept weights, how many looks there were; none where patience chose nothing.

        The best of so many on the same samples is higher than what others would give.
        """
        training = self.recipe.training
        count = sum(bool(epoch.scores) for epoch in self.history)
        return {} if training.patience is None or count < 2 else {training.watch or next(iter(self.predictions)): count}

    def summary(self) -> dict[str, Any]:
        """All but pictures and weights, JSON-able: null is the accuracy on no samples."""
        return {
            "stream": self.stream,
            "classes": list(self.classes),
            "inputs": asdict(self.inputs),
            "model": asdict(self.facts),
            "parameters": self.facts.parameters,
            "accuracy": {test: known(self.accuracy(test)) for test in self.predictions},
            "best_of_looks": self.looks,
            "accuracy_with_views": {test: known(each.score.accuracy) for test, each in self.views.items()},
            "uncertainty": {test: _mean_uncertainty(each) for test, each in self.uncertain.items()},
            "images_per_s": self.pace.images_per_s,
            "wait_share": self.pace.wait_share,
            "history": [asdict(epoch) for epoch in self.history],
        }


def settle(recipe: Recipe, url: str) -> tuple[Recipe, list[str]]:
    """The recipe with nothing left open, and what had to be changed, in words.

    Raises what the client raises, and ValueError for datasets that do not fit one another.
    """
    with Client(url, wait_s=recipe.data.wait_s) as client:
        served = {entry["name"]: entry for entry in client.datasets()}
    data, training = recipe.data, recipe.training
    settled = recipe.changed(_left_open(recipe, served.get(data.dataset, {}).get("media") == "audio"))
    notes = []
    with training_loader(settled, url) as loader:
        samples = loader.stream.samples  # asks the server, which knows what is wrong with the specification
    most = max(1, samples // world_size())
    if data.batch_size > most:
        notes.append(f"{data.dataset} has {samples} samples here: a batch is {most}, not {data.batch_size}")
        settled = settled.changed({"data.batch_size": most})
    if settled.evaluation.tests is None:
        settled = settled.changed({"evaluation.tests": {"test": {"dataset": _test_of(data.dataset)}}})
    class_names(served, settled)
    if training.watch is not None and training.watch not in (settled.evaluation.tests or {}):
        raise ValueError(f"training.watch must be one of {', '.join(settled.evaluation.tests or {})}")
    return settled, notes


def _left_open(recipe: Recipe, sound: bool) -> dict[str, object]:
    """What fields that are None become, as far as the server has no say in it."""
    training = recipe.training
    found: dict[str, object] = {f"data.{name}": training.seed for name in ("subset_seed", "order_seed", "aug_seed")}
    found |= {
        "data.pipeline": "sound" if sound else "standard",
        **({"data.seconds": _SECONDS, "data.sample_rate": _RATE} if sound else {"data.size": (_SIDE, _SIDE)}),
        "evaluation.every": max(1, training.epochs // 20),
        "ablation.corrupted": _CORRUPTED_SOUND if sound else "strong",
    }
    groups = recipe.model_dump()
    return {name: value for name, value in found.items() if groups[name.split(".")[0]][name.split(".")[1]] is None}


def run(
    recipe: Recipe,
    url: str,
    progress: Progress,
    title: str,
    *,
    out: Path | None = None,
    resume: bool = False,
    tell: Callable[[str], None] | None = None,
) -> Outcome:
    """Train by a settled recipe; the run is one line of `progress`, its checkpoints and logs go to `out`, if given.

    `resume`: go on from the checkpoint there, if there is one. `tell` gets a line about the run's time. Raises what the
    client raises, Diverged, and ValueError for what does not fit.
    """
    with ExitStack() as stack:
        loader = stack.enter_context(training_loader(recipe, url))
        again = stack.enter_context(training_loader(recipe, url))  # batches to measure batch norm on
        tests = {name: stack.enter_context(test_loader(recipe, url, name)) for name in recipe.evaluation.tests or {}}
        stream = loader.stream
        classes = class_names({entry["name"]: entry for entry in stream.client.datasets()}, recipe)
        inputs = inputs_of(stream)
        model = build_model(recipe.model, inputs, len(classes), recipe.training.seed)
        model.to(choose_device(recipe.training.device).kind)
        course = Course(Learner(model, recipe, recipe.training.epochs * loader.epoch_steps), loader)
        if resume and out is not None:
            found = (out / NAME).exists()
            if found:
                load_checkpoint(course, out)
            if tell is not None:
                tell(
                    f"{out}: "
                    + (f"goes on after step {course.learner.steps}" if found else "no checkpoint yet, begins anew")
                )
        left_out = {name: trained_on(recipe, name, stream) for name in tests}
        _refuse_empty_watch(recipe, {name: test.stream.samples - len(left_out[name]) for name, test in tests.items()})
        judge = _Judge(course, again, tests, left_out)
        watch(_followed(train(course, judge.scores), course, out, tell), progress, title)
        kept = course.learner.kept
        return Outcome(
            recipe=recipe,
            url=url,
            model=kept,
            inputs=inputs,
            classes=classes,
            history=tuple(course.history),
            stream={**stream.identity, "spec": stream.spec},
            facts=facts(kept, recipe.model, inputs),
            floor=loss_floor(len(classes), recipe.training.label_smoothing),
            sights=None if inputs.rate else collect_sights(stream, classes, min(_SHOWN_EPOCHS, len(course.history))),
            predictions=judge.last(),
            views=predict_views(kept, recipe, url),
            uncertain=_uncertain(kept, recipe, tests, left_out),
        )


class _Judge:
    """Tests the kept network. `again`: training batches for its batch norm; `left_out`: indices by test."""

    def __init__(
        self,
        course: Course,
        again: RemoteDataLoader,
        tests: Mapping[str, RemoteDataLoader],
        left_out: Mapping[str, Set[int]],
    ) -> None:
        self._course, self._again, self._tests, self._left_out = course, again, tests, left_out
        self._latest: dict[str, Predictions] = {}

    def scores(self) -> dict[str, Score]:
        """By test, now."""
        self._again.set_epoch(len(self._course.history))
        self._course.learner.judged(islice(self._again, self._course.learner.recipe.training.ema_batches))
        self._latest = self._predictions()
        return {name: each.score for name, each in self._latest.items()}

    def last(self) -> dict[str, Predictions]:
        """At the run's end: those of the last test, if the weights are still those."""
        return self._latest if self._latest and self._course.best_weights is None else self._predictions()

    def _predictions(self) -> dict[str, Predictions]:
        kept = self._course.learner.kept
        return {name: predict(kept, loader, self._left_out[name]) for name, loader in self._tests.items()}


def _followed(
    events: Iterator[Step | Epoch], course: Course, out: Path | None, tell: Callable[[str], None] | None
) -> Iterator[Step | Epoch]:
    """The events on their way past checkpoints, logs and the estimate of the run's time."""
    if out is not None:
        events = _checkpointed(events, course, out)
        if course.learner.recipe.training.tensorboard:
            events = logged(events, out / "tensorboard")
    return events if tell is None else with_estimate(events, tell)


def predict_views(model: nn.Module, recipe: Recipe, url: str) -> dict[str, Predictions]:
    """Test-time augmentation: the mean over `evaluation.views` views, which the service makes, of each plain test."""
    evaluation = recipe.evaluation
    plain = [name for name, test in (evaluation.tests or {}).items() if test.pipeline == "none" and not test.unseen]
    found = {}
    for name in plain if evaluation.views > 1 else []:
        each = []
        for view in range(evaluation.views):
            with test_loader(recipe, url, name, pipeline=evaluation.view_pipeline, view=view) as loader:
                each.append(predict(model, loader))
        found[name] = averaged(each)
    return found


def _checkpointed(events: Iterable[Step | Epoch], course: Course, out: Path) -> Iterator[Step | Epoch]:
    """The events, with a checkpoint now and then and one at the end; Diverged says what there is to go on from.

    Ctrl-C ends a run after the step in hand, with a checkpoint; a second one ends it at once.
    """
    out.mkdir(parents=True, exist_ok=True)
    saved_s, kept = perf_counter(), course.learner.steps > 0  # it came from one
    try:
        with interruptions() as broken_off:
            for event in events:
                # together, because a checkpoint has all ranks' losses
                stop = agreed(broken_off.is_set())
                if stop or agreed(perf_counter() - saved_s >= course.learner.recipe.training.checkpoint_s):
                    save_checkpoint(course, out)
                    saved_s, kept = perf_counter(), True
                if stop:
                    raise KeyboardInterrupt(
                        f"broken off after step {course.learner.steps}; go on with: augsvc-train --resume --url URL --out {out}"
                    )
                yield event
        save_checkpoint(course, out)
    except Diverged as err:
        last = f"the last good checkpoint is {out / NAME}" if kept else "that was before the first checkpoint"
        raise Diverged(f"{err}; {last}") from err


def _refuse_empty_watch(recipe: Recipe, samples: Mapping[str, int]) -> None:
    """Patience with a test that has no samples would never end."""
    watched = recipe.training.watch or next(iter(samples))
    if recipe.training.patience is not None and not samples[watched]:
        raise ValueError(
            f"training.patience watches {watched}, which has no sample that is not trained on: lower data.per_class, "
            f"or watch another test"
        )


@contextmanager
def interruptions() -> Iterator[Event]:
    """Set by the first Ctrl-C in the block; the second one does what it always does. In the main thread alone."""
    asked = Event()
    if current_thread() is not main_thread():
        yield asked
        return
    before = signal.getsignal(signal.SIGINT)

    def first(_number: int, _frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, before)
        asked.set()

    signal.signal(signal.SIGINT, first)
    try:
        yield asked
    finally:
        signal.signal(signal.SIGINT, before)


def _uncertain(
    model: nn.Module, recipe: Recipe, tests: Mapping[str, RemoteDataLoader], left_out: Mapping[str, Set[int]]
) -> dict[str, Uncertain]:
    passes, seed = recipe.evaluation.mc_passes, recipe.training.seed
    found = {
        name: predict_uncertain(model, loader, passes, seed, left_out[name]) if passes else None
        for name, loader in tests.items()
    }
    return {name: each for name, each in found.items() if each is not None}


def known(share: float) -> float | None:
    """None for NaN, which JSON has no word for."""
    return None if math.isnan(share) else share


def _mean_uncertainty(each: Uncertain) -> dict[str, float | None]:
    """Mean information (nats) of samples that were named rightly, and wrongly: the latter should be higher."""
    right = each.predictions.named == each.predictions.label
    means = {name: each.information[which] for name, which in (("right", right), ("wrong", ~right))}
    return {name: float(values.mean()) if len(values) else None for name, values in means.items()}


def _test_of(dataset: str) -> str:
    if not dataset.endswith("/train"):
        raise ValueError(f"{dataset} does not end in /train: give --test-dataset")
    return dataset.removesuffix("train") + "test"
