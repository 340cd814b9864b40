"""CUDA's grid gives the CPU's bits: seen on Numba's simulator; and what its kernels compile to, without a GPU."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numba import njit

from augsvc.executors.fused.kernels import edges
from augsvc.executors.fused.kernels.args import CONSTANT, ONE
from augsvc.executors.fused.kernels.camera import is_beyond_horizon, position_at, read_mapping
from augsvc.executors.fused.lower_image import lower_move
from augsvc.numerics.geometry import Camera, Canvas
from augsvc.planning.image_plan import Plan
from tests.executors.grid_cases import CASES, END_CASES, MASK_CASES, masks, render_images
from tests.executors.sound_cases import SOUND_CASES, SOUND_END_CASES, clips
from tests.harness import open_cpu

ROOT = Path(__file__).parent.parent.parent


def simulate(results, *arguments):
    """What tests/executors/simulated.py found, in a separate process. Its functions are not optimised: half of the time."""
    variables = os.environ | {"NUMBA_ENABLE_CUDASIM": "1", "NUMBA_OPT": "0"}
    done = subprocess.run(
        [sys.executable, "-m", "tests.executors.simulated", results, *arguments],
        cwd=ROOT, env=variables, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    with np.load(results) as found:
        return dict(found)


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    return simulate(tmp_path_factory.mktemp("simulator") / "results.npz")


@pytest.fixture(scope="module")
def simulated_ends(tmp_path_factory):
    return simulate(tmp_path_factory.mktemp("simulator") / "results.npz", "ends")


def launches(simulated, name):
    return simulated["launches of " + name].tolist()


def assert_equal_pixels(pixels, fields):
    expected = render_images(fields, open_cpu("fused"))
    assert pixels.shape == expected.shape
    different = np.argwhere(pixels != expected)
    assert not len(different), f"{len(different)} of {expected.size} differ, first {different[:5].tolist()}"


def assert_equal_clips(found, pipeline):
    expected = clips(pipeline, open_cpu("fused"))
    assert np.isfinite(expected).all()
    assert found.tobytes() == expected.tobytes()


@pytest.mark.parametrize("name", CASES)
def test_the_grid_gives_the_bits_of_the_cpu(simulated, name):
    assert_equal_pixels(simulated[name], CASES[name])


@pytest.mark.slow
@pytest.mark.parametrize("name", END_CASES)
def test_the_grid_gives_the_bits_of_the_cpu_in_grey_and_at_the_ends_of_each_operation(simulated_ends, name):
    assert_equal_pixels(simulated_ends[name], END_CASES[name])


@pytest.mark.parametrize("name", MASK_CASES)
def test_the_grid_gives_the_bits_of_the_cpu_for_masks_in_one_launch(simulated, name):
    expected = masks(MASK_CASES[name], open_cpu("fused"))
    assert len(np.unique(expected)) > 4
    np.testing.assert_array_equal(simulated["mask: " + name], expected)
    assert launches(simulated, "mask: " + name) == ["move_warped_masks" if "warped" in name else "move_masks"]


@pytest.mark.parametrize("name", SOUND_CASES)
def test_the_grid_gives_the_bits_of_the_cpu_for_sound(simulated, name):
    assert_equal_clips(simulated["sound: " + name], SOUND_CASES[name])


@pytest.mark.slow
@pytest.mark.parametrize("name", SOUND_END_CASES)
def test_the_grid_gives_the_bits_of_the_cpu_for_sound_at_the_ends_of_each_operation(simulated_ends, name):
    assert_equal_clips(simulated_ends["sound: " + name], SOUND_END_CASES[name])


def test_sound_is_one_launch_for_moves_and_tones_and_two_for_a_noise(simulated):
    assert launches(simulated, "sound: none") == []
    assert launches(simulated, "sound: preset") == ["shape_clips", "measure_levels", "add_noise"]
    noise = ["shape_clips", "measure_levels", "add_noise"]
    assert launches(simulated, "sound: several passes") == [*noise, *noise, *noise, "shape_clips", "shape_clips"]
    assert launches(simulated, "sound: noise that no sample takes") == ["shape_clips"]


def test_clips_that_do_not_fit_are_halved(simulated):
    expected = clips(SOUND_CASES["distortion"], open_cpu("fused"))
    assert simulated["sound, little memory"].tobytes() == expected.tobytes()
    assert simulated["sound, released"] == 1


def test_a_pass_is_one_launch_and_three_with_a_filter(simulated):
    assert launches(simulated, "several noises and rectangles") == ["draw"]
    assert launches(simulated, "tones after tones") == ["draw"]
    assert launches(simulated, "edge, warped") == ["draw_warped"]
    assert launches(simulated, "noises after a filter") == ["draw", "filter_rows", "filter_columns"]
    assert launches(simulated, "motion_blur, high") == ["draw", "filter_columns"]
    assert launches(simulated, "only filters that no sample takes") == ["draw"]


@pytest.mark.parametrize("when", ["late", "soon"])
@pytest.mark.parametrize("name", ["in two passes, after statistics", "a dense filter among others"])
def test_chunks_in_flight_do_not_disturb_each_other(simulated, name, when):
    assert simulated[f"{name}, {when}"].tobytes() == render_images(CASES[name], open_cpu("fused")).tobytes()
    expected = masks(MASK_CASES["cover, masks"], open_cpu("fused"))
    assert simulated[f"masks, {when}"].tobytes() == expected.tobytes()


def test_a_chunk_that_does_not_fit_is_halved(simulated):
    expected = render_images(CASES["statistics"], open_cpu("fused"))
    assert simulated["little memory"].tobytes() == expected.tobytes()
    assert simulated["released"] == 1, "three samples, then one by one"


@pytest.mark.parametrize("time", ["first", "again"])
def test_images_sound_and_masks_share_a_lane(simulated, time):
    cpu = open_cpu("fused")
    assert simulated[f"images {time}"].tobytes() == render_images(CASES["an opaque operation last"], cpu).tobytes()
    assert simulated[f"sound {time}"].tobytes() == clips(SOUND_CASES["several passes"], cpu, count=1).tobytes()
    assert simulated[f"masks {time}"].tobytes() == masks(MASK_CASES["cover, masks"], cpu).tobytes()


def test_without_memory_for_one_sample_it_is_refused_and_lives(simulated):
    assert simulated["refused"] == "device_out_of_memory"
    expected = render_images(CASES["statistics"], open_cpu("fused"))
    assert simulated["memory again"].tobytes() == expected.tobytes()


@pytest.mark.parametrize("case", ["fits", "does not fit", "no memory"])
def test_images_that_stay_on_the_device_are_the_same(simulated, case):
    expected = render_images(CASES["standard, 3, NCHW"], open_cpu("fused")).tobytes()
    assert simulated[f"{case}, first"].tobytes() == simulated[f"{case}, again"].tobytes() == expected


def test_images_that_fit_are_sent_once(simulated):
    assert simulated["fits, cached first"] == simulated["fits, cached again"] == 135 + 2520 + 35_100
    for case in ("does not fit, cached again", "no memory, cached again"):
        assert simulated[case] == 0, case


def test_grey_and_colour_of_the_same_sources_are_cached_separately(simulated):
    expected = render_images(CASES["statistics"], open_cpu("fused")).tobytes()
    assert simulated["grey, first"].tobytes() == simulated["grey, again"].tobytes() == expected
    assert simulated["grey, cached first"] == simulated["grey, cached again"] == 45 + 840 + 11_700
    assert simulated["grey, cached in colour"] == 12_585 + 37_755


@njit
def compare_coverage(cameras, height, width):
    """Pixels that lie wholly on their source; and those for which the short way gives another fraction than the edges do."""
    whole, different = 0, 0
    for n in range(len(cameras)):
        mapping = read_mapping(cameras[n])
        for v in range(height):
            for u in range(width):
                corner = position_at(mapping, u, v)
                if mapping.has_perspective and is_beyond_horizon(mapping, corner):
                    continue
                expected = edges._coverage(cameras[n], mapping, corner)
                whole += expected == ONE
                different += expected != edges.visible_fraction(cameras[n], CONSTANT, corner)
    return whole, different


def test_the_short_way_to_a_whole_pixel_gives_its_coverage():
    numbers = np.random.default_rng(1)
    n, canvas = 500, Canvas(40, 48, 3, None)
    angle, scale = numbers.uniform(-np.pi, np.pi, n), np.exp(numbers.uniform(-6, 3, n))
    turned = np.stack([np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)], axis=-1).reshape(n, 2, 2)
    forward = np.tile(np.eye(3), (n, 1, 1))
    forward[:, :2, :2] = turned * scale[:, None, None] * numbers.uniform(0.5, 1, (n, 1, 2))
    forward[::3, 2, :2] = numbers.uniform(-0.01, 0.01, (len(forward[::3]), 2))
    forward[:, :2, 2] = np.array([24.0, 20.0]) - (forward[:, :2, :2] @ numbers.uniform(0, 60, (n, 2, 1)))[:, :, 0]
    sources = [np.zeros((h, w, 3), np.uint8) for h, w in numbers.integers(1, 200, (n, 2)).tolist()]
    part = Plan.of((), canvas, "cover").passes[0]
    camera = Camera.of(forward, canvas, [source.shape[:2] for source in sources])
    whole, different = compare_coverage(lower_move(camera, part, canvas, sources).cameras, 40, 48)
    assert different == 0 and whole > 50_000
