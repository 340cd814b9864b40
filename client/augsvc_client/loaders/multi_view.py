"""`MultiViewLoader`: streams of several sizes over the same samples, as one loader."""

from collections.abc import Iterator, Mapping, Sequence
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

    @property
    def epoch(self) -> int:
        """The current epoch, that of the coming step."""
        return self.loaders[0].epoch

    @property
    def position(self) -> int:
        """Samples that all ranks together have consumed in this epoch."""
        return self.loaders[0].position

    @property
    def epoch_steps(self) -> int:
        """Steps of a whole epoch, independent of the position."""
        return min(loader.epoch_steps for loader in self.loaders)

    def __len__(self) -> int:
        """Steps of the coming iteration."""
        return min(len(loader) for loader in self.loaders)

    def __iter__(self) -> Iterator[Batch]:
        """Continue all loaders from their positions to the end of the epoch. An error of one leaves all where they were."""
        passes = [iter(loader) for loader in self.loaders]
        while True:
            places = [(loader.epoch, loader.position) for loader in self.loaders]
            try:
                batches = [batch for batches in passes if (batch := next(batches, None)) is not None]
            except BaseException:
                for loader, place in zip(self.loaders, places, strict=True):
                    _go_back(loader, *place)
                raise
            if not batches:
                return
            yield _merge(batches, len(self.loaders))

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


def _go_back(loader: RemoteDataLoader, epoch: int, position: int) -> None:
    if (loader.epoch, loader.position) != (epoch, position):
        loader.load_state_dict({**loader.state_dict(), "epoch": epoch, "position": position})


def _merge(batches: Sequence[Batch], count: int) -> Batch:
    """One batch of `count` loaders, with the views of each counted on."""
    merged: Batch = {}
    if len(batches) < count:
        raise StateMismatch(
            "the epoch of one loader ends before that of another: give them the same samples and position"
        )
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
