"""A folder of 16-bit files with a window: served, checked, pushed and loaded without a loss of levels."""

import json
import logging

import numpy as np
import pytest
import torch
from PIL import Image

from augsvc.data.cache import DecodedCache
from augsvc.data.formats.image_folder import ImageFolderSettings, open_image_folder
from augsvc.errors import Undecodable
from augsvc_client import AugmentingDataLoader, Client, RemoteDataLoader, RequestRefused
from augsvc_client.client.push import push_request
from tests.data.test_window import png
from tests.http.serving import command

RAMP = np.tile(1000 + np.arange(200), (8, 1))
WINDOW = [1000, 1200]
SIZE = [8, 200]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("scans")
    for label in ("flat", "ridge"):
        (root / label).mkdir()
        Image.fromarray(RAMP.astype(np.uint16)).save(root / label / "a.png")
        Image.fromarray(RAMP.astype(np.uint16)).save(root / label / "b.tif", compression="tiff_lzw")
        Image.fromarray(RAMP.astype(np.float32)).save(root / label / "c.TIFF")
        Image.fromarray(RAMP.astype(np.int32)).save(root / label / "d.tiff")
    bad = RAMP.astype(np.float32)
    bad[1, 2] = np.nan
    Image.fromarray(bad).save(root / "ridge" / "e.tif")
    return root


def opened(folder, **options):
    settings = ImageFolderSettings(format="image_folder", path=folder, **options)
    return open_image_folder("scans", settings, DecodedCache(0))[0]


def test_tiff_files_are_samples_of_datasets_with_a_window_only(folder):
    source, plain = opened(folder, window=WINDOW, channels=1), opened(folder, channels=1)
    assert len(source) == 9 and len(plain) == 2
    assert plain.left_out() == {".tif": 3, ".tiff": 4}
    assert any("window" in note for note in plain.notes())
    exact = np.rint((RAMP - 1000) / 200 * 65280)
    for index in range(8):
        np.testing.assert_array_equal(source.read(index).image[..., 0], exact)
    with pytest.raises(Undecodable, match="NaN"):
        source.read(8)


def test_the_version_covers_the_window(folder):
    versions = {
        opened(folder, **options).info.version
        for options in ({}, {"window": [0, 1]}, {"window": WINDOW}, {"window": [1000, 1200.5]})
    }
    assert len(versions) == 4
    assert opened(folder, window=[1000.0, 1200.0]).info.version in versions


@pytest.mark.parametrize(
    "window", [[1, 1], [2, 1], [1], [1, 2, 3], ["a", 2], [float("nan"), 1], [0, float("inf")], [True, 2], 5]
)
def test_a_window_is_two_finite_numbers_in_ascending_order(folder, window):
    with pytest.raises(ValueError, match="window"):
        ImageFolderSettings(format="image_folder", path=folder, window=window)


def test_without_a_window_the_log_names_the_range(folder, caplog):
    with caplog.at_level(logging.WARNING):
        opened(folder).read(0)
        opened(folder).read(1)
    (message, _) = (record.message for record in caplog.records if "16 bits" in record.message)
    assert message.endswith("to the range of their numbers, which is 1000 to 1199 in the first one")  # all have 16 bits


def test_a_file_whose_range_would_take_too_long_is_served_without_it(tmp_path, caplog):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "deep.png").write_bytes(png(np.zeros((10, 10, 3), np.uint16), 2))
    with caplog.at_level(logging.WARNING):
        assert opened(tmp_path, max_pixels=100).read(0).image.shape == (10, 10, 3)
    assert any(record.message.endswith("the range of their numbers") for record in caplog.records)


@pytest.fixture(scope="module")
def scans(serve, folder):
    dataset = {"format": "image_folder", "path": str(folder), "channels": 1, "window": WINDOW}
    return serve(datasets={"scans": dataset}).ready()


@pytest.mark.parametrize("dtype", ["uint16", "float32"])
def test_all_levels_reach_the_client_and_the_loader(scans, dtype):
    spec = {"dataset": "scans", "size": SIZE, "output": {"dtype": dtype}}
    with Client(scans.url) as client:
        stream = client.stream({**spec, "pipeline": "none"})
        images = stream.batch(0, 0, 9)["image"]
        assert images.dtype == dtype
        (entry,) = [entry for entry in client.datasets() if entry["name"] == "scans"]
        assert entry["window"] == WINDOW
        assert all(len(np.unique(image)) == 200 for image in images)
    with RemoteDataLoader(scans.url, batch_size=9, scale=(0.0, 1.0) if dtype == "uint16" else None, **spec) as loader:
        batch = next(iter(loader))["image"]
    assert batch.dtype == torch.float32 and all(len(image.unique()) == 200 for image in batch)
    if dtype == "uint16":
        assert torch.allclose(batch[0, 0, 0], torch.arange(200) / 200, atol=2e-5)
        with RemoteDataLoader(scans.url, batch_size=9, scale=None, **spec) as loader:
            assert next(iter(loader))["image"].dtype == torch.uint16


