"""Warps: their displacement against SciPy's splines and interpolation, their inverse, their bounds."""

import numpy as np
import pytest
from scipy import ndimage
from scipy.interpolate import BSpline, RBFInterpolator
from skimage.transform import SimilarityTransform

from augsvc.errors import SpecInvalid
from augsvc.numerics.geometry import Canvas
from augsvc.numerics.lattice import NODE_BITS, STEP_BITS, Lattice, nodes_along
from augsvc.numerics.rng import Address
from augsvc.ops.kinds.image import Warp
from augsvc.ops.pipeline import parse_pipeline
from augsvc.ops.registry import registry
from augsvc.planning.image_plan import Plan
from augsvc.planning.spec import validate_spec
from tests.harness import agree, one, patch, photo, rounded, run

WARPS = sorted(name for name, operation in registry().items() if issubclass(operation, Warp))
EACH = pytest.mark.parametrize("name", WARPS)


def lattice_of(step, height, width, samples=1):
    """What a warp draws for the first samples of a stream that shuffles nothing."""
    plan = Plan.of(parse_pipeline([step]), Canvas(height, width, 3), "cover")
    draws = plan.draw(0, Address(np.arange(samples), 0, 0))
    return plan.operations[0].lattice(draws[0], plan.canvas)


def spline(lattice, points):
    """The displacements (K, 2) of sample 0 at points x y by SciPy's basis functions."""
    degree, weights = (3 if lattice.cubic else 1), []
    for axis, count in ((1, lattice.nodes.shape[1]), (0, lattice.nodes.shape[2])):
        knots = np.arange(count + degree + 1) - (degree + 1) / 2 - 1.0  # node k is centred at k − 1
        position = points[:, axis] * lattice.steps[axis] / 2.0**STEP_BITS
        weights.append(BSpline.design_matrix(position, knots, degree, extrapolate=True).toarray())
    return np.einsum("kr,kc,rcd->kd", *weights, lattice.nodes[0] / 2.0**NODE_BITS)


def centres(height, width):
    rows, columns = np.mgrid[:height, :width] + 0.5
    return np.stack([columns.ravel(), rows.ravel()], axis=-1)


def warped(image, step, mode="nearest"):
    """SciPy's bilinear interpolation in float64 at the displaced centres."""
    height, width = image.shape[:2]
    points = centres(height, width)
    x, y = (points + spline(lattice_of(step, height, width), points)).T - 0.5
    planes = [
        ndimage.map_coordinates(plane, [y, x], order=1, mode=mode) for plane in np.moveaxis(image.astype(float), 2, 0)
    ]
    return rounded(np.stack(planes, axis=-1).reshape(image.shape))


@EACH
@pytest.mark.usefixtures("each_executor")
@pytest.mark.parametrize(("border", "mode"), [("edge", "nearest"), ("reflect", "reflect"), ("reflect101", "mirror")])
def test_a_warp_is_scipy_s_interpolation_at_the_displaced_points(name, border, mode):
    for example in registry()[name].examples:
        step, image = {"op": name, **example, "border": border}, patch("coffee", 90, 120)
        agree(one([step], image), warped(image, step, mode), most=1, mean=0.02)


@EACH
def test_three_ways_to_a_displacement_are_one(name):
    lattice, points = lattice_of({"op": name}, 50, 70, samples=3), centres(50, 70)
    fixed = lattice.at_pixels(50, 70).reshape(3, -1, 2) / 2.0**NODE_BITS
    exact = lattice.displacements(np.broadcast_to(points, (3, *points.shape)))
    assert np.abs(fixed - exact).max() < 2e-3
    np.testing.assert_allclose(exact[0], spline(lattice, points), atol=1e-9)
    assert np.abs(exact).max() > 0.5


@EACH
def test_a_warp_has_an_inverse_for_labels(name):
    lattice = lattice_of({"op": name, "p": 1.0}, 100, 140, samples=64)
    points = np.broadcast_to(centres(100, 140)[::37], (64, len(centres(100, 140)[::37]), 2))
    back = lattice.undo(points)
    distance = np.abs(back + lattice.displacements(back) - points).max(axis=(1, 2))
    assert distance.max() < 0.05, distance.max()


def strongest(name):
    """A warp with all its parameters at one end of their ranges, then at the other."""
    marks = registry()[name].parameters()
    return [{"op": name} | {key: getattr(mark, end) for key, mark in marks.items()} for end in ("low", "high")]


STEEP = [
    {"op": "wave", "amplitude": 0.14, "cycles": 0.5},
    {"op": "grid_distortion", "steps": 16, "stretch_x": [-0.33, 0.33], "stretch_y": [-0.33, 0.33]},
    {"op": "swirl", "degrees": -35, "radius": 1.0},
    {"op": "elastic", "displacement": 0.25, "spacing": 1024.0},
]


