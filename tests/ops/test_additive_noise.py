"""Uniform, Laplace, speckle and shot noise: their distributions, and every number from its address."""

import numpy as np
import pytest
from scipy import stats

from augsvc.numerics.noise_tables import noise_tables
from tests.harness import agree, patch, plain, run, to_levels
from tests.ops.test_noise import sixteen_bits

pytestmark = pytest.mark.usefixtures("each_executor")
GREY = 128
ONE = 4096  # of a deviate
STRENGTHS = {  # the factor of the deviate at a value v on [0, 1]
    "uniform_noise": ("amplitude", 1, lambda v, amplitude: np.full_like(v, amplitude)),
    "laplace_noise": ("std", 2, lambda v, std: np.full_like(v, std)),
    "speckle_noise": ("std", 0, lambda v, std: std * v),
    "shot_noise": ("photons", 0, lambda v, photons: np.sqrt(v / photons)),
}


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("op", STRENGTHS)
def test_it_is_recomputed_from_its_address(op, channels):
    images = [patch("coffee", 11, 17, top=10 * k)[..., :channels] for k in range(3)]
    name, table, strength = STRENGTHS[op]
    stream = run([{"op": op}], images, aug_seed=7)
    for index, shown in enumerate(stream.images(epoch=3)):
        numbers = sixteen_bits(7, op, index, 3, 0, channels * 11 * 17).reshape(channels, 11, 17).transpose(1, 2, 0)
        values = images[index] / 255
        added = strength(values, stream.draws(index, epoch=3)[name]) * noise_tables()[table][numbers] / ONE
        agree(shown, to_levels(values + added), most=1, mean=0.02)


@pytest.mark.parametrize(
    ("table", "distribution"), [(1, stats.uniform(-1, 2)), (2, stats.laplace(scale=1 / np.sqrt(2)))]
)
def test_the_deviates_have_their_distribution(table, distribution):
    deviates = noise_tables()[table] / ONE
    assert abs(deviates.mean()) < 1e-9 and abs(deviates.var() - distribution.var()) < 1e-3
    assert stats.kstest(deviates, distribution.cdf).statistic < 1e-3
    np.testing.assert_array_equal(deviates, -deviates[::-1])
    assert np.abs(noise_tables()).max() < 1 << 15


def test_the_roots_are_numpys():
    values = np.arange(65281)
    np.testing.assert_allclose(noise_tables()[3][:65281] / 128, np.sqrt(values), atol=1 / 256)


@pytest.mark.parametrize(
    ("step", "std"),
    [
        ({"op": "uniform_noise", "amplitude": 0.2}, lambda v: 0.2 / np.sqrt(3)),
        ({"op": "laplace_noise", "std": 0.08}, lambda v: 0.08),
        ({"op": "speckle_noise", "std": 0.15}, lambda v: 0.15 * v),
        ({"op": "shot_noise", "photons": 60}, lambda v: np.sqrt(v / 60)),
    ],
)
def test_its_standard_deviation_follows_the_value(step, std):
    for level in (60, 128, 180):
        shown = run([step], [plain(level, 64, 64)] * 4).images().astype(float) - level
        expected = np.sqrt((255 * std(level / 255)) ** 2 + 1 / 12)
        assert abs(shown.std() / expected - 1) < 0.03, level
        assert abs(shown.mean()) < 5 * expected / np.sqrt(shown.size)


def test_shot_noise_is_near_poissons_law_for_many_photons():
    """Counts of 100 photons at the grey: a normal law of the same mean and variance is 0.02 from their distribution."""
    photons, level = 255 / GREY * 100, GREY
    counts = (
        run([{"op": "shot_noise", "photons": photons}], [plain(level, 64, 64)] * 4).images().ravel() / 255 * photons
    )
    poisson = stats.poisson(100)
    for count in (80, 90, 100, 110, 120):
        assert abs((counts <= count).mean() - (poisson.cdf(count) + poisson.cdf(count - 1)) / 2) < 0.03


def test_speckle_and_shot_noise_leave_black_alone():
    for op in ("speckle_noise", "shot_noise"):
        assert not run([{"op": op}], [plain(0, 16, 16)] * 2).images().any()
