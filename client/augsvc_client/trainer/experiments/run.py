"""One run of a resolved recipe: loaders, network and training loop, then evaluation.

Recipe → run (loaders → TrainingState → train → progress, checkpoints, logs) → Outcome
"""

from collections.abc import Callable, Iterator, Mapping, Set
from contextlib import ExitStack
from functools import partial
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from rich.progress import Progress
from torch import nn

from augsvc_client.loaders.remote import RemoteDataLoader
from augsvc_client.trainer.experiments.outcome import Outcome
from augsvc_client.trainer.experiments.provenance import collect_provenance
from augsvc_client.trainer.models.build import facts
from augsvc_client.trainer.recipe import Recipe
from augsvc_client.trainer.training.checkpoint import FILE_NAME, load_checkpoint, read_datasets, with_checkpoints
from augsvc_client.trainer.training.data import (
    Datasets,
    Versions,
    read_order,
    test_loader,
    training_indices,
    training_loader,
    versions_of,
)
from augsvc_client.trainer.training.device import with_estimate
from augsvc_client.trainer.training.evaluate import (
    Predictions,
    Score,
    Uncertainty,
    average_predictions,
    predict,
    predict_uncertainty,
)
from augsvc_client.trainer.training.loop import Epoch, Step, TrainingState, train
from augsvc_client.trainer.training.problem import Notify, Problem, read_problem
from augsvc_client.trainer.training.progress import print_line, show_progress
from augsvc_client.trainer.training.tensorboard import log_to_tensorboard

Begin = Callable[[], None]


class Start(NamedTuple):
    """How a run starts: on the versions of another run's datasets, and with a call after its first step, by when recipe, data
    and weights fit.
    """

    datasets: Datasets = MappingProxyType({})
    begin: Begin | None = None


ALONE = Start()


def run(
    recipe: Recipe,
    url: str,
    progress: Progress,
    title: str,
    *,
    out: Path | None = None,
    resume: bool = False,
    notify: Notify | None = None,
    start: Start = ALONE,
) -> Outcome:
    """Train a resolved recipe; the run is one line of `progress`, its checkpoints and logs go to `out`, if given.

    `resume` continues from the checkpoint in `out`, if there is one, on the versions of the datasets that it began with.
    `notify` gets a line about resuming and one about the run's duration. Raises the client's errors, Diverged, and ValueError
    for a recipe that does not fit the data.
    """
    checkpoint = out if resume and out is not None and (out / FILE_NAME).exists() else None
    datasets = {**start.datasets, **(read_datasets(checkpoint) if checkpoint else {})}
    versions = versions_of(datasets)
    with ExitStack() as stack:
        loader = stack.enter_context(training_loader(recipe, url, versions))
        statistics_loader = stack.enter_context(training_loader(recipe, url, versions))
        tests = {name: stack.enter_context(test_loader(recipe, url, name, versions=versions)) for name in recipe.tests}
        problem = read_problem(recipe, loader.stream, datasets)
        total = recipe.training.steps or recipe.training.epochs * loader.epoch_steps
        model = problem.build(notify, pretrained=checkpoint is None)
        state = TrainingState(problem.learner(model, total), loader, datasets=problem.datasets)
        if checkpoint is not None:
            load_checkpoint(state, checkpoint)
        if resume and notify is not None:
            done = f"continues after step {state.learner.steps}" if checkpoint else "no checkpoint yet, starts over"
            notify(f"{out}: {done}")
        evaluator = _Evaluator(state, statistics_loader, tests)
        events = train(state, evaluator.scores)
        if start.begin is not None:
            events = _announce(events, start.begin, out)
        show_progress(_instrument(events, state, out, notify, partial(print_line, progress)), progress, title)
        return _summarise(state, evaluator, problem, url)


def _summarise(state: TrainingState, evaluator: "_Evaluator", problem: Problem, url: str) -> Outcome:
    """The outcome of a finished run."""
    inputs, classes = problem.inputs, problem.classes
    recipe, model, stream = state.learner.recipe, state.learner.eval_model, state.loader.stream
    return Outcome(
        recipe=recipe,
        url=url,
        model=model,
        inputs=inputs,
        classes=classes,
        history=tuple(state.history),
        stream={**stream.identity, "spec": stream.spec},
        facts=facts(model, recipe.model, inputs),
        predictions=evaluator.final_predictions(),
        views=predict_views(model, recipe, url, versions_of(state.datasets), evaluator.left_out),
        datasets=state.datasets,
        uncertainty=evaluator.uncertainty(),
        provenance=collect_provenance(stream.client.version()),
    )


