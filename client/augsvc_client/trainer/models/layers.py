"""What networks are made of: stages, fire modules, a front end for sound, and how weights begin.

stage: layer → max pool → batch norm → activation      the activation sees a quarter of the elements that way
"""

import math
from collections.abc import Callable

import torch
from torch import nn

from augsvc_client.trainer.recipe import ModelChoice

_FRAME_S = 0.032  # of a spectrum; the next one begins half of it later
_FLOOR = 1e-8  # of power: −80 dB below a full-scale sine


class Fire(nn.Module):
    """N,I,H,W → N,2·`side`,H,W: squeezed to `narrow` channels, then a 1×1 and a 3×3 view of them side by side.

    After Iandola et al. 2016: it pays for a 3×3 convolution only between few channels.
    """

    def __init__(self, inputs: int, narrow: int, side: int, choice: ModelChoice) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(inputs, narrow, 1, bias=choice.norm == "none")
        self.norm = norm(narrow, choice)
        self.bend = activation(narrow, choice)
        self.point = nn.Conv2d(narrow, side, 1, bias=choice.norm == "none")
        self.area = nn.Conv2d(narrow, side, 3, padding=1, bias=choice.norm == "none")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """N,I,H,W → N,2·side,H,W."""
        x = self.bend(self.norm(self.squeeze(x)))
        return torch.cat((self.point(x), self.area(x)), dim=1)


class LogMel(nn.Module):
    """Sound N,T, full scale ±1 → N,1,`mels`,frames in [-1, +1]: the power in mel bands, its logarithm squeezed.

    Spectra of 32 ms under a Hann window, every 16 ms, by convolution with sines and cosines: that runs on every device
    and in every exported form. A full-scale sine is at about +1, −80 dB and below at −1. Bands are triangles, evenly
    spaced by mel = 2595 log10(1 + f/700) from 0 to half of `rate` (Hz).
    """

    waves: torch.Tensor
    bands: torch.Tensor

    def __init__(self, rate: int, mels: int) -> None:
        super().__init__()
        frame = 2 * max(8, round(rate * _FRAME_S / 2))
        time = torch.arange(frame, dtype=torch.float64)
        window = 0.5 - 0.5 * torch.cos(2 * math.pi * time / frame)
        window /= window.sum() / 2  # a sine's amplitude is its spectrum's peak
        angle = 2 * math.pi * torch.outer(torch.arange(frame // 2 + 1, dtype=torch.float64), time) / frame
        waves = torch.cat((torch.cos(angle), torch.sin(angle))) * window
        self.hop = frame // 2
        self.register_buffer("waves", waves[:, None].float(), persistent=False)
        self.register_buffer("bands", mel_bands(rate, frame // 2 + 1, mels).float(), persistent=False)

    def forward(self, audio: torch.Tensor) -> torch.Tensor:
        """N,T → N,1,mels,frames."""
        parts = nn.functional.conv1d(audio[:, None], self.waves, stride=self.hop, padding=self.hop)
        real, imaginary = parts.chunk(2, dim=1)
        power = torch.matmul(self.bands, real.square() + imaginary.square())
        return (power.clamp(min=_FLOOR).log10().div(-math.log10(_FLOOR) / 2).add(1.0)).clamp(max=1.0)[:, None]


def mel_bands(rate: int, bins: int, mels: int) -> torch.Tensor:
    """Triangles (mels, bins) over the bins of a spectrum, 0 … rate/2 Hz; each at least one bin wide to either side."""
    highest = 2595 * math.log10(1 + rate / 2 / 700)
    corners = 700 * (10 ** (torch.linspace(0, highest, mels + 2, dtype=torch.float64) / 2595) - 1)
    hertz = torch.linspace(0, rate / 2, bins, dtype=torch.float64)
    step = float(hertz[1])
    low, middle, high = corners[:-2, None], corners[1:-1, None], corners[2:, None]
    rise = (hertz - middle) / (middle - low).clamp(min=step) + 1
    fall = 1 - (hertz - middle) / (high - middle).clamp(min=step)
    return torch.minimum(rise, fall).clamp(min=0)


def stage(layer: nn.Module, outputs: int, choice: ModelChoice, *, pool: bool = True) -> nn.Sequential:
    """N,I,H,W → N,outputs,⌈H/2⌉,⌈W/2⌉: the layer, its pooling, norm and activation, in the order that is chosen."""
    parts = [layer, norm(outputs, choice), activation(outputs, choice)]
    if pool:
        # ceil_mode: even a single pixel passes
        shrink = nn.MaxPool2d(2, ceil_mode=True) if choice.pool == "max" else nn.AvgPool2d(2, ceil_mode=True)
        parts.insert(1 if choice.activate == "after_pool" else len(parts), shrink)
    return nn.Sequential(*parts)


def norm(channels: int, choice: ModelChoice) -> nn.Module:
    """Batch normalisation of pictures, or nothing."""
    return nn.BatchNorm2d(channels) if choice.norm == "batch" else nn.Identity()


def activation(channels: int, choice: ModelChoice) -> nn.Module:
    """One that does not saturate upwards."""
    made: dict[str, Callable[[], nn.Module]] = {
        "prelu": lambda: nn.PReLU(channels, init=choice.slope),
        "elu": nn.ELU,
        "relu": nn.ReLU,
    }
    return made[choice.activation]()


def thinned(width: int, choice: ModelChoice) -> nn.Module:
    """Dropout where a layer is wider than `dropout_above`, else nothing; it stands behind the last norm."""
    return nn.Dropout(choice.dropout) if choice.dropout and width > choice.dropout_above else nn.Identity()


def begin(model: nn.Module, choice: ModelChoice, seed: int) -> None:
    """Draw first weights: Xavier for fully connected layers wider than `xavier_above`, Kaiming for all else."""
    generator = torch.Generator().manual_seed(seed)
    slope = {"prelu": choice.slope, "elu": 0.0, "relu": 0.0}[choice.activation]
    for module in model.modules():
        if isinstance(module, nn.Linear) and is_large(module, choice):
            nn.init.xavier_uniform_(module.weight, generator=generator)
        elif isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight, a=slope, generator=generator)
        if isinstance(module, nn.Conv2d | nn.Linear) and module.bias is not None:
            nn.init.zeros_(module.bias)


def is_large(layer: nn.Linear, choice: ModelChoice) -> bool:
    """Whether Xavier begins it."""
    return max(layer.in_features, layer.out_features) > choice.xavier_above
