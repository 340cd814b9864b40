"""Networks by name, built within a size, and what they cost.

    ModelChoice, Inputs → registry → build_model → nn.Module:  N,C,H,W in [-1, +1], or sound N,T → logits N,K
                                   → facts: parameters, bytes, multiplications, the same with 3×3 convolutions

A package of one's own registers a network by an entry point of the group `augsvc_client.models`: no code here changes.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points
from math import prod
from pathlib import Path

import torch
from safetensors.torch import save
from torch import nn

from augsvc_client.trainer.models.layers import Fire, LogMel, begin, is_large, norm, stage, thinned
from augsvc_client.trainer.models.layers import activation as activation_of
from augsvc_client.trainer.recipe import ModelChoice

ENTRY_POINTS = "augsvc_client.models"


@dataclass(frozen=True, slots=True)
class Inputs:
    """What a network takes: pictures of `channels` and (height, width), or clips of `rate` Hz and `length` samples."""

    channels: int = 1
    size: tuple[int, int] | None = None
    rate: int | None = None
    length: int | None = None

    def example(self, count: int = 2) -> torch.Tensor:
        """Zeros of a batch's shape."""
        return torch.zeros(count, self.length or 1) if self.rate else torch.zeros(count, self.channels, *self._sides)

    @property
    def _sides(self) -> tuple[int, int]:
        return self.size or (32, 32)


Builder = Callable[[int, int, ModelChoice], nn.Module]  # channels of the picture, classes, choice → network


