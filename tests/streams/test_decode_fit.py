"""`decode: "fit"`: JPEGs decoded only as large as the canvas needs, under the laws of all streams."""

import io
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from augsvc.arrays import Sample
from augsvc.data.cache import DecodedCache
from augsvc.data.disk_cache import DiskCache
from augsvc.data.formats.image_files import ImageFilesSettings, ImageReader
from augsvc.data.formats.image_folder import ImageFolderSettings, open_image_folder
from augsvc.errors import SpecInvalid, Undecodable
from augsvc.numerics.geometry import Canvas
from augsvc.numerics.rng import Address
from augsvc.ops.pipeline import parse_pipeline
from augsvc.planning.image_plan import Plan
from augsvc.planning.reduction import least_size
from augsvc.planning.spec import validate_spec
from augsvc.streams.drawn_images import DrawnImages
from augsvc.streams.stream import Stream
from augsvc_client.decoding.image import FACTORS, decode_image
from augsvc_client.wire import parse
from tests.harness import executor

SPEC = {"dataset": "pets", "size": [32, 40], "shuffle": False, "pipeline": [{"op": "horizontal_flip"}]}
SIZES = {"a.jpg": (333, 400), "b.jpg": (65, 81), "c.jpg": (63, 500), "d.jpg": (130, 170), "e.png": (300, 300)}


