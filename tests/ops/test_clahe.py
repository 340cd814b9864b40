"""CLAHE, against OpenCV's algorithm written pixel by pixel, and its level at tile centres."""

import numpy as np
import pytest
from PIL import Image

from tests.harness import grey, one, patch, photo

pytestmark = pytest.mark.usefixtures("each_executor")


def curve(tile, limit):
    """One tile's: clipped counts, what is cut off spread over all levels, the rest at even steps."""
    counts = np.bincount(tile.reshape(-1), minlength=256)
    most = max(int(limit * tile.size / 256), 1)
    excess = int(np.maximum(counts - most, 0).sum())
    counts = np.minimum(counts, most) + excess // 256
    rest = excess % 256
    level = 0
    while rest and level < 256:
        counts[level] += 1
        level, rest = level + max(256 // (excess % 256), 1), rest - 1
    return counts.cumsum() * 255 / tile.size


def equalized(plane, tiles, limit):
    height, width = plane.shape
    down, across = (max(1, min(tiles, side // 2)) for side in plane.shape)
    if height % down or width % across:
        plane = np.pad(plane, ((0, down - height % down), (0, across - width % across)), mode="reflect")
    h, w = plane.shape[0] // down, plane.shape[1] // across
    curves = [
        [np.floor(curve(plane[y * h : y * h + h, x * w : x * w + w], limit) + 0.5) for x in range(across)]
        for y in range(down)
    ]
    out = np.empty((height, width))
    for y in range(height):
        for x in range(width):
            v, u = y / h - 0.5, x / w - 0.5
            y1, x1 = int(np.floor(v)), int(np.floor(u))
            fy, fx, level = v - y1, u - x1, plane[y, x]
            rows = [
                curves[min(max(row, 0), down - 1)][max(x1, 0)][level] * (1 - fx)
                + curves[min(max(row, 0), down - 1)][min(x1 + 1, across - 1)][level] * fx
                for row in (y1, y1 + 1)
            ]
            out[y, x] = rows[0] * (1 - fy) + rows[1] * fy
    return out


@pytest.mark.parametrize("size", [(32, 40), (37, 50), (40, 37), (5, 7), (1, 9)])
@pytest.mark.parametrize("limit", [1, 2.5, 40])
def test_a_plane_is_equalized_as_by_opencv(size, limit):
    image = grey(patch("coffee", *size))
    shown = one([{"op": "clahe", "clip_limit": limit, "tiles": 4}], image)
    assert abs(shown[..., 0] - equalized(image[..., 0], 4, limit)).max() <= 0.51


def test_luma_moves_all_channels_alike_and_rgb_each_of_them():
    image = photo("chelsea")[60:100, 100:148]
    step = {"op": "clahe", "clip_limit": 3, "tiles": 4}
    luma = np.asarray(Image.fromarray(image).convert("L"))
    shift = np.floor(equalized(luma, 4, 3) + 0.5) - luma
    assert (abs(one([step], image) - np.clip(image + shift[..., None], 0, 255)) > 1).mean() == 0
    shown = one([{**step, "space": "rgb"}], image)
    for channel in range(3):
        assert abs(shown[..., channel] - equalized(image[..., channel], 4, 3)).max() <= 0.51
