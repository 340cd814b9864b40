"""Frames: from the source to the canvas, against slicing, Pillow and a loop of the law that torchvision documents."""

from itertools import pairwise
from typing import Literal

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import binary_erosion
from scipy.stats import ks_2samp

from augsvc.arrays import Sample
from augsvc.errors import SpecInvalid
from augsvc.numerics.geometry import Canvas, affine
from augsvc.numerics.rng import Address
from augsvc.ops.drawing import draw_operations
from augsvc.ops.kinds.image import Frame, Sources
from augsvc.ops.pipeline import parse_pipeline
from augsvc.ops.registry import registry
from augsvc.planning.spec import validate_spec
from augsvc.streams.stream import Stream
from tests.harness import ListSource, Run, agree, executor, grey, one, patch, photo, plain, psnr, rounded, run, using

pytestmark = pytest.mark.usefixtures("each_executor")
FRAMES = [name for name, operation in registry().items() if issubclass(operation, Frame)]
PADDED = [name for name in FRAMES if "fill" in registry()[name].model_fields]
NUMPY_MODES = {"constant": "constant", "reflect": "symmetric", "edge": "edge"}  # ours: NumPy's
BILINEAR = {"most": 1, "mean": 0.25}  # Pillow rounds between rows and columns
NOTHING = 255  # of a mask


def draw_crops(size, samples, **fields):
    """Corner (y, x) and size (H, W) of the crops of equal sources: (N, 4) of top, left, height, width."""
    pipeline = parse_pipeline([{"op": "random_resized_crop", **fields}])
    draw = draw_operations(pipeline, [77], 5, Address(np.arange(samples), 0, 0))[0]
    matrix = pipeline[0].matrix(draw, Sources(np.tile(np.array(size), (samples, 1))), Canvas(100, 100, 3))
    scale = matrix[:, [1, 0], [1, 0]]
    return np.round(np.concatenate((-matrix[:, [1, 0], 2] / scale, 100 / scale), axis=1), 6)


def documented_crop(height, width, scale, ratio, random):
    """Ten trials, one after the other, then the centre: torchvision's RandomResizedCrop.get_params in other words."""
    for _ in range(10):
        area = height * width * random.uniform(*scale)
        aspect = np.exp(random.uniform(*np.log(ratio)))
        w, h = round(np.sqrt(area * aspect)), round(np.sqrt(area / aspect))
        if 0 < w <= width and 0 < h <= height:
            return random.integers(height - h + 1), random.integers(width - w + 1), h, w
    if width / height < min(ratio):
        w, h = width, round(width / min(ratio))
    elif width / height > max(ratio):
        w, h = round(height * max(ratio)), height
    else:
        w, h = width, height
    return (height - h) // 2, (width - w) // 2, h, w


LAWS = [
    ((375, 500), (0.08, 1.0), (0.75, 4 / 3)),
    ((64, 64), (0.5, 1.0), (0.75, 4 / 3)),
    ((40, 300), (0.08, 1.0), (0.75, 4 / 3)),  # most trials do not fit
    ((300, 30), (0.6, 1.0), (0.75, 4 / 3)),  # none does
    ((5, 7), (0.01, 0.3), (0.5, 2.0)),  # some trials have no pixel
]


@pytest.mark.parametrize(("size", "scale", "ratio"), LAWS)
def test_a_random_resized_crop_has_the_documented_law(size, scale, ratio):
    random = np.random.default_rng(1)
    expected = np.array([documented_crop(*size, scale, ratio, random) for _ in range(4000)])
    crops = draw_crops(size, 4000, scale=scale, ratio=ratio)
    for drawn, documented in zip(crops.T, expected.T, strict=True):
        assert ks_2samp(drawn, documented).pvalue > 1e-3
    top, left, height, width = crops.T
    assert (crops == np.round(crops)).all() and (crops[:, 2:] >= 1).all()
    assert (
        (top >= 0).all() and (left >= 0).all() and (top + height <= size[0]).all() and (left + width <= size[1]).all()
    )


