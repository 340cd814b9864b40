"""Mosaics: against slicing, and their labels against painted pixels."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from augsvc.arrays import Sample
from augsvc.errors import NeedsDataset, SpecInvalid
from augsvc.ops.pipeline import parse_pipeline
from augsvc.streams.push import Push
from tests.harness import ListSource, executor, over, patch, run

pytestmark = pytest.mark.usefixtures("each_executor")
N, SIDE = 12, 32
GREY = 114
IMAGES = [Sample(patch("coffee", SIDE, SIDE, top=12 * k, left=14 * k), k) for k in range(N)]
QUARTERS = ((0, 0), (1, 0), (0, 1), (1, 1))


def partners(stream, row):
    """The indices of the samples of a mosaic, its own first."""
    mix = stream.stream.receipt(0, row, 0).get("mix")
    return [row, *(partner["index"] for partner in mix["partners"])] if mix else [row]


def assembled(images, centre, side, fill):
    """A mosaic of images (H, W, C): each touches the centre with its inner corner. And where each one shows."""
    x, y = centre
    out = np.full((2 * side, 2 * side, images[0].shape[2]), fill, np.uint8)
    shown = np.full((2 * side, 2 * side), -1)
    for number, (image, (right, below)) in enumerate(zip(images, QUARTERS, strict=True)):
        height, width = image.shape[:2]
        left, top = (x if right else x - width), (y if below else y - height)
        for row in range(height):
            for column in range(width):
                at = top + row, left + column
                if 0 <= at[0] < 2 * side and 0 <= at[1] < 2 * side:
                    out[at], shown[at] = image[row, column], number
    middle = slice(side // 2, side // 2 + side)
    return out[middle, middle], shown[middle, middle]


def test_a_mosaic_is_four_slices_about_its_centre():
    stream = run([{"op": "mosaic", "center_x": [0, 1], "center_y": [0, 1]}], IMAGES, size=[SIDE, SIDE])
    batch = stream.batch()
    for row in range(N):
        draws, indices = stream.draws(row), partners(stream, row)
        centre = [int(draws[f"center_{axis}"] * 2 * SIDE) for axis in "xy"]
        expected, shown = assembled([IMAGES[index].image for index in indices], centre, SIDE, GREY)
        np.testing.assert_array_equal(batch["image"][row], expected)
        assert batch["label"][row] == row and batch["tile_labels"][row].tolist() == indices
        areas = np.bincount(shown[shown >= 0], minlength=4)
        np.testing.assert_allclose(batch["tile_weights"][row], areas / areas.sum(), atol=1e-6)


def test_bars_of_a_letterbox_stay_outside():
    """YOLO places images without bars: the edge of a wide one touches the centre."""
    wide = [Sample(patch("coffee", 20, 40, top=9 * k), k) for k in range(6)]
    steps = [{"op": "letterbox"}, {"op": "mosaic", "center_x": 0.5, "center_y": 0.5}]
    stream = run(steps, wide, size=[40, 40])
    for row, image in enumerate(stream.images()):
        tiles = [wide[index].image for index in partners(stream, row)]
        np.testing.assert_array_equal(image, assembled(tiles, (40, 40), 40, GREY)[0])


def level(row: int) -> int:
    return 15 * row + 20


def painted(row: int) -> Sample:
    """A level around a block of the next one, with its box, its mask of class row + 1, and a keypoint in its middle."""
    rng = np.random.default_rng(row)
    height, width = rng.integers(24, 64, 2)
    (x1, x2), (y1, y2) = (np.sort(rng.choice(np.arange(1, side, 4), 2, replace=False)) for side in (width, height))
    image = np.full((height, width, 1), level(row), np.uint8)
    mask = np.zeros((height, width), np.uint8)
    image[y1:y2, x1:x2], mask[y1:y2, x1:x2] = level(row) + 8, row + 1
    return Sample(
        image,
        row,
        mask=mask,
        boxes=np.array([[x1, y1, x2, y2]], np.float32),
        box_labels=np.array([row]),
        boxes_valid=np.ones(1, bool),
        keypoints=np.array([[(x1 + x2) / 2, (y1 + y2) / 2]], np.float32),
        keypoints_valid=np.ones(1, bool),
    )


PAINTED = [painted(row) for row in range(N)]
MOVES = [
    {"op": "affine", "degrees": 0, "scale": [0.5, 1.5], "border": "constant", "fill": GREY / 255},
    {"op": "horizontal_flip", "border": "constant", "fill": GREY / 255},
]


def iou(box, other) -> float:
    low, high = np.maximum(box[:2], other[:2]), np.minimum(box[2:], other[2:])
    area = np.prod(np.maximum(high - low, 0))
    return float(area / (np.prod(box[2:] - box[:2]) + np.prod(other[2:] - other[:2]) - area))


@pytest.mark.parametrize("after", [[], MOVES], ids=["alone", "before moves"])
def test_labels_of_a_mosaic_lie_on_its_pixels(after):
    steps = [{"op": "letterbox"}, {"op": "horizontal_flip"}, {"op": "mosaic"}, *after]
    stream = over(ListSource(PAINTED), steps, size=[128, 128], shuffle=False)
    batch, tested = stream.batch(), 0
    assert batch["boxes"].shape == (N, 4, 4) and batch["keypoints"].shape == (N, 4, 2)
    for row in range(N):
        indices, mask = partners(stream, row), batch["mask"][row]
        assert batch["box_labels"][row].tolist() == indices
        for tile, index in enumerate(indices):
            if indices.count(index) > 1 or not batch["boxes_valid"][row, tile]:
                continue
            rows, columns = np.nonzero(mask == index + 1)
            hull = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1], float)
            box = batch["boxes"][row, tile].astype(float)
            assert abs(box - hull).max() <= 1.0  # the mask's edge is at most half a pixel from the box's, rounded
            assert iou(box, hull) >= 0.95 or (box[2:] - box[:2]).min() < 24
            tested += 1
            if batch["keypoints_valid"][row, tile]:
                x, y = np.floor(batch["keypoints"][row, tile]).astype(int)
                assert mask[min(y, 127), min(x, 127)] == index + 1
        blocks = ndimage.binary_erosion((mask > 0) & (mask < 255), iterations=2)
        inner = batch["image"][row, ..., 0][blocks]
        assert (abs(inner.astype(int) - (15 * (mask[blocks].astype(int) - 1) + 28)) <= 1).all()
    assert tested > N


def test_a_mask_is_255_exactly_where_there_is_no_tile():
    samples = [Sample(image.image // 2, 0, mask=np.zeros((SIDE, SIDE), np.uint8)) for image in IMAGES]
    steps = [{"op": "mosaic", "center_x": [0, 1], "center_y": [0, 1], "fill": 1.0}]
    batch = over(ListSource(samples), steps, size=[SIDE, SIDE]).batch()
    np.testing.assert_array_equal(batch["mask"] == 255, (batch["image"] == 255).all(axis=3))
    assert (batch["mask"] == 255).any() and (batch["mask"] == 0).any()


def test_what_a_mosaic_does_not_select_is_as_without_it():
    before, after = [{"op": "letterbox"}, {"op": "gamma"}], [*MOVES, {"op": "hue_saturation_value"}]
    fields = {"size": [40, 48], "shuffle": False}
    mixed = over(ListSource(PAINTED), [*before, {"op": "mosaic", "p": 0.5}, *after], **fields)
    batch, plain = mixed.batch(), over(ListSource(PAINTED), [*before, *after], **fields).batch()
    selected = mixed.selected(2)
    assert 0 < selected.sum() < N
    for name in ("image", "mask"):
        np.testing.assert_array_equal(batch[name][~selected], plain[name][~selected])
        assert (batch[name][selected] != plain[name][selected]).any()
    np.testing.assert_array_equal(batch["boxes"][~selected, :1], plain["boxes"][~selected])
    assert not batch["boxes_valid"][~selected, 1:].any() and not batch["keypoints_valid"][~selected, 1:].any()
    assert (batch["tile_weights"][~selected] == [1, 0, 0, 0]).all()


def test_a_mosaic_that_later_moves_shrink_shows_what_is_around_the_canvas():
    steps = [{"op": "mosaic", "center_x": 0.5, "center_y": 0.5}]
    shrink = {"op": "affine", "degrees": 0, "scale": 0.5, "translate_x": 0, "translate_y": 0}
    alone = run(steps, IMAGES, size=[SIDE, SIDE])
    shrunk = run([*steps, shrink], IMAGES, size=[SIDE, SIDE]).images()
    for row in range(N):
        tiles = [IMAGES[index].image.astype(float) for index in partners(alone, row)]
        whole = np.vstack([np.hstack(tiles[:2]), np.hstack(tiles[2:])])
        halves = whole.reshape(SIDE, 2, SIDE, 2, 3).mean(axis=(1, 3))
        assert abs(shrunk[row] - halves).max() <= 1


def test_mosaics_depend_on_their_address_alone():
    steps = [{"op": "random_resized_crop"}, {"op": "mosaic", "p": 0.7}, *MOVES, {"op": "autocontrast"}]
    stream = run(steps, PAINTED, size=[SIDE, SIDE], shuffle=False)
    whole = stream.batch(epoch=5)
    for position in range(N):
        for name, alone in stream.batch(epoch=5, start=position, count=1).items():
            np.testing.assert_array_equal(alone[0], whole[name][position])


def test_last_epochs_without_mosaic():
    stream = run([{"op": "mosaic", "epochs": [[0, 3]]}], IMAGES, size=[SIDE, SIDE])
    plain = run([], IMAGES, size=[SIDE, SIDE]).images(epoch=4)
    np.testing.assert_array_equal(stream.images(epoch=4), plain)
    assert (stream.images(epoch=3) != plain).any()


def test_values_of_16_bits_stay_whole():
    source = ListSource([Sample(np.full((4, 4, 1), level, np.uint16), k) for k, level in enumerate((999, 60001))])
    source.info = replace(source.info, window=(0.0, 65280.0))
    output = {"dtype": "uint16", "layout": "NHWC"}
    batch = over(source, [{"op": "mosaic", "fill": 0.5}], output=output, size=[4, 4]).batch()
    assert set(np.unique(batch["image"])) <= {round(value * 65535 / 65280) for value in (999, 60001, 32640)}


def test_a_mirrored_tile_swaps_its_eyes():
    eyes = np.array([[4.5, 4.5], [9.5, 4.5]], np.float32)
    blank = np.zeros((16, 14, 1), np.uint8)
    samples = [Sample(blank, row, keypoints=eyes, keypoints_valid=np.ones(2, bool)) for row in range(6)]
    source = ListSource(samples)
    source.info = replace(source.info, flip_pairs=((0, 1),))
    for steps in (
        ["horizontal_flip", "mosaic"],
        ["mosaic", "horizontal_flip"],
        ["vertical_flip", "mosaic", "dihedral"],
    ):
        batch = over(source, [{"op": name} for name in steps], size=[16, 14]).batch()
        left, right = batch["keypoints"][:, ::2], batch["keypoints"][:, 1::2]
        both = batch["keypoints_valid"][:, ::2] & batch["keypoints_valid"][:, 1::2]
        assert both.any()
        if "dihedral" not in steps and "vertical_flip" not in steps:  # those turn the eyes upside down
            assert (left[both][:, 0] < right[both][:, 0]).all()


@pytest.mark.parametrize(
    ("steps", "field"),
    [
        ([{"op": "mosaic"}, {"op": "mosaic"}], "pipeline.0.op"),
        ([{"op": "mosaic"}, {"op": "aug_mix"}], "pipeline.0.op"),
        ([{"op": "aug_mix"}, {"op": "mixup"}], "pipeline.0.op"),
        ([{"op": "one_of", "of": [{"op": "mosaic"}, {"op": "aug_mix"}]}, {"op": "mixup"}], "pipeline.0.of.1.op"),
    ],
    ids=str,
)
def test_more_than_one_mix_is_refused(steps, field):
    with pytest.raises(SpecInvalid, match=r" and .* mixes, and a sample is mixed at most once") as refused:
        parse_pipeline(steps)
    assert refused.value.field == field


@pytest.mark.parametrize("op", ["mosaic", "mixup", "aug_mix"])
def test_a_mix_with_several_places_is_refused(op):
    for container in ({"op": "random_order"}, {"op": "some_of", "n": 2, "replace": True}):
        with pytest.raises(SpecInvalid, match=f"{op} has several places in its container") as refused:
            parse_pipeline([{**container, "of": [{"op": op}, {"op": "gamma"}]}])
        assert refused.value.field == "pipeline.0.of.0.op"


def test_one_of_two_mosaics_is_none_too_many():
    small, large = ({"op": "mosaic", "id": name, "center_x": x} for name, x in (("a", 0.3), ("b", 0.7)))
    stream = run([{"op": "one_of", "of": [small, large]}, {"op": "rotation"}], IMAGES, size=[SIDE, SIDE])
    assert (stream.batch()["tile_weights"] < 1).all()


def test_a_mosaic_needs_a_stream_of_one_view():
    with pytest.raises(SpecInvalid, match="views must be 1 with mosaic") as refused:
        run([{"op": "mosaic"}], IMAGES, views=2)
    assert refused.value.field == "views"
    arrays = {"image": np.zeros((2, 8, 8, 3), np.uint8), "index": np.arange(2)}
    with pytest.raises(NeedsDataset, match="from a dataset"):
        Push.of({"pipeline": [{"op": "mosaic"}]}, arrays, executor(), None, lambda steps, ground: "")


@pytest.mark.parametrize("canvas", [(1, 1), (1, 5), (4, 1), (3, 3)])
@pytest.mark.parametrize("end", [0.0, 1.0])
def test_small_canvases_and_both_ends_are_defined(canvas, end):
    step = {"op": "mosaic", "center_x": end, "center_y": end, "partner": end}
    batch = run([step, {"op": "rotation"}], PAINTED, size=list(canvas)).batch()
    np.testing.assert_allclose(batch["tile_weights"].sum(axis=1), 1, atol=1e-6)
    assert (batch["tile_labels"][:, 1:] == (N - 1 if end else 0)).all()
