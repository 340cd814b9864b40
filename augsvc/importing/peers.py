"""Runs a transform by its own library, from the class and the parameters that were read. The libraries are optional."""

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from inspect import signature
from types import ModuleType
from typing import Any, Protocol

import numpy as np
import torch

from augsvc.arrays import U8
from augsvc.importing.node import Library, Node, Value

_KORNIA_NAMES = {
    "brightness_factor": "brightness",
    "contrast_factor": "contrast",
    "saturation_factor": "saturation",
    "hue_factor": "hue",
    "gamma_factor": "gamma",
    "gain_factor": "gain",
    "clip_limit_factor": "clip_limit",
    "resize_to": "ratio",
    "r_shift": "r_shift_limit",
    "g_shift": "g_shift_limit",
    "b_shift": "b_shift_limit",
    "quality": "jpeg_quality",
    "salt_and_pepper": "salt_vs_pepper",
}  # what Kornia prints → what its constructors take


class NotComparable(ValueError):
    """Nothing can be compared; `str` is the reason."""


class Peer(Protocol):
    """A library's side of a comparison."""

    def run(self, nodes: Sequence[Node], image: U8, seed: int) -> U8:
        """An image uint8 (H, W, 3) through transforms, one after the other.

        Raises:
            NotComparable: a transform cannot be made from its parameters, or does not run on the image.
        """


def _require(name: str) -> ModuleType:
    try:
        return import_module(name)
    except ImportError as err:
        package = name.partition(".")[0]
        raise NotComparable(f"{package} is not installed: pip install {package}") from err
    except RuntimeError as err:  # its extension and torch are of different builds
        raise NotComparable(
            f"{name.partition('.')[0]} cannot be imported beside this torch; install matching builds"
        ) from err


def _build(module: ModuleType, name: str, parameters: Mapping[str, Any]) -> Callable[..., Any]:
    try:
        transform: Callable[..., Any] = getattr(module, name)(**parameters)
    except (AttributeError, TypeError, ValueError) as err:
        raise NotComparable("cannot be made from its parameters by this version of its library") from err
    return transform


def _apply(transform: Callable[..., Any], *inputs: Any, **named: Any) -> Any:
    """What the transform returns; a library raises anything where it does not run."""
    try:
        return transform(*inputs, **named)
    except Exception as err:
        raise NotComparable("does not run on a photograph by this version of its library") from err


def _tuples(value: Value) -> Any:
    return tuple(_tuples(item) for item in value) if isinstance(value, list | tuple) else value


class Torchvision:
    """torchvision.transforms.v2, on tensors of bytes."""

    def __init__(self) -> None:
        self._transforms = _require("torchvision.transforms.v2")

    def run(self, nodes: Sequence[Node], image: U8, seed: int) -> U8:
        """As Peer.run."""
        tensor = torch.tensor(image).permute(2, 0, 1)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            for node in nodes:
                tensor = _apply(self._transform(node), tensor)
        return tensor.permute(1, 2, 0).numpy()

    def _transform(self, node: Node) -> Callable[[torch.Tensor], torch.Tensor]:
        parameters = {name: _tuples(value) for name, value in node.parameters.items()}
        mode = parameters.get("interpolation")
        if isinstance(mode, str):
            parameters["interpolation"] = self._transforms.InterpolationMode(
                mode.rpartition(".")[2].lower().replace("_", "-")
            )
        threshold = parameters.get("threshold")
        if isinstance(threshold, int | float) and threshold <= 1.0:
            parameters["threshold"] = 255.0 * threshold  # of bytes
        if node.name == "Resize":
            size = parameters.setdefault("size", None)
            parameters["size"] = size[0] if isinstance(size, list | tuple) and len(size) == 1 else size
        return _build(self._transforms, node.name, parameters)


class Albumentations:
    """Albumentations, on arrays of bytes."""

    def __init__(self) -> None:
        self._transforms = _require("albumentations")

    def run(self, nodes: Sequence[Node], image: U8, seed: int) -> U8:
        """As Peer.run."""
        for node in nodes:
            parameters = {name: _tuples(value) for name, value in node.parameters.items()}
            transform: Any = _build(self._transforms, node.name, {**parameters, "p": 1.0})
            transform.set_random_seed(seed)
            image = _apply(transform, image=image)["image"]
        return image


class Kornia:
    """Kornia, on float32 in [0, 1], rounded to bytes at the end."""

    def __init__(self) -> None:
        self._transforms = _require("kornia.augmentation")

    def run(self, nodes: Sequence[Node], image: U8, seed: int) -> U8:
        """As Peer.run."""
        tensor = torch.tensor(image).permute(2, 0, 1)[None].float() / 255.0
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            for node in nodes:
                tensor = _apply(self._transform(node), tensor)
        bytes_ = (tensor[0].permute(1, 2, 0).clamp(0.0, 1.0) * 255.0).round().numpy()
        return np.ascontiguousarray(bytes_, dtype=np.uint8)

    def _transform(self, node: Node) -> Callable[[torch.Tensor], torch.Tensor]:
        parameters = {_KORNIA_NAMES.get(name, name): _tuples(value) for name, value in node.parameters.items()}
        taken = signature(getattr(self._transforms, node.name)).parameters
        return _build(self._transforms, node.name, {name: value for name, value in parameters.items() if name in taken})


PEERS: Mapping[Library, Callable[[], Peer]] = {
    "torchvision": Torchvision,
    "albumentations": Albumentations,
    "kornia": Kornia,
}
