"""Media: what pushes of images and of clips refuse, and that nothing is left out of the list of them."""

import numpy as np
import pytest

from augsvc.data.catalog import open_catalog
from augsvc.engine.limits import Limits
from augsvc.errors import BatchTooLarge, SpecInvalid
from augsvc.ops.registry import registry
from augsvc.streams.media import MEDIA
from augsvc.streams.push import Push
from augsvc.streams.selftest import SelfTest
from tests.harness import executor

SAMPLES = {"image": np.zeros((2, 8, 8, 3), np.uint8), "audio": np.zeros((2, 64), np.float32)}
FOREIGN = [
    ("image", {"sample_rate": 8000}),
    ("audio", {"size": [8, 8]}),
    ("audio", {"fit": "stretch"}),
    ("audio", {"output": {"dtype": "uint16"}}),
    ("audio", {"window": [0.0, 1.0]}),
    ("audio", {"flip_pairs": [[0, 1]]}),
]


def push(name, fields):
    arrays = {name: SAMPLES[name], "index": np.arange(2)}
    return Push.of(fields, arrays, executor(), registry(), lambda steps, ground: ground)


def test_every_operation_and_dataset_is_of_a_listed_medium_that_the_self_test_knows():
    catalog = open_catalog({}, 0)
    used = {operation.media for operation in registry().values()}
    used |= {catalog.get(name).info.media for name in catalog.names()}
    assert used == set(MEDIA)
    grounds = {ground for medium in MEDIA.values() for ground in (medium.name, medium.opaque_ground)}
    assert grounds < SelfTest(executor()).traits.keys()


@pytest.mark.parametrize(("name", "fields"), FOREIGN)
def test_a_field_of_another_medium_is_refused_by_its_name(name, fields):
    (field,) = fields
    with pytest.raises(SpecInvalid, match=f"{field} does not apply to {MEDIA[name].noun}") as refused:
        push(name, fields)
    assert refused.value.field == field


@pytest.mark.parametrize("name", MEDIA)
def test_a_push_whose_response_is_too_large_names_its_tensor(name):
    with pytest.raises(BatchTooLarge) as refused:
        Limits(100).require_push(push(name, {}), executor())
    assert refused.value.field == name
