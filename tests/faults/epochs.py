"""A delivered epoch as one digest: all tensors of all samples, by position; and which samples there were."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

IMAGES = {
    "dataset": "shapes/train",  # with masks, boxes and keypoints
    "pipeline": "standard",
    "subset": {"per_class": 20, "seed": 0},
    "size": [24, 24],
    "aug_seed": 11,
}
SOUND = {
    "dataset": "tones/train",
    "pipeline": "sound",
    "subset": {"per_class": 5, "seed": 0},
    "seconds": 0.1,
    "sample_rate": 8000,
}


@dataclass(frozen=True)
class Epoch:
    """What was delivered."""

    digest: str
    indices: Counter

    @classmethod
    def of(cls, batches: Iterable[Mapping[str, object]], order: np.ndarray) -> "Epoch":
        """Of batches in any order; `order` names the index at each position."""
        place = {int(index): position for position, index in enumerate(order)}
        arrays = [{name: np.asarray(array) for name, array in batch.items()} for batch in batches]
        whole = {name: np.concatenate([batch[name] for batch in arrays]) for name in arrays[0]}
        by_position = np.argsort([place[int(index)] for index in whole["index"]], kind="stable")
        digest = hashlib.sha256()
        for name in sorted(whole):
            array = whole[name][by_position]
            digest.update(f"{name} {array.dtype} {array.shape}\n".encode())
            digest.update(array.tobytes())
        return cls(digest.hexdigest(), Counter(whole["index"].tolist()))


@dataclass(frozen=True)
class Undisturbed:
    """A stream's epochs as a server gives them that nothing happens to."""

    spec: Mapping[str, object]
    id: str
    samples: int
    whole: Mapping[int, Mapping[str, np.ndarray]]

    @classmethod
    def from_server(cls, serving, spec: Mapping[str, object], epochs: int = 2) -> "Undisturbed":
        stream = serving.open(spec)
        whole = {epoch: serving.batch(stream, epoch, 0, stream["samples"]).arrays for epoch in range(epochs)}
        return cls(spec, stream["id"], stream["samples"], whole)

    def first(self, samples: int) -> "Undisturbed":
        """The first positions of each epoch alone."""
        cut = {epoch: {name: array[:samples] for name, array in whole.items()} for epoch, whole in self.whole.items()}
        return Undisturbed(self.spec, self.id, samples, cut)

    def assert_delivered(self, batches: Iterable[Mapping[str, object]], epoch: int = 0) -> None:
        """Fails unless the batches are the epoch: the same samples, each as often, in the same bytes."""
        wanted = self.whole[epoch]
        found, right = Epoch.of(batches, wanted["index"]), Epoch.of([wanted], wanted["index"])
        assert found.indices == right.indices
        assert found.digest == right.digest
