"""Everything about a run that can be chosen: one frozen model, from YAML and the command line, and back to YAML.

    recipe.yaml, --set group.field=value → load_recipe → Recipe → save → DIR/recipe.yaml, which gives the same run again

Fields that are None are settled when the run is prepared (run.py); the recipe that is saved has none open.
"""

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import yaml
from annotated_types import BaseMetadata, Ge, Gt, Le, Lt
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo

MEMBER_STRIDE = 1 << 16  # between the seeds of an ensemble's members: runs with seeds below that share no member

Pipeline = str | list[dict[str, Any]]


def _sides(value: object) -> object:
    """SIDE, "SIDE" or "HEIGHTxWIDTH" as (height, width)."""
    sides = str(value).lower().split("x") if isinstance(value, int | str) else []
    if not 1 <= len(sides) <= 2 or not all(side.isascii() and side.isdigit() for side in sides):
        return value
    return int(sides[0]), int(sides[-1])


def _bytes(value: object) -> object:
    """ "0.5MB" as 500000; kB and MB are decimal."""
    text = str(value).strip().lower()
    for unit, factor in (("mb", 1_000_000), ("kb", 1_000), ("b", 1)):
        if text.endswith(unit):
            try:
                return round(float(text.removesuffix(unit)) * factor)
            except ValueError:
                return value
    return value


def _fixed(value: object) -> object:
    if str(value).lower() in ("sigmoid", "tanh"):
        raise ValueError(f"{value} saturates, and its gradient dies inside a network: take prelu, elu or relu")
    return value


def _rising(value: tuple[float, float]) -> tuple[float, float]:
    if value[0] >= value[1]:
        raise ValueError(f"the first must be below the second, got [{value[0]:g}, {value[1]:g}]")
    return value


Positive = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0, lt=1 << 32)]
Side = Annotated[int, Field(ge=1, le=4096)]
Size = Annotated[tuple[Side, Side], BeforeValidator(_sides)]
Bytes = Annotated[int, Field(ge=1), BeforeValidator(_bytes)]


