"""Gaussian noise and pixel dropout: their laws, and every number recomputed by a plain Philox."""

import numpy as np
import pytest
from scipy import stats

from augsvc.numerics.rng import operation_key, quantile_table, seed_key
from tests.harness import agree, one, patch, plain, run, to_levels

pytestmark = pytest.mark.usefixtures("each_executor")
GREY = 128  # far enough from black and white that nothing is cut off


def plain_philox(counter, key):
    """Philox4x32-10 in Python integers (Salmon et al.; NumPy itself has the 64-bit one only)."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(10):
        high0, low0 = divmod(0xD2511F53 * c0, 1 << 32)
        high1, low1 = divmod(0xCD9E8D57 * c2, 1 << 32)
        c0, c1, c2, c3 = high1 ^ c1 ^ k0, low1, high0 ^ c3 ^ k1, low0
        k0, k1 = (k0 + 0x9E3779B9) % (1 << 32), (k1 + 0xBB67AE85) % (1 << 32)
    return c0, c1, c2, c3


def sixteen_bits(seed, operation, index, epoch, view, elements):
    """Element e is half-word e % 8 of block 256 + e // 8, counted from the low half of word 0."""
    numbers = []
    for block in range(256, 256 + -(-elements // 8)):
        counter = (block, operation_key(operation), index, epoch << 8 | view)
        for word in plain_philox(counter, seed_key(seed)):
            numbers += [word & 0xFFFF, word >> 16]
    return np.array(numbers[:elements])


def test_the_plain_philox_gives_random123s_answer():
    assert plain_philox((0, 0, 0, 0), (0, 0)) == (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)


@pytest.mark.parametrize(("seed", "epoch", "view"), [(0, 0, 0), (2**53 - 1, 2**24 - 1, 255), (12345, 7, 1)])
@pytest.mark.parametrize("channels", [1, 3])
def test_gaussian_noise_is_recomputed_from_its_address(seed, epoch, view, channels):
    images = [patch("coffee", 11, 17, top=10 * k)[..., :channels] for k in range(3)]
    stream = run([{"op": "gaussian_noise", "std": 0.05, "id": "grain"}], images, aug_seed=seed)
    deviates = quantile_table() / 4096
    for index, found in enumerate(stream.images(epoch=epoch, view=view)):
        numbers = sixteen_bits(seed, "grain", index, epoch, view, channels * 11 * 17).reshape(channels, 11, 17)
        added = np.floor(0.05 * 65536 + 0.5) / 65536 * deviates[numbers].transpose(1, 2, 0)
        levels = np.clip((images[index] / 255 + added) * 255, 0, 255)
        sure = np.abs(levels % 1 - 0.5) > 1e-4  # float32 may put the others on either side
        assert sure.mean() > 0.99
        np.testing.assert_array_equal(found[sure], to_levels(levels / 255)[sure])


def test_the_deviates_are_normal():
    """The table itself, against the normal distribution: what 8-bit pixels are too coarse to show."""
    deviates = quantile_table() / 4096
    assert abs(deviates.mean()) < 1e-9 and abs(deviates.std() - 1) < 1e-4
    assert abs(stats.kurtosis(deviates)) < 0.005
    assert stats.kstest(deviates, "norm").statistic < 1e-3  # 2⁻¹² steps, and 2⁻¹⁶ for each entry


def test_gaussian_noise_has_its_mean_its_spread_and_the_normal_shape():
    images = [plain(GREY, 64, 64)] * 64
    stream = run([{"op": "gaussian_noise", "std": 0.1}], images)
    shown = stream.images().astype(float) - GREY
    n = shown.size
    sigma = 25.5
    assert abs(shown.mean()) < 4 * sigma / np.sqrt(n) + 1e-3
    assert abs(shown.std() / np.sqrt(sigma**2 + 1 / 12) - 1) < 4 / np.sqrt(2 * n)  # 1/12: rounding to whole levels
    assert abs(stats.skew(shown, axis=None)) < 4 * np.sqrt(6 / n)
    assert abs(stats.kurtosis(shown, axis=None)) < 4 * np.sqrt(24 / n) + 0.003
    rng = np.random.default_rng(0)  # rounding is undone by spreading each level over its width
    spread = (shown + rng.uniform(-0.5, 0.5, shown.shape)) / np.sqrt(sigma**2 + 1 / 6)
    assert stats.kstest(spread.ravel()[::4], "norm").pvalue > 1e-3
    per_sample = shown.reshape(64, -1).std(axis=1)
    assert np.abs(per_sample / sigma - 1).max() < 5 / np.sqrt(2 * 64 * 64 * 3) + 0.001


def test_gaussian_noise_is_independent_between_channels_pixels_samples_epochs_views_and_operations():
    images = [plain(GREY, 64, 64)] * 4
    step = {"op": "gaussian_noise", "std": 0.1}
    stream = run([step], images)
    first = stream.images().astype(float) - GREY
    others = {
        "epoch": stream.images(epoch=1),
        "view": stream.images(view=1),
        "seed": run([step], images, aug_seed=1).images(),
        "operation": run([{**step, "id": "other"}], images).images(),
        "sample": np.roll(first, 1, axis=0) + GREY,
        "right": np.roll(first, 1, axis=2) + GREY,
        "below": np.roll(first, 1, axis=1) + GREY,
        "channel": np.roll(first, 1, axis=3) + GREY,
    }
    for name, other in others.items():
        correlation = np.corrcoef(first.ravel(), other.astype(float).ravel() - GREY)[0, 1]
        assert abs(correlation) < 4.5 / np.sqrt(first.size), name
        squares = np.corrcoef(first.ravel() ** 2, (other.astype(float).ravel() - GREY) ** 2)[0, 1]
        assert abs(squares) < 4.5 / np.sqrt(first.size), name
    np.testing.assert_array_equal(stream.images(), first + GREY)  # and the same address gives the same noise


def test_drawn_strengths_are_those_of_the_receipt():
    stream = run([{"op": "gaussian_noise", "std": [0, 0.1]}], [plain(GREY, 64, 64)] * 48)
    for at, found in enumerate(stream.images()):
        expected = np.sqrt((255 * stream.draws(at)["std"]) ** 2 + 1 / 12)
        slack = 4.5 / np.sqrt(2 * 64 * 64 * 3)
        if expected > 2:  # below, rounding to levels is no longer independent of the noise
            assert abs(found.std() / expected - 1) < slack
    image = patch("coffee", 40, 40)
    np.testing.assert_array_equal(one([{"op": "gaussian_noise", "std": 0}], image), image)


def test_two_noises_add_up():
    steps = [{"op": "gaussian_noise", "std": 0.06}, {"op": "gaussian_noise", "std": 0.08}]
    found = run(steps, [plain(GREY, 64, 64)] * 16).images()
    assert abs(found.std() / 25.5 - 1) < 4.5 / np.sqrt(2 * found.size) + 1e-4


def test_noise_is_cut_off_at_white_before_what_follows():
    """Values live on [0, 1] between operations: of white, noise leaves half the deviates, and darkening shows it."""
    still = {"brightness": 0.5, "contrast": 1, "saturation": 1, "hue": 0}
    found = one([{"op": "gaussian_noise", "std": 0.2}, {"op": "color_jitter", **still}], plain(255, 64, 64))
    assert found.max() <= 128
    assert abs(found.mean() - 127.5 * (1 - 0.2 / np.sqrt(2 * np.pi))) < 0.6  # the mean of a halved normal; 4 spreads


@pytest.mark.parametrize("channels", [1, 3])
def test_pixel_dropout_is_recomputed_from_its_address(channels):
    images = [patch("coffee", 23, 31, top=10 * k)[..., :channels] for k in range(8)]
    stream = run([{"op": "pixel_dropout", "rate": [0.1, 0.9], "value": [0, 1]}], images, aug_seed=9)
    for index, found in enumerate(stream.images(epoch=3)):
        draws = stream.draws(index, epoch=3)
        numbers = sixteen_bits(9, "pixel_dropout", index, 3, 0, 23 * 31).reshape(23, 31)
        lost = numbers < np.floor(draws["rate"] * 65536 + 0.5)
        expected = np.where(lost[..., None], to_levels(np.array(draws["value"])), images[index])
        np.testing.assert_array_equal(found, expected)


def test_pixel_dropout_loses_its_rate_in_all_channels_at_once():
    images = [plain(GREY, 64, 64)] * 32
    found = run([{"op": "pixel_dropout", "rate": 0.15, "value": 1}], images).images()
    lost = found == 255
    assert (lost == lost[..., :1]).all() and ((found == GREY) | lost).all()
    share = lost[..., 0].mean(axis=(1, 2))
    spread = np.sqrt(0.15 * 0.85 / 64**2)
    assert abs(share.mean() - 0.15) < 4 * spread / np.sqrt(32) and np.abs(share - 0.15).max() < 5 * spread
    for rate, level in ((0, GREY), (1, 0)):
        assert (one([{"op": "pixel_dropout", "rate": rate}], images[0]) == level).all()


def test_pixel_dropout_is_independent_between_samples_and_epochs():
    stream = run([{"op": "pixel_dropout", "rate": 0.5}], [plain(GREY, 64, 64, 1)] * 16)
    first, second = (stream.images(epoch=epoch).astype(float).ravel() for epoch in (0, 1))
    for other in (second, np.roll(first, 64 * 64), np.roll(first, 1), np.roll(first, 64)):
        assert abs(np.corrcoef(first, other)[0, 1]) < 4.5 / np.sqrt(first.size)


def test_noise_takes_no_account_of_what_comes_before():
    """The same numbers at the same address: the operation's strength aside, the same pixels are lost (law L5)."""
    image = plain(GREY, 40, 40)
    alone = one([{"op": "pixel_dropout", "rate": 0.3}], image)
    after = one([{"op": "gaussian_blur", "sigma": 1}, {"op": "pixel_dropout", "rate": 0.3}], image)
    agree(alone, after, most=0, mean=0)