class _Evaluator:
    """Evaluates the state's `eval_model` on all tests.

    `statistics_loader`: training batches to recompute batch norm statistics on. Raises ValueError if early stopping watches
    a test without samples, because it would then never stop.
    """

    def __init__(
        self, state: TrainingState, statistics_loader: RemoteDataLoader, tests: Mapping[str, RemoteDataLoader]
    ) -> None:
        self._state, self._statistics_loader, self._tests = state, statistics_loader, tests
        recipe, stream = state.learner.recipe, state.loader.stream
        self.left_out: Mapping[str, Set[int]] = {name: training_indices(recipe, name, stream) for name in tests}
        self._latest: dict[str, Predictions] = {}
        watched = tests[recipe.watched].stream
        if recipe.training.patience is not None and self.left_out[recipe.watched] >= set(
            read_order(watched, 0).tolist()
        ):
            raise ValueError(
                f"training.patience watches {recipe.watched}, which has no sample that is not trained on: lower data.per_class, "
                f"or watch another test"
            )

    def scores(self) -> dict[str, Score]:
        """The current scores by test."""
        learner = self._state.learner
        self._statistics_loader.set_epoch(len(self._state.history))
        learner.prepare_evaluation(islice(self._statistics_loader, learner.recipe.training.ema_batches))
        self._latest = self._predictions()
        return {name: predictions.score for name, predictions in self._latest.items()}

    def final_predictions(self) -> dict[str, Predictions]:
        """Those of the last evaluation, unless early stopping has restored other weights since."""
        return self._latest if self._latest and self._state.best_weights is None else self._predictions()

    def uncertainty(self) -> dict[str, Uncertainty]:
        """By test; empty without `evaluation.mc_passes` or without dropout in the network."""
        recipe = self._state.learner.recipe
        passes, seed = recipe.evaluation.mc_passes, recipe.training.seed
        results = {
            name: predict_uncertainty(self._state.learner.eval_model, loader, passes, seed, self.left_out[name])
            for name, loader in (self._tests.items() if passes else ())
        }
        return {name: result for name, result in results.items() if result is not None}

    def _predictions(self) -> dict[str, Predictions]:
        model = self._state.learner.eval_model
        return {name: predict(model, loader, self.left_out[name]) for name, loader in self._tests.items()}


def predict_views(
    model: nn.Module,
    recipe: Recipe,
    url: str,
    versions: Versions = MappingProxyType({}),
    left_out: Mapping[str, Set[int]] = MappingProxyType({}),
) -> dict[str, Predictions]:
    """Test-time augmentation: for each plain test the mean over `evaluation.views` views, rendered by the service.

    `left_out`: samples of tests that are not predicted.
    """
    evaluation = recipe.evaluation
    plain = [name for name, test in recipe.tests.items() if test.pipeline in ("none", [])]
    averages = {}
    for name in plain if evaluation.views > 1 else []:
        views = []
        for view in range(evaluation.views):
            with test_loader(
                recipe, url, name, pipeline=evaluation.view_pipeline, view=view, versions=versions
            ) as loader:
                views.append(predict(model, loader, left_out.get(name, frozenset())))
        averages[name] = average_predictions(views)
    return averages


def _announce(events: Iterator[Step | Epoch], begin: Begin, out: Path | None) -> Iterator[Step | Epoch]:
    """The events, with a call before the first one is passed on."""
    for event in islice(events, 1):
        begin()
        if out is not None:
            out.mkdir(parents=True, exist_ok=True)  # of an earlier ensemble's member, and empty without its files
        yield event
    yield from events


def _instrument(
    events: Iterator[Step | Epoch], state: TrainingState, out: Path | None, notify: Notify | None, warn: Notify
) -> Iterator[Step | Epoch]:
    """Add checkpoints, TensorBoard logs and the estimate of the run's duration to the events."""
    if out is not None:
        events = with_checkpoints(events, state, out, warn)
        if state.learner.recipe.training.tensorboard:
            events = log_to_tensorboard(events, out / "tensorboard", warn)
    return events if notify is None else with_estimate(events, notify)