class Group(BaseModel):
    """One group of fields: frozen, finite numbers, nothing unknown."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Data(Group):
    """What the service is asked for."""

    dataset: str = Field(description="what to train on, e.g. digits/train")
    pipeline: Pipeline | None = Field(
        None, description="a preset's name, or a list of operations; default standard, for sound the preset sound"
    )
    size: Size | None = Field(None, description="canvas in pixels: SIDE or HEIGHTxWIDTH; default 32")
    fit: Literal["cover", "contain", "stretch"] = Field("cover", description="how a picture is put on the canvas")
    seconds: float | None = Field(None, gt=0, description="length of a clip; default 1")
    sample_rate: int | None = Field(None, ge=1000, le=768_000, description="of clips, in Hz; default 16000")
    scale: Annotated[tuple[float, float], AfterValidator(_rising)] = Field(
        (-1.0, 1.0), description="where uint8 pixels go, on the training device: low, high"
    )
    per_class: Positive | None = Field(None, description="train on so many samples of each class")
    batch_size: Positive = Field(256, description="samples of one rank and step; on a CPU 64")
    shuffle: bool = Field(True, description="another order every epoch")
    subset_seed: Seed | None = Field(None, description="chooses those samples; default training.seed")
    order_seed: Seed | None = Field(None, description="of the epochs' orders; default training.seed")
    aug_seed: Seed | None = Field(None, description="of the augmentation's draws; default training.seed")
    prefetch: Positive = Field(4, description="requests in flight, at least")
    wait_s: float = Field(300.0, gt=0, description="longest wait for one batch, e.g. while the server restarts")


class ModelChoice(Group):
    """Which network."""

    name: str = Field("fire", description="fire, dense, or one that an installed package registers")
    width: float = Field(1.0, gt=0, le=64, description="factor on the number of channels")
    activation: Annotated[Literal["prelu", "elu", "relu"], BeforeValidator(_fixed)] = Field(
        "prelu", description="after pooling and norm; sigmoid and tanh are refused"
    )
    slope: float = Field(0.1, ge=0, le=1, description="PReLU's for negative values, at the start")
    pool: Literal["max", "average"] = Field("max", description="how a stage halves the picture")
    activate: Literal["after_pool", "before_pool"] = Field("after_pool", description="before costs four times as much")
    norm: Literal["batch", "none"] = Field("batch", description="batch normalisation, or none")
    dropout: float = Field(0.5, ge=0, lt=1, description="after layers wider than dropout_above, behind the last norm")
    dropout_above: Positive = Field(256, description="width of a layer above which dropout follows it")
    xavier_above: Positive = Field(256, description="width of a fully connected layer above which Xavier starts it")
    mels: int = Field(40, ge=8, le=256, description="bands of a sound model's log-mel front end")
    max_size: Bytes | None = Field(500_000, description='most bytes of weights as float32, e.g. "0.5MB"; null: any')


class Optimiser(Group):
    """How weights move."""

    name: Literal["adamw", "sgd"] = Field("adamw", description="AdamW, or SGD with Nesterov momentum")
    lr: float = Field(0.02, gt=0, description="learning rate at its top")
    weight_decay: float = Field(0.05, ge=0, description="of weight matrices alone: no norms, biases, PReLU slopes")
    momentum: float = Field(
        0.9, ge=0, lt=1, description="AdamW's first beta, SGD's Nesterov momentum; onecycle swings about it"
    )
    clip_norm: float | None = Field(None, gt=0, description="longest gradient, all weights together; null: any")


class Schedule(Group):
    """How the learning rate goes."""

    name: Literal["onecycle", "cosine", "constant"] = Field("onecycle", description="its shape after the warm-up")
    warmup: float = Field(0.2, ge=0, lt=1, description="share of all steps on the way up")


class Training(Group):
    """How long, where, and what is kept on the way."""

    epochs: Positive = Field(60, description="passes over the dataset; on a CPU 20")
    seed: Seed = Field(0, description="of weights and dropout, and of what has no seed of its own")
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="where to train")
    threads: Positive | None = Field(
        None, description="of the CPU; default half of them: the service may need the rest"
    )
    amp: Literal["auto", "off", "bf16"] = Field("auto", description="mixed precision; auto: where the GPU has bf16")
    channels_last: bool = Field(False, description="memory order of pictures, N,H,W,C")
    label_smoothing: float = Field(0.1, ge=0, lt=1, description="share of a label spread over all classes")
    ema: float | None = Field(None, ge=0, lt=1, description="decay of the weights' moving average; null: none")
    ema_batches: Positive = Field(8, description="batches that batch norm is measured on again for averaged weights")
    patience: Positive | None = Field(None, description="tests without a better one before it stops; null: never")
    watch: str | None = Field(None, description="the test that patience watches; default the first")
    checkpoint_s: float = Field(30.0, ge=0, description="seconds from one checkpoint to the next; 0: every step")
    tensorboard: bool = Field(False, description="write TensorBoard logs to OUT/tensorboard")


class Test(Group):
    """A test set: a dataset and the fixed pipeline that its samples go through."""

    dataset: str = Field(description="its name")
    pipeline: Pipeline = Field("none", description="as data.pipeline; each test sees the same draws every time")
    unseen: bool = Field(False, description="leave out samples that are trained on, where both are one dataset")


class Evaluation(Group):
    """How a run is judged."""

    every: Positive | None = Field(None, description="epochs from one test to the next; default a twentieth of them")
    batch_size: Positive = Field(256, description="samples of one rank and step")
    tests: dict[str, Test] | None = Field(
        None, min_length=1, description="default: test, the dataset with /test for /train"
    )
    views: int = Field(1, ge=1, le=256, description="test-time augmentation: views of a sample averaged at the end")
    view_pipeline: Pipeline = Field("light", description="what makes the views, for tests whose pipeline is none")
    mc_passes: int = Field(0, ge=0, le=1000, description="passes with dropout on, for uncertainty; 0: none")


class AblationChoice(Group):
    """What `--ablate` compares: the whole pipeline, none, and all but one operation."""

    seeds: Positive = Field(3, description="repetitions of each, with seeds of their own")
    alone: bool = Field(True, description="each operation alone, too")
    corrupted: Pipeline | None = Field(
        None, description="a second test's, where all tests are plain; default strong, for sound shift and noise"
    )


class Recipe(Group):
    """A whole run. `save` and `load_recipe` are inverse."""

    data: Data
    model: ModelChoice = Field(default_factory=ModelChoice)
    optimiser: Optimiser = Field(default_factory=Optimiser)
    schedule: Schedule = Field(default_factory=Schedule)
    training: Training = Field(default_factory=Training)
    evaluation: Evaluation = Field(default_factory=Evaluation)
    ablation: AblationChoice = Field(default_factory=AblationChoice)

    def changed(self, values: Mapping[str, object]) -> "Recipe":
        """With fields by dotted name replaced, e.g. {"optimiser.lr": 0.05}; raises ValueError naming field and range."""
        tree = self.model_dump(exclude_unset=True)
        for name, value in values.items():
            _put(tree, name, value)
        return parse_recipe(tree)

    def member(self, number: int) -> "Recipe":
        """An ensemble's member: its own first weights and augmentation, the same samples in the same order."""
        apart, seeds = number * MEMBER_STRIDE, self._seeds()
        for name in ("training.seed", "data.aug_seed"):
            seeds[name] += apart
        return self.changed(seeds)

    def repetition(self, number: int) -> "Recipe":
        """The same run with other samples of `per_class`, another order, other draws and other first weights."""
        return self.changed({name: seed + number for name, seed in self._seeds().items()})

    def _seeds(self) -> dict[str, int]:
        seeds = {f"data.{name}": getattr(self.data, name) for name in ("subset_seed", "order_seed", "aug_seed")}
        own = self.training.seed
        return {"training.seed": own, **{name: own if seed is None else seed for name, seed in seeds.items()}}

    def save(self, path: Path) -> None:
        """As YAML, fields in the order of the groups above."""
        path.write_text(yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False), encoding="utf-8")


