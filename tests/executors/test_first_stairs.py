"""The table by which clips climb stairs on a CPU, against a search."""

import numpy as np

from augsvc.executors.fused.lower_audio import _first_stairs
from augsvc.ops.kinds.audio import SOUND_BITS
from augsvc.ops.operation import Draw
from augsvc.ops.registry import registry


def test_a_value_stands_on_the_stair_of_its_first_bits_or_the_next_one():
    unit = float(1 << SOUND_BITS)
    stairs = np.round(registry()["mu_law"]().shape(Draw.__new__(Draw)).stairs * unit).astype(np.int64)
    thresholds = (stairs[0, :-1].astype(np.float32) / np.float32(unit)).astype(np.float32)
    generator = np.random.default_rng(1)
    values = generator.normal(0, 1, 1 << 16) * np.exp2(generator.uniform(-30, 2, 1 << 16))
    around = [
        thresholds,
        np.nextafter(thresholds, np.float32(-9)),
        np.float32([0, -0.0, 1, -1, np.inf, -np.inf, 1e-45]),
    ]
    values = np.concatenate([values.astype(np.float32), *around])
    first = _first_stairs(stairs.tobytes())[values.view(np.uint32) >> 16].astype(np.int64)
    expected = np.searchsorted(thresholds, values, side="right")
    climbed = first + ((first < 255) & (values >= np.append(thresholds, np.inf)[first]))
    assert np.array_equal(climbed, expected)
    assert _first_stairs(stairs.tobytes())[np.float32(np.nan).view(np.uint32) >> 16] == 0


def test_stairs_closer_than_16_bits_tell_apart_have_none():
    stairs = np.tile(np.arange(256, dtype=np.int64) + (1 << SOUND_BITS), (2, 1))
    assert _first_stairs(stairs.tobytes()) is None