@pytest.mark.parametrize("size", [(4096, 4096), (3, 2048), (1, 500)])
@pytest.mark.parametrize("step", STEEP + [step for name in WARPS for step in strongest(name)], ids=str)
def test_a_warp_has_its_inverse_at_its_strongest_on_any_canvas(step, size):
    lattice = lattice_of(step, *size, samples=32)
    looking = np.random.default_rng(0).random((32, 400, 2)) * size[::-1]
    back = lattice.undo(looking + lattice.displacements(looking))
    assert np.abs(back - looking).max() < 0.07


def test_an_inverse_does_not_depend_on_the_other_points():
    lattice = lattice_of({"op": "wave", "amplitude": 0.14, "cycles": 0.5}, 500, 500, samples=4)
    points = np.random.default_rng(0).random((4, 50, 2)) * 500
    together = lattice.undo(points)
    for row in range(4):
        for k in range(0, 50, 7):
            alone = lattice.take(np.array([row])).undo(points[row : row + 1, k : k + 1])
            np.testing.assert_array_equal(alone[0, 0], together[row, k])


@EACH
def test_a_warp_is_a_bijection_at_its_strongest(name):
    for step in strongest(name):
        shift = lattice_of(step, 120, 160, samples=16).at_pixels(120, 160) / 2.0**NODE_BITS
        x, y = shift[..., 0] + np.arange(160), shift[..., 1] + np.arange(120)[:, None]
        area = (
            np.diff(x, axis=2)[:, :-1] * np.diff(y, axis=1)[:, :, :-1]
            - np.diff(x, axis=1)[:, :, :-1] * np.diff(y, axis=2)[:, :-1]
        )
        assert area.min() > 0.0


def test_a_warp_too_strong_is_refused_by_name_when_the_stream_is_created():
    with pytest.raises(
        SpecInvalid, match=r"pipeline\.0\.displacement .*: beyond, the warp is too strong to be a bijection"
    ):
        validate_spec({"dataset": "digits/train", "pipeline": [{"op": "elastic", "displacement": 0.3}]})
    nodes = np.zeros((1, nodes_along(20, 8.0), nodes_along(20, 8.0), 2))
    nodes[0, 2, 2, 0] = 8.1
    with pytest.raises(SpecInvalid, match="the warp is too strong to be a bijection"):
        Lattice.of(nodes, (8.0, 8.0), cubic=True)


def test_elastic_draws_uniform_independent_nodes():
    lattice = lattice_of({"op": "elastic", "displacement": 0.25, "spacing": 8}, 80, 96, samples=40)
    nodes = lattice.nodes / 2.0**NODE_BITS / 2.0  # ± a quarter of 8
    assert np.abs(nodes).max() <= 1.0 and abs(nodes.mean()) < 0.01
    assert nodes.var() == pytest.approx(1 / 3, rel=0.02)
    assert abs((nodes[..., 0] * nodes[..., 1]).mean()) < 0.01
    assert abs((nodes[:, 1:] * nodes[:, :-1]).mean()) < 0.01
    assert (lattice.at_pixels(80, 96) / 2.0**NODE_BITS).std() == pytest.approx(0.28 * 2.0, rel=0.05)


def fractions(height, width):
    """Pixel centres from the centre of the canvas, in fractions of its sides."""
    return np.moveaxis(centres(height, width).reshape(height, width, 2) / (width, height) - 0.5, -1, 0)


def looks_at(step, height, width):
    """Where the pixels of a warp look, as fractions from the centre."""
    shift = lattice_of(step, height, width).at_pixels(height, width)[0] / 2.0**NODE_BITS / (width, height)
    return fractions(height, width) + np.moveaxis(shift, -1, 0)


@pytest.mark.parametrize("k", [0.28, -0.2])
def test_optical_distortion_is_opencv_s_lens(k):
    """distortPoints of k1 = k2 = k: the formula of its documentation."""
    x, y = fractions(60, 90)
    square = x**2 + y**2
    expected = np.stack([x, y]) * (1 + k * square + k * square**2)
    np.testing.assert_allclose(looks_at({"op": "optical_distortion", "k": k}, 60, 90), expected, atol=5e-5)


@pytest.mark.parametrize("angle", [15, 45])
def test_fisheye_is_an_equidistant_lens(angle):
    x, y = fractions(64, 64)
    r, edge = np.hypot(x, y) * np.sqrt(2), np.deg2rad(angle)
    expected = np.stack([x, y]) / r * np.tan(edge * r) / np.tan(edge)
    np.testing.assert_allclose(looks_at({"op": "fisheye", "angle": angle}, 64, 64), expected, atol=1e-4)


