"""Build networks by name within a size limit, and count their cost.

    ModelChoice, Inputs → registry → build_model → nn.Module:  N,C,H,W in [-1, +1], or sound N,T → logits N,K
                                   → facts: parameters, bytes, multiplications, also with plain 3×3 convolutions

Installed packages register networks through entry points of the group `augsvc_client.models`.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points
from math import prod
from pathlib import Path
from typing import Annotated

import torch
from pydantic import Field, FiniteFloat
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import nn

from augsvc_client.trainer.files import check_readable, write_file
from augsvc_client.trainer.models.layers import (
    Fire,
    LogMel,
    dropout_after,
    init_weights,
    norm,
    stage,
    uses_xavier,
    wide_layer,
)
from augsvc_client.trainer.models.layers import activation as activation_of
from augsvc_client.trainer.recipe import ModelChoice, Rate, Size

ENTRY_POINTS = "augsvc_client.models"


@dataclass(frozen=True, slots=True)
class Inputs:
    """Inputs of a network: images of `channels` and (height, width), or clips at `rate` Hz of `length` samples.

    `window`: the numbers of the dataset's files that are black and white; None: their bytes.
    """

    channels: Annotated[int, Field(ge=1, le=3)] = 1
    size: Size | None = None
    rate: Rate | None = None
    length: Annotated[int, Field(ge=1, le=1 << 24)] | None = None  # the service's limit
    window: tuple[FiniteFloat, FiniteFloat] | None = None

    def example(self, count: int = 2) -> torch.Tensor:
        """A batch of zeros."""
        return torch.zeros(count, self.length or 1) if self.rate else torch.zeros(count, self.channels, *self._sides)

    @property
    def _sides(self) -> tuple[int, int]:
        return self.size or (32, 32)


Builder = Callable[[int, int, ModelChoice], nn.Module]  # image channels, classes, choice → network


class FireNetwork(nn.Module):
    """A fully convolutional network for images of any size; about 50,000 parameters.

    N,C,H,W → conv 24 ─ conv 48 ─ fire 96 ─ fire 128 → 1×1 conv → global mean → logits N,K
    """

    def __init__(self, channels: int, classes: int, choice: ModelChoice) -> None:
        super().__init__()
        a, b, c, d = (_scale_channels(count, choice) for count in (24, 48, 48, 64))
        bias = choice.norm == "none"
        self.body = nn.Sequential(
            stage(nn.Conv2d(channels, a, 3, padding=1, bias=bias), a, choice),
            stage(nn.Conv2d(a, b, 3, padding=1, bias=bias), b, choice),
            stage(wide_layer(b, _scale_channels(24, choice), c, choice), 2 * c, choice),
            stage(wide_layer(2 * c, _scale_channels(32, choice), d, choice), 2 * d, choice, pool=False),
        )
        self.dropout = dropout_after(2 * d, choice)
        self.head = nn.Conv2d(2 * d, classes, 1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """N,C,H,W → N,K."""
        logits: torch.Tensor = self.head(self.dropout(self.body(image)))
        return logits.mean(dim=(2, 3))


class DenseNetwork(nn.Module):
    """A classical network for comparison: two convolutions, then a fully connected layer of 320; about 75,000 parameters.

    N,C,H,W → conv 24 ─ conv 48 → 2×2 means → fully connected 320, norm, activation, dropout → logits N,K
    """

    def __init__(self, channels: int, classes: int, choice: ModelChoice) -> None:
        super().__init__()
        a, b, wide = (_scale_channels(count, choice) for count in (24, 48, 320))
        bias = choice.norm == "none"
        self.body = nn.Sequential(
            stage(nn.Conv2d(channels, a, 3, padding=1, bias=bias), a, choice),
            stage(nn.Conv2d(a, b, 3, padding=1, bias=bias), b, choice),
            nn.AdaptiveAvgPool2d(2),
            nn.Flatten(),
        )
        self.wide = nn.Linear(4 * b, wide, bias=bias)
        self.norm = norm(wide, choice)
        self.bend = activation_of(wide, choice)
        self.dropout = dropout_after(wide, choice)
        self.head = nn.Linear(wide, classes)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """N,C,H,W → N,K."""
        x = self.norm(self.wide(self.body(image))[:, :, None, None]).flatten(1)
        logits: torch.Tensor = self.head(self.dropout(self.bend(x)))
        return logits


def registry() -> Mapping[str, Builder]:
    """The builders by name; installed packages are imported only when their network is built."""
    return {**{entry.name: _lazy_builder(entry.name) for entry in entry_points(group=ENTRY_POINTS)}, **BUILTIN_MODELS}


def build_model(choice: ModelChoice, inputs: Inputs, classes: int, seed: int) -> nn.Module:
    """The chosen network; equal seeds give equal weights, and torch's global generators keep their state.

    A network from an installed package keeps its initial weights; its random draws follow the seed.
    Raises ValueError for an unregistered name and for a network above `max_size`.
    """
    known = registry()
    if choice.name not in known:
        raise ValueError(f"model.name must be one of {', '.join(sorted(known))}, got {choice.name!r}")
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # the CPU generator only
        channels = 1 if inputs.rate else inputs.channels
        model = known[choice.name](channels, classes, choice)
    if choice.name in BUILTIN_MODELS:
        init_weights(model, choice, seed)
    size = size_bytes(model)
    tables = ", not counting the front end's fixed tables" if inputs.rate else ""
    if choice.max_size is not None and size > choice.max_size:
        raise ValueError(
            f"model.max_size is {choice.max_size:,} bytes, and {choice.name} has {count_parameters(model):,} parameters, "
            f"{size:,} bytes as float32{tables}: lower model.width ({choice.width:g}), or raise model.max_size"
        )
    return nn.Sequential(LogMel(inputs.rate, choice.mels), model) if inputs.rate else model


@dataclass(frozen=True, slots=True)
class Facts:
    """Size and cost of a network; `multiplications` (by weights and in the audio front end) are per sample.

    `bytes` counts the saved weights and statistics, `tables` the front end's fixed tables. `plain_…`: the same network with
    a 3×3 convolution in place of every fire module. `xavier`: names of the layers that have it; none in networks of installed
    packages, which initialise themselves.
    """

    parameters: int
    bytes: int
    tables: int
    multiplications: int
    plain_parameters: int
    plain_multiplications: int
    xavier: tuple[str, ...]


def facts(model: nn.Module, choice: ModelChoice, inputs: Inputs) -> Facts:
    """Count with a forward pass of zeros; the training mode is restored."""
    multiplications, classes = _multiplications(model, inputs)
    plain = model
    if any(isinstance(module, Fire) for module in model.modules()):
        others = choice.model_copy(update={"convolutions": "plain", "max_size": None})
        plain = build_model(others, inputs, classes, seed=0)
    return Facts(
        parameters=count_parameters(model),
        bytes=size_bytes(model),
        tables=sum(table.nbytes for front in model.modules() if isinstance(front, LogMel) for table in front.buffers()),
        multiplications=multiplications,
        plain_parameters=count_parameters(plain),
        plain_multiplications=_multiplications(plain, inputs)[0],
        xavier=tuple(
            name
            for name, module in model.named_modules()
            if choice.name in BUILTIN_MODELS and isinstance(module, nn.Linear) and uses_xavier(module, choice)
        ),
    )


def count_parameters(model: nn.Module) -> int:
    """The number of trainable values."""
    return sum(parameter.numel() for parameter in model.parameters())


def size_bytes(model: nn.Module) -> int:
    """Bytes of parameters and running statistics as saved, without the file header."""
    return sum(tensor.numel() * tensor.element_size() for tensor in model.state_dict().values())


def saved_bytes(choice: ModelChoice, inputs: Inputs, classes: int) -> int:
    """`size_bytes` of a network without allocating it; 0 for one of an installed package."""
    if choice.name not in BUILTIN_MODELS:
        return 0
    with torch.device("meta"):
        return size_bytes(BUILTIN_MODELS[choice.name](1 if inputs.rate else inputs.channels, classes, choice))


def save_weights(model: nn.Module, path: Path) -> None:
    """Save parameters and running statistics as safetensors, a format that cannot execute code on loading."""
    write_file(path, save({name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}))


def load_weights(model: nn.Module, path: Path) -> None:
    """Load weights, half-precision ones as float32; raises ValueError if they do not belong to the network."""
    weights = _read_weights(path)
    try:
        model.load_state_dict({name: w.float() if w.dtype == torch.half else w for name, w in weights.items()})
    except RuntimeError as err:
        raise ValueError(f"{path} does not contain the weights of the network in model.json") from err
    _require_finite(model.state_dict().values(), path)


def load_matching(model: nn.Module, path: Path) -> list[str]:
    """Start from the weights of another network: copy all tensors of equal name and shape; the names of the others.

    `path`: a run's folder, or a safetensors file. Raises ValueError if none fits, or one is not finite.
    """
    file, own = path / "model.safetensors" if path.is_dir() else path, model.state_dict()
    try:
        weights = _read_weights(file)
    except ValueError as err:
        raise ValueError(f"training.initial_weights: {err}") from err
    fitting = {name: w for name, w in weights.items() if name in own and w.shape == own[name].shape}
    if not fitting:
        raise ValueError(f"training.initial_weights: no tensor of {file} has the name and shape of one of this network")
    model.load_state_dict(fitting, strict=False)
    try:
        _require_finite([own[name] for name in fitting], file)  # own tensors, which now have the values
    except ValueError as err:
        raise ValueError(f"training.initial_weights: {err}") from err
    return [name for name in own if name not in fitting]


def _read_weights(path: Path) -> dict[str, torch.Tensor]:
    try:
        check_readable(path)
    except ValueError as err:
        raise ValueError(f"{path} cannot be read: {err}") from err
    try:
        weights: dict[str, torch.Tensor] = load_file(path)
    except (OSError, SafetensorError) as err:
        raise ValueError(f"{path} cannot be read as safetensors") from err
    return weights


def _require_finite(loaded: Iterable[torch.Tensor], path: Path) -> None:
    """Of what a network has taken from a file; other tensors there, e.g. masks, may have any value and kind."""
    if not all(bool(tensor.isfinite().all()) for tensor in loaded):
        raise ValueError(f"{path} has weights that are not finite")


def _multiplications(model: nn.Module, inputs: Inputs) -> tuple[int, int]:
    """Per sample; and the number of values that the network returns for it."""
    counts = []

    def count(module: nn.Module, _: object, output: torch.Tensor) -> None:
        if isinstance(module, LogMel):
            frame = len(module.window)  # FFT: 2 n log₂ n
            counts.append((2 * frame * (frame - 1).bit_length() + module.bands.numel()) * output.shape[-1])
        elif isinstance(module, nn.Conv2d | nn.Linear):
            counts.append(prod(module.weight.shape[1:]) * output[0].numel())

    hooks = [module.register_forward_hook(count) for module in model.modules()]
    training = model.training
    device = next(model.parameters()).device
    with torch.inference_mode():
        outputs: torch.Tensor = model.eval()(inputs.example().to(device))
    model.train(training)
    for hook in hooks:
        hook.remove()
    return sum(counts), outputs.shape[1]


def _scale_channels(channels: int, choice: ModelChoice) -> int:
    return max(1, round(channels * choice.width))


def _lazy_builder(name: str) -> Builder:
    def build(channels: int, classes: int, choice: ModelChoice) -> nn.Module:
        (entry,) = entry_points(group=ENTRY_POINTS, name=name)
        model: nn.Module = entry.load()(channels, classes, choice)
        return model

    return build


BUILTIN_MODELS: Mapping[str, Builder] = {"fire": FireNetwork, "dense": DenseNetwork}
