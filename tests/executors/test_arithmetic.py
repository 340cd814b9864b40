"""What an arithmetic id covers: with `fused` the kernels' results alone, unless a stream has an opaque operation."""

import torch

from augsvc.executors.fused.image import FusedExecutor
from augsvc.streams.probes import Probe, probe_spec
from augsvc.streams.selftest import SelfTest
from augsvc.streams.stream import Stream
from tests.harness import open_cpu


def ids(test, executor):
    streams = {name: Stream.open(probe_spec({"pipeline": name}), Probe(), executor) for name in ("standard", "strong")}
    return {name: test.arithmetic(stream) for name, stream in streams.items()}


def test_a_stream_of_fused_operations_has_one_id_for_any_torch(monkeypatch):
    executor = open_cpu("fused")
    here = SelfTest(executor)
    monkeypatch.setattr(FusedExecutor, "opaque_traits", ("another torch", "another CPU"))
    there = SelfTest(executor)
    assert here.traits["image"] == ("fused",)
    assert not {torch.__version__, torch.backends.cpu.get_cpu_capability()} & set(here.traits["audio"])
    assert ids(here, executor)["standard"] == ids(there, executor)["standard"]
    assert ids(here, executor)["strong"] != ids(there, executor)["strong"], "it has an opaque operation, downsample"


def test_the_executors_have_different_ids_and_the_references_ids_hold_its_versions():
    fused, kornia = (open_cpu(name) for name in ("fused", "kornia"))
    tests = {executor: SelfTest(executor) for executor in (fused, kornia)}
    assert len(tests[kornia].traits["image"]) > 3
    for name in ("standard", "strong"):
        assert ids(tests[fused], fused)[name] != ids(tests[kornia], kornia)[name]
