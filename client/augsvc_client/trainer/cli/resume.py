"""`--resume`: the recipe and the number of networks of the run in a folder, compared with the options that were given.

OUT/recipe.yaml, options → find_resumed → Recipe;  OUT/ensemble.json → resumed_members
"""

from collections.abc import Mapping
from pathlib import Path

from augsvc_client.trainer.experiments.folder import LOST_ENSEMBLE, ensemble_members, find_run, load_run_recipe
from augsvc_client.trainer.recipe import Recipe, load_recipe

_MAY_BE_LOWER = "data.batch_size"  # a small dataset lowers it when the run starts


def find_resumed(out: Path, path: Path | None, values: Mapping[str, object]) -> Recipe | None:
    """The recipe of the run in `out`; None if there is none yet and a recipe or a dataset is given to start one.

    Fields that are given must have the run's values, so that a command can be repeated. Raises ValueError that names those
    that differ.
    """
    if not ((out / "recipe.yaml").exists() or find_run(out)):
        if path is None and "data.dataset" not in values:
            raise ValueError(f"{out} holds no run to resume: give --dataset or --recipe to start one")
        return None
    saved = load_run_recipe(out)
    if path is None and not values:
        return saved
    given = load_recipe(path, {"data.dataset": saved.data.dataset, **values} if path is None else values)
    if given.training.steps is not None:  # in place of epochs, whose number the run worked out
        given = given.override({"training.epochs": saved.training.epochs})
    here, there = given.flat(only_set=True), saved.flat()
    names = [name for name in here if not _agree(name, here[name], there[name])]
    if names:
        differences = "; ".join(f"{name} ({there[name]} there, {here[name]} here)" for name in names)
        raise ValueError(
            f"--resume finishes the run in {out} as its recipe.yaml says, and these fields differ: {differences} (for more "
            f"epochs start another run: --recipe {out / 'recipe.yaml'} --epochs N --out OTHER)"
        )
    return saved


def resumed_members(out: Path, given: int) -> int:
    """The number of networks of the run in `out`; raises ValueError if `given` is another one above 1, or none is known."""
    members = ensemble_members(out)
    if find_run(out) == LOST_ENSEMBLE:  # it would be continued as one network beside them
        raise ValueError(
            f'{out} holds {LOST_ENSEMBLE}: write {{"members": N}} to it, N the number of networks, or start over with '
            f"--ensemble N --overwrite"
        )
    if given not in (1, members):
        kind = f"an ensemble of {members}" if members > 1 else "no ensemble"
        raise ValueError(f"{out} holds {kind}: --resume needs no --ensemble")
    return members


def _agree(name: str, given: object, saved: object) -> bool:
    """Whether a given value is the saved one; an ablation adds a test, and open fields are filled in."""
    if given is None:
        return True
    if name == _MAY_BE_LOWER and isinstance(given, int) and isinstance(saved, int):
        return given >= saved
    if name == "evaluation.tests" and isinstance(given, Mapping) and isinstance(saved, Mapping):
        return all(test in saved and fields.items() <= saved[test].items() for test, fields in given.items())
    return given == saved
