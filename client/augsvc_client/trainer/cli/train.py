"""Training from the command line: run, ensemble or ablation, with files in OUT and a summary on the console.

Recipe → scale_for_device, resolve_recipe → run or run_ensemble → weights, recipe, result.json, report.html
"""

import shlex
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import mean

from rich.console import Console
from rich.progress import Progress

from augsvc_client.errors import AugsvcError
from augsvc_client.trainer.cli.plan import Ablated, Plan
from augsvc_client.trainer.distributed import is_main_process
from augsvc_client.trainer.experiments.ablation import add_corrupted_test, require_operations, run_ablation
from augsvc_client.trainer.experiments.advice import AdviceAblation, run_advice_ablation
from augsvc_client.trainer.experiments.ensemble import Ensemble, run_ensemble
from augsvc_client.trainer.experiments.findings import load_findings
from augsvc_client.trainer.experiments.folder import (
    ENSEMBLE_FILE,
    check_initial_weights,
    delete_run,
    find_run,
    member_folder,
)
from augsvc_client.trainer.experiments.outcome import Outcome
from augsvc_client.trainer.experiments.resolve import resolve_recipe
from augsvc_client.trainer.experiments.run import Start, run
from augsvc_client.trainer.experiments.variants import PairedScores
from augsvc_client.trainer.export.card import Card, save_model
from augsvc_client.trainer.files import write_file, write_json
from augsvc_client.trainer.recipe import Recipe
from augsvc_client.trainer.report.page import render_run_page
from augsvc_client.trainer.report.tables import console_list, console_table
from augsvc_client.trainer.training.checkpoint import read_datasets
from augsvc_client.trainer.training.device import choose_device, scale_for_device
from augsvc_client.trainer.training.interrupt import interrupt_on_sigterm
from augsvc_client.trainer.training.progress import progress_bars


class CanContinue(AugsvcError):
    """A client's error in a run that `--resume` continues: the second line names the command."""


def train(url: str, out: Path, requested: Recipe, console: Console, plan: Plan) -> None:
    """Train the requested recipe; raises the client's errors, CanContinue once there is a checkpoint, Diverged,
    KeyboardInterrupt, which names the command that continues, and ValueError for options that do not fit."""
    members = plan.members
    if plan.ablate and members > 1:
        raise ValueError("--ablate is for one network: give no --ensemble")
    if not plan.resume and not plan.overwrite and (earlier := find_run(out)):
        raise ValueError(
            f"{out} holds {earlier}: --resume continues it, --overwrite deletes it; otherwise give another --out"
        )
    options = ["--ablate", plan.ablate.value] if plan.ablate else []
    command = shlex.join(["augsvc-train", "--resume", *options, "--url", url, "--out", str(out)])
    has_begun = plan.resume  # else the folder may hold an earlier run, which stays until the new one begins

    def begin(recipe: Recipe) -> None:
        nonlocal has_begun
        _prepare_folder(out, recipe, plan)
        has_begun = True

    try:
        with interrupt_on_sigterm():
            _train(url, out, requested, console, plan, begin)
    except KeyboardInterrupt as err:
        if not (has_begun and find_run(out)):
            raise  # before the first step: nothing to continue
        err.args = (f"{str(err) or 'interrupted'}; continue with: {command}",)
        raise
    except AugsvcError as err:
        if has_begun and find_run(out):
            raise CanContinue(f"{err}\nwhen that is mended, continue with: {command}") from err
        raise


def _train(
    url: str, out: Path, requested: Recipe, console: Console, plan: Plan, begin: Callable[[Recipe], None]
) -> None:
    members, ablate, resume = plan.members, plan.ablate, plan.resume
    device = choose_device(requested.training.device)
    recipe, warnings = scale_for_device(requested, device)
    begun = read_datasets(out if members == 1 else member_folder(out, 0)) if resume else {}
    recipe, notes = resolve_recipe(recipe, url, begun, note_duration=not resume)
    if ablate == Ablated.operations:
        require_operations(recipe)
    recipe = add_corrupted_test(recipe) if ablate else recipe
    for line in (device.describe(), *warnings, *notes):
        console.print(line)
    start = Start(begin=None if resume else partial(begin, recipe))
    if resume:
        begin(recipe)
    else:
        check_initial_weights(recipe.training.initial_weights, out)
    with progress_bars(console) as progress:
        if members > 1:
            done = partial(write_run, out=out, members=members)
            ensemble = run_ensemble(recipe, url, progress, members, out=out, resume=resume, done=done, start=start)
            _finish_ensemble(ensemble, out, console)
            return
        title = recipe.data.dataset
        outcome = run(recipe, url, progress, title, out=out, resume=resume, notify=console.print, start=start)
        write_run(outcome, out, out)  # an ablation may take hours
        ablation = _ablate(outcome, progress, out, plan)
    if ablation is not None:
        write_run(outcome, out, out, ablation=ablation)
    _print_outcome(outcome, ablation, out, console)


