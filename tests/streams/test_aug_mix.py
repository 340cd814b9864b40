"""AugMix: against its chains, rendered as pipelines of their own operations, and torchvision's table."""

import numpy as np
import pytest
from scipy.stats import kstest

from augsvc.arrays import Sample
from augsvc.errors import SpecInvalid
from augsvc.numerics.rng import Address
from augsvc.ops.chain import Chain
from augsvc.ops.pipeline import parse_pipeline
from augsvc.ops.policy_tables import aug_mix_table
from augsvc.ops.tree import Tree
from augsvc.planning.spec import StreamSpec
from augsvc.streams.push import Push
from tests.harness import Run, executor, labelled, patch, run

pytestmark = pytest.mark.usefixtures("each_executor")
N, SIDE = 16, 40
IMAGES = [patch("coffee", SIDE, SIDE, top=12 * k, left=14 * k) for k in range(N)]


def of_chain(number, **settings):
    """The images of one chain, as the only step of a pipeline."""
    stream = run([], IMAGES, size=[SIDE, SIDE]).stream
    steps = (Chain(id=f"aug_mix.{number}", **settings),)
    spec = StreamSpec.model_construct(**{**vars(stream.spec), "pipeline": steps})
    return Run(stream.open(spec, stream.source, executor())).images()


@pytest.mark.parametrize("settings", [{}, {"all_ops": False, "severity": 10}], ids=str)
def test_an_average_is_that_of_the_chains(settings):
    stream = run([{"op": "aug_mix", **settings}], IMAGES, size=[SIDE, SIDE])
    chains = [of_chain(number, **settings) for number in (1, 2, 3)]
    for row, image in enumerate(stream.images()):
        draws = stream.draws(row)
        shares = -np.log(draws["chain_weights"][:3])
        weights = (1 - draws["own_weight"]) * shares / shares.sum()
        expected = draws["own_weight"] * IMAGES[row].astype(float)
        expected += sum(weight * chain[row] for weight, chain in zip(weights, chains, strict=True))
        assert abs(image - expected).max() <= 0.51


def test_chains_have_one_to_three_operations_of_the_lowest_levels():
    tree = Tree.of([Chain(id="aug_mix.1", severity=3)])
    draws = tree.draw(1, Address(np.arange(4000), 0, 0))
    depth = np.sum([draw.selected for draw in draws], axis=0)
    np.testing.assert_allclose(np.bincount(depth, minlength=4)[1:] / 4000, 1 / 3, atol=0.03)
    degrees = np.concatenate(
        [
            draw.value("degrees")[draw.selected]
            for leaf, draw in zip(tree.leaves, draws, strict=True)
            if leaf.step.op == "rotation"
        ]
    )
    assert set(np.round(np.unique(degrees), 6)) == {round(sign * 30 * k / 9, 6) for k in range(3) for sign in (-1, 1)}
    fixed = Tree.of([Chain(id="aug_mix.1", depth=2)]).draw(1, Address(np.arange(100), 0, 0))
    assert (np.sum([draw.selected for draw in fixed], axis=0) == 2).all()


def test_the_table_is_torchvisions():
    """AugMix._AUGMENTATION_SPACE of torchvision 0.28 at its ten levels."""
    table, levels = aug_mix_table(True), np.arange(10.0)
    expected = {
        "shear_x": np.linspace(0, 0.3, 10),
        "translate_y": np.linspace(0, 1 / 3, 10),
        "rotate": np.linspace(0, 30, 10),
        "posterize": np.round(4 - np.arange(10) / (9 / 4)),
        "color": 1 + np.linspace(0, 0.9, 10),
        "sharpness": np.linspace(0, 0.9, 10),
    }
    for name, values in expected.items():
        entry = table[name]
        np.testing.assert_allclose(entry.values(levels, np.zeros(10, bool))[entry.parameter], values)
    assert len(table) == 13 and set(table) - set(aug_mix_table(False)) == {
        "brightness",
        "color",
        "contrast",
        "sharpness",
    }


