"""Law L6 under warps: masks, boxes and keypoints stay on what they mark, judged by the pixels."""

import numpy as np
import pytest

from augsvc.ops.kinds.image import Warp
from augsvc.ops.registry import registry
from tests.harness import run
from tests.planning.test_labels import NOTHING, SIDE, centre, disc, dotted, painted

pytestmark = pytest.mark.usefixtures("each_executor")
WARPS = sorted(name for name, operation in registry().items() if issubclass(operation, Warp))
STAYING = ("fisheye", "grid_distortion", "swirl")  # which look nowhere outside
EACH = pytest.mark.parametrize("op", WARPS)
BEFORE = {"op": "rotation", "degrees": [-40, 40], "border": "edge"}


def pipelines(op):
    """The warp alone, behind a move, and twice with a move after it, over edges that are repeated."""
    step = {"op": op, "p": 1.0, "border": "edge"}
    return [step], [BEFORE, step], [step, BEFORE, step]


@EACH
@pytest.mark.parametrize("number", range(3))
def test_a_mask_covers_what_is_painted(op, number):
    samples = [painted(disc(26 + k, 38 - k, 17)) for k in range(12)]
    batch = run(pipelines(op)[number], samples).batch()
    for image, mask in zip(batch["image"][..., 0], batch["mask"], strict=True):
        painted_pixels, marked = image >= 128, mask == 1
        assert (painted_pixels & marked).sum() / (painted_pixels | marked).sum() >= 0.95


@EACH
@pytest.mark.parametrize("number", range(3))
def test_a_box_is_the_hull_of_what_is_painted(op, number):
    inside = np.zeros((SIDE, SIDE), bool)
    inside[20:44, 18:48] = True
    batch = run(pipelines(op)[number], [painted(inside, boxes=[[18, 20, 48, 44]])] * 12).batch()
    for image, box in zip(batch["image"][..., 0], batch["boxes"][:, 0], strict=True):
        rows, columns = np.nonzero(image >= 128)
        hull = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
        assert np.abs(box - hull).max() < 1.5, (box, hull)  # two boxes behind each other: the hull of a hull


@EACH
@pytest.mark.parametrize("number", range(3))
def test_a_keypoint_stays_within_half_a_pixel_of_its_dot(op, number):
    points = [(20.25, 22.5), (44.0, 22.75), (30.5, 44.0)]
    batch, checked = run(pipelines(op)[number], [dotted(points)] * 30, aug_seed=2).batch(), 0
    # to the fourth power, half as wide: where the slope jumps, a wide dot's centre of light is not where its middle is
    for image, moved in zip((batch["image"][..., 0] / 255.0) ** 4, batch["keypoints"], strict=True):
        for point in moved:
            if ((point > 9) & (point < SIDE - 9)).all():
                checked += 1
                assert np.abs(centre(image, *point, 6) - point).max() < 0.5
    assert checked > 60


@EACH
def test_a_mask_is_255_where_the_image_shows_nothing(op):
    batch = run([{"op": op, "p": 1.0}], [painted(np.ones((SIDE, SIDE), bool))] * 20).batch()
    image, mask = batch["image"][..., 0], batch["mask"]
    assert (mask[image == 0] == NOTHING).all() and (mask[image == 255] == 1).all()
    assert (mask == NOTHING).any() != (op in STAYING)


@EACH
def test_labels_do_not_depend_on_the_other_samples(op):
    samples = [painted(disc(30 + k, 30, 9), [(30 + k, 30.5)], [[21 + k, 21, 39 + k, 39]]) for k in range(16)]
    stream = run([BEFORE, {"op": op, "p": 0.5}], samples)
    whole = stream.batch()
    for name in ("mask", "boxes", "keypoints"):
        alone = [stream.batch(start=k, count=1)[name][0] for k in range(16)]
        np.testing.assert_array_equal(whole[name], np.stack(alone))
