"""`MultiViewLoader`: streams of several sizes over the same samples, as one loader."""

from collections.abc import Iterator, Mapping
from typing import Any

from augsvc_client.errors import StateMismatch
from augsvc_client.loaders.remote import Batch, RemoteDataLoader

# what views of one sample have in common
_SHARED = ("label", "index", "valid", "box_labels", "target", "key", "dataset")


class MultiViewLoader:
    """Steps loaders over the same samples together: multi-crop, as DINO and SwAV train with.

    Give each loader the same dataset, subset, order and batch size, and views that the others do not have:

        large = RemoteDataLoader(url, dataset=…, pipeline=global_crops, size=(224, 224), views=2, batch_size=64)
        small = RemoteDataLoader(url, dataset=…, pipeline=local_crops, size=(96, 96), views=8, view_from=2, batch_size=64)
        for batch in MultiViewLoader(large, small): …  # image, image1 of 224 × 224; image2 … image9 of 96 × 96

    The views of the second loader follow those of the first. Raises ValueError without loaders or for equal views,
    StateMismatch where their samples differ.
    """

    def __init__(self, *loaders: RemoteDataLoader) -> None:
        if not loaders:
            raise ValueError("MultiViewLoader takes at least one RemoteDataLoader")
        drawn = [(seed, view) for seed, views in (loader.drawn_views for loader in loaders) for view in views]
        if len(set(drawn)) < len(drawn):
            raise ValueError(
                "the loaders draw the same views: give each the `view_from` that follows the one before it"
            )
        self.loaders = loaders

    def __len__(self) -> int:
        """Steps of the coming iteration."""
        return min(len(loader) for loader in self.loaders)

    def __iter__(self) -> Iterator[Batch]:
        """Continue all loaders from their positions to the end of the epoch."""
        for batches in zip(*self.loaders, strict=True):
            yield _merge(batches)

    def set_epoch(self, epoch: int) -> None:
        """As RemoteDataLoader.set_epoch, for all."""
        for loader in self.loaders:
            loader.set_epoch(epoch)

    def state_dict(self) -> dict[str, Any]:
        """The states of all loaders, JSON-able."""
        return {"loaders": [loader.state_dict() for loader in self.loaders]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go to where the state was taken; raises StateMismatch as RemoteDataLoader does, or for another number of loaders."""
        states = state.get("loaders") if isinstance(state, Mapping) else None
        if not isinstance(states, list) or len(states) != len(self.loaders):
            raise StateMismatch(f"this is not a state of a MultiViewLoader of {len(self.loaders)} loaders")
        for loader, own in zip(self.loaders, states, strict=True):
            loader.load_state_dict(own)

    def close(self) -> None:
        """End all requests in flight."""
        for loader in self.loaders:
            loader.close()

    def __enter__(self) -> "MultiViewLoader":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _merge(batches: tuple[Batch, ...]) -> Batch:
    """One batch, with the views of each counted on."""
    merged: Batch = {}
    first = 0
    for batch in batches:
        if merged and batch["index"].tolist() != merged["index"].tolist():
            raise StateMismatch(
                "the loaders have different samples: give them the same dataset, subset, order_seed, shuffle and batch_size"
            )
        if batch.keys() & {"mix_weight", "tile_weights"}:
            raise ValueError("a stream with mixes has one view: leave mixes out of a MultiViewLoader")
        views = 0
        for name, tensor in batch.items():
            base, view = _split(name)
            if base in _SHARED:
                merged.setdefault(base, tensor)
            else:
                number = first + view
                merged[base if number == 0 else f"{base}{number}"] = tensor
                views = max(views, view + 1)
        first += views
    return merged


def _split(name: str) -> tuple[str, int]:
    """A tensor's name and view: image1 is ("image", 1)."""
    base = name.rstrip("0123456789")
    return base, int(name[len(base) :] or 0)