def test_weights_have_the_law_of_dirichlet():
    step = parse_pipeline([{"op": "aug_mix"}])[0]
    draw = Tree.of([step]).draw(5, Address(np.arange(5000), 0, 0))[0]
    weights = step.weights(draw) / 65536
    np.testing.assert_array_equal(weights.sum(axis=1), 1)
    assert (weights >= 0).all()
    assert kstest(weights[:, 0], "uniform").pvalue > 1e-3
    for share in (weights[:, 1:] / (1 - weights[:, :1])).T:
        assert kstest(share, lambda x: 1 - (1 - np.clip(x, 0, 1)) ** 2).pvalue > 1e-3  # Beta(1, 2), a marginal


def test_operations_before_and_after_it_apply_and_the_others_keep_their_samples():
    steps = [{"op": "vertical_flip", "p": 1}, {"op": "aug_mix", "p": 0.5}, {"op": "invert", "p": 1}]
    stream = run(steps, IMAGES, size=[SIDE, SIDE])
    selected, images, likeness = stream.selected(1), stream.images(), []
    assert 0 < selected.sum() < N
    for row, image in enumerate(images):
        plain = 255 - IMAGES[row][::-1]
        assert (image == plain).all() == (not selected[row])
        if selected[row]:
            likeness.append(np.corrcoef(image.ravel(), plain.ravel())[0, 1])
    assert np.median(likeness) > 0.8


def test_its_own_weight_alone_changes_nothing():
    step = {"op": "aug_mix", "own_weight": 1}
    np.testing.assert_array_equal(run([step], IMAGES, size=[SIDE, SIDE]).images(), IMAGES)


def test_an_averaged_sample_depends_on_its_address_alone():
    steps = [{"op": "random_resized_crop"}, {"op": "aug_mix", "p": 0.8}, {"op": "erasing", "p": 0.5}]
    stream = run(steps, IMAGES, size=[24, 20], views=2, shuffle=False)
    whole = stream.batch(epoch=3)
    assert (whole["image"] != whole["image1"]).any()
    for position in range(N):
        for name, alone in stream.batch(epoch=3, start=position, count=1).items():
            np.testing.assert_array_equal(alone[0], whole[name][position])


def test_labels_that_move_are_refused():
    with pytest.raises(SpecInvalid, match="cannot carry boxes and keypoints and mask, which this data"):
        run([{"op": "aug_mix"}], [labelled(image) for image in IMAGES])
    arrays = {"image": np.zeros((2, 8, 8, 3), np.uint8), "index": np.arange(2)}
    request = {"pipeline": [{"op": "aug_mix"}]}
    Push.of(request, arrays, executor(), None, lambda steps, ground: "")
    with pytest.raises(SpecInvalid, match="cannot carry mask, which this request sends"):
        Push.of(request, arrays | {"mask": arrays["image"][..., 0]}, executor(), None, lambda steps, ground: "")


@pytest.mark.parametrize("other", ["aug_mix", "mosaic", "mixup"])
def test_a_second_mix_is_refused(other):
    with pytest.raises(SpecInvalid, match="is mixed at most once") as refused:
        parse_pipeline([{"op": "aug_mix"}, {"op": other}])
    assert refused.value.field == "pipeline.0.op"


@pytest.mark.parametrize("canvas", [(1, 1), (1, 5), (4, 1)])
@pytest.mark.parametrize("end", [0.0, 1.0])
def test_small_canvases_and_both_ends_are_defined(canvas, end):
    step = {"op": "aug_mix", "own_weight": end, "chain_weights": end, "severity": 10, "depth": 3}
    assert run([step], IMAGES, size=list(canvas)).images().shape == (N, *canvas, 3)


def test_values_of_16_bits_do_not_overflow():
    white = [Sample(np.full((4, 4, 1), 255, np.uint8), 0)]
    step = {"op": "aug_mix", "all_ops": False, "severity": 1, "own_weight": [0, 1]}
    output = {"dtype": "uint16", "layout": "NHWC"}
    images = run([step], white * 8, size=[4, 4], output=output).images()
    assert images.max() == 65535
