"""Every choice of a run as one frozen model, from YAML and the command line, and back to YAML.

    recipe.yaml, --set group.field=value → load_recipe → Recipe → save → DIR/recipe.yaml, which reproduces the run

Fields that are None are filled in when the run starts (experiments/resolve.py); a saved recipe has no open fields.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, ByteSize, ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo

from augsvc_client.specification import read_size
from augsvc_client.strict_yaml import describe_yaml_error, load_yaml
from augsvc_client.trainer.files import write_file
from augsvc_client.trainer.recipe_errors import describe_error

_MAX_BYTES = 1 << 20
MEMBER_STRIDE = 1 << 16  # between the seeds of ensemble members: runs with smaller seeds share no member

Pipeline = str | list[dict[str, Any]]


def _parse_size(value: object) -> object:
    """SIDE, "SIDE" or "HEIGHTxWIDTH" as (height, width)."""
    size = read_size(str(value)) if isinstance(value, int | str) else None
    if size is None and isinstance(value, str):
        raise ValueError(f"give SIDE or HEIGHTxWIDTH in pixels, got {value[:40]!r}")
    return size or value


def _refuse_saturating(value: object) -> object:
    if str(value).lower() in ("sigmoid", "tanh"):
        raise ValueError(f"{value} saturates, so gradients vanish in deep networks: use prelu, elu or relu")
    return value


def _refuse_own_fields(value: dict[str, Any]) -> dict[str, Any]:
    for name, field in (("per_class", "data.per_class"), ("seed", "data.subset_seed")):
        if name in value:
            raise ValueError(f"{name} is the field {field}")
    return value


def _check_ascending(value: tuple[float, float]) -> tuple[float, float]:
    if value[0] >= value[1]:
        raise ValueError(f"the first must be below the second, got [{value[0]:g}, {value[1]:g}]")
    return value


Finite = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[int, Field(ge=1)]
Weight = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Seed = Annotated[int, Field(ge=0, lt=1 << 32)]
Side = Annotated[int, Field(ge=1, le=4096)]
Size = Annotated[tuple[Side, Side], BeforeValidator(_parse_size)]
Rate = Annotated[int, Field(ge=1000, le=768_000)]
Scale = Annotated[tuple[Finite, Finite], AfterValidator(_check_ascending)]
Subset = dict[str, Any]  # as the server takes it, which checks the fields
ClassFactors = dict[str, Weight]
Bytes = Annotated[ByteSize, Field(ge=1)]  # "0.5MB" is 500000


class Group(BaseModel):
    """A group of fields: frozen, with finite numbers and no unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Data(Group):
    """The training data and its augmentation."""

    dataset: str = Field(description="training dataset, e.g. digits/train")
    pipeline: Pipeline | None = Field(
        None,
        description="preset name, or list of operations; default: standard, for audio sound; spoken words need words",
    )
    size: Size | None = Field(None, description="canvas in pixels: SIDE or HEIGHTxWIDTH; default 32")
    fit: Literal["cover", "contain", "stretch"] = Field("cover", description="how an image is fitted to the canvas")
    seconds: float | None = Field(None, gt=0, description="length of a clip; default 1")
    sample_rate: Rate | None = Field(None, description="sample rate of clips, in Hz; default 16000")
    scale: Scale = Field(
        (-1.0, 1.0), description="range that uint8 pixels are scaled to, on the training device: low, high"
    )
    per_class: Positive | None = Field(None, description="number of training samples per class; null: all")
    subset: Annotated[Subset, AfterValidator(_refuse_own_fields)] | None = Field(
        None,
        description="samples to train on: classes, fraction, fold, without_fold, where (docs/sampling.md); null: all",
    )
    weights: Literal["balanced"] | ClassFactors | None = Field(
        None, description="how often classes come in an epoch: balanced, or factors by class; null: as in the dataset"
    )
    block: Positive | None = Field(None, description="neighbouring samples that stay together in the order; null: none")
    batch_size: Positive = Field(256, description="samples per rank and step; on a CPU 64, fewer on a large canvas")
    shuffle: bool = Field(True, description="a new order every epoch")
    subset_seed: Seed | None = Field(
        None, description="seed of the choice of per_class samples, fractions and folds; default training.seed"
    )
    order_seed: Seed | None = Field(None, description="seed of the epochs' orders; default training.seed")
    aug_seed: Seed | None = Field(None, description="seed of the augmentation's draws; default training.seed")
    prefetch: Positive = Field(4, description="minimum number of requests in flight")
    wait_s: float = Field(300.0, gt=0, description="maximum wait for a batch, e.g. while the server restarts")


