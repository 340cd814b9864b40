"""Renders photographs through an imported pipeline, as a stream does."""

from concurrent.futures import ThreadPoolExecutor
from functools import cache

import numpy as np
import torch

from augsvc.arrays import I64, U8, Sample
from augsvc.data.builtin.photos import PHOTOS, CollectionImages
from augsvc.data.source import Source, SourceInfo
from augsvc.executors.factory import open_executor
from augsvc.executors.protocol import Executor
from augsvc.importing.translate import Import
from augsvc.planning.spec import validate_spec
from augsvc.settings import default_kernel_cache
from augsvc.streams.stream import Stream
from augsvc_client.wire import parse

_PHOTOGRAPHS = 2  # of 512 × 512 and 300 × 451 pixels


class _OneImage(Source):
    """A dataset of one image."""

    def __init__(self, image: U8) -> None:
        self._image = image
        size = (image.shape[0], image.shape[1])
        self.info = SourceInfo(name="image", version="1", classes=("image",), channels=3, size=size)

    def __len__(self) -> int:
        return 1

    def read(self, index: int) -> Sample:
        """The image."""
        return Sample(self._image, 0)

    def labels(self) -> I64:
        """A class for it."""
        return np.zeros(1, dtype=np.int64)

    def describe(self, index: int) -> str:
        """Its name."""
        return "image"


@cache
def photographs() -> tuple[U8, ...]:
    """Two photographs, uint8 (H, W, 3)."""
    return CollectionImages(PHOTOS).pixels[:_PHOTOGRAPHS]


@cache
def _executor() -> Executor:
    return open_executor("fused", torch.device("cpu"), default_kernel_cache())


def render(result: Import, image: U8, epoch: int = 0) -> U8:
    """The image of an epoch, uint8 (H, W, 3), without the normalisation."""
    fields = {name: value for name, value in result.fields().items() if name != "output"}
    source = _OneImage(image)
    spec = validate_spec({"dataset": "image", "shuffle": False, "output": {"layout": "NHWC"}, **fields})
    stream = Stream.open(spec.for_images(source.info.size, 3), source, _executor())
    with ThreadPoolExecutor(1) as workers:
        body = stream.produce(epoch, 0, 1, 0, workers, lambda: None)
    rendered: U8 = parse(body.buffer)[0]["image"][0]
    return rendered
