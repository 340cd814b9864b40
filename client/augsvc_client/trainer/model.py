"""The network that is trained: convolutions from end to end, for pictures of any size, grey or in colour.

    N,C,H,W in [-1, +1] → conv 24 ─ conv 48 ─ fire 96 ─ fire 128 → 1×1 conv → mean over the picture → logits N,K

A stage halves the picture (max pool), then normalises (batch norm), then bends (PReLU). A fire module (Iandola et al.
2016) narrows by a 1×1 convolution before it pays for a 3×3 one. About 50,000 parameters.
"""

from pathlib import Path

import torch
from safetensors.torch import save
from torch import nn

_SLOPE = 0.1  # of PReLU for negative values, at the start


class Fire(nn.Module):
    """N,I,H,W → N,2·`side`,H,W: squeezed to `narrow` channels, then a 1×1 and a 3×3 view of them side by side."""

    def __init__(self, inputs: int, narrow: int, side: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(inputs, narrow, 1, bias=False)
        self.norm = nn.BatchNorm2d(narrow)
        self.bend = nn.PReLU(narrow, init=_SLOPE)
        self.point = nn.Conv2d(narrow, side, 1, bias=False)
        self.area = nn.Conv2d(narrow, side, 3, padding=1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """N,I,H,W → N,2·side,H,W."""
        x = self.bend(self.norm(self.squeeze(x)))
        return torch.cat((self.point(x), self.area(x)), dim=1)


class Network(nn.Module):
    """N,C,H,W float in [-1, +1] → logits N,K. Any H and W of at least 1."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            _stage(nn.Conv2d(channels, 24, 3, padding=1, bias=False), 24),
            _stage(nn.Conv2d(24, 48, 3, padding=1, bias=False), 48),
            _stage(Fire(48, 24, 48), 96),
            _stage(Fire(96, 32, 64), 128, pool=False),
        )
        self.head = nn.Conv2d(128, classes, 1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """N,C,H,W → N,K."""
        logits: torch.Tensor = self.head(self.body(image))
        return logits.mean(dim=(2, 3))


def _stage(convolution: nn.Module, outputs: int, pool: bool = True) -> nn.Sequential:
    # ceil_mode: even a single pixel passes
    shrink = nn.MaxPool2d(2, ceil_mode=True) if pool else nn.Identity()
    return nn.Sequential(convolution, shrink, nn.BatchNorm2d(outputs), nn.PReLU(outputs, init=_SLOPE))


def build_model(channels: int, classes: int, seed: int) -> nn.Module:
    """The network for pictures of `channels` and that many `classes`; equal seeds give equal weights.

    torch's own generators are left as they were.
    """
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):  # the constructors draw weights that are drawn anew below
        model = Network(channels, classes)
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, a=_SLOPE, generator=generator)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    return model


def count_parameters(model: nn.Module) -> int:
    """How many numbers training moves."""
    return sum(parameter.numel() for parameter in model.parameters())


def save_weights(model: nn.Module, path: Path) -> None:
    """Parameters and running statistics by name, as safetensors: whoever reads the file runs no code of it."""
    path.write_bytes(save({name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}))