def test_a_random_resized_crop_sees_the_outer_quarter_of_the_source():
    """On a canvas of another shape than the source's: a crop of what the fit had cut off would never show it."""
    _, columns = np.mgrid[:200, :400]
    image = (columns // 2).astype(np.uint8)[..., None]
    shown = run([{"op": "random_resized_crop"}], [image] * 400, size=[8, 8]).images()
    assert shown.min() < 5 and shown.max() > 194


def crop_of(draws, size):
    """The crop that a receipt's draws stand for."""
    for area, ratio in zip(draws["scale"], draws["ratio"], strict=True):
        height, width = (round(np.sqrt(area * size[0] * size[1] * factor)) for factor in (1 / ratio, ratio))
        if 0 < height <= size[0] and 0 < width <= size[1]:
            top, left = ((s - side + 1) * draws[f"place_{axis}"] for s, side, axis in
                         zip(size, (height, width), "yx", strict=True))  # fmt: skip
            return int(top), int(left), height, width
    raise AssertionError("no trial fits")


def test_an_enlarged_crop_is_pillows_box():
    images = [patch("chelsea", 60, 90, top=8 * k) for k in range(24)]
    stream = run([{"op": "random_resized_crop"}], images, size=[96, 96], aug_seed=5)
    for position, shown in enumerate(stream.images()):
        top, left, height, width = crop_of(stream.draws(position), (60, 90))
        box = (left, top, left + width, top + height)
        expected = Image.fromarray(images[position]).resize((96, 96), Image.Resampling.BILINEAR, box=box)
        agree(shown, np.asarray(expected), **BILINEAR)


def test_a_shrunk_crop_averages_areas():
    image = photo("astronaut")  # 512 × 512 on a canvas of 32
    stream = run([{"op": "random_resized_crop", "scale": [0.3, 1.0]}], [image] * 16, size=[32, 32])
    for position, shown in enumerate(stream.images()):
        top, left, height, width = crop_of(stream.draws(position), (512, 512))
        box = (left, top, left + width, top + height)
        expected = Image.fromarray(image).resize((32, 32), Image.Resampling.BOX, box=box)
        assert psnr(shown, np.asarray(expected)) >= 36  # a box takes or leaves whole pixels at its ends
    fine = np.tile(np.array([[0, 255], [255, 0]], np.uint8), (256, 256))[..., None]
    aliased = one([{"op": "random_resized_crop", "scale": [0.9, 1.0]}], fine, size=[32, 32])
    assert np.ptp(aliased.astype(int)) <= 16


@pytest.mark.parametrize("border", NUMPY_MODES)
@pytest.mark.parametrize(("size", "padding"), [((32, 32), 4), ((20, 50), 0), ((9, 5), 3), ((33, 200), 40)])
def test_a_random_crop_is_slicing(size, padding, border):
    images = [patch("coffee", *size, top=7 * k, left=0) for k in range(12)]
    step = {"op": "random_crop", "padding": padding, "border": border}
    stream = run([step], images, size=[24, 28], aug_seed=3)
    for position, shown in enumerate(stream.images()):
        draws, image, corner = stream.draws(position), images[position], []
        for side, canvas, axis in zip(size, (24, 28), "yx", strict=True):
            spare = side + 2 * padding - canvas
            offset = int(draws[f"place_{axis}"] * (abs(spare) + 1))
            corner.append(100 + (offset if spare > 0 else -offset) - padding)
        wide = np.pad(image, ((100, 100), (100, 100), (0, 0)), mode=NUMPY_MODES[border])
        np.testing.assert_array_equal(shown, wide[corner[0] : corner[0] + 24, corner[1] : corner[1] + 28])


def test_a_random_crop_reaches_every_offset_equally_often():
    _, columns = np.mgrid[:4, :12]
    image = (1 + columns).astype(np.uint8)[..., None]
    first = run([{"op": "random_crop", "padding": 1}], [image] * 2000, size=[4, 8]).images()[:, 1, 0, 0]
    values, counts = np.unique(first, return_counts=True)
    assert values.tolist() == [0, 1, 2, 3, 4, 5, 6]  # from the padding on
    assert abs(counts - 2000 / 7).max() < 4 * np.sqrt(2000 / 7)


def centred(image, size):
    """Pads what is too small, then crops: with Python's rounding, as torchvision."""
    for axis, wanted in enumerate(size):
        spare = wanted - image.shape[axis]
        before = [(0, 0)] * 3
        before[axis] = (max(spare, 0) // 2, (max(spare, 0) + 1) // 2)
        image = np.pad(image, before)
        first = round((image.shape[axis] - wanted) / 2)
        image = np.take(image, range(first, first + wanted), axis)
    return image


@pytest.mark.parametrize("size", [(32, 32), (31, 45), (17, 80), (8, 9), (33, 28)])
def test_a_centre_crop_is_slicing(size):
    image = patch("coffee", *size)
    for canvas in ((24, 28), (9, 30), (31, 31)):
        np.testing.assert_array_equal(one([{"op": "center_crop"}], image, size=list(canvas)), centred(image, canvas))


@pytest.mark.parametrize("side", ["shortest", "longest"])
@pytest.mark.parametrize("size", [(40, 61), (61, 40), (30, 30)])
def test_a_resize_is_pillows_and_its_middle_is_shown(size, side):
    image, pixels = patch("coffee", *size), 77
    other = int(pixels * max(size) / min(size)) if side == "shortest" else int(pixels * min(size) / max(size))
    height, width = (pixels, other) if (size[0] < size[1]) == (side == "shortest") else (other, pixels)
    resized = np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR))
    shown = one([{"op": "resize", "side": side, "pixels": pixels}], image, size=[64, 72])
    agree(shown, centred(resized, (64, 72)), **BILINEAR)


