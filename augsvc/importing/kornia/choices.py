"""Containers and mixes: `random_apply` chooses for a whole batch there."""

from collections.abc import Mapping

from augsvc.importing.builder import Builder, Entry
from augsvc.importing.common import add_children, one_child
from augsvc.importing.kornia.common import p
from augsvc.importing.parameters import Parameters, Refused

_WHOLE = ([0.0, 1.0], [0, 1])


def _sequential(given: Parameters, build: Builder) -> None:
    """All children in order or, with `random_apply`, as many as [first, last) says, in a random order."""
    if given.flag("same_on_batch", False):
        build.differs("draws for each sample; there once for a batch")
    counts = given.take("random_apply")
    if counts is None and given.node.printed:
        build.differs(
            "its printed form leaves out random_apply and same_on_batch: all children apply, and each sample draws"
        )
    if not counts:
        build.inline(given.node)
        return
    children = build.children(given.node)
    given.put("random_apply", counts)
    first, last = given.numbers("random_apply", (2,))
    build.differs("chooses for each sample, in the order of the list; there for a batch, in a random order")
    most = min(last - 1.0, float(len(children)))
    steps = [one_child(child) for child in children]
    add_children(build, "some_of", 1.0, steps, {"n": (min(first, most), most)})


def _in_order(given: Parameters, build: Builder) -> None:
    build.inline(given.node)


def _mixup(given: Parameters, build: Builder) -> None:
    """λ is uniform on [0, 1], which is Beta(1, 1)."""
    given.require(
        "lambda_val",
        _WHOLE,
        "draws λ uniformly from a part of [0, 1]; mixup has Beta(alpha, alpha)",
    )
    build.differs("takes partners from the dataset; Kornia from the batch")
    build.add("mixup", p(given, build, 1.0), {"alpha": 1.0})


def _cutmix(given: Parameters, build: Builder) -> None:
    given.require("num_mix", (1,), "pastes several rectangles")
    given.require("cut_size", _WHOLE, "limits the rectangle")
    given.ignore("use_correct_lambda")
    build.differs("takes partners from the dataset; Kornia from the batch")
    alpha = given.number("beta", 1.0)
    build.add("cutmix", p(given, build, 1.0), {"alpha": alpha})


def _root(given: Parameters, build: Builder) -> None:
    if build.depth:
        raise Refused("is a pipeline within a pipeline: use ImageSequential")
    _sequential(given, build)


CHOICES: Mapping[str, Entry] = {
    "AugmentationSequential": Entry(_root, "some_of"),
    "ImageSequential": Entry(_sequential, "some_of"),
    "RandomCutMixV2": Entry(_cutmix, "cutmix"),
    "Sequential": Entry(_in_order),  # torch.nn's
    "RandomMixUpV2": Entry(_mixup, "mixup"),
}
