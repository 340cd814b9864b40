"""Settings far above the machine, or above another setting that bounds them, are named at the start with the cure."""

import logging
import shutil
from pathlib import Path

import pytest
import yaml

from augsvc.cli.bounds import find_excess
from augsvc.cli.memory import fit_memory
from augsvc.executors.factory import find_device_excess
from augsvc.settings import Settings, UploadSettings, load_settings
from augsvc.validation import human

TERABYTES = 5 * 10**12


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"max_request_bytes": TERABYTES}, ["max_request_bytes"]),
        ({"max_sample_s": 31.0}, ["max_sample_s"]),
        ({"min_client_bytes_per_s": TERABYTES}, ["min_client_bytes_per_s"]),
        ({"disk_cache": Path("/none/yet"), "disk_cache_bytes": 10**18}, ["disk_cache_bytes"]),
        ({"uploads": UploadSettings(path="/none/yet", bytes=10**18)}, ["uploads.bytes"]),
        ({"max_batch_bytes": 1 << 20}, ["max_request_bytes"]),
        ({}, []),
        ({"disk_cache_bytes": 10**18}, []),  # there is none
    ],
)
def test_what_another_setting_or_the_disk_bounds(fields, named):
    lines = list(find_excess(Settings(kernel_cache=None, **fields)))
    assert [line.partition(":")[0] for line in lines] == named
    assert all("lower it" in line for line in lines)


def test_a_disk_that_does_not_say_its_size_bounds_nothing(monkeypatch, tmp_path):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: type("Usage", (), {"total": 0})())
    assert not list(find_excess(Settings(disk_cache=tmp_path, disk_cache_bytes=10**18)))


def test_a_folder_that_cannot_be_looked_at_ends_no_start_here(tmp_path):
    """The cache says so, and the server goes on without it."""
    assert not list(find_excess(Settings(disk_cache=tmp_path / ("a" * 300), disk_cache_bytes=10**18)))


def test_the_uploads_of_one_client_fit_those_of_all(tmp_path):
    token = {"a": {"token": "a" * 16, "upload": "2GiB"}, "b": {"token": "b" * 16, "upload": "1GiB"}}
    (tmp_path / "tokens.yaml").write_text(yaml.safe_dump(token))
    uploads = UploadSettings(path=tmp_path, bytes=1 << 30)
    (line,) = find_excess(Settings(tokens_file=tmp_path / "tokens.yaml", uploads=uploads))
    assert line.startswith("tokens_file, 'a': upload is 2 GiB") and "raise uploads.bytes" in line


@pytest.mark.parametrize(
    ("n_bytes", "text"),
    [
        (0, "0 bytes"), (400_000, "400,000 bytes"), (1 << 20, "1 MiB"), ((1 << 30) - 1, "1,023.99 MiB"),
        (1 << 30, "1 GiB"), (3_686_400 << 20, "3.51 TiB"), (1 << 60, "1,048,576 TiB"),
    ],
)  # fmt: skip
def test_bytes_are_written_in_one_form(n_bytes, text):
    assert human(n_bytes) == text
    if not text.endswith("bytes"):
        settings = load_settings(None, {"max_batch_bytes": text.replace(",", "")})
        assert 0.99 * n_bytes <= settings.max_batch_bytes <= n_bytes


def test_small_numbers_are_not_0_mib(tmp_path):
    (tmp_path / "tokens.yaml").write_text(yaml.safe_dump({"a": {"token": "a" * 16, "upload": 2000}}))
    (line,) = find_excess(
        Settings(tokens_file=tmp_path / "tokens.yaml", uploads=UploadSettings(path=tmp_path, bytes=1000))
    )
    assert "upload is 2,000 bytes" in line and "is 1,000 bytes" in line


@pytest.mark.parametrize("name", ["max_batch_bytes", "cache_bytes"])
def test_memory_that_no_machine_has_is_named_without_a_limit_too(name, caplog):
    with caplog.at_level(logging.WARNING, "augsvc"):
        fit_memory(Settings(**{name: TERABYTES}), None)
    (line,) = caplog.messages
    assert name in line.partition(":")[0] and "more than the machine's memory" in line and "lower " in line


@pytest.mark.parametrize("format", ["image_folder", "audio_folder"])
def test_files_that_no_machine_decodes_are_named_without_a_limit_too(format, caplog, tmp_path):
    folder = {"format": format, "path": tmp_path, "max_file_bytes": TERABYTES}
    with caplog.at_level(logging.WARNING, "augsvc"):
        fit_memory(Settings(datasets={"maps": folder}), None)
    assert [line.partition(":")[0] for line in caplog.messages] == ["datasets.maps"]


def test_a_cache_on_a_device_fits_its_memory():
    assert find_device_excess(1 << 30, 1 << 30) is None
    line = find_device_excess(TERABYTES, 24 << 30)
    assert line == "device_cache_bytes: 4.54 TiB, and the device has 24 GiB in all: lower it"


def test_the_number_of_connections_has_a_bound():
    with pytest.raises(ValueError, match="max_connections must be at most 1048576"):
        load_settings(None, {"max_connections": 10**30})
