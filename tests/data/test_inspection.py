"""What `augsvc datasets inspect` finds: duplicates, leaks, undecodable samples, classes; as text and as a page."""

import io
from itertools import combinations

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from augsvc.cli import app
from augsvc.data.cache import DecodedCache
from augsvc.data.duplicates import MAX_BITS, near_pairs, perceptual_hash
from augsvc.data.formats.image_folder import ImageFolderSettings
from augsvc.data.inspection import inspect
from tests.harness import photo

NAMES = ("astronaut", "chelsea", "coffee")


def save(path, image, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, **options)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two splits: a copy of the same pixels, one resized and compressed, one under another class, and a damaged file."""
    root = tmp_path_factory.mktemp("inspected")
    crops = {name: Image.fromarray(photo(name)).resize((200, 160)) for name in NAMES}
    for name, image in crops.items():
        save(root / "train" / "a" / f"{name}.png", image)
    save(root / "train" / "b" / "again.png", crops["coffee"])
    save(root / "train" / "b" / "mirror.png", crops["chelsea"].transpose(Image.Transpose.FLIP_LEFT_RIGHT))
    save(root / "train" / "b" / "plain.png", Image.new("RGB", (64, 64), "white"))
    save(root / "val" / "a" / "leak.png", crops["astronaut"])
    save(root / "val" / "a" / "small.jpg", crops["chelsea"].resize((120, 96)), quality=60)
    save(root / "val" / "b" / "plain.png", Image.new("RGB", (64, 64), (250, 250, 250)))
    (root / "val" / "b" / "<img src=x>.png").write_bytes(b"damaged")
    return root


@pytest.fixture(scope="module")
def inspection(folder):
    sources = ImageFolderSettings(format="image_folder", path=folder).open("crops", DecodedCache(0))
    return inspect(sources)


def named(inspection, copies):
    return {
        tuple(inspection.splits[split].source.describe(index) for split, index in copy.samples): copy for copy in copies
    }


def test_equal_pixels_are_found_within_and_between_splits(inspection):
    copies = named(inspection, inspection.equal)
    assert copies.keys() == {("a/coffee.png", "b/again.png"), ("a/astronaut.png", "a/leak.png")}
    assert copies["a/coffee.png", "b/again.png"].is_conflict and not copies["a/coffee.png", "b/again.png"].is_leak
    assert copies["a/astronaut.png", "a/leak.png"].is_leak and not copies["a/astronaut.png", "a/leak.png"].is_conflict


def test_a_copy_that_was_resized_and_compressed_is_near(inspection):
    copies = named(inspection, inspection.near)
    assert copies.keys() == {("a/chelsea.png", "a/small.jpg")}
    assert copies["a/chelsea.png", "a/small.jpg"].is_leak and copies["a/chelsea.png", "a/small.jpg"].bits <= MAX_BITS


def test_splits_are_counted(inspection):
    train, val = inspection.splits
    assert train.counts.tolist() == [3, 3] and val.counts.tolist() == [2, 2] and train.imbalance == 1.0
    assert [(val.source.describe(index), bool(reason)) for index, reason in val.undecodable] == [
        ("b/<img src=x>.png", True)
    ]
    assert sorted(map(tuple, val.decoded.tolist())) == [(64, 64), (96, 120), (160, 200)]
    pixels = [photo_levels(train.source.read(index).image) for index in range(len(train.source))]
    joined = np.concatenate(pixels) / 255
    assert train.mean == pytest.approx(joined.mean(axis=0)) and train.std == pytest.approx(joined.std(axis=0))


def photo_levels(image):
    return image.reshape(-1, 3).astype(np.float64)


def test_hashes_survive_compression_and_tell_images_apart():
    hashes, means = [], []
    for name in NAMES:
        image = Image.fromarray(photo(name))
        for scale, quality in ((1.0, 95), (0.5, 80), (0.3, 60)):
            buffer = io.BytesIO()
            image.resize([round(side * scale) for side in image.size]).save(buffer, "JPEG", quality=quality)
            grey = np.asarray(Image.open(buffer).convert("L"), dtype=np.float64)
            bits, mean = perceptual_hash(grey)
            hashes.append(bits)
            means.append(mean)
    pairs = near_pairs(np.array(hashes), np.array(means))
    assert {(one, other) for one, other, _ in pairs} == {
        (3 * k + one, 3 * k + other) for k in range(3) for one, other in combinations(range(3), 2)
    }


@pytest.mark.parametrize("shape", [(1, 1), (1, 50), (3, 2), (15, 90), (16, 17), (200, 31)])
def test_images_of_any_size_have_a_hash(shape):
    grey = np.random.default_rng(0).uniform(0, 255, shape)
    bits, mean = perceptual_hash(grey)
    assert bits.any() == (min(shape) >= 16) and mean == pytest.approx(grey.mean())


def test_many_copies_are_near_the_first_in_linear_time():
    hashes = np.ones((20_000, 2), np.uint64)
    hashes[1::2, 1] = 0xFFFF0001
    hashes[2::2, 0] ^= np.uint64(1) << (np.arange(9_999) % 7).astype(np.uint64)
    pairs = near_pairs(hashes, np.zeros(len(hashes)))
    near = {(one, other) for one, other, _ in pairs}
    assert {(0, other) for other in range(2, 20_000, 2)} | {(1, other) for other in range(3, 20_000, 2)} <= near
    assert len(near) < 8 * 20_000 and all((one - other) % 2 == 0 for one, other in near)


def test_the_command_prints_all_and_writes_a_page(folder, tmp_path):
    settings, page = tmp_path / "settings.yaml", tmp_path / "page.html"
    settings.write_text(f"datasets: {{crops: {{format: image_folder, path: {folder}}}}}")
    arguments = ["datasets", "inspect", "crops", "--config", str(settings), "--html", str(page)]
    done = CliRunner().invoke(app, arguments, env={"COLUMNS": "200"})
    assert done.exit_code == 0, done.output
    for text in (
        "crops/train: 6 samples, 0 undecodable",
        "undecodable b/<img src=x>.png",
        "leaks between splits, equal pixels: 1",
        "crops/train: a/coffee.png = crops/train: b/again.png with different classes",
        "crops/train: a/chelsea.png = crops/val: a/small.jpg",
        "200 × 160: 5, 64 × 64: 1",
    ):
        assert text in done.output
    assert done.stdout.endswith(f"{page}: the same with images\n")
    html = page.read_text(encoding="utf-8")
    assert "<img src=x>" not in html and "&lt;img src=x&gt;" in html and html.count("data:image/") >= 10
    for arguments, status in (
        (["datasets", "inspect", "lost"], 2),
        (["datasets", "inspect", "digits", "--html", "no/x"], 2),
    ):
        assert CliRunner().invoke(app, arguments).exit_code == status


def test_clips_are_inspected_too():
    done = CliRunner().invoke(app, ["datasets", "inspect", "tones/test"], env={"COLUMNS": "200"})
    assert done.exit_code == 0 and "samples of a clip" in done.output and "rates in Hz" in done.output