def test_the_evaluation_of_imagenet_resizes_to_256_and_crops_the_middle_224():
    image = photo("coffee")  # 400 × 600
    resized = np.asarray(Image.fromarray(image).resize((384, 256), Image.Resampling.BOX))
    shown = one([{"op": "resize", "pixels": 256}], image, size=[224, 224])
    assert psnr(shown, resized[16:240, 80:304]) >= 30  # Pillow's box has one or two pixels, ours the area of 1.56
    exact = rounded(image[:300, :300].reshape(150, 2, 150, 2, 3).mean(axis=(1, 3)))  # halves upwards
    agree(
        one([{"op": "resize", "pixels": 150}], image[:300, :300], size=[112, 112]),
        exact[19:131, 19:131],
        most=1,
        mean=0.06,
    )


@pytest.mark.parametrize("size", [(40, 61), (61, 40), (128, 128), (20, 100)])
def test_a_letterbox_shows_everything_between_bars(size):
    image = patch("chelsea", *size, top=0, left=0)
    scale = min(96 / size[0], 128 / size[1])
    height, width = (round(side * scale) for side in size)
    resized = np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR))
    expected = plain(114, 96, 128)
    top, left = (96 - height) // 2, (128 - width) // 2
    expected[top : top + height, left : left + width] = resized
    shown = one([{"op": "letterbox"}], image, size=[96, 128])
    bars = np.ones((96, 128), bool)
    bars[top : top + height, left : left + width] = False
    np.testing.assert_array_equal(shown[bars], expected[bars])
    if scale >= 1:
        agree(shown, expected, **BILINEAR)


@pytest.mark.parametrize("op", [op for op in PADDED if op != "crop_and_pad"])  # which stretches
def test_a_fill_is_a_level_or_a_colour_and_grey_is_its_luma(op):
    whole = {  # the source at 1:1
        "resize": {"pixels": 10},
        "shortest_side": {"pixels": [10]},
        "scale_jitter": {"scale": 1},
        "mask_crop": {"scale": 1},
        "zoom_out": {"side": 1, "shape": "keep"},
        "instance_crop": {"padding": 2, "shift": 0, "scale": 1, "degrees": 0},
    }
    image, step = plain(255, 10, 10), {"op": op, "fill": [1.0, 0.4, 0.0]} | whole.get(op, {})
    size = [10, 30]
    shown = one([step], image, size=size)
    assert set(map(tuple, shown.reshape(-1, 3).tolist())) == {(255, 255, 255), (255, 102, 0)}
    shown = one([step], grey(image) * 0, size=size, channels=1)
    assert set(shown.ravel().tolist()) == {0, round(0.299 * 255 + 0.587 * 102)}
    shown = one([{**step, "fill": 0.2}], grey(image), size=size)
    assert set(shown.ravel().tolist()) == {51, 255}


