"""Networks of timm for `augsvc-train`, registered by the entry points in pyproject.toml, and fine-tuned from given weights.

    pip install --constraint constraints.txt ./examples/timm_network     # timm and torchvision, and no other torch
    augsvc-train --url http://127.0.0.1:8000 --dataset photos/train --size 64 --out run-out --max-size 10MB --lr 0.002 \\
        --set model.name=timm_mobilenet --set training.initial_weights=model.safetensors

`model.safetensors` is the file of that name of `mobilenetv3_small_050` in timm's collection, or of an earlier run. Tensors of
other shapes keep the network's own initial weights and are named: the last layer for other classes, the first for grey images.
"""

import timm
from torch import nn

from augsvc_client.trainer.recipe import ModelChoice


def build_mobilenet(channels: int, classes: int, choice: ModelChoice) -> nn.Module:
    """MobileNetV3 small at half width; 0.6 million parameters and the last layer."""
    return _build("mobilenetv3_small_050", channels, classes, choice)


def build_resnet(channels: int, classes: int, choice: ModelChoice) -> nn.Module:
    """ResNet-18; 11 million parameters and the last layer."""
    return _build("resnet18", channels, classes, choice)


def _build(name: str, channels: int, classes: int, choice: ModelChoice) -> nn.Module:
    network: nn.Module = timm.create_model(name, in_chans=channels, num_classes=classes, drop_rate=choice.dropout)
    return network
