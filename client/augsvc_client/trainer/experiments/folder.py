"""The folder of a run or an ensemble: what it holds, and what an earlier run left in it.

OUT → find_run → "a finished run" …;  delete_run;  ensemble_members;  load_network → network or ensemble, Card
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import torch
from pydantic import Field
from torch import nn

from augsvc_client.trainer.export.card import EXPORTS, Card, load_model
from augsvc_client.trainer.files import check_readable, read_json
from augsvc_client.trainer.recipe import Recipe, load_recipe
from augsvc_client.trainer.training.checkpoint import FILE_NAME as CHECKPOINT_FILE
from augsvc_client.trainer.training.checkpoint import read_datasets, read_recipe

ENSEMBLE_FILE, ABLATION_FILE, ADVICE_FILE = "ensemble.json", "ablation.json", "advice.json"
_RESULTS = ("model.safetensors", "model.json", "result.json", "report.html")
LOST_ENSEMBLE = f"members of an ensemble without its {ENSEMBLE_FILE}"
_MAX_RESULT = 256 << 20  # with the history of many epochs


@dataclass(frozen=True, slots=True)
class _EnsembleFile:
    members: Annotated[int, Field(ge=2)]


@dataclass(frozen=True, slots=True)
class _ResultFile:
    datasets: Mapping[str, str]


def member_folder(out: Path, index: int) -> Path:
    """The folder of a member in that of its ensemble."""
    return out / f"member-{index}"


def find_run(out: Path) -> str:
    """What a new run in this folder would replace, as text; empty if nothing."""
    if (out / ENSEMBLE_FILE).exists():
        return "an ensemble"
    if (out / "result.json").exists() or (out / "model.safetensors").exists():
        return "a finished run"
    if (out / CHECKPOINT_FILE).exists():
        return "the checkpoint of a run"
    return LOST_ENSEMBLE if any(find_run(folder) for folder in out.glob("member-*")) else ""


def delete_run(out: Path) -> None:
    """Delete the files of an earlier run or ensemble, but not the findings of `--sanity`, logs, or other files."""
    for file in _run_files(out):
        file.unlink(missing_ok=True)
    for folder in out.glob("member-*"):
        (folder / "recipe.yaml").unlink(missing_ok=True)
        if not any(folder.iterdir()):
            folder.rmdir()


def check_initial_weights(path: str | None, out: Path) -> None:
    """Raise ValueError if a new run in this folder would start from weights that it replaces."""
    if path is None:
        return
    file = Path(path) / "model.safetensors" if Path(path).is_dir() else Path(path)
    if file.resolve() in [own.resolve() for own in _run_files(out)]:
        raise ValueError(
            f"training.initial_weights: {file} is of the run that the new one replaces: give another --out"
        )


def _run_files(out: Path) -> Iterator[Path]:
    for folder in (out, *out.glob("member-*")):
        for name in (*_RESULTS, *EXPORTS, CHECKPOINT_FILE, ABLATION_FILE, ADVICE_FILE, ENSEMBLE_FILE):
            yield folder / name


class MeanNetwork(nn.Module):
    """An ensemble as one network: logits whose softmax is the mean of the members' probabilities."""

    def __init__(self, members: Sequence[nn.Module]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self.log_count = math.log(len(members))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """As each member: N,… → N,K."""
        return torch.stack([member(x).log_softmax(dim=1) for member in self.members]).logsumexp(dim=0) - self.log_count


def load_network(folder: Path) -> tuple[nn.Module, Card]:
    """The network of a run, or its ensemble as one.

    Raises ValueError as `load_model`, for members that differ, and for an ensemble that is not finished.
    """
    count = ensemble_members(folder)
    if count == 1:
        return load_model(folder)
    if not all((member_folder(folder, i) / "model.json").exists() for i in range(count)):
        raise ValueError(
            f"the ensemble in {folder} is not finished: continue it with --resume, or give a member of the ensemble, "
            f"{member_folder(folder, 0)}"
        )
    models, cards = zip(*(load_model(member_folder(folder, i)) for i in range(count)), strict=True)
    if any(card != cards[0] for card in cards):
        raise ValueError(
            f"the members of {folder} differ in their model.json: train the ensemble again with --overwrite"
        )
    return MeanNetwork(models).eval(), cards[0]


def load_run_recipe(out: Path) -> Recipe:
    """The recipe of the run in this folder: recipe.yaml, or that of its checkpoint where the file is missing or damaged.

    Raises ValueError where neither can be read.
    """
    path = out / "recipe.yaml"
    try:
        check_readable(path)
        return load_recipe(path, {})
    except ValueError as err:
        try:
            return read_recipe(_first_folder(out))
        except ValueError:
            raise ValueError(
                f"{path} cannot be used, nor a checkpoint with its recipe: {err}; restore it, or start over with --overwrite"
            ) from err


def _first_folder(out: Path) -> Path:
    """The folder of the run itself, or of the first member of its ensemble."""
    return out if ensemble_members(out) == 1 else member_folder(out, 0)


def run_versions(out: Path) -> dict[str, str]:
    """The versions of the datasets that the run in this folder read, by name; those of its checkpoint without a readable
    result.json, and empty without either."""
    folder = _first_folder(out)
    try:
        return dict(read_json(folder / "result.json", _ResultFile, _MAX_RESULT).datasets)
    except (OSError, ValueError):
        pass
    try:
        return {name: str(entry["version"]) for name, entry in read_datasets(folder).items()}
    except ValueError:
        return {}


def ensemble_members(out: Path) -> int:
    """The number of networks of the run in this folder: 1 unless it is an ensemble. Raises ValueError for a damaged file."""
    if not (out / ENSEMBLE_FILE).exists():
        return 1
    try:
        return read_json(out / ENSEMBLE_FILE, _EnsembleFile).members
    except ValueError as err:
        raise ValueError(
            f'{out / ENSEMBLE_FILE} is damaged: write {{"members": N}} to it, N the number of networks, or start over with '
            f"--ensemble N --overwrite"
        ) from err
