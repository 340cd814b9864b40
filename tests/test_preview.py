"""The picture shows the very bytes of the batch."""

from concurrent.futures import ThreadPoolExecutor
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from augsvc.preview import preview
from augsvc.sources.catalogue import open_catalogue
from augsvc.spec import validate_spec
from augsvc.stream import Stream
from augsvc_client.wire import parse
from tests.harness import executor

CATALOGUE = open_catalogue({}, 0)
WORKERS = ThreadPoolExecutor(2)


@pytest.mark.parametrize(("dataset", "size", "times"), [("photos/train", [80, 70], 1), ("digits/train", [16, 20], 4)])
@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_originals_above_augmented_below(dataset, size, times, layout):
    spec = {
        "dataset": dataset,
        "size": size,
        "pipeline": "strong",
        "output": {"layout": layout},
        "subset": {"per_class": 9},
    }
    streams = [
        Stream.open(validate_spec(spec | p), CATALOGUE.get(dataset), executor()) for p in ({"pipeline": "none"}, {})
    ]
    picture = Image.open(BytesIO(preview(streams[1], 3, 5, 11, 2, WORKERS, lambda: None).buffer.tobytes()))
    pixels = np.asarray(picture)
    pixels = pixels if pixels.ndim == 3 else pixels[..., None]
    height, width = size[0] * times, size[1] * times
    for line, stream in enumerate(streams):
        images = parse(stream.produce(3, 5, 11, 2, WORKERS, lambda: None).buffer)[0]["image"]
        images = images if layout == "NHWC" else images.transpose(0, 2, 3, 1)
        for place, image in enumerate(images):
            top = (place // 8) * (2 * height + 12) + line * (height + 2)
            left = (place % 8) * (width + 2)
            cell = pixels[top : top + height : times, left : left + width : times]
            assert (cell == image).all(), (line, place)
