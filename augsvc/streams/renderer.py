"""The interface of a renderer: what a stream or a push does with decoded samples, for one medium (render_image, render_audio)."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor as Workers
from typing import Protocol, Self

from augsvc.arrays import Arrays, Sample
from augsvc.numerics.rng import Address
from augsvc.ops.operation import Draw
from augsvc.planning.passes import Passes
from augsvc.streams.mixing import DrawnPartners
from augsvc.timing import Stages
from augsvc_client.wire import TensorSpec


class Renderer(Protocol):
    """Renders samples through one plan, into the memory of the batch. Immutable, usable from several threads."""

    @property
    def plan(self) -> Passes:
        """The planned pipeline."""

    @property
    def tensors(self) -> dict[str, TensorSpec]:
        """The rendered tensors of one sample."""

    @property
    def rows(self) -> int:
        """The number of samples to render together, over all threads."""

    @property
    def most_partners(self) -> int:
        """The partners of a sample, at most."""

    def plain(self) -> Self:
        """The same renderer without operations."""

    def for_display(self) -> Self:
        """The same renderer with output that can be drawn."""

    def working_bytes(self, count: int) -> int:
        """Bytes that rendering `count` samples takes beside the batch, if they are more than usual."""

    def draw_partners(self, seed: int, address: Address) -> DrawnPartners:
        """The partners that samples take."""

    def describe_partners(
        self, draws: Sequence[Draw], drawn: DrawnPartners, partners: Sequence[Mapping[str, object]], /
    ) -> dict[str, object]:
        """What a receipt has of one sample's partners, if it has any."""

    def fill(
        self,
        samples: Sequence[Sample],
        address: Address,
        seed: int,
        arrays: Arrays,
        workers: Workers,
        check: Callable[[], None],
        stages: Stages,
    ) -> None:
        """Fills what it renders, and every label in `arrays` that depends on it, in parallel on `workers`.

        `check` is called regularly, from several threads, and cancels the work by raising.
        """
