"""Salt-and-pepper noise and dropout by channel: every number from its address, and their fractions."""

import numpy as np
import pytest

from tests.harness import patch, plain, run
from tests.ops.test_noise import sixteen_bits

pytestmark = pytest.mark.usefixtures("each_executor")


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("per_channel", [False, True])
def test_it_is_recomputed_from_its_address(per_channel, channels):
    images = [patch("coffee", 11, 17, top=10 * k)[..., :channels] for k in range(4)]
    step = {"op": "salt_and_pepper", "amount": [0, 0.5], "salt": [0, 1], "per_channel": per_channel}
    stream = run([step], images, aug_seed=7)
    planes = channels if per_channel else 1
    for index, shown in enumerate(stream.images(epoch=3)):
        draws = stream.draws(index, epoch=3)
        numbers = sixteen_bits(7, "salt_and_pepper", index, 3, 0, planes * 11 * 17).reshape(planes, 11, 17)
        numbers = np.broadcast_to(numbers.transpose(1, 2, 0), shown.shape)
        salt, any_ = (np.floor(share * 65536 + 0.5) for share in (draws["amount"] * draws["salt"], draws["amount"]))
        expected = np.where(numbers < salt, 255, np.where(numbers < any_, 0, images[index]))
        np.testing.assert_array_equal(shown, expected)


@pytest.mark.parametrize("per_channel", [False, True])
def test_its_fractions_are_those_of_its_parameters(per_channel):
    step = {"op": "salt_and_pepper", "amount": 0.2, "salt": 0.3, "per_channel": per_channel}
    shown = run([step], [plain(128, 64, 64)] * 16).images()
    count = 16 * 64 * 64
    for level, fraction in ((255, 0.06), (0, 0.14), (128, 0.8)):
        assert abs((shown == level).mean() - fraction) < 4.5 * np.sqrt(fraction * (1 - fraction) / count)
    together = (shown == shown[..., :1]).all(axis=3).mean()
    assert together == 1 or (per_channel and together < 0.6)


def test_all_salt_and_no_salt():
    for salt, level in ((1, 255), (0, 0)):
        shown = run([{"op": "salt_and_pepper", "amount": 1, "salt": salt}], [plain(128, 8, 8)]).images()
        assert (shown == level).all()


def test_dropout_by_channel_is_recomputed_and_by_pixel_keeps_its_stream():
    images = [patch("coffee", 11, 17)] * 2
    stream = run([{"op": "pixel_dropout", "rate": 0.4, "value": 0.2, "per_channel": True}], images, aug_seed=7)
    for index, shown in enumerate(stream.images()):
        numbers = sixteen_bits(7, "pixel_dropout", index, 0, 0, 3 * 11 * 17).reshape(3, 11, 17).transpose(1, 2, 0)
        np.testing.assert_array_equal(shown, np.where(numbers < np.floor(0.4 * 65536 + 0.5), 51, images[index]))
    assert b"per_channel" in stream.stream.spec.canonical()
    assert b"per_channel" not in run([{"op": "pixel_dropout"}], images).stream.spec.canonical()