class ModelChoice(Group):
    """The network."""

    name: str = Field("fire", description="fire, dense, or a network that an installed package registers")
    convolutions: Literal["fire", "plain"] = Field(
        "fire",
        description="wide layers of fire: fire modules, which begin with a 1×1 convolution, or plain 3×3 convolutions",
    )
    width: float = Field(1.0, gt=0, le=64, description="factor on the number of channels")
    activation: Annotated[Literal["prelu", "elu", "relu"], BeforeValidator(_refuse_saturating)] = Field(
        "prelu", description="activation function; sigmoid and tanh are refused"
    )
    slope: float = Field(0.1, ge=0, le=1, description="initial slope of PReLU for negative values")
    pool: Literal["max", "average"] = Field("max", description="pooling that halves the image in a stage")
    activate: Literal["after_pool", "before_pool"] = Field(
        "after_pool", description="order of activation and pooling; before_pool costs four times as much"
    )
    norm: Literal["batch", "none"] = Field("batch", description="batch normalisation, or none")
    dropout: float = Field(0.5, ge=0, lt=1, description="dropout rate after layers wider than dropout_above")
    dropout_above: Positive = Field(256, description="width of a layer above which dropout follows its last norm")
    xavier_above: Positive = Field(
        256, description="width of a fully connected layer above which it gets Xavier initialisation"
    )
    mels: int = Field(40, ge=8, le=256, description="mel bands of the audio front end")
    max_size: Bytes | None = Field(
        ByteSize(500_000), description='maximum size of the weights as float32, e.g. "0.5MB"; null: no limit'
    )


class Optimiser(Group):
    """The optimiser."""

    name: Literal["adamw", "sgd"] = Field("adamw", description="AdamW, or SGD with Nesterov momentum")
    lr: float = Field(0.02, gt=0, description="peak learning rate")
    weight_decay: float = Field(
        0.05, ge=0, description="applied to weight matrices, not to norms, biases, PReLU slopes"
    )
    momentum: float = Field(
        0.9, ge=0, lt=1, description="AdamW's first beta, SGD's Nesterov momentum; onecycle varies it around this value"
    )
    clip_norm: float | None = Field(None, gt=0, description="maximum global gradient norm; null: no clipping")


class Schedule(Group):
    """The learning-rate schedule."""

    name: Literal["onecycle", "cosine", "constant"] = Field("onecycle", description="shape after the warm-up")
    warmup: float = Field(0.2, ge=0, lt=1, description="warm-up fraction of all steps")


class Training(Group):
    """Duration, device, and what is saved during training."""

    epochs: Positive = Field(60, description="passes over the dataset; on a CPU 20")
    steps: Positive | None = Field(None, description="optimiser steps, in place of epochs; null: as epochs says")
    seed: Seed = Field(0, description="seed of weights and dropout, and default of the other seeds")
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="training device")
    threads: Positive | None = Field(
        None, description="CPU threads of torch; default half of them, as the service may need the others"
    )
    amp: Literal["auto", "off", "bf16"] = Field("auto", description="mixed precision; auto: if the GPU has bf16")
    channels_last: bool = Field(False, description="memory format N,H,W,C of images")
    label_smoothing: float = Field(0.1, ge=0, lt=1, description="fraction of a label spread over all classes")
    class_weights: Literal["balanced"] | tuple[Weight, ...] | None = Field(
        None, description="weights of the classes in the loss: one number per class, or balanced; null: all equal"
    )
    initial_weights: str | None = Field(
        None,
        description="run's folder or safetensors file to start from; layers of other shapes keep their own weights",
    )
    ema: float | None = Field(None, ge=0, lt=1, description="decay of the weights' moving average; null: no average")
    ema_batches: Positive = Field(8, description="batches to recompute batch norm statistics of averaged weights on")
    patience: Positive | None = Field(
        None, description="evaluations without improvement before stopping; null: no early stopping"
    )
    watch: str | None = Field(None, description="test that patience watches; default the first")
    checkpoint_s: float = Field(30.0, ge=0, description="seconds between checkpoints; 0: one every step")
    tensorboard: bool = Field(False, description="write TensorBoard logs to OUT/tensorboard")


class Test(Group):
    """A test set: a dataset and a fixed pipeline for its samples."""

    dataset: str = Field(description="dataset name")
    pipeline: Pipeline = Field("none", description="as data.pipeline; every evaluation uses the same draws")
    subset: Subset | None = Field(None, description="as data.subset, with its seed; also per_class; null: all samples")
    unseen: bool = Field(False, description="leave out training samples, if both are the same dataset")


class Evaluation(Group):
    """Evaluation during and after training."""

    every: Positive | None = Field(None, description="epochs between evaluations; default a twentieth of all epochs")
    batch_size: Positive | None = Field(
        None, description="samples per rank and step; default 256, fewer on a large canvas"
    )
    tests: dict[str, Test] | None = Field(
        None, min_length=1, description="tests by name; default: test, the dataset with /test in place of /train"
    )
    views: int = Field(1, ge=1, le=256, description="test-time augmentation: views per sample, averaged at the end")
    view_pipeline: Pipeline = Field("light", description="pipeline of the views, for tests whose pipeline is none")
    mc_passes: int = Field(0, ge=0, le=1000, description="Monte Carlo dropout passes for uncertainty; 0: none")