def photo(height, width, seed=0):
    """Smooth waves and some texture."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width] / max(height, width)
    waves = [np.sin(2 * np.pi * (a * x + b * y + c)) for a, b, c in random.uniform(0, 4, (3, 3))]
    return np.clip(128 + 80 * np.stack(waves, axis=2) + random.normal(0, 4, (height, width, 3)), 0, 255).astype(
        np.uint8
    )


def encoded(pixels, format="JPEG", **options):
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, format, **options)
    return out.getvalue()


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("data") / "pets"
    for number, (name, size) in enumerate(SIZES.items()):
        folder = root / ("cat" if number % 2 else "dog")
        folder.mkdir(parents=True, exist_ok=True)
        form = "PNG" if name.endswith("png") else "JPEG"
        (folder / name).write_bytes(encoded(photo(*size, number), form))
    turned = Image.Exif()
    turned[0x0112] = 6
    (root / "dog" / "turned.jpg").write_bytes(encoded(photo(200, 330), exif=turned))
    (root / "dog" / "damaged.jpg").write_bytes(encoded(photo(400, 400))[:-900])
    return root


def source_of(root, cache=None):
    form = ImageFolderSettings(format="image_folder", path=root)
    return open_image_folder("pets", form, cache or DecodedCache(0))[0]


def stream(source, **fields):
    return Stream.open(validate_spec({**SPEC, **fields}), source, executor())


def batch(stream, start=0, count=7):
    with ThreadPoolExecutor(2) as workers:
        body = stream.produce(0, start, count, 0, workers, lambda: None)
    return {name: array.copy() for name, array in parse(body.buffer)[0].items()}


# --- decoding


@pytest.mark.parametrize("factor", FACTORS)
@pytest.mark.parametrize("sampling", [0, 1, 2])
@pytest.mark.parametrize("size", [(83, 50), (64, 128), (301, 217)])
def test_pixels_are_those_that_pillow_drafts(factor, sampling, size):
    for pixels, channels in ((photo(*size), 3), (photo(*size)[..., 0], 1)):
        data = encoded(pixels, quality=90, **({"subsampling": sampling} if channels == 3 else {"progressive": True}))
        with Image.open(io.BytesIO(data)) as image:
            wanted = (-(-size[1] // factor), -(-size[0] // factor))
            image.draft(None, (size[1] // factor, size[0] // factor))
            assert image.size == wanted
            expected = np.asarray(image).reshape(*wanted[::-1], channels)
        np.testing.assert_array_equal(decode_image(data, channels, 1 << 20, factor=factor), expected)


@settings(max_examples=60, deadline=None)
@given(st.tuples(st.integers(1, 700), st.integers(1, 700)), st.tuples(st.integers(1, 200), st.integers(1, 200)))
def test_a_file_is_as_small_as_it_may_be(size, least):
    reader = ImageReader("pets", ImageFilesSettings(), DecodedCache(0))
    data = encoded(np.zeros((*size, 3), np.uint8))
    reduced = reader.reduced(data, least)
    possible = [f for f in (2, 4, 8) if size[0] >= f * least[0] and size[1] >= f * least[1]]
    if not possible:
        assert reduced is None
        return
    smaller, whole = reduced
    factor = max(possible)
    assert whole == size
    assert smaller.decode(data).values.shape == (-(-size[0] // factor), -(-size[1] // factor), 3)
    assert smaller.form != reader.form


def test_what_is_damaged_stays_so(root):
    source = source_of(root)
    (index,) = [index for index in range(len(source)) if source.describe(index) == "dog/damaged.jpg"]
    for least in (None, (20, 20), (399, 399)):
        with pytest.raises(Undecodable, match="damaged"):
            source.read_reduced(index, least)


# --- streams


def test_images_are_nearly_those_of_whole_files(root):
    source = source_of(root)
    whole, fitted = batch(stream(source)), batch(stream(source, decode="fit"))
    difference = np.abs(whole["image"].astype(int) - fitted["image"].astype(int))
    assert 0 < difference.mean() < 1.0 and difference.max() < 16
    assert set(whole) == set(fitted)
    for name in set(whole) - {"image"}:
        np.testing.assert_array_equal(whole[name], fitted[name])
    assert fitted["valid"].sum() == len(source) - 1
    changed = {source.describe(index) for index in np.flatnonzero(difference.any(axis=(1, 2, 3)))}
    assert {"dog/a.jpg", "cat/b.jpg", "cat/d.jpg", "dog/turned.jpg"} <= changed
    assert not {"dog/c.jpg", "dog/e.png"} & changed, "too small, and no JPEG"


def test_the_value_is_part_of_the_stream(root):
    source = source_of(root)
    plain, full, fitted = stream(source), stream(source, decode="full"), stream(source, decode="fit")
    assert plain.spec.canonical() == full.spec.canonical() != fitted.spec.canonical()
    assert plain.id == full.id != fitted.id
    assert b'"decode":"fit"' in fitted.spec.canonical()


def test_a_batch_is_its_samples_whatever_is_cached(root, tmp_path):
    expected = batch(stream(source_of(root), decode="fit"))
    with closing(DiskCache(tmp_path / "cache", 1 << 24)) as disk:
        for cache in (
            DecodedCache(0),
            DecodedCache(1 << 26),
            DecodedCache(0, disk=disk),
            DecodedCache(1 << 26, disk=disk),
        ):
            source = source_of(root, cache)
            for first in ("full", "fit"):  # what lies in the cache is of the other kind, then of this
                batch(stream(source, decode=first))
                found = batch(stream(source, decode="fit"))
                ones = [batch(stream(source, decode="fit"), position, 1) for position in range(7)]
                for name, array in expected.items():
                    np.testing.assert_array_equal(found[name], array)
                    np.testing.assert_array_equal(np.concatenate([one[name] for one in ones]), array)


def test_receipts_say_how_it_was_decoded(root):
    fitted = stream(source_of(root), decode="fit")
    receipts = [fitted.receipt(0, position, 0) for position in range(7)]
    decoded = {receipt.get("replaced_by", receipt)["source"]: receipt["decoded"] for receipt in receipts}
    assert decoded["dog/a.jpg"] == {"size": [333, 400], "factor": 8}
    assert decoded["dog/turned.jpg"] == {"size": [330, 200], "factor": 4}
    assert decoded["cat/b.jpg"] == {"size": [65, 81], "factor": 2}
    assert decoded["dog/c.jpg"]["factor"] == decoded["dog/e.png"]["factor"] == 1
    assert "decoded" not in stream(source_of(root)).receipt(0, 0, 0)


@pytest.mark.parametrize("fit", ["cover", "contain", "stretch"])
def test_labels_move_as_of_the_whole_image(fit):
    """And the image's own camera is the labels' after an enlargement by exactly its factor."""
    plan = Plan.of(parse_pipeline([{"op": "rotation", "degrees": [10, 20]}]), Canvas(32, 40, 3), fit)
    whole = Sample(np.zeros((333, 401, 3), np.uint8), 0)
    small = Sample(np.zeros((84, 101, 3), np.uint8), 0, full_size=(333, 401))
    address = Address(np.arange(2), 0, 0)
    of_whole, of_small = (DrawnImages.of(plan, [s, s], 7, address, lambda: None) for s in (whole, small))
    assert small.factor == 4 and of_whole.of_images is of_whole.cameras
    np.testing.assert_array_equal(of_small.cameras[0].forward, of_whole.cameras[0].forward)
    grown = of_whole.cameras[0].forward @ np.diag([4.0, 4.0, 1.0])
    np.testing.assert_allclose(of_small.of_images[0].forward, grown, rtol=1e-12)


# --- the size that is needed


def least(pipeline, size=(100, 200)):
    return least_size(Plan.of(parse_pipeline(pipeline), Canvas(*size, 3), "cover"))


def test_what_does_not_zoom_needs_the_canvas():
    for pipeline in ([], [{"op": "horizontal_flip"}, {"op": "color_jitter"}], [{"op": "rotation"}]):
        assert least(pipeline) == (100, 200)


def test_a_zoom_needs_more():
    assert least([{"op": "affine", "degrees": 0, "scale": 2.0}]) == (200, 400)
    height, width = least([{"op": "random_resized_crop"}], (100, 100))
    assert 350 <= height == width <= 100 * (0.08 * 0.75) ** -0.5
    assert least([{"op": "random_resized_crop", "scale": [0.25, 0.25], "ratio": [2.0, 2.0]}]) == (200, 400)


def zoom(factor):
    return {"op": "affine", "degrees": 0, "scale": factor, "id": f"by{factor}"}


TWO, THREE, FOUR = (zoom(factor) for factor in (2, 3, 4))


@pytest.mark.parametrize(
    ("pipeline", "factor"),
    [
        ([TWO, THREE], 6),
        ([{"op": "one_of", "of": [TWO, THREE]}], 3),
        ([{"op": "one_of", "of": [TWO, THREE], "weights": [0.999, 0.001], "p": 0.01}, FOUR], 12),
        ([{"op": "one_of", "of": [THREE, {"op": "random_apply", "of": [TWO, FOUR]}, {"op": "horizontal_flip"}]}], 8),
        ([{"op": "random_apply", "of": [TWO, THREE]}], 6),
        ([{"op": "some_of", "n": 2, "of": [TWO, THREE, FOUR]}], 12),
        ([{"op": "some_of", "n": [1, 2], "of": [TWO, THREE], "replace": True}], 9),
        ([{"op": "random_order", "of": [TWO, THREE]}], 6),
        ([{"op": "random_order", "of": [TWO, {"op": "one_of", "of": [THREE, FOUR]}]}], 8),
    ],
)
def test_of_operations_that_exclude_each_other_the_deepest_zoom_counts(pipeline, factor):
    assert least(pipeline) == (100 * factor, 200 * factor)


@pytest.mark.parametrize(
    ("pipeline", "message"),
    [
        ([{"op": "mosaic"}], "collages"),
        ([{"op": "mask_crop"}], "follows labels"),
        ([{"op": "random_crop"}], "random_crop, which shows sources pixel for pixel"),
        ([{"op": "center_crop"}], "pixel for pixel"),
        ([{"op": "five_crop"}], "pixel for pixel"),
    ],
)
def test_depths_that_are_not_known_are_refused(pipeline, message):
    with pytest.raises(SpecInvalid, match=message) as refused:
        least(pipeline)
    assert refused.value.field == "decode"


def test_frames_that_scale_their_sources_are_not():
    """Those of absolute lengths either, which are the same of sources of any size."""
    for pipeline, expected in (
        ([{"op": "five_crop", "pixels": 250}], (250, 500)),
        ([{"op": "resize", "pixels": 400}], (400, 800)),
        ([{"op": "shortest_side", "pixels": [100], "longest": 16384}], (100, 200)),
        ([{"op": "scale_jitter"}], (200, 400)),
        ([{"op": "letterbox"}], (100, 200)),
        ([{"op": "zoom_out"}], (100, 200)),
        ([{"op": "crop_and_pad", "percent": [0.0, 0.1]}], (100, 200)),
    ):
        assert least(pipeline) == expected


@pytest.mark.parametrize("size", [(8, 8), (5, 5), (2, 3)])
def test_the_factor_of_small_sources_is_exact(root, size):
    """81 rows shown by 11, rounded up, are an eighth, not a seventh."""
    fitted = stream(source_of(root), decode="fit", size=size, pipeline=[])
    read = [fitted.source.read_reduced(index, fitted.least) for index in range(4)]
    for sample in read:
        assert sample.image.shape[:2] == tuple(-(-side // sample.factor) for side in sample.size)
    assert {sample.factor for sample in read} >= {8}


def test_sound_has_no_such_field():
    with pytest.raises(SpecInvalid, match="decode"):
        validate_spec({"dataset": "tones/train", "decode": "fit"}).for_audio(1.0, 8000)
    with pytest.raises(SpecInvalid, match="full"):
        validate_spec({**SPEC, "decode": "half"})
