"""What a command trains, as its options say."""

from dataclasses import dataclass
from enum import Enum


class Ablated(str, Enum):
    """What an ablation switches."""

    operations = "operations"
    advice = "advice"


@dataclass(frozen=True, slots=True)
class Plan:
    """What to train: `members` networks, with an ablation, from where an earlier run ended, or in its place."""

    members: int = 1
    ablate: Ablated | None = None
    resume: bool = False
    overwrite: bool = False
