"""Building blocks of the networks: stages, fire modules, the audio front end, and weight initialisation.

stage: layer → max pool → batch norm → activation      pooling first leaves a quarter of the elements to the activation
"""

import math
from collections.abc import Callable

import torch
from torch import nn

from augsvc_client.features import MelSpectrogram
from augsvc_client.trainer.recipe import ModelChoice

_FRAME_S = 0.032  # length of an STFT frame; the hop is half of it
_POWER_FLOOR = 1e-8  # −80 dB relative to a full-scale sine


class Fire(nn.Module):
    """N,I,H,W → N,2·`side`,H,W: squeeze to `narrow` channels, then concatenate a 1×1 and a 3×3 convolution of them.

    Iandola et al. 2016 (SqueezeNet): 3×3 convolutions run on few channels only.
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


def wide_layer(inputs: int, narrow: int, side: int, choice: ModelChoice) -> nn.Module:
    """N,I,H,W → N,2·`side`,H,W: a fire module, or one 3×3 convolution, as `choice.convolutions` says."""
    if choice.convolutions == "fire":
        return Fire(inputs, narrow, side, choice)
    return nn.Conv2d(inputs, 2 * side, 3, padding=1, bias=choice.norm == "none")


class LogMel(nn.Module):
    """Audio N,T, full scale ±1 → N,1,`mels`,frames in [-1, +1]: log-mel spectrogram.

    STFT frames of 32 ms under a Hann window, every 16 ms, by FFT: as a convolution its table made ONNX files 1.05 MB larger.
    A full-scale sine maps to about +1; −80 dB and below map to −1. Bands are triangles, evenly spaced in
    mel = 2595 log10(1 + f/700) from 0 to `rate`/2 (Hz).
    """

    window: torch.Tensor
    bands: torch.Tensor

    def __init__(self, rate: int, mels: int) -> None:
        super().__init__()
        frame = 2 * max(8, round(rate * _FRAME_S / 2))
        time = torch.arange(frame, dtype=torch.float64)
        window = 0.5 - 0.5 * torch.cos(2 * math.pi * time / frame)
        window /= window.sum() / 2  # so that a spectral peak equals the sine's amplitude
        bands = MelSpectrogram(rate, frame, bins=mels).filters.T
        self.hop = frame // 2
        self.register_buffer("window", window.float(), persistent=False)
        self.register_buffer("bands", torch.from_numpy(bands).float(), persistent=False)

    def forward(self, audio: torch.Tensor) -> torch.Tensor:
        """N,T → N,1,mels,frames."""
        frame = len(self.window)
        spectrum = torch.stft(
            audio, frame, self.hop, frame, self.window, center=True, pad_mode="constant", return_complex=True
        )
        power = torch.matmul(self.bands, torch.view_as_real(spectrum).square().sum(dim=-1))
        decades = power.clamp(min=_POWER_FLOOR).log10()
        return decades.div(-math.log10(_POWER_FLOOR) / 2).add(1.0).clamp(max=1.0)[:, None]


def stage(layer: nn.Module, outputs: int, choice: ModelChoice, *, pool: bool = True) -> nn.Sequential:
    """N,I,H,W → N,outputs,⌈H/2⌉,⌈W/2⌉: the layer, pooling, norm and activation, in the order of `choice.activate`."""
    modules = [layer, norm(outputs, choice), activation(outputs, choice)]
    if pool:
        # ceil_mode: an input of a single pixel keeps that pixel
        pooling = nn.MaxPool2d(2, ceil_mode=True) if choice.pool == "max" else nn.AvgPool2d(2, ceil_mode=True)
        modules.insert(1 if choice.activate == "after_pool" else len(modules), pooling)
    return nn.Sequential(*modules)


def norm(channels: int, choice: ModelChoice) -> nn.Module:
    """Batch normalisation of N,C,H,W, or the identity."""
    return nn.BatchNorm2d(channels) if choice.norm == "batch" else nn.Identity()


def activation(channels: int, choice: ModelChoice) -> nn.Module:
    """The chosen activation; none of them saturates for positive values."""
    builders: dict[str, Callable[[], nn.Module]] = {
        "prelu": lambda: nn.PReLU(channels, init=choice.slope),
        "elu": nn.ELU,
        "relu": nn.ReLU,
    }
    return builders[choice.activation]()


def dropout_after(width: int, choice: ModelChoice) -> nn.Module:
    """Dropout after a layer wider than `dropout_above`, else the identity; place it after the last norm."""
    return nn.Dropout(choice.dropout) if choice.dropout and width > choice.dropout_above else nn.Identity()


def init_weights(model: nn.Module, choice: ModelChoice, seed: int) -> None:
    """Draw the initial weights: Xavier for fully connected layers wider than `xavier_above`, Kaiming for all others."""
    generator = torch.Generator().manual_seed(seed)
    slope = {"prelu": choice.slope, "elu": 0.0, "relu": 0.0}[choice.activation]
    for module in model.modules():
        if isinstance(module, nn.Linear) and uses_xavier(module, choice):
            nn.init.xavier_uniform_(module.weight, generator=generator)
        elif isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight, a=slope, generator=generator)
        if isinstance(module, nn.Conv2d | nn.Linear) and module.bias is not None:
            nn.init.zeros_(module.bias)


def uses_xavier(layer: nn.Linear, choice: ModelChoice) -> bool:
    """Whether the layer gets Xavier initialisation."""
    return max(layer.in_features, layer.out_features) > choice.xavier_above
