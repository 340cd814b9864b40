"""Rounds go on without a peer that ends in them, and the page says why it has no row."""

import json

from benchmarks import report, sections
from benchmarks.peers import Missing
from benchmarks.rounds import Contestant, against_all, interleave
from benchmarks.sections import Bench
from benchmarks.serving.report import texts


def contestant(name, ends_in=None):
    runs = []

    def run(times):
        runs.append(times)
        if len(runs) == ends_in:
            raise Missing("its process ended with status -9")
        return 0.5, 0.25

    return Contestant(name, 10, 1.0, run)


def test_who_ends_is_taken_out_and_the_others_go_on():
    crew = [contestant("a"), contestant("b", ends_in=2), contestant("c")]
    ended = interleave(crew, 4, 1.0, lambda text: None)
    assert ended == {"b": "ended in round 2 of 4: its process ended with status -9"}
    rows = against_all(crew)
    assert [(row["who"], row["rounds"], set(row["to"])) for row in rows] == [("a", 4, {"a", "c"}), ("c", 4, {"a", "c"})]
    alone = [contestant("b", ends_in=1)]
    assert "b" in interleave(alone, 4, 1.0, lambda text: None)
    assert not alone


class Ending:
    """A peer whose process ends in the second round."""

    def __init__(self, name):
        self.name = name
        self._one = contestant(name, ends_in=2 if name == "kornia" else None)

    def make(self, pipeline, batch, size):
        return sections.np.zeros((1, 1, 3)), 1.0

    def run(self, times):
        return self._one.run(times)


def test_the_page_says_so():
    bench = Bench(3, 1.0, lambda text: None)
    rows = sections._contest(bench, [Ending(name) for name in ("fused", "kornia")], [], "pipeline")
    results = {"pipeline": {"with noise": rows}, "missing": {}, "titles": {"fused": "f"}, "versions": {"fused": "1"}}
    page = report._pipeline(json.loads(json.dumps(results)))
    assert "Left out: kornia: ended in round 2 of 3" in page
    assert "| f (1) |" in page


def test_who_has_a_row_is_not_left_out():
    row = {"who": "tcp", "images_per_s": 1.0, "quartiles": [1.0, 1.0], "images_per_cpu_s": 1.0, "to": {}}
    results = {"wire": [row], "titles": {"tcp": "t"}, "versions": {"tcp": "1"}, "missing": {"tcp": "x", "http": "y"}}
    (page,) = texts(results)
    assert "Left out: http: y." in page
    assert "tcp: x" not in page
