"""Reloads of the datasets that operations take partners from."""

import numpy as np
import pytest

from augsvc.data.cache import DecodedCache
from augsvc.data.catalog import Catalog
from augsvc.engine.limits import Limits
from augsvc.engine.opening import OpenStreams
from augsvc.planning.spec import validate_spec
from tests.harness import open_cpu
from tests.ops.test_sound_partners import Noises

FIELDS = {"seconds": 0.5, "sample_rate": 8000}
SPEC = validate_spec(
    {
        **FIELDS,
        "dataset": "speech",
        "pipeline": [{"op": "background_noise", "dataset": "noises"}, {"op": "reverb", "dataset": "rooms"}],
    }
)


class Digest:
    """A self-test that has run; `meanwhile` is called once, while a stream is being opened."""

    meanwhile = None

    def arithmetic(self, stream, wait):
        call, self.meanwhile = self.meanwhile, None
        if call:
            call()
        return "the same"


def dataset(name, version):
    return Noises([np.ones(100)], name=name, version=version)


def reload(streams, name, version):
    streams.replace(name, [dataset(name, version)])


@pytest.fixture
def open_replica():
    def start():
        opened = {name: [dataset(name, "1")] for name in ("speech", "noises", "rooms")}
        return OpenStreams(Catalog([], DecodedCache(0), opened), open_cpu("fused"), Digest(), Limits(1 << 30))

    return start


def test_a_reload_while_a_stream_is_opened_reaches_the_next_one(open_replica):
    streams = open_replica()
    streams._selftest.meanwhile = lambda: reload(streams, "noises", "2")
    assert streams.open(SPEC, wait=True).others["noises"].info.version == "1"
    assert streams.open(SPEC, wait=True).others["noises"].info.version == "2"