def test_a_fill_covers_the_rest_of_a_pixel_at_the_edge():
    """A white source between two pixels, by a turn that shares the frame's padding: black, and half a pixel."""
    turned = one([{"op": "center_crop"}, {"op": "rotation", "degrees": 45}], plain(255, 16, 16), size=[32, 32])
    assert {0, 255} < set(turned.ravel().tolist())
    bars = one([{"op": "letterbox"}, {"op": "rotation", "degrees": 30}], plain(255, 16, 8), size=[32, 32])
    assert bars[16, 16, 0] == 255 and bars[16, 4, 0] == 114 and bars[0, 0, 0] == 0  # a second pass: its own zeros


@pytest.mark.parametrize("op", FRAMES)
def test_what_p_does_not_select_is_fitted(op):
    images = [patch("coffee", 20 + k, 34) for k in range(40)]
    for fit in ("cover", "contain", "stretch"):
        if op == "letterbox" and fit == "contain":
            continue  # refused: see below
        fields = {"size": [16, 30], "fit": fit, "aug_seed": 2}
        stream = run([{"op": op, "p": 0.5}], images, **fields)
        selected, shown = stream.selected(), stream.images()
        assert 5 < selected.sum() < 35
        np.testing.assert_array_equal(shown[selected], run([{"op": op}], images, **fields).images()[selected])
        np.testing.assert_array_equal(shown[~selected], run([], images, **fields).images()[~selected])


CONTAIN = {"size": [32, 32], "fit": "contain", "aug_seed": 2}


@pytest.mark.parametrize("p", [0.0, 0.5])
@pytest.mark.parametrize("op", PADDED)
def test_bars_that_a_frame_has_otherwise_than_fit_contain_are_refused(op, p):
    images = [plain(200, 20, 40)]
    borders = [{"border": "reflect"}, {"border": "edge"}, {"fill": 0.2}, {"fill": [0.0, 0.0, 0.1]}]
    for border in [*borders, {}] if op == "letterbox" else borders:
        with pytest.raises(SpecInvalid, match=f"{op}.*contain.*apply it to all") as refused:
            run([{"op": op, "p": p, **border}], images, **CONTAIN)
        assert refused.value.field == "pipeline.0.p"
        run([{"op": op, "p": p, **border}], images, **{**CONTAIN, "fit": "cover"})
        run([{"op": op, **border}], images, **CONTAIN)


@pytest.mark.parametrize("p", [0.0, 0.5])
@pytest.mark.parametrize("op", PADDED)
def test_fit_contain_has_its_own_bars_around_samples_that_a_frame_does_not_select(op, p):
    images = [plain(200, 20, 40)] * 20
    step = {"op": op, "p": p, "border": "constant", "fill": 0}
    stream = run([step], images, **CONTAIN)
    shown, selected = stream.images(), stream.selected()
    assert (p == 0) == (not selected.any())
    np.testing.assert_array_equal(shown[~selected], run([], images, **CONTAIN).images()[~selected])


@pytest.mark.parametrize("op", FRAMES)
def test_a_frame_that_is_not_the_first_operation_is_refused_by_name(op):
    for before in (*FRAMES, "horizontal_flip", "gamma"):
        with pytest.raises(
            SpecInvalid, match=f"pipeline.1.op: {op} is a frame.* at most one frame, as its first"
        ) as refused:
            parse_pipeline([{"op": before}, {"op": op, "id": "second"}])
        assert refused.value.field == "pipeline.1.op"


BAD = [
    ({"op": "random_crop", "padding": -1}, "padding"),
    ({"op": "random_crop", "padding": 1.5}, "padding"),
    ({"op": "random_crop", "border": "zeros"}, "border"),
    ({"op": "letterbox", "fill": 1.5}, "fill"),
    ({"op": "letterbox", "fill": [0.5, 0.5]}, "fill"),
    ({"op": "letterbox", "fill": "grey"}, "fill"),
    ({"op": "letterbox", "fill": [0.5, 0.5, float("nan")]}, "fill"),
    ({"op": "resize", "pixels": 0}, "pixels"),
    ({"op": "resize", "pixels": 1 << 20}, "pixels"),
    ({"op": "resize", "side": "height"}, "side"),
    ({"op": "random_resized_crop", "scale": 0}, "scale"),
    ({"op": "random_resized_crop", "ratio": [2, 1]}, "ratio"),
    ({"op": "random_resized_crop", "fill": 0.5}, "fill"),
]


