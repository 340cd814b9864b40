"""Results of `--sanity`, saved in the run's folder for its report.

Finding … → save_findings → OUT/sanity.json → load_findings → SanityResult
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from augsvc_client.trainer.files import read_file, write_json
from augsvc_client.trainer.recipe import Recipe

FILE_NAME = "sanity.json"
_MAX_BYTES = 4 << 20
_IGNORED = ("order_seed", "aug_seed", "prefetch", "wait_s")  # data fields that do not affect the gates
_LOSS = (
    "amp",
    "label_smoothing",
    "class_weights",
    "initial_weights",
)  # training fields that do; not the seed of a member


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one gate: the measurement, and after a failure the likely fault and its remedy."""

    gate: str
    passed: bool
    measured: str
    diagnosis: str = ""


@dataclass(frozen=True, slots=True)
class SanityResult:
    """The findings of an earlier `--sanity`; `same`: for the same data, network, loss and optimiser."""

    findings: Sequence[Finding]
    same: bool


def save_findings(findings: Sequence[Finding], recipe: Recipe, out: Path) -> None:
    """Write the findings for a resolved recipe to `out`/sanity.json."""
    out.mkdir(parents=True, exist_ok=True)
    saved = {"set_up": _checked_fields(recipe), "findings": [asdict(finding) for finding in findings]}
    write_json(out / FILE_NAME, saved)


def load_findings(recipe: Recipe, out: Path) -> SanityResult | None:
    """Read `out`/sanity.json; None if it does not exist, or is damaged: the report of a finished run must not fail."""
    if not (out / FILE_NAME).exists():
        return None
    try:
        saved = json.loads(read_file(out / FILE_NAME, _MAX_BYTES))
        findings = [Finding(**finding) for finding in saved["findings"]]
        return SanityResult(findings, saved["set_up"] == _checked_fields(recipe))
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def _checked_fields(recipe: Recipe) -> dict[str, Any]:
    """The fields of a resolved recipe that affect the gates; of the tests the first one is read, without its pipeline."""
    tree = recipe.model_dump(mode="json")
    data = {name: value for name, value in tree["data"].items() if name not in _IGNORED}
    test = {**next(iter(tree["evaluation"]["tests"].values()), {}), "pipeline": None}
    training = {name: tree["training"][name] for name in _LOSS}
    return {
        "data": data,
        "test": test,
        "training": training,
        **{n: tree[n] for n in ("model", "optimiser", "schedule")},
    }
