"""What receipts say beyond the draws of a pipeline: undecodable partners, and the branches of AugMix."""

from io import StringIO

import numpy as np
import pytest
from rich.console import Console

from augsvc.arrays import Sample
from augsvc.cli.inspect import print_receipt
from augsvc.data.catalog import open_catalog
from augsvc.data.subset import Subsets
from augsvc.errors import Undecodable
from augsvc.numerics.rng import Address
from augsvc.ops.chain import Chain
from augsvc.ops.tree import Tree
from augsvc.planning.spec import validate_spec
from augsvc.streams.stream import Stream
from tests.harness import ListSource, executor, over, run

IMAGES = [np.full((8, 8, 3), 10 * row, np.uint8) for row in range(12)]


class Damaged(ListSource):
    """Every third sample cannot be decoded."""

    def read(self, index):
        if index % 3 == 0:
            raise Undecodable("damaged")
        return super().read(index)

    def defect(self, index):
        return "damaged"


@pytest.mark.parametrize("op", ["mixup", "cutmix", "mosaic"])
def test_a_partner_that_replaces_an_undecodable_one_names_it(op):
    stream = over(Damaged([Sample(image, 0) for image in IMAGES]), [{"op": op, "p": 1.0}], size=[8, 8]).stream
    replaced = []
    for position in range(12):
        mix = stream.receipt(0, position, 0)["mix"]
        for partner in mix.get("partners", [mix.get("partner")]):
            assert partner["index"] % 3
            if "replaces" in partner:
                drawn = partner["replaces"]
                assert drawn == {"index": partner["index"] - 1, "source": f"sample {partner['index'] - 1}"}
                assert drawn["index"] % 3 == 0
                replaced.append(position)
    assert replaced
    out = StringIO()
    print_receipt(stream, 0, replaced[0], 0, Console(file=out, width=200))
    assert "which cannot be decoded" in out.getvalue()


def test_the_branches_of_aug_mix_are_in_receipts():
    steps = [{"op": "invert"}, {"op": "aug_mix", "p": 0.5, "width": 2}, {"op": "gamma"}]
    stream = run(steps, IMAGES, size=[8, 8]).stream
    chain = Tree.of([Chain(id="aug_mix.2")])
    selected = 0
    for position in range(12):
        entries = stream.receipt(0, position, 0)["operations"]
        ids = [entry["id"] for entry in entries]
        assert ids[:2] == ["invert", "aug_mix"]
        assert ids[-1] == "gamma"
        assert ids[-1 - len(chain.leaves) : -1] == [leaf.id for leaf in chain.leaves]
        assert all(name.startswith(("aug_mix.1.", "aug_mix.2.")) for name in ids[2:-1])
        drawn = chain.draw(0, Address(np.array([position]), 0, 0))
        branch = entries[-1 - len(chain.leaves) : -1]
        applies = entries[1]["selected"]
        assert [entry["selected"] for entry in branch] == [bool(draw.selected[0]) and applies for draw in drawn]
        selected += sum(entry["selected"] for entry in branch)
    assert selected >= 3
    print_receipt(stream, 0, 0, 0, Console(file=StringIO()))


def test_of_choices_the_receipt_names_the_chosen_one():
    stream = run([{"op": "shortest_side", "pixels": [5, 7]}], IMAGES, size=[8, 8]).stream
    sides = {stream.receipt(0, position, 0)["operations"][0]["draws"]["choice"] for position in range(12)}
    assert sides == {5, 7}
    spec = validate_spec({"dataset": "tones/train", "pipeline": [{"op": "speed", "choices": 3}]})
    sound = Stream.open(spec, open_catalog({}, 0).get("tones/train"), executor(), Subsets())
    speeds = {sound.receipt(0, position, 0)["operations"][0]["draws"]["speed"] for position in range(20)}
    assert speeds == {0.9, 1.0, 1.1}