@pytest.mark.parametrize("degrees", [35, -20])
def test_swirl_is_a_rotation_by_scikit_image(degrees):
    """skimage.transform.swirl has another law of the angle; the map is a rotation by it, here as its SimilarityTransform."""
    x, y = fractions(80, 80)
    angle = np.deg2rad(degrees) * np.maximum(1 - (x**2 + y**2) / 0.4**2, 0) ** 2
    found = looks_at({"op": "swirl", "degrees": degrees, "radius": 0.4}, 80, 80)
    for row, column in np.random.default_rng(0).integers(0, 80, (60, 2)):
        turn = SimilarityTransform(rotation=angle[row, column])  # with y down a positive rotation is clockwise
        np.testing.assert_allclose(found[:, row, column], turn([x[row, column], y[row, column]])[0], atol=4e-4)
    mark = np.zeros((80, 80, 1), np.uint8)
    mark[38:42, 50:54] = 255  # right of the centre
    rows = np.nonzero(one([{"op": "swirl", "degrees": 35}], mark)[..., 0] > 128)[0]
    assert rows.mean() < 38  # it went up: counter-clockwise


def test_wave_is_its_formula():
    step = {"op": "wave", "amplitude": 0.14, "cycles": 3.3, "phase": 0.1}
    x, y = fractions(120, 90) + 0.5
    expected = np.stack(
        [x + 0.14 / 3.3 * np.sin(2 * np.pi * (3.3 * y + 0.1)), y + 0.14 / 3.3 * np.sin(2 * np.pi * (3.3 * x + 0.1))]
    )
    np.testing.assert_allclose(looks_at(step, 120, 90) + 0.5, expected, atol=0.012 * 0.14 / 3.3 + 2e-5)


def test_grid_distortion_is_numpy_s_interpolation_along_each_axis():
    step = {"op": "grid_distortion", "steps": 4}
    stream = run([step], [patch("coffee", 60, 90)])
    draw = stream.stream.plan.draw(0, Address(np.arange(1), 0, 0))[0]
    found = looks_at(step, 60, 90) + 0.5
    for axis, name, side in ((0, "stretch_x", 90), (1, "stretch_y", 60)):
        lengths = 1.0 + draw.value(name)[0, :4]
        lines = np.concatenate(([0.0], np.cumsum(lengths))) / lengths.sum()
        expected = np.interp((np.arange(side) + 0.5) / side, np.linspace(0, 1, 5), lines)
        np.testing.assert_allclose(found[axis].mean(axis=axis), expected, atol=2e-5)
        assert np.ptp(found[axis], axis=axis).max() < 1e-4  # the other axis does not matter


def test_thin_plate_spline_is_scipy_s():
    step = {"op": "thin_plate_spline", "displacement": 0.085}
    draw = Plan.of(parse_pipeline([step]), Canvas(64, 96, 3), "cover").draw(0, Address(np.arange(1), 0, 0))[0]
    controls = np.array([[column / 2, row / 2] for row in range(3) for column in range(3)])
    shifts = 0.085 * np.stack([draw.value("x")[0], draw.value("y")[0]], axis=-1)
    reference = RBFInterpolator(controls, shifts, kernel="thin_plate_spline", degree=1)
    points = centres(64, 96) / (96, 64)
    expected = (points + reference(points)).reshape(64, 96, 2)
    difference = np.abs(np.moveaxis(looks_at(step, 64, 96) + 0.5, 0, -1) - expected)
    assert difference.max() < 1e-3 and difference.mean() < 5e-5  # r² · ln r has no second derivative at a control point


def test_a_second_warp_opens_a_pass_and_so_does_a_move_after_one():
    def passes(*names):
        return [
            [*row] for row in Plan.of(parse_pipeline([{"op": n} for n in names]), Canvas(9, 9, 3), "cover").describe()
        ]

    assert passes("rotation", "elastic", "gamma") == [["move", "warp", "tone"]]
    assert passes("elastic", "elastic") == [["move", "warp"], ["warp"]]
    assert passes("elastic", "rotation") == [["move", "warp"], ["move"]]


@pytest.mark.usefixtures("each_executor")
def test_a_warp_behind_a_move_is_as_one_behind_an_image_that_was_moved():
    image = photo("coffee")[:96, :128]
    turned = [{"op": "rotation", "degrees": 90, "border": "edge"}, {"op": "elastic", "border": "edge"}]
    square = image[:96, :96]
    agree(one(turned, square), one(turned[1:], np.rot90(square)), most=1, mean=1e-3)


@pytest.mark.usefixtures("each_executor")
def test_only_selected_samples_are_warped():
    images = [patch("chelsea", 40, 50, left=left) for left in range(20, 60)]
    stream = run([{"op": "elastic", "p": 0.5, "displacement": 0.25}], images)
    plain, selected = run([], images).images(), stream.selected()
    assert 8 < selected.sum() < 32
    assert ((stream.images() != plain).any(axis=(1, 2, 3)) == selected).all()
