"""Rounds continue without an entry that fails, and `--against` runs only our own peers twice."""

from pathlib import Path

from benchmarks import peers
from benchmarks.bench import Bench
from benchmarks.rounds import Entry, all_pairs, interleave
from benchmarks.workers import ROOT


def entry(name, fails_in=None):
    runs = []

    def run(times):
        runs.append(times)
        if len(runs) == fails_in:
            raise peers.Missing("its process ended with status -9")
        return 0.5, 0.25

    return Entry(name, 10, 1.0, run)


def test_rounds_continue_without_an_entry_that_fails():
    entries = [entry("a"), entry("b", fails_in=2), entry("c")]
    failures = interleave(entries, 4, 1.0, lambda text: None)
    assert failures == {"b": "ended in round 2 of 4: its process ended with status -9"}
    rows = all_pairs(entries)
    assert [(row["who"], row["rounds"], set(row["to"])) for row in rows] == [("a", 4, {"a", "c"}), ("c", 4, {"a", "c"})]
    alone = [entry("b", fails_in=1)]
    assert "b" in interleave(alone, 4, 1.0, lambda text: None)
    assert not alone


def test_against_runs_our_peers_from_both_checkouts():
    bench = Bench(1, 0.0, lambda line: None, frozenset({"fused", "kornia"}), Path("/other"))
    assert bench.checkouts("fused") == [ROOT, Path("/other")]
    assert bench.checkouts("kornia") == [ROOT]
    assert bench.checkouts("opencv") == []
