"""The dataset that a stream reads, as the server describes it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Dataset:
    """The whole dataset of a stream, without its `subset`."""

    name: str
    version: str
    samples: int
    media: str  # image or audio
    classes: tuple[str, ...]  # in the order of the labels; empty if there are none
    label_kind: str = "class"  # or none, multi_label, regression, text

    @classmethod
    def from_entry(cls, entry: Mapping[str, Any]) -> "Dataset":
        """From an entry of GET /v1/datasets; raises KeyError, TypeError or ValueError for what is not version 1's."""
        texts = [entry["name"], entry["version"], entry["media"], entry.get("label", "class"), *entry["classes"]]
        if not all(isinstance(text, str) for text in texts) or type(entry["samples"]) is not int:
            raise TypeError("dataset")
        name, version, media, label_kind, *classes = texts
        return cls(name, version, entry["samples"], media, tuple(classes), label_kind)
