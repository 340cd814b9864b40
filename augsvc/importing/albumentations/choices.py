"""Containers: OneOf takes the children's `p` as weights, SomeOf leaves them."""

from collections.abc import Mapping

from augsvc.importing.builder import NOTHING, Builder, Entry
from augsvc.importing.common import add_children, nothing, one_child
from augsvc.importing.node import Node
from augsvc.importing.parameters import Parameters, Refused
from augsvc.ops.operation import Settings

_ALWAYS = ("Compose", "D4", "RandomOrder", "RandomRotate90", "ReplayCompose", "SomeOf", "SquareSymmetry")  # by default


def _one_of(given: Parameters, build: Builder) -> None:
    """The chosen child always applies, a container with its children's `p`."""
    given.ignore("_class_name")
    weights = [_own_p(child) for child in given.node.children]
    forced = _forced(given, build)
    if not any(weights):
        raise Refused("its children's p, which are weights, are all 0")
    add_children(build, "one_of", given.p(0.5), forced, {"weights": weights})


def _one_or_other(given: Parameters, build: Builder) -> None:
    """`p` is the probability of the first; the chosen one always applies."""
    p = given.p(0.5)
    steps = _forced(given, build)
    if len(steps) != 2:
        raise Refused(f"needs two transforms, not {len(steps)}")
    add_children(build, "one_of", 1.0, steps, {"weights": [p, 1.0 - p]})


def _some_of(given: Parameters, build: Builder) -> None:
    steps = [one_child(child) for child in build.children(given.node)]
    n, replace = given.whole("n", 1, 1, 64), given.flag("replace", False)
    n = n if replace else min(n, len(steps))
    if replace and n > 1:
        build.differs("those chosen follow in the order of the draws; there in the order of the list")
    add_children(build, "some_of", given.p(1.0), steps, {"n": n, "replace": replace})


def _random_order(given: Parameters, build: Builder) -> None:
    steps = [one_child(child) for child in build.children(given.node)]
    n = given.whole("n", 1, 1, 64)
    given.require("replace", (False,), "random_order applies each operation once")
    if n < len(steps):
        raise Refused(f"chooses {n} of {len(steps)} in a random order; some_of keeps the order of the list")
    p = given.p(1.0)
    add_children(build, "random_order", p, steps, {})


def _sequential(given: Parameters, build: Builder) -> None:
    p = given.p(0.5 if given.node.name == "Sequential" else 1.0)
    _labels(given, build)
    if p == 1.0:
        build.inline(given.node)
    else:
        steps = [step for child in build.children(given.node) for step in child]
        add_children(build, "random_apply", p, steps, {})


def _labels(given: Parameters, build: Builder) -> None:
    """What a Compose says of labels."""
    given.ignore("is_check_shapes")
    if given.take("bbox_params") or given.take("keypoint_params"):
        build.differs("a box stays while a tenth of it is visible; min_area, min_visibility and clip do not apply")
    if given.take("additional_targets"):
        build.differs("moves the labels of the dataset, not additional_targets")


def _own_p(child: Node) -> float:
    value = child.parameters.get("p")
    if value is None:
        return 1.0 if child.name in _ALWAYS else 0.5
    if isinstance(value, int | float) and not isinstance(value, bool) and 0.0 <= value <= 1.0:
        return float(value)
    raise Refused("a child's p must be a number from 0 to 1")


def _forced(given: Parameters, build: Builder) -> list[Settings]:
    """The children of a choice, those that it applies whatever their `p` without it."""
    pairs = zip(given.node.children, build.children(given.node), strict=True)
    return [one_child(steps) if _keeps_p(child) else _always(one_child(steps)) for child, steps in pairs]


def _keeps_p(child: Node) -> bool:
    """SomeOf and RandomOrder draw their `p` even so; a container whose `p` is 1 stands for its children, which keep theirs."""
    if child.name in ("SomeOf", "RandomOrder"):
        return True
    return child.name in CHOICES and CHOICES[child.name].translate is _sequential and _own_p(child) == 1.0


def _always(step: Settings) -> Settings:
    """The step without its own probability."""
    return step if step == NOTHING else {**step, "p": 1.0}


CHOICES: Mapping[str, Entry] = {
    "Compose": Entry(_sequential),
    "NoOp": nothing("changes nothing"),
    "OneOf": Entry(_one_of, "one_of"),
    "OneOrOther": Entry(_one_or_other, "one_of"),
    "RandomOrder": Entry(_random_order, "some_of"),
    "ReplayCompose": Entry(_sequential),
    "Sequential": Entry(_sequential, "random_apply"),
    "SomeOf": Entry(_some_of, "some_of"),
}
