"""Containers, policies and mixes: classes without `p` always apply."""

from collections.abc import Mapping

from augsvc.importing.builder import Builder, Entry
from augsvc.importing.common import add_children, fill_color, interpolation, one_child
from augsvc.importing.node import Node
from augsvc.importing.parameters import Parameters, Refused


def _random_apply(given: Parameters, build: Builder) -> None:
    steps = [step for child in build.children(given.node) for step in child]
    if given.node.printed and "p" not in given.node.parameters:
        raise Refused(
            "torchvision.transforms.v2 prints no p for it: write its p into the text, RandomApply(p=0.5 ColorJitter(…)), "
            "or import the object with augsvc.importing.import_transform"
        )
    add_children(build, "random_apply", given.p(0.5), steps, {})


def _random_choice(given: Parameters, build: Builder) -> None:
    weights = given.numbers("p")
    steps = [one_child(child) for child in build.children(given.node)]
    if weights and len(weights) != len(steps):
        raise Refused(f"p has {len(weights)} numbers for {len(steps)} transforms")
    add_children(build, "one_of", 1.0, steps, {"weights": weights} if weights else {})


def _random_order(given: Parameters, build: Builder) -> None:
    steps = [one_child(child) for child in build.children(given.node)]
    add_children(build, "random_order", 1.0, steps, {})


def _compose(given: Parameters, build: Builder) -> None:
    build.inline(given.node)


def _rand_augment(given: Parameters, build: Builder) -> None:
    settings = {
        "num_ops": given.whole("num_ops", 2),
        "magnitude": float(given.whole("magnitude", 9)),
        "bins": given.whole("num_magnitude_bins", 31),
    }
    build.add("rand_augment", 1.0, settings | _policy(given, build))


def _trivial_augment(given: Parameters, build: Builder) -> None:
    settings: dict[str, object] = {"bins": given.whole("num_magnitude_bins", 31)}
    build.add("trivial_augment_wide", 1.0, settings | _policy(given, build))


def _auto_augment(given: Parameters, build: Builder) -> None:
    settings: dict[str, object] = {"policy": given.word("policy", "imagenet")}
    build.add("auto_augment", 1.0, settings | _policy(given, build))


def _aug_mix(given: Parameters, build: Builder) -> None:
    """Its chains have one to three operations each, or as many as a positive chain_depth says."""
    given.require("alpha", (1.0, 1), "aug_mix has the alpha 1")
    depth = given.whole("chain_depth", -1, -1, 3)
    if (mode := given.word("interpolation", "bilinear")) != "bilinear":
        build.differs(f"interpolates bilinearly, not {mode}")
    settings = {
        "severity": given.whole("severity", 3),
        "width": given.whole("mixture_width", 3),
        "all_ops": given.flag("all_ops", True),
        **({"depth": depth} if depth > 0 else {}),
        "fill": fill_color(build, given.take("fill")),
    }
    build.add("aug_mix", 1.0, settings)


def _policy(given: Parameters, build: Builder) -> dict[str, object]:
    return {**interpolation(given, build, "nearest"), "fill": fill_color(build, given.take("fill"))}


def _mix(op: str) -> Entry:
    def translate(given: Parameters, build: Builder) -> None:
        given.ignore("num_classes", "labels_getter")
        build.differs("draws weight and partner for each sample; torchvision one weight for a batch, of neighbours")
        build.add(op, 1.0, {"alpha": given.number("alpha", 1.0)})

    return Entry(translate, op)


def _of_weights(given: Parameters, build: Builder) -> None:
    """What `weights.transforms()` gives: a resize and a crop if it has them, floats, and a normalisation."""
    names = {"resize_size": "Resize", "crop_size": "CenterCrop"}
    resampling = {name: value for name in ("interpolation", "antialias") if (value := given.take(name)) is not None}
    nodes = [
        Node(step, {"size": size, **(resampling if step == "Resize" else {})})
        for name, step in names.items()
        if (size := given.take(name)) is not None
    ]
    statistics = {name: value for name in ("mean", "std") if (value := given.take(name)) is not None}
    nodes += [Node("ConvertImageDtype"), *([Node("Normalize", statistics)] if statistics else [])]
    build.inline(Node(given.node.name, {}, tuple(nodes)))
    build.remark(f"is {', '.join(node.name for node in nodes)}")


CHOICES: Mapping[str, Entry] = {
    "AugMix": Entry(_aug_mix, "aug_mix"),
    "AutoAugment": Entry(_auto_augment, "auto_augment"),
    "Compose": Entry(_compose),
    "Sequential": Entry(_compose),  # torch.nn's
    "CutMix": _mix("cutmix"),
    "ImageClassification": Entry(_of_weights),  # this and the next two: of torchvision.models' weights
    "ObjectDetection": Entry(_of_weights),
    "SemanticSegmentation": Entry(_of_weights),
    "MixUp": _mix("mixup"),
    "RandAugment": Entry(_rand_augment, "rand_augment"),
    "RandomApply": Entry(_random_apply, "random_apply"),
    "RandomChoice": Entry(_random_choice, "one_of"),
    "RandomOrder": Entry(_random_order, "random_order"),
    "TrivialAugmentWide": Entry(_trivial_augment, "trivial_augment_wide"),
}
