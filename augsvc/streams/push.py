"""Push mode: augments samples that a client sends, as a pure function of the client's indices.

body → arrays → samples → augment → body
"""

from collections.abc import Callable, Sequence
from concurrent.futures import Executor as Workers
from dataclasses import dataclass
from math import prod
from types import MappingProxyType

import numpy as np
from pydantic import ValidationError

from augsvc.arrays import Arrays, ranges
from augsvc.errors import NeedsDataset, SpecInvalid, StreamMismatch
from augsvc.executors.protocol import Executor
from augsvc.numerics.rng import Address
from augsvc.ops.operation import Step
from augsvc.ops.pipeline import needing_fitted, needing_partners
from augsvc.ops.registry import Registry
from augsvc.planning.spec import Context
from augsvc.planning.spec_media import foreign_fields
from augsvc.streams.media import medium_of
from augsvc.streams.medium import Medium
from augsvc.streams.push_request import PushRequest
from augsvc.streams.push_tensors import response_tensors, to_samples, validate_tensors
from augsvc.streams.reading import SOURCE_BYTES
from augsvc.streams.renderer import Renderer
from augsvc.streams.stream import Body
from augsvc.timing import Stages
from augsvc.validation import explain
from augsvc_client.wire import Layout, digest

# Tensors of keypoints, and the axes of one
_OF_KEYPOINTS = MappingProxyType({"keypoints": (2,), "keypoints_valid": (), "keypoint_rows": ()})


@dataclass(frozen=True, slots=True, eq=False)
class Push:
    """Validated samples, ready to be augmented."""

    medium: Medium
    request: PushRequest
    arrays: Arrays
    renderer: Renderer
    layout: Layout

    @staticmethod
    def of(
        fields: object,
        arrays: Arrays,
        executor: Executor,
        known: Registry,
        arithmetic_of: Callable[[Sequence[Step], str], str],
    ) -> "Push":
        """Validates the parsed request and the tensors of the body. `arithmetic_of` takes steps and their ground.

        Raises:
            SpecInvalid, NeedsDataset, NotAvailable: an invalid request.
            BodyMalformed, DuplicateIndex: invalid tensors.
            StreamMismatch: this replica's arithmetic is not the expected one.
        """
        medium = medium_of(arrays)
        request = _validate_request(fields, known, medium)
        if field := needing_fitted(request.pipeline):
            raise NeedsDataset(f"{field} needs the statistics of a dataset, so it works on streams only", field=field)
        if mix := needing_partners(request.pipeline):
            reason = "a mix takes its partners from a dataset, so it works on streams only"
            raise NeedsDataset(f"{mix}: {reason}", field=mix)
        is_deep = request.window is not None or request.output.dtype == "uint16"
        arithmetic = arithmetic_of(request.pipeline, "deep" if is_deep else medium.name)
        if request.expect_arithmetic not in (None, arithmetic):
            raise StreamMismatch(
                "this replica would produce different bytes; use another replica", details={"arithmetic": arithmetic}
            )
        row = validate_tensors(arrays, medium, request.window is not None)
        renderer = medium.push_renderer(request, row, executor, arrays)
        tensors = response_tensors(arrays, renderer.tensors, bool(request.flip_pairs))
        layout = Layout(tensors, "", {"arithmetic": arithmetic})
        return Push(medium, request, arrays, renderer, layout)

    @property
    def samples(self) -> int:
        """The number of samples."""
        return len(self.arrays["index"])

    @property
    def labels(self) -> int:
        """The number of boxes and keypoints of each sample."""
        rows = (self.arrays[name].shape[1:-1] for name in ("boxes", "keypoints") if name in self.arrays)
        return sum(map(prod, rows))

    @property
    def size(self) -> int:
        """Bytes of the response."""
        return self.layout.size(self.samples)

    def produce(self, workers: Workers, check: Callable[[], None], stages: Stages) -> Body:
        """Augments the tensors. `check` is called regularly and cancels the work by raising."""
        n = self.samples
        buffer, out = self.layout.allocate(n)
        for name in ("index", "label", "box_labels"):
            if name in out:
                out[name][:] = self.arrays[name]
        if "keypoint_rows" in out:
            out["keypoint_rows"][:] = np.arange(out["keypoint_rows"].shape[-1])
        for name in out.keys() & _OF_KEYPOINTS.keys():  # views with one axis for those of all objects
            out[name] = out[name].reshape(n, -1, *_OF_KEYPOINTS[name])
        for rows in ranges(n, self._rows):
            check()
            samples = to_samples(self.arrays, rows, self.request.window)
            address = Address(self.arrays["index"][rows], self.request.epoch, self.request.view)
            chunk = {name: array[rows] for name, array in out.items()}
            self.renderer.fill(samples, address, self.request.aug_seed, chunk, workers, check, stages)
        with stages.of("encode"):
            self.layout.seal(buffer, n, epoch=self.request.epoch, start=0)
            return Body(buffer, digest(buffer), n, (), stages)

    @property
    def _rows(self) -> int:
        """Samples to render together; a window makes copies of their images."""
        if self.request.window is None:
            return self.renderer.rows
        n_bytes = 2 * int(self.arrays["image"][0].size)
        return max(1, min(self.renderer.rows, SOURCE_BYTES // n_bytes))


def _validate_request(fields: object, known: Registry, medium: Medium) -> PushRequest:
    if not isinstance(fields, dict):
        raise SpecInvalid("__metadata__.request must be a JSON object", field="request")
    try:
        request = PushRequest.model_validate(fields, context=Context(known, medium.name))
    except ValidationError as err:
        raise explain(err, model=PushRequest, hidden=foreign_fields(medium.name)) from err
    medium.fields.require_operations(request.pipeline)
    if (name := medium.fields.find_foreign(request)) is not None:
        raise SpecInvalid(f"{name} does not apply to {medium.noun}", field=name)
    return request