def _ablate(outcome: Outcome, progress: Progress, out: Path, plan: Plan) -> PairedScores | None:
    if plan.ablate == Ablated.operations:
        return run_ablation(outcome, progress, out, resume=plan.resume)
    return run_advice_ablation(outcome, progress, out, resume=plan.resume) if plan.ablate else None


def _prepare_folder(out: Path, recipe: Recipe, plan: Plan) -> None:
    """Write the recipe, and for an ensemble the file that marks its folder for `--resume`. A new run
    deletes the earlier one, and calls this only when it can start."""
    out.mkdir(parents=True, exist_ok=True)
    if not is_main_process():
        return
    if not plan.resume:
        delete_run(out)
    recipe.save(out / "recipe.yaml")
    if plan.members > 1 and not plan.resume:
        write_json(out / ENSEMBLE_FILE, {"members": plan.members})


def write_run(
    outcome: Outcome, folder: Path, out: Path, *, members: int = 1, ablation: PairedScores | None = None
) -> None:
    """Write all files of a run to `folder`, those that can be; the findings of `--sanity` are in `out`.

    The report is the last one: it reads from the server, so it raises the client's errors.
    """
    if not is_main_process():
        return
    recipe = outcome.recipe
    card = Card(recipe.model, outcome.inputs, outcome.classes, recipe.data.scale, recipe.data.fit)

    def write_report() -> None:
        page = render_run_page(outcome, members=members, ablation=ablation, sanity=load_findings(recipe, out))
        write_file(folder / "report.html", page)

    errors: list[str] = []
    for write in (
        partial(recipe.save, folder / "recipe.yaml"),
        partial(save_model, outcome.model, card, folder),
        partial(write_json, folder / "result.json", outcome.summary()),
        write_report,
    ):
        try:
            write()
        except OSError as err:
            errors.append(str(err))
    if errors:
        raise OSError("; ".join(dict.fromkeys(errors)))


def _print_outcome(outcome: Outcome, ablation: PairedScores | None, out: Path, console: Console) -> None:
    for test, count in outcome.best_of.items():
        console.print(f"{test}: best of {count} evaluations on this same test set (optimistic)")
    pace, views = outcome.pace, outcome.recipe.evaluation.views
    columns = {
        **{f"{test} accuracy": f"{outcome.accuracy(test):.1%}" for test in outcome.predictions},
        **{f"{test}, {views} views": f"{result.score.accuracy:.1%}" for test, result in outcome.views.items()},
        "training loss": f"{outcome.history[-1].loss:.3f}",
        "samples/s": f"{pace.images_per_s:,.0f}",
        "trainer waited": f"{pace.wait_share:.1%}",
        "training time": f"{pace.train_s:.1f} s",
    }
    console.print(console_table([list(columns), list(columns.values())]))
    if ablation is not None:
        rows = ablation.rows()
        console.print(console_list(rows) if isinstance(ablation, AdviceAblation) else console_table(rows))
        console.print(ablation.caption)
    _print_files(out, console)


def _finish_ensemble(ensemble: Ensemble, out: Path, console: Console) -> None:
    """Write ensemble.json and print the ensemble's accuracies."""
    if not is_main_process():
        return
    summary = {"members": len(ensemble.members), "tests": ensemble.summary()}
    write_json(out / ENSEMBLE_FILE, summary)
    rows = [["", "ensemble", "members, mean", "gain"]]
    for test in ensemble.members[0].predictions:
        accuracy, gain = ensemble.accuracy(test), mean(ensemble.gains(test))
        rows.append([test, f"{accuracy:.1%}", f"{accuracy - gain:.1%}", f"{100 * gain:+.1f} points"])
    console.print(console_table(rows))
    _print_files(out, console)


def _print_files(out: Path, console: Console) -> None:
    console.print(f"{out}: {', '.join(sorted(path.name for path in out.iterdir()))}")