@pytest.mark.parametrize(("step", "field"), BAD, ids=str)
def test_a_wrong_field_is_refused_by_name(step, field):
    with pytest.raises(SpecInvalid) as refused:
        parse_pipeline([step])
    assert refused.value.field.startswith(f"pipeline.0.{field}")


LINES = [(1, 1), (1, 16384), (16384, 1), (1, 9), (9, 1), (2, 3000), (16384, 2)]


@pytest.mark.parametrize("op", FRAMES)
def test_points_and_lines_are_defined_alone_and_together_and_by_both_executors(op, each_executor):
    random = np.random.default_rng(0)
    samples = [
        Sample(
            random.integers(0, 256, (*size, 3), np.uint8),
            0,
            mask=np.ones(size, np.uint8),
            boxes=np.array([[0, 0, size[1], size[0]]], np.float32),
            box_labels=np.zeros(1, int),
            boxes_valid=np.ones(1, bool),
            keypoints=np.array([[size[1] / 2, size[0] / 2]], np.float32),
            keypoints_valid=np.ones(1, bool),
        )
        for size in LINES
    ]
    for canvas in ((1, 1), (6, 1), (12, 16)):
        stream = run([{"op": op}], samples, size=list(canvas), aug_seed=9)
        together = stream.batch()
        for position in range(len(LINES)):
            for name, alone in stream.batch(start=position, count=1).items():
                np.testing.assert_array_equal(alone[0], together[name][position])
        if each_executor == "fused":
            continue
        with using("fused"):
            fused, kornia = run([{"op": op}], samples, size=list(canvas), aug_seed=9).batch(), together
        agree(fused.pop("image"), kornia.pop("image"), most=1, mean=0.5)
        for name in fused:
            np.testing.assert_array_equal(fused[name], kornia[name])
        held = fused["boxes_valid"][:, 0]
        assert np.isfinite(fused["boxes"]).all() and (fused["boxes"][held][..., 2:] <= canvas[::-1]).all()


def scene():
    """A grey square with its mask, box and keypoint, off the centre of a wide source."""
    mask = np.zeros((60, 100), np.uint8)
    mask[20:44, 30:54] = 1
    return Sample(
        np.where(mask, 200, 40).astype(np.uint8)[..., None],
        0,
        mask=mask,
        boxes=np.array([[30, 20, 54, 44]], np.float32),
        box_labels=np.zeros(1, int),
        boxes_valid=np.ones(1, bool),
        keypoints=np.array([[42, 32]], np.float32),
        keypoints_valid=np.ones(1, bool),
    )


@pytest.mark.parametrize("op", FRAMES)
def test_labels_follow_a_frame(op):
    fields = {
        "random_crop": {"padding": 20, "fill": 0.95},
        "resize": {"pixels": 50},
        "shortest_side": {"pixels": [40, 50, 60]},
        "scale_jitter": {"scale": [0.8, 2.0]},
        "zoom_out": {"side": [1, 2]},
        "crop_and_pad": {"percent": [-0.3, 0.3]},
        "instance_crop": {"degrees": [-10, 10], "padding": 2},
    }
    step = {"op": op} | fields.get(op, {})
    batch = run([step], [scene()] * 60, size=[48, 64], aug_seed=1).batch()
    compared = 0
    for image, mask, box, whole, point, held in zip(
        batch["image"][..., 0], batch["mask"], batch["boxes"][:, 0], batch["boxes_valid"][:, 0],
        batch["keypoints"][:, 0], batch["keypoints_valid"][:, 0], strict=True,
    ):  # fmt: skip
        shown = (image > 120) & (image < 215)
        if "fill" in registry()[op].model_fields:
            fill = {"random_crop": 242, "letterbox": 114}.get(op, 0)
            bars = mask == NOTHING
            if op in ("zoom_out", "instance_crop", "crop_and_pad"):  # its edges are not whole pixels
                assert (image[binary_erosion(bars, np.ones((3, 3)), border_value=1)] == fill).all()
                assert (image[binary_erosion(~bars, np.ones((3, 3)), border_value=1)] != fill).all()
            else:
                assert (bars == (image == fill)).all()
        else:
            assert not (mask == NOTHING).any()
        if not shown.any():
            continue
        assert (shown & (mask == 1)).sum() / (shown | (mask == 1)).sum() >= 0.9
        if whole:
            rows, columns = np.flatnonzero((mask == 1).any(axis=1)), np.flatnonzero((mask == 1).any(axis=0))
            hull = [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]
            np.testing.assert_allclose(box, hull, atol=1)
            compared += 1
        if held:
            assert mask[min(int(point[1]), 47), min(int(point[0]), 63)] == 1
    assert compared > 10


