"""A medium: in what streams of images and streams of sound differ, other than in rendering (renderer.py)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy.typing as npt

from augsvc.arrays import U8, Arrays
from augsvc.data.source import Source, SourceInfo
from augsvc.executors.protocol import Executor
from augsvc.ops.operation import Operation
from augsvc.ops.registry import Registry
from augsvc.planning.spec import StreamSpec
from augsvc.planning.spec_media import SpecMedium
from augsvc.streams.push_request import PushRequest
from augsvc.streams.renderer import Renderer
from augsvc_client.wire import TensorSpec

Fields = dict[str, object]  # of a specification


class Opened(NamedTuple):
    """A specification that is filled in for a dataset, and what renders it."""

    spec: StreamSpec
    renderer: Renderer
    least: tuple[int, int] | None = None  # (H, W) that images are decoded to at least; None: they are decoded whole


@dataclass(frozen=True, slots=True)
class Figure:
    """How the samples of a batch are drawn in a preview: `draw` takes one, and returns pixels (H, W, C)."""

    size: tuple[int, int]
    channels: int
    draw: Callable[[npt.NDArray[Any]], U8]


@dataclass(frozen=True, slots=True, eq=False)
class Medium:
    """One medium, assembled from functions. What they raise is for the client: SpecInvalid, SizeRequired, BodyMalformed."""

    name: str  # also of its tensor
    fields: SpecMedium  # of specifications and pushes
    noun: str  # its samples, in messages

    # Streams. `fill` sets what a specification leaves to the dataset, which `missing` names where samples differ in it; `open`
    # fills and plans, with the datasets that operations take partners from.
    preset: str  # the usual pipeline
    check_fields: Mapping[str, object]  # of the specification that `augsvc check` runs
    missing: Callable[[SourceInfo], list[str]]
    fill: Callable[[StreamSpec, SourceInfo], StreamSpec]
    open: Callable[[StreamSpec, SourceInfo, Executor, Mapping[str, Source]], Opened]
    figure: Callable[[Sequence[int]], Figure]  # of samples of a shape, from a renderer `for_display`

    # Pushes. `require_samples` validates the medium's tensor, which may have 16 bits if there is a window, and returns it;
    # `require_labels` what is beside it, and returns the names that may be.
    pushed: TensorSpec  # −1 for the sides that the client chooses
    require_samples: Callable[[Arrays, bool], npt.NDArray[Any]]
    require_labels: Callable[[Arrays, npt.NDArray[Any]], set[str]]
    push_renderer: Callable[[PushRequest, Sequence[int], Executor, Arrays], Renderer]  # of samples of a shape

    # The self-test: what arithmetic depends on besides the code, and what is run. `corner_specs` takes an operation, its modes,
    # and the specifications that run these at both ends of its parameters, and adds what the medium needs beside them.
    opaque_ground: str
    traits: Callable[[Executor], tuple[str, ...]]
    opaque_traits: Callable[[Executor], tuple[str, ...]]
    probe_spec: Callable[[Fields, Registry | None], StreamSpec]
    ground_specs: Callable[[], list[Fields]]
    corner_specs: Callable[[type[Operation], Sequence[Fields], list[Fields]], list[Fields]]

    # Documentation.
    label_effect: Callable[[type[Operation]], str]  # what an operation does to labels