class FireNetwork(nn.Module):
    """Convolutions from end to end, for pictures of any size; about 50,000 parameters.

    N,C,H,W → conv 24 ─ conv 48 ─ fire 96 ─ fire 128 → 1×1 conv → mean over the picture → logits N,K
    """

    def __init__(self, channels: int, classes: int, choice: ModelChoice) -> None:
        super().__init__()
        a, b, c, d = (_wide(number, choice) for number in (24, 48, 48, 64))
        bias = choice.norm == "none"
        self.body = nn.Sequential(
            stage(nn.Conv2d(channels, a, 3, padding=1, bias=bias), a, choice),
            stage(nn.Conv2d(a, b, 3, padding=1, bias=bias), b, choice),
            stage(Fire(b, _wide(24, choice), c, choice), 2 * c, choice),
            stage(Fire(2 * c, _wide(32, choice), d, choice), 2 * d, choice, pool=False),
        )
        self.thin = thinned(2 * d, choice)
        self.head = nn.Conv2d(2 * d, classes, 1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """N,C,H,W → N,K."""
        logits: torch.Tensor = self.head(self.thin(self.body(image)))
        return logits.mean(dim=(2, 3))


class DenseNetwork(nn.Module):
    """The older form, to compare with: two convolutions, then a fully connected layer of 320; about 75,000 parameters.

    N,C,H,W → conv 24 ─ conv 48 → 2×2 means → fully connected 320, norm, activation, dropout → logits N,K
    """

    def __init__(self, channels: int, classes: int, choice: ModelChoice) -> None:
        super().__init__()
        a, b, wide = (_wide(number, choice) for number in (24, 48, 320))
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
        self.thin = thinned(wide, choice)
        self.head = nn.Linear(wide, classes)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """N,C,H,W → N,K."""
        x = self.norm(self.wide(self.body(image))[:, :, None, None]).flatten(1)
        logits: torch.Tensor = self.head(self.thin(self.bend(x)))
        return logits


def registry() -> Mapping[str, Builder]:
    """The networks by name; those of installed packages are loaded when they are asked for."""
    return {**{entry.name: _loading(entry.name) for entry in entry_points(group=ENTRY_POINTS)}, **INCLUDED}


def build_model(choice: ModelChoice, inputs: Inputs, classes: int, seed: int) -> nn.Module:
    """The chosen network; equal seeds give equal weights, and torch's own generators are left as they were.

    A network of an installed package keeps the weights that it comes with; what it draws depends on the seed.
    Raises ValueError for a name that nobody registered, and for a network above `max_size`.
    """
    known = registry()
    if choice.name not in known:
        raise ValueError(f"model.name must be one of {', '.join(sorted(known))}, got {choice.name!r}")
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # the CPU's alone
        picture = 1 if inputs.rate else inputs.channels
        model = known[choice.name](picture, classes, choice)
    if choice.name in INCLUDED:
        begin(model, choice, seed)
    size = size_bytes(model)
    tables = ", without the front end's fixed tables" if inputs.rate else ""
    if choice.max_size is not None and size > choice.max_size:
        raise ValueError(
            f"model.max_size is {choice.max_size:,} bytes, and {choice.name} has {count_parameters(model):,} parameters, "
            f"{size:,} bytes as float32{tables}: lower model.width ({choice.width:g}), or raise model.max_size"
        )
    return nn.Sequential(LogMel(inputs.rate, choice.mels), model) if inputs.rate else model


@dataclass(frozen=True, slots=True)
class Facts:
    """What a network is and costs; multiplications by weights and by a front end's tables are those of one sample.

    `bytes` are those of what training moves, and is saved; `tables` those of a front end's fixed numbers.
    `plain_…`: the same network with a 3×3 convolution in the place of every fire module. `dropout`, `xavier`: names of the
    layers that have it; none: not applicable to this network, or not known of one that begins its weights itself.
    """

    parameters: int
    bytes: int
    tables: int
    multiplications: int
    plain_parameters: int
    plain_multiplications: int
    dropout: tuple[str, ...]
    xavier: tuple[str, ...]


def facts(model: nn.Module, choice: ModelChoice, inputs: Inputs) -> Facts:
    """Count by one pass of zeros; the model is left in its mode."""
    extra_parameters = sum(_plain(m) - count_parameters(m) for m in model.modules() if isinstance(m, Fire))
    multiplications, plain = _multiplications(model, inputs)
    named = list(model.named_modules())
    return Facts(
        parameters=count_parameters(model),
        bytes=size_bytes(model),
        tables=sum(table.nbytes for front in model.modules() if isinstance(front, LogMel) for table in front.buffers()),
        multiplications=multiplications,
        plain_parameters=count_parameters(model) + extra_parameters,
        plain_multiplications=plain,
        dropout=tuple(name for name, module in named if isinstance(module, nn.Dropout)),
        xavier=tuple(
            name
            for name, module in named
            if choice.name in INCLUDED and isinstance(module, nn.Linear) and is_large(module, choice)
        ),
    )


def count_parameters(model: nn.Module) -> int:
    """How many numbers training moves."""
    return sum(parameter.numel() for parameter in model.parameters())


def size_bytes(model: nn.Module) -> int:
    """Parameters and running statistics as they are saved, without the file's header."""
    return sum(tensor.numel() * tensor.element_size() for tensor in model.state_dict().values())


def save_weights(model: nn.Module, path: Path) -> None:
    """Parameters and running statistics by name, as safetensors: whoever reads the file runs no code of it."""
    path.write_bytes(save({name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}))


def _multiplications(model: nn.Module, inputs: Inputs) -> tuple[int, int]:
    """Of one sample, as it is and with plain 3×3 convolutions for the fire modules; without squares and sums of them."""
    as_is, plain = [], []

    def count(module: nn.Module, _: object, output: torch.Tensor) -> None:
        weight = module.weight
        assert isinstance(weight, torch.Tensor)  # noqa: S101 - for the types
        as_is.append(prod(weight.shape[1:]) * output[0].numel())

    def count_front(module: nn.Module, _: object, output: torch.Tensor) -> None:
        assert isinstance(module, LogMel)  # noqa: S101 - for the types
        as_is.append((module.waves.numel() + module.bands.numel()) * output.shape[-1])

    def count_plain(module: nn.Module, _: object, output: torch.Tensor) -> None:
        assert isinstance(module, Fire)  # noqa: S101 - for the types
        inside = sum(prod(c.weight.shape) for c in (module.squeeze, module.point, module.area))
        plain.append((_plain(module) - inside) * prod(output.shape[2:]))

    hooks = [m.register_forward_hook(count) for m in model.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    hooks += [m.register_forward_hook(count_front) for m in model.modules() if isinstance(m, LogMel)]
    hooks += [m.register_forward_hook(count_plain) for m in model.modules() if isinstance(m, Fire)]
    training = model.training
    device = next(model.parameters()).device
    with torch.inference_mode():
        model.eval()(inputs.example().to(device))
    model.train(training)
    for hook in hooks:
        hook.remove()
    return sum(as_is), sum(as_is) + sum(plain)


def _plain(module: Fire) -> int:
    """Weights of a 3×3 convolution between the same channels."""
    return 9 * module.squeeze.in_channels * (module.point.out_channels + module.area.out_channels)


def _wide(channels: int, choice: ModelChoice) -> int:
    return max(1, round(channels * choice.width))


def _loading(name: str) -> Builder:
    def build(channels: int, classes: int, choice: ModelChoice) -> nn.Module:
        (entry,) = entry_points(group=ENTRY_POINTS, name=name)
        built: nn.Module = entry.load()(channels, classes, choice)
        return built

    return build


INCLUDED: Mapping[str, Builder] = {"fire": FireNetwork, "dense": DenseNetwork}
