"""Reloads of the datasets that operations take partners from."""

from dataclasses import replace

import numpy as np
import pytest

from augsvc.data.cache import DecodedCache
from augsvc.data.catalog import Catalog
from augsvc.engine.limits import Limits
from augsvc.engine.opening import MAX_COMBINATIONS, OpenStreams
from augsvc.planning.spec import validate_spec
from augsvc.streams.selftest import SelfTest
from augsvc.streams.stream import Stream
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


@pytest.mark.parametrize("is_former", [False, True], ids=["reloaded there", "dropped here"])
@pytest.mark.parametrize("reloads", [["noises"], ["rooms", "noises"], ["speech", "noises", "rooms"], ["rooms"] * 2])
def test_a_running_job_goes_on_where_its_partners_were_reloaded(open_replica, reloads, is_former):
    here, there = open_replica(), open_replica()
    for n, name in enumerate(reloads):
        stream = here.open(SPEC, wait=True)
        if n == 0:
            first = stream
        for streams in (here, there):
            if streams is there:
                there.open(SPEC, wait=True)  # an open stream keeps older versions than the last
            reload(streams, name, f"{n + 2}")
    streams = here if is_former else there
    if is_former:
        here._streams.clear()
    assert streams.require(first.id, SPEC, wait=True).id == first.id
    assert streams.open(SPEC, wait=True).id != first.id


def test_a_stream_of_a_version_and_of_former_partners_is_found_again(open_replica):
    """The dataset pinned by its version, partners reloaded before and afterwards."""
    streams, other = open_replica(), open_replica()
    for replica in (streams, other):
        reload(replica, "speech", "2")
        reload(replica, "noises", "2")
    pinned = streams.open(SPEC, wait=True, version="1")
    assert pinned.source.info.version == "1" and pinned.others["noises"].info.version == "2"
    reload(other, "noises", "3")
    assert other.require(pinned.id, SPEC, wait=True).id == pinned.id


def test_a_mixture_goes_on_where_its_datasets_were_reloaded(open_replica):
    mixture = validate_spec({**FIELDS, "mixture": [{"dataset": "speech"}, {"dataset": "noises"}], "pipeline": []})
    streams = open_replica()
    former = streams.open(mixture, wait=True)
    streams._streams.clear()
    reload(streams, "noises", "2")
    assert streams.open(mixture, wait=True).id != former.id
    assert streams.require(former.id, mixture, wait=True).id == former.id
    assert streams.open(mixture, wait=True, version=former.source.info.version).id == former.id


def test_unknown_ids_try_a_bounded_number_of_versions(open_replica, monkeypatch):
    streams = open_replica()
    for n in range(2, 6):
        for name in ("speech", "noises", "rooms"):
            streams.open(SPEC, wait=True)
            reload(streams, name, f"{n}")
    built = []
    build = streams._build
    monkeypatch.setattr(streams, "_build", lambda *args: built.append(1) or build(*args))
    assert streams.require("0" * 32, SPEC, wait=True).id == streams.open(SPEC, wait=True).id
    assert 1 < len(built) <= MAX_COMBINATIONS + 2


def test_the_arithmetic_id_covers_the_decoders_of_partners():
    ids = []
    for digest in ("one libFLAC", "another libFLAC"):
        selftest = SelfTest(open_cpu("fused"))
        selftest._digest = lambda section, name, wait, digest=digest: digest if section == "decoders" else name
        noises = dataset("noises", "1")
        noises.info = replace(noises.info, decoders=("flac",))
        others = {"noises": noises, "rooms": dataset("rooms", "1")}
        ids.append(selftest.arithmetic(Stream.open(SPEC, dataset("speech", "1"), open_cpu("fused"), others=others)))
    assert ids[0] != ids[1]
