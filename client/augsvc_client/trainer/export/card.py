"""A trained network on disk: weights as safetensors, and a card with everything needed to use them.

network, Card → save_model → model.safetensors, model.json → load_model
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from pydantic import AfterValidator, Field, TypeAdapter, ValidationError
from torch import nn

from augsvc_client.trainer.files import check_readable, read_file, write_json
from augsvc_client.trainer.models.build import Inputs, build_model, load_weights, registry, save_weights, saved_bytes
from augsvc_client.trainer.recipe import ModelChoice, Scale
from augsvc_client.trainer.recipe_errors import describe_error

EXPORTS = ("model-fp16.safetensors", "model.onnx", "model-int8.onnx", "export.json")  # files that export writes
_VERSION = 1
_CURE = "--resume writes it again from the run's checkpoint"
_MAX_BYTES = 4 << 20  # the names of 21,000 classes take less than 1 MB


def _check_distinct(names: Sequence[str]) -> Sequence[str]:
    if len(set(names)) < len(names):
        raise ValueError("a name is repeated")
    return names


@dataclass(frozen=True, slots=True)
class Card:
    """The network, its input shape, the range that uint8 pixels are scaled to, the fit to the canvas, and the classes."""

    model: ModelChoice
    inputs: Inputs
    classes: Annotated[Sequence[str], Field(min_length=1), AfterValidator(_check_distinct)]
    scale: Scale
    fit: Literal["cover", "contain", "stretch"]

    def save(self, path: Path) -> None:
        """Write JSON."""
        card = {**asdict(self), "model": self.model.model_dump(mode="json"), "version": _VERSION}
        write_json(path, card)

    @classmethod
    def load(cls, path: Path) -> "Card":
        """Read JSON; raises ValueError for a missing file, another version, and fields outside their range."""
        try:
            saved = _parse(read_file(path, _MAX_BYTES))
            if "version" not in saved:
                raise ValueError("it has no version")
            version = saved.pop("version")
            if version == _VERSION and type(version) is int:
                return _check_medium(TypeAdapter(cls).validate_python(saved))
        except FileNotFoundError as err:
            member = path.parent / "member-0"
            other = f"a member of the ensemble, {member}" if member.is_dir() else "the folder given as --out"
            raise ValueError(f"{path.parent} has no {path.name}: give {other}") from err
        except ValidationError as err:
            known = [f"model.{name}" for name in ModelChoice.model_fields]
            raise ValueError(
                f"{path.name} is not a model card: {describe_error(err.errors()[0], known)}; {_CURE}"
            ) from err
        except (ValueError, OSError) as err:
            reason = (isinstance(err, OSError) and err.strerror) or err
            raise ValueError(f"{path.name} is not a model card: {reason}; {_CURE}") from err
        raise ValueError(
            f"{path.name} has version {json.dumps(version)[:20]}; this program reads version {_VERSION}; {_CURE}"
        )

    def build(self) -> nn.Module:
        """The network in test mode, on the CPU, with untrained weights."""
        return build_model(self._unlimited, self.inputs, len(self.classes), seed=0).eval()

    @property
    def n_bytes(self) -> int:
        """Bytes of the saved weights, counted without allocating them; 0 for a network of an installed package."""
        return saved_bytes(self._unlimited, self.inputs, len(self.classes))

    @property
    def _unlimited(self) -> ModelChoice:
        return self.model.model_copy(update={"max_size": None})


def _parse(text: bytes) -> dict[str, Any]:
    try:
        saved = json.loads(text)
    except (ValueError, RecursionError):  # the second one of digits or brackets without end
        raise ValueError("it is not JSON") from None
    if not isinstance(saved, dict):
        raise ValueError("it is not a JSON object")
    return saved


def _check_medium(card: Card) -> Card:
    if (card.inputs.size is None) == (card.inputs.rate is None):
        raise ValueError("inputs must have either a size or a rate")
    return card


def save_model(model: nn.Module, card: Card, folder: Path) -> None:
    """Write weights and card; loading them executes no code from the files. Exports of other weights are deleted."""
    earlier = _digest(folder)
    save_weights(model, folder / "model.safetensors")
    card.save(folder / "model.json")
    if _digest(folder) != earlier:
        for name in EXPORTS:
            (folder / name).unlink(missing_ok=True)


def _digest(folder: Path) -> bytes:
    """Of the weights; empty without readable ones. Of the same weights a damaged card costs no exports."""
    path = folder / "model.safetensors"
    try:
        check_readable(path)
    except ValueError:
        return b""
    return blake2b(path.read_bytes()).digest()


def load_model(folder: Path) -> tuple[nn.Module, Card]:
    """The network in test mode, on the CPU; raises ValueError if the folder has no valid card or weights."""
    card = Card.load(folder / "model.json")
    if card.model.name not in registry():
        raise ValueError(f"model.json names the network {card.model.name[:80]!r}, which is not installed")
    path = folder / "model.safetensors"
    try:
        if path.is_file() and path.stat().st_size < card.n_bytes:  # before the network is allocated
            raise ValueError(f"{path} does not contain the weights of the network in model.json")
        model = card.build()
        load_weights(model, path)
    except ValueError as err:
        raise ValueError(f"{err}; {_CURE}") from err
    _check_runs(model, card)
    return model, card


def _check_runs(model: nn.Module, card: Card) -> None:
    """Raises ValueError unless the network takes the card's inputs, e.g. a canvas that its pooling leaves something of."""
    try:
        with torch.inference_mode():
            logits = model(card.inputs.example(1))
    except RuntimeError as err:
        shape = " × ".join(map(str, card.inputs.example(1).shape[1:]))
        raise ValueError(f"the network in model.json cannot take its inputs, {shape}: they may be too small") from err
    if logits.shape != (1, len(card.classes)):
        raise ValueError(f"the network in model.json does not give {len(card.classes)} values, one per class")
