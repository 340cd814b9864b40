"""A digest of the samples that a wrapped loader gave, by which a resumed pass is compared with the one that was saved.

index or content of each batch → SampleDigest.extend → state; the same samples in other batches have the same digest
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from augsvc_client.errors import StateMismatch
from augsvc_client.fields.flat import to_array
from augsvc_client.wire import digesting


@dataclass(frozen=True, slots=True)
class SampleDigest:
    """Of the samples that one of `world_size` ranks read since the start of the epoch, in order."""

    rank: int
    world_size: int
    value: str = ""

    def extend(self, samples: Any) -> "SampleDigest":
        """With these samples [N, …] behind the others: arrays, tensors, or a list of them."""
        value = self.value
        listed = isinstance(samples, list | tuple)
        rows = [to_array("samples", sample) for sample in samples] if listed else to_array("samples", samples)
        for row in map(np.ascontiguousarray, rows):
            hasher = digesting()
            hasher.update(f"{value} {row.dtype} {row.shape}".encode())
            hasher.update(row.reshape(-1).view(np.uint8).data)
            value = hasher.hexdigest()
        return SampleDigest(self.rank, self.world_size, value)

    def contradicts(self, other: "SampleDigest | None") -> bool:
        """Whether the other is that of different samples; ranks read different ones anyway."""
        if other is None or (self.rank, self.world_size) != (other.rank, other.world_size):
            return False
        return self.value != other.value

    def to_json(self) -> dict[str, Any]:
        """The digest as it is saved."""
        return asdict(self)

    @classmethod
    def from_json(cls, saved: object) -> "SampleDigest | None":
        """The digest of a state, if it has one; raises StateMismatch for anything else."""
        if saved is None:
            return None
        types = {"rank": int, "world_size": int, "value": str}
        if not isinstance(saved, Mapping) or {name: type(value) for name, value in saved.items()} != types:
            raise StateMismatch(f"the state's digest of samples is damaged: {saved!r}")
        return cls(**saved)
