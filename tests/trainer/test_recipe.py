"""Recipes say what a wrong field may be, and members of an ensemble share samples and order alone."""

import pytest

from augsvc_client.trainer.recipe import MEMBER_STRIDE, parse_recipe


def recipe(**values):
    return parse_recipe({"data": {"dataset": "digits/train"}}).override(
        {name.replace("__", "."): value for name, value in values.items()}
    )


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("training.epochs", 2.5, "training.epochs must be a whole number, got 2.5"),
        ("training.epochs", "many", "training.epochs must be a whole number, got 'many'"),
        ("training.epochs", 0, "training.epochs must be at least 1, got 0"),
        ("training.patience", 1.5, "training.patience must be a whole number, got 1.5"),
        ("optimiser.lr", "fast", "optimiser.lr must be a number, got 'fast'"),
        ("optimiser.lr", 0, "optimiser.lr must be above 0.0, got 0"),
        ("optimiser.rl", 1, r"optimiser.rl: unknown field; did you mean optimiser.lr\?"),
        ("training.lr", 1, r"training.lr: unknown field; did you mean optimiser.lr\?"),
        ("data.scale", [0, 0], r"data.scale: the first must be below the second, got \[0, 0\]"),
        ("data.scale", [1, -1], r"data.scale: the first must be below the second, got \[1, -1\]"),
    ],
)
def test_a_wrong_field_is_named_with_its_kind_and_range(field, value, said):
    with pytest.raises(ValueError, match=f"^{said}$"):
        recipe(**{field.replace(".", "__"): value})


@pytest.mark.parametrize("given", [{}, {"data__aug_seed": 7, "data__order_seed": 9, "data__subset_seed": 11}])
def test_members_share_samples_and_order_alone(given):
    base = recipe(training__seed=5, **given)
    members = [base.member(number) for number in range(5)]
    own = [(each.training.seed, each.data.aug_seed) for each in members]
    assert own == [(5 + n * MEMBER_STRIDE, given.get("data__aug_seed", 5) + n * MEMBER_STRIDE) for n in range(5)]
    shared = {(each.data.order_seed, each.data.subset_seed) for each in members}
    assert shared == {(given.get("data__order_seed", 5), given.get("data__subset_seed", 5))}
    assert members[3].override({"training.seed": own[0][0], "data.aug_seed": own[0][1]}) == members[0], "nothing else"
