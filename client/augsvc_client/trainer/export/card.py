"""A trained network on disk: weights as safetensors, and a card with everything needed to use them.

network, Card → save_model → model.safetensors, model.json → load_model
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from augsvc_client.trainer.models.build import Inputs, build_model, save_weights
from augsvc_client.trainer.recipe import ModelChoice

_VERSION = 1


@dataclass(frozen=True, slots=True)
class Card:
    """The network, its input shape, the range that uint8 pixels are scaled to, the fit to the canvas, and the classes."""

    model: ModelChoice
    inputs: Inputs
    classes: Sequence[str]
    scale: tuple[float, float]
    fit: str

    def save(self, path: Path) -> None:
        """Write JSON."""
        card = {**asdict(self), "model": self.model.model_dump(mode="json"), "version": _VERSION}
        path.write_text(json.dumps(card, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> "Card":
        """Read JSON; raises ValueError for a missing file, another version, and other contents."""
        try:
            saved = json.loads(path.read_text(encoding="utf-8"))
            version, inputs = saved.pop("version"), saved.pop("inputs")
            size = tuple(inputs["size"]) if inputs["size"] else None
            card = cls(
                model=ModelChoice(**saved["model"]),
                inputs=Inputs(inputs["channels"], size, inputs["rate"], inputs["length"]),
                classes=tuple(saved["classes"]),
                scale=(float(saved["scale"][0]), float(saved["scale"][1])),
                fit=saved["fit"],
            )
        except FileNotFoundError as err:
            member = path.parent / "member-0"
            other = f"a member of the ensemble, {member}" if member.is_dir() else "the folder given as --out"
            raise ValueError(f"{path.parent} has no {path.name}: give {other}") from err
        except (ValueError, KeyError, TypeError, AttributeError) as err:
            raise ValueError(f"{path.name} is not a model card") from err
        if version != _VERSION:
            raise ValueError(f"{path.name} has version {version}; this program reads version {_VERSION}")
        return card

    def build(self) -> nn.Module:
        """The network in test mode, on the CPU, with untrained weights."""
        choice = self.model.model_copy(update={"max_size": None})
        return build_model(choice, self.inputs, len(self.classes), seed=0).eval()


def save_model(model: nn.Module, card: Card, folder: Path) -> None:
    """Write weights and card; loading them executes no code from the files."""
    save_weights(model, folder / "model.safetensors")
    card.save(folder / "model.json")


def load_model(folder: Path) -> tuple[nn.Module, Card]:
    """The network in test mode, on the CPU; raises ValueError if the folder has no valid card or weights."""
    card = Card.load(folder / "model.json")
    model = card.build()
    load_weights(model, folder / "model.safetensors")
    return model, card


def load_weights(model: nn.Module, path: Path) -> None:
    """Load weights, half-precision ones as float32; raises ValueError if they do not belong to the network."""
    try:
        weights = load_file(path)
        model.load_state_dict({name: w.float() if w.dtype == torch.half else w for name, w in weights.items()})
    except (OSError, RuntimeError, SafetensorError) as err:
        raise ValueError(f"{path} does not contain the weights of the network in model.json") from err