def test_previews_are_pngs_of_8_bits(scans):
    stream = scans.open({"dataset": "scans", "size": SIZE, "output": {"dtype": "uint16"}})
    reply = scans.get(f"/v1/streams/{stream['id']}/preview.png?count=2", Augsvc_Spec=stream["header"])
    assert reply.status == 200 and reply.body[:4] == b"\x89PNG" and reply.body[24] == 8


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_pushed_numbers_go_through_the_window_of_the_request(scans, dtype):
    image = (RAMP if dtype != "uint8" else RAMP - 1000).astype(dtype)[None, ..., None]
    window = WINDOW if dtype != "uint8" else [0, 200]
    tensors = {"image": image, "index": np.arange(1)}
    with Client(scans.url) as client:
        pushed = client.augment(tensors, window=window, output={"dtype": "uint16", "layout": "NHWC"}).arrays["image"]
        exact = np.rint(np.rint((RAMP - 1000) / 200 * 65280) * 257 / 256)
        assert np.abs(pushed[0, ..., 0] - exact).max() <= 1 and len(np.unique(pushed)) == 200
        if dtype != "uint8":
            with pytest.raises(ValueError, match="window="):
                client.augment(tensors)
        else:
            assert client.augment(tensors).arrays["image"].dtype == np.uint8


@pytest.mark.parametrize("dtype", ["uint16", "float32"])
def test_the_refusal_of_other_numbers_names_the_window(scans, dtype):
    image = np.zeros((1, 4, 4, 1), dtype)
    request = push_request({"image": image, "index": np.arange(1)}, {}, None)
    reply = scans.ask("POST", "/v1/augment", request.headers, request.body)
    assert (reply.status, reply.json["error"]["code"]) == (422, "body_malformed")
    assert "`window`" in reply.json["error"]["message"]


def test_pushed_nans_are_refused(scans):
    image = np.full((1, 4, 4, 1), np.nan, np.float32)
    with Client(scans.url) as client, pytest.raises(RequestRefused, match="NaN or infinite"):
        client.augment({"image": image, "index": np.arange(1)}, window=[0, 1])


@pytest.mark.parametrize("dtype", [np.uint16, np.int16, np.int32, np.float32, np.float64])
def test_a_wrapped_loader_of_numbers(scans, dtype):
    batches = [{"image": RAMP.astype(dtype)[None, None].repeat(3, axis=0), "label": np.arange(3)}]
    options = {"layout": "NCHW", "output": {"dtype": "uint16"}, "scale": (0.0, 1.0), "wait_s": 20}
    with AugmentingDataLoader(batches, scans.url, window=WINDOW, **options) as loader:
        image = next(iter(loader))["image"]
    assert torch.allclose(image[1, 0, 2], torch.arange(200) / 200, atol=2e-5)
    with AugmentingDataLoader(batches, scans.url, **options) as loader, pytest.raises(ValueError, match="window="):
        next(iter(loader))


@pytest.fixture
def mixed(tmp_path):
    """One PNG and one TIFF of 16 bits among files of 8."""
    (tmp_path / "flat").mkdir()
    grey = Image.fromarray(np.full((8, 8), 200, np.uint8))
    for name in ("a.jpg", "b.webp", "c.png", "d.tif"):
        grey.save(tmp_path / "flat" / name)
    for name in ("y.png", "z.tif"):
        Image.fromarray(RAMP.astype(np.uint16)).save(tmp_path / "flat" / name)
    return tmp_path


def test_the_hint_at_a_window_counts_the_files_of_8_bits(mixed, caplog):
    with caplog.at_level(logging.WARNING):
        opened(mixed).read(3)
    (message,) = (record.message for record in caplog.records)
    assert "1000 to 1199 in the first one" in message
    assert "a window applies to all files, and 3 of 4 files have 8 bits" in message
    (note,) = (note for note in opened(mixed).notes() if "TIFF" in note)
    assert "a window applies to all files, and 3 of 4 files have 8 bits" in note


@pytest.mark.parametrize("window", [[1000, 1200], [0, 4095], [-2000, -1000], [100, 70000], [254, 300]])
def test_files_of_8_bits_outside_the_window_are_noted(mixed, window):
    (note,) = opened(mixed, window=window).faults()
    assert "4 of 6 files have 8 bits" in note and "0 to 255" in note


@pytest.mark.parametrize("window", [[0, 255], [100, 200], [0, 300], [-100, 255]])
def test_windows_over_the_numbers_of_8_bits_are_not(mixed, window):
    assert not list(opened(mixed, window=window).faults())


def test_bits_are_counted_over_files_spread_evenly_in_large_folders(mixed, monkeypatch):
    monkeypatch.setattr("augsvc.data.formats.image_folder.MAX_SAMPLED", 3)
    (note,) = opened(mixed, window=WINDOW).faults()
    assert "2 of 3 sampled files have 8 bits" in note  # a.jpg, c.png, y.png


def test_check_and_the_log_warn_of_files_of_8_bits_outside_the_window(serve, mixed, tmp_path):
    dataset = {"format": "image_folder", "path": str(mixed), "channels": 1, "window": WINDOW}
    config = tmp_path / "settings.yaml"
    config.write_text(json.dumps({"datasets": {"scans": dataset}}))
    assert "4 of 6 files have 8 bits" in command("check", "--config", config, cwd=tmp_path).stdout
    server = serve(datasets={"scans": dataset}).ready()
    assert "4 of 6 files have 8 bits" in server.output()