def load_recipe(path: Path | None, values: Mapping[str, object]) -> Recipe:
    """From a file, if any, with `values` by dotted name over it; raises ValueError naming field and allowed range."""
    tree: object = {}
    if path is not None:
        try:
            tree = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        except yaml.YAMLError as err:
            raise ValueError(f"{path.name} is not YAML: {' '.join(str(err).split())}") from err
    if not isinstance(tree, dict):
        raise ValueError("a recipe is a mapping of groups: data, model, optimiser, …")
    for name, value in values.items():
        _put(tree, name, value)
    return parse_recipe(tree)


def parse_recipe(tree: Mapping[str, Any]) -> Recipe:
    """From groups of fields; raises ValueError that names every wrong field and what it may be."""
    try:
        return Recipe.model_validate(tree)
    except ValidationError as err:
        raise ValueError("; ".join(dict.fromkeys(_in_words(error) for error in err.errors()))) from err


def parse_override(text: str) -> tuple[str, object]:
    """`group.field=value`, the value as YAML; raises ValueError for what has no such form."""
    name, equals, value = text.partition("=")
    if not equals or "." not in name:
        raise ValueError(f"--set takes group.field=value, for example optimiser.lr=0.05, got {text!r}")
    try:
        return name.strip(), yaml.safe_load(value)
    except yaml.YAMLError as err:
        raise ValueError(f"--set {name}: the value is not YAML") from err


def fields() -> Iterator[tuple[str, FieldInfo]]:
    """Every field by dotted name, in order."""
    for group, info in Recipe.model_fields.items():
        assert isinstance(info.annotation, type) and issubclass(info.annotation, Group)  # noqa: S101 - for the types
        for name, field in info.annotation.model_fields.items():
            yield f"{group}.{name}", field


def allowed(field: FieldInfo) -> str:
    """What the field may be, in words: "above 0 and at most 64"."""
    choices = [choice for kind in _kinds(field.annotation) if _is_literal(kind) for choice in get_args(kind)]
    bounds = [_bound(mark) for mark in [*field.metadata, *_marks(field.annotation)] if isinstance(mark, BaseMetadata)]
    return "one of " + ", ".join(map(str, choices)) if choices else " and ".join(dict.fromkeys(filter(None, bounds)))


def _put(tree: dict[str, Any], name: str, value: object) -> None:
    *groups, field = name.split(".")
    for group in groups:
        tree = tree.setdefault(group, {})
        if not isinstance(tree, dict):
            raise ValueError(f"{name}: there is no such field")
    tree[field] = value


def _in_words(error: Any) -> str:
    place = [str(part) for part in error["loc"]]
    name = ".".join(place[:2])
    known = dict(fields())
    if error["type"] == "extra_forbidden":
        near = difflib.get_close_matches(place[-1], [key.rpartition(".")[2] for key in known], n=1)
        return f"{'.'.join(place)}: there is no such field" + (f"; did you mean {near[0]}?" if near else "")
    if error["type"] == "missing":
        return f"{'.'.join(place)} is missing"
    if error["type"] == "value_error":
        return f"{name}: {error['ctx']['error']}"
    said = error["msg"].removeprefix("Input should be ").removeprefix("Input ")
    range_ = allowed(known[name]) if name in known else ""
    kind = _WORDS.get(error["type"].partition("_")[0], "") if error["type"].endswith(_OF_A_TYPE) else ""
    return f"{name} must be {', '.join(filter(None, (kind, range_))) or said}, got {error['input']!r}"


_WORDS = {"int": "a whole number", "float": "a number"}
_OF_A_TYPE = ("_type", "_parsing", "_from_float")


def _kinds(annotation: object) -> Iterable[object]:
    yield annotation
    for part in get_args(annotation):
        if not isinstance(part, str | int | float):
            yield from _kinds(part)


def _is_literal(kind: object) -> bool:
    return str(kind).startswith("typing.Literal")


def _marks(annotation: object) -> Iterable[object]:
    for kind in _kinds(annotation):
        found: Sequence[object] = getattr(kind, "__metadata__", ())
        for mark in found:
            yield from mark.metadata if isinstance(mark, FieldInfo) else [mark]


def _bound(mark: BaseMetadata) -> str:
    match mark:
        case Ge(ge=value):
            return f"at least {value}"
        case Gt(gt=value):
            return f"above {value}"
        case Le(le=value):
            return f"at most {value}"
        case Lt(lt=value):
            return f"below {value}"
    return ""