class AblationChoice(Group):
    """What `--ablate` compares: the whole pipeline, none, and all but one operation."""

    seeds: Positive = Field(3, description="repetitions with different seeds")
    alone: bool = Field(True, description="also train with each operation alone")
    corrupted: Pipeline | None = Field(
        None, description="pipeline of a second test, if all tests are plain; default strong, for audio shift and noise"
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

    @property
    def tests(self) -> Mapping[str, Test]:
        """The tests by name; empty while the field is open."""
        return self.evaluation.tests or {}

    @property
    def watched(self) -> str:
        """The test that early stopping watches, of a recipe with tests."""
        return self.training.watch or next(iter(self.tests))

    def override(self, values: Mapping[str, object]) -> "Recipe":
        """A copy with fields replaced by dotted name, e.g. {"optimiser.lr": 0.05}; raises ValueError as `parse_recipe`."""
        tree = self.model_dump(exclude_unset=True)
        for name, value in values.items():
            _put(tree, name, value)
        return parse_recipe(tree)

    def member(self, index: int) -> "Recipe":
        """An ensemble member: its own initial weights and augmentation, the same samples in the same order."""
        seeds = self._seeds()
        for name in ("training.seed", "data.aug_seed"):
            seeds[name] += index * MEMBER_STRIDE
        return self.override(seeds)

    def repetition(self, index: int) -> "Recipe":
        """The same run with other `per_class` samples, order, draws and initial weights."""
        return self.override({name: seed + index for name, seed in self._seeds().items()})

    def _seeds(self) -> dict[str, int]:
        seeds = {f"data.{name}": getattr(self.data, name) for name in ("subset_seed", "order_seed", "aug_seed")}
        default = self.training.seed
        return {"training.seed": default, **{name: default if seed is None else seed for name, seed in seeds.items()}}

    def flat(self, *, only_set: bool = False) -> dict[str, Any]:
        """All fields by dotted name, or those that were set, with the values that JSON has."""
        tree = self.model_dump(mode="json", exclude_unset=only_set)
        return {f"{group}.{name}": value for group, fields in tree.items() for name, value in fields.items()}

    def save(self, path: Path) -> None:
        """Write YAML, with fields in the order of the groups above."""
        write_file(path, yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False))


def load_recipe(path: Path | None, values: Mapping[str, object]) -> Recipe:
    """Read a file, if given, and override fields by dotted name; raises ValueError as `parse_recipe`."""
    tree: object = {}
    if path is not None:
        with path.open("rb") as file:
            text = file.read(_MAX_BYTES + 1)
        if len(text) > _MAX_BYTES:
            raise ValueError(f"{path.name} has more than {_MAX_BYTES:,} bytes")
        try:
            tree = load_yaml(text) or {}
        except (ValueError, yaml.YAMLError) as err:
            raise ValueError(f"{path.name} cannot be read: {describe_yaml_error(err)}") from err
    if not isinstance(tree, dict):
        raise ValueError("a recipe must be a YAML mapping of groups: data, model, optimiser, …")
    for name, value in values.items():
        _put(tree, name, value)
    return parse_recipe(tree)


def parse_recipe(tree: Mapping[str, Any]) -> Recipe:
    """Validate groups of fields; raises ValueError that names every invalid field and its allowed values."""
    try:
        return Recipe.model_validate(tree)
    except ValidationError as err:
        known = [name for name, _ in fields()]
        raise ValueError("; ".join(dict.fromkeys(describe_error(error, known) for error in err.errors()))) from err


def parse_override(text: str) -> tuple[str, object]:
    """Split `group.field=value` and read the value as YAML; raises ValueError for other forms."""
    name, equals, value = text.partition("=")
    if not equals or "." not in name:
        raise ValueError(f"--set takes group.field=value, for example optimiser.lr=0.05, got {text!r}")
    try:
        return name.strip(), load_yaml(value)
    except (ValueError, yaml.YAMLError) as err:
        raise ValueError(f"--set {name}: the value cannot be read: {describe_yaml_error(err)}") from err


def fields() -> Iterator[tuple[str, FieldInfo]]:
    """Every field by dotted name, in order."""
    for group, info in Recipe.model_fields.items():
        assert isinstance(info.annotation, type) and issubclass(info.annotation, Group)  # noqa: S101 - for the types
        for name, field in info.annotation.model_fields.items():
            yield f"{group}.{name}", field


def _put(tree: dict[str, Any], name: str, value: object) -> None:
    *groups, field = name.split(".")
    for group in groups:
        tree = tree.setdefault(group, {})
        if not isinstance(tree, dict):
            raise ValueError(f"{name}: unknown field")
    tree[field] = value