class Turned(Frame):
    """A quarter turn of a square source, counter-clockwise, by an operator's own frame: no entry of its scale is positive."""

    op: Literal["turned"] = "turned"

    def matrix(self, draw, sources, canvas):
        side = canvas.width / sources.sizes[:, 0]
        return affine(side * 0, side, side * 0, -side, side * 0, side * sources.sizes[:, 1])


def test_a_frame_may_turn_the_source():
    image = patch("coffee", 24, 24)
    spec = {"dataset": "list", "pipeline": [{"op": "turned"}], "size": [24, 24], "output": {"layout": "NHWC"}}
    known = {**registry(), "turned": Turned}
    stream = Stream.open(validate_spec(spec, known), ListSource([Sample(image, 0)]), executor())
    np.testing.assert_array_equal(Run(stream).images()[0], np.rot90(image))


def test_a_crop_and_a_flip_are_one_pass():
    steps = [{"op": "random_resized_crop"}, {"op": "horizontal_flip"}, {"op": "rotation", "border": "reflect"}]
    passes = run(steps, [patch("coffee", 20, 20)], fit="contain").stream.plan.describe()
    assert passes == [{"frame": ["random_resized_crop"], "move": ["horizontal_flip"]}, {"move": ["rotation"]}]
    flipped = [{"op": "random_crop", "padding": 4}, {"op": "horizontal_flip", "p": 1.0}]
    images = [patch("coffee", 32, 32, top=k) for k in range(8)]
    pairs = [run(steps, images).images() for steps in (flipped[:1], flipped)]
    np.testing.assert_array_equal(pairs[1], pairs[0][:, :, ::-1])
    assert len(run(flipped, images).stream.plan.passes) == 1


def test_a_trial_more_leaves_the_draws_of_other_parameters():
    """Ten words a parameter: neighbours in the counter, none of them shared."""
    pipeline = parse_pipeline([{"op": "random_resized_crop"}])
    draw = draw_operations(pipeline, [9], 1, Address(np.arange(50), 0, 0))[0]
    words = np.concatenate(list(draw.words.values()), axis=1)
    assert words.shape == (50, 10 + 10 + 1 + 1)
    assert len(np.unique(words)) == words.size
    marks = sorted(pipeline[0].parameters().values(), key=lambda mark: mark.lane)
    assert all(first.lanes.stop <= second.lanes.start for first, second in pairwise(marks))


@pytest.mark.parametrize("selection", [{"p": 0.5}, {"views": [1]}, {"epochs": [0]}], ids=str)
def test_a_border_that_changes_the_edges_of_the_fit_is_refused_for_some_samples(selection):
    step = {"op": "random_crop", "border": "reflect101"}
    with pytest.raises(SpecInvalid, match=r"would change the edges.*apply it to all") as refused:
        run([{**step, **selection}], [patch("coffee", 20, 20)])
    assert refused.value.field == f"pipeline.0.{next(iter(selection))}"
    run([step], [patch("coffee", 20, 20)])


def test_a_move_that_reflects_without_the_edge_leaves_the_fit_alone():
    passes = run([{"op": "rotation", "border": "reflect101"}], [patch("coffee", 20, 20)]).stream.plan.describe()
    assert passes == [{"move": ["fit:cover"]}, {"move": ["rotation"]}]
