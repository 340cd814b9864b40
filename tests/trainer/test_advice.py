"""`--ablate advice`: each practice is switched where that changes the run, and gains are those of the runs."""

import json
from dataclasses import replace

import pytest
from rich.progress import Progress
from typer.testing import CliRunner

from augsvc_client.trainer.cli.main import app
from augsvc_client.trainer.experiments import variants
from augsvc_client.trainer.experiments.advice import AdviceAblation, Switch, list_switches
from augsvc_client.trainer.experiments.ensemble import run_ensemble
from augsvc_client.trainer.experiments.folder import ADVICE_FILE
from augsvc_client.trainer.experiments.run import run
from augsvc_client.trainer.experiments.variants import Variant, run_variants
from augsvc_client.trainer.recipe import load_recipe
from augsvc_client.trainer.training.loop import Diverged

pytestmark = pytest.mark.usefixtures("blank_figures")
TINY = (
    *("--dataset", "digits/train", "--pipeline", "light", "--per-class", 1, "--batch-size", 10, "--steps", 2),
    *("--size", 8, "--device", "cpu", "--set", "training.threads=1", "--set", "ablation.seeds=1"),
)
APPLY = {1, 2, 5, 7, 8, 9, 10, 11, 12, 14, 15}  # to fire


def invoke(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def ablated(url, tmp_path_factory):
    """A run with --ablate advice, and what it printed."""
    out = tmp_path_factory.mktemp("advice")
    result = invoke("--url", url, "--out", out, *TINY, "--ablate", "advice")
    assert result.exit_code == 0, result.output
    return out, result.output


@pytest.fixture(scope="module")
def outcome(ablated, url):
    with Progress(disable=True) as progress:
        return run(load_recipe(ablated[0] / "recipe.yaml", {}), url, progress, "")


def scores(out):
    return json.loads((out / ADVICE_FILE).read_text())["scores"]


def test_every_practice_is_switched_or_does_not_apply(ablated):
    out, printed = ablated
    assert set(scores(out)) == {"whole", *map(str, APPLY), *(f"12 #{i}" for i in range(5))}
    page = (out / "report.html").read_text()
    for text in ("Gain of each best practice", "data.shuffle=False", "model.pool=average", "--ensemble 5"):
        assert text in page
    assert page.count("does not apply: ") == 18 - len(APPLY)
    assert "fire has no layer wider than model.dropout_above=256" in page
    assert "12 of 12 15 #0" in printed
    assert "one seed only" in " ".join(printed.split())


@pytest.mark.parametrize("number", [1, 12, 15])
def test_a_switch_is_a_run_that_differs_in_it_alone(ablated, outcome, url, number):
    recipe = outcome.recipe.repetition(0)
    with Progress(disable=True) as progress:
        if number == 12:
            expected = run_ensemble(recipe, url, progress, 5)
        else:
            changed = {1: {"data.shuffle": False}, 15: {"model.convolutions": "plain", "model.max_size": None}}
            expected = run(recipe.override(changed[number]), url, progress, "")
    assert {test: expected.accuracy(test) for test in ("test", "corrupted")} == scores(ablated[0])[str(number)][0]


def test_what_is_saved_is_not_trained_again(ablated, url):
    out, _ = ablated
    before = json.loads((out / ADVICE_FILE).read_text())
    (out / ADVICE_FILE).write_text(json.dumps({**before, "scores": {**before["scores"], "9": []}}))
    result = invoke("--url", url, "--out", out, "--resume", "--ablate", "advice")
    assert result.exit_code == 0, result.output
    assert "12 of 12 9 #0" in result.output
    assert scores(out) == before["scores"]


def test_the_mean_of_another_number_of_networks_is_not_reused(outcome, tmp_path, monkeypatch):
    trained, train = [], variants._run_variant
    monkeypatch.setattr(variants, "_run_variant", lambda *given: trained.append(given[2].members) or train(*given))
    file = tmp_path / "file.json"
    for members in (3, 2, 2, 1, 1, 2):
        compared = {"whole": Variant(), "mean": Variant(members=members)}
        with Progress(disable=True) as progress:
            run_variants(outcome.recipe, outcome.url, compared, progress, file, first=outcome, resume=True)
        names = {name for name in json.loads(file.read_text())["scores"] if name != "whole"}
        assert names == set(compared["mean"].names("mean"))
    assert trained == [3, 2, 1, 2]


def switched(outcome, **values):
    """The changes by practice, of those that apply."""
    recipe = outcome.recipe.override({name.replace("__", "."): value for name, value in values.items()})
    found = list_switches(replace(outcome, recipe=recipe))
    return {i: switch for i, switch in enumerate(found, 1) if isinstance(switch, Switch)}


def test_a_network_with_wide_layers_has_dropout_and_xavier(outcome):
    found = switched(outcome, model__name="dense")
    assert set(found) == {*APPLY - {15}, 4, 13}
    assert found[4].variant.values == {"model.dropout": 0.0, "model.max_size": None}
    assert found[14].variant.values["model.name"] == "fire"
    assert not found[14].followed


def test_a_practice_that_a_recipe_does_not_follow_is_switched_on(outcome):
    given = {"data__shuffle": False, "model__pool": "average", "model__activation": "relu", "data__scale": [0.0, 1.0]}
    found = switched(outcome, **given, model__max_size=None)
    for number, name, value in [(1, "data.shuffle", True), (5, "model.pool", "max"), (8, "model.activation", "prelu")]:
        assert not found[number].followed
        assert found[number].variant.values[name] == value
    assert found[10].variant.values == {"data.scale": [-1.0, 1.0]}
    assert found[11].variant.values["model.width"] == 0.5
    assert switched(outcome, data__block=2)[1].variant.values == {"data.shuffle": False, "data.block": None}


def test_a_gain_is_with_the_practice_over_without():
    off, on = Switch(Variant({"a": 1}), followed=True), Switch(Variant({"b": 2}), followed=False)
    runs = {
        "whole": [{"test": 0.8}, {"test": 0.7}, {"test": 0.9}],
        "1": [{"test": 0.6}, {"test": 0.51}, {"test": 0.7}],
        "2": [{"test": 0.7}, {"test": 0.59}, {"test": 0.8}],
        "3": [{"test": 0.9}, {"test": 0.7}, {"test": 0.8}],
        "4": [{"test": 0.9}, {"test": None}, {"test": 0.8}],
    }
    switches = [off, on, off, off, *["a reason"] * 14]
    found = AdviceAblation(runs, switches)
    cells = [row[3] for row in found.rows()[1:]]
    assert cells[0].startswith("+19.7 (")
    assert cells[0].endswith(", a gain")
    assert cells[1].startswith("-10.3 (")
    assert cells[1].endswith(", a loss")
    assert cells[2].endswith(", no gain shown")
    assert cells[3:] == ["diverged", *[""] * 14]
    assert found.rows()[5][2] == "does not apply: a reason"
    few = AdviceAblation({name: seeds[:2] for name, seeds in runs.items()}, switches)
    assert few.rows()[1][3].endswith("), too few seeds to judge")


def test_a_variant_that_diverges_ends_nothing(outcome, tmp_path, monkeypatch):
    def diverge(*_, **__):
        raise Diverged("the loss is nan")

    monkeypatch.setattr(variants, "run", diverge)
    with Progress(disable=True) as progress:
        variants_of = {"whole": Variant(), "9": Variant()}
        file = tmp_path / "file.json"
        found = run_variants(outcome.recipe, outcome.url, variants_of, progress, file, first=outcome)
    assert found["9"] == [{"test": None, "corrupted": None}]


def test_another_kind_is_refused(refused, url, tmp_path):
    assert "advise" in refused("--url", url, "--out", tmp_path, *TINY, "--ablate=advise")
