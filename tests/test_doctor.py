"""`augsvc doctor`: each line that can fail does, with its cure, and a sound set-up has none."""

import errno
import itertools
import os
import re
import socket
import threading
import time
from contextlib import closing
from functools import partial
from importlib.metadata import version
from pathlib import Path

import pytest
import torch
import yaml
from typer.testing import CliRunner

from augsvc.cli import app
from augsvc.cli.doctor import Finding, check_packages, run_check
from augsvc.cli.doctor_checks import CHECKS, check_dataset
from augsvc.data.formats.image_folder import ImageFolderSettings
from augsvc.data.uploads.folder import lock_uploads
from augsvc.executors.fused.kernel_cache import code_digest
from augsvc.settings import Settings
from tests.http.serving import write_image_folder

MODULE = "augsvc.cli.doctor_checks"
ALL_CHECKS = {"packages": check_packages, **dict(CHECKS)}


def findings(subject, **fields):
    """Those of one check."""
    settings = Settings(**{"kernel_cache": None, "port": 0, **fields})
    return list(run_check(subject, partial(ALL_CHECKS[subject], settings)))


def report(finding, level, pattern):
    assert isinstance(finding, Finding)
    assert finding.level == level, finding
    assert re.search(pattern, finding.text), finding


def fails(subject, pattern, **fields):
    (finding,) = findings(subject, **fields)
    report(finding, "failed", pattern)


def warns(subject, pattern, **fields):
    good, warning = findings(subject, **fields)
    assert good.level == "ok"
    report(warning, "warning", pattern)


def test_a_sound_setup_passes_and_reads_like_check(tmp_path):
    write_image_folder(tmp_path / "cats", {"tabby": 2})
    config = tmp_path / "settings.yaml"
    config.write_text(
        yaml.safe_dump(
            {"port": 0, "kernel_cache": "cache", "datasets": {"pets": {"format": "image_folder", "path": "cats"}}}
        )
    )
    result = CliRunner().invoke(app, ["doctor", "--config", str(config)], env={"COLUMNS": "200"})
    assert result.exit_code == 0, result.output
    subjects = re.findall(r"^ok (.+?): ", result.stdout, re.M)
    assert subjects == ["settings", *ALL_CHECKS, "dataset pets"]
    assert "the next start compiles" in result.stdout


def test_a_failure_is_the_exit_status_and_stops_no_other_line(tmp_path):
    config = tmp_path / "settings.yaml"
    config.write_text(yaml.safe_dump({"datasets": {"pets": {"format": "image_folder", "path": "absent"}}, "port": 0}))
    result = CliRunner().invoke(app, ["doctor", "--config", str(config)], env={"COLUMNS": "200"})
    assert result.exit_code == 1
    assert re.search(r"^failed dataset pets: .*absent", result.stdout, re.M)
    assert "ok built-in datasets" in result.stdout


def test_invalid_settings(tmp_path):
    config = tmp_path / "settings.yaml"
    config.write_text("prot: 1\ndevice: gpu\n")
    result = CliRunner().invoke(app, ["doctor", "--config", str(config)], env={"COLUMNS": "200"})
    assert result.exit_code == 1
    assert set(re.findall(r"^failed settings: (\w+)", result.stdout, re.M)) == {"prot", "device"}


def test_packages_of_another_version(monkeypatch):
    monkeypatch.setattr("augsvc.cli.doctor.version", lambda name: "0.0.1" if name == "numpy" else version(name))
    fails("packages", "numpy 0.0.1 is installed, augsvc needs >=.*reinstall")


def test_a_client_of_another_release(monkeypatch):
    monkeypatch.setattr("augsvc.cli.doctor.version", lambda name: "9.9" if name == "augsvc-client" else version(name))
    fails("packages", r"augsvc-client 9\.9 is installed, augsvc needs ==")


def test_a_device_that_is_absent(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    fails("device", "no usable GPU.*set device to cpu", device="cuda")


def test_a_device_that_runs_nothing(monkeypatch):
    def broken(*_, **__):
        raise RuntimeError("CUDA error: out of memory")

    monkeypatch.setattr(torch, "ones", broken)
    fails("device", "CUDA error")


def test_an_idle_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(f"{MODULE}.runs_on_cuda", lambda executor: False)
    warns("device", r"augsvc\[cuda\]", device="cpu")


def test_a_limit_of_threads(monkeypatch):
    started, start = itertools.count(), threading.Thread.start

    def limited(thread):
        if next(started) == 5:
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", limited)
    fails("threads", "only 5 of .* threads start.*pids.max")


def test_each_fault_of_a_dataset_has_its_line(tmp_path):
    for name in (b"a/1\xff.png", b"b\x1b[2J/2\xff.png"):
        path = Path(os.fsdecode(name))
        (tmp_path / path).parent.mkdir()
        (tmp_path / path).write_bytes(b"")
    settings = Settings(datasets={"pets": {"format": "image_folder", "path": str(tmp_path)}})
    check = partial(check_dataset, "pets", settings.datasets["pets"], settings)
    first, second = run_check("dataset pets", check)
    for finding, name in ((first, r"a/1\\udcff"), (second, r"b\\x1b\[2J/2\\udcff")):
        report(finding, "failed", rf"^\S*/{name}\.png is not named in UTF-8: rename it$")


def test_a_limit_of_open_files(monkeypatch):
    monkeypatch.setattr("resource.getrlimit", lambda _: (1024, 1024))
    warns("connections", "max_connections: lowered from 4096 to 512.*ulimit -n")
    monkeypatch.setattr("resource.getrlimit", lambda _: (256, 256))
    fails("connections", "256 files.*ulimit -n")


def test_a_memory_limit(monkeypatch):
    monkeypatch.setattr(f"{MODULE}.memory_limit", lambda: 1 << 30)
    fails("memory", "max_batch_bytes: .*lower max_batch_bytes to at most 48 MiB")
    monkeypatch.setattr(f"{MODULE}.memory_limit", lambda: 2 << 30)
    warns("memory", "cache_bytes: lowered")


def test_bounds_above_the_machine_s_memory(monkeypatch):
    monkeypatch.setattr(f"{MODULE}.memory_limit", lambda: None)
    warns("memory", "lower cache_bytes", cache_bytes=1 << 50)


def test_a_kernel_cache_that_others_may_write(tmp_path):
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    fails("kernel cache", "must belong to the server's user", kernel_cache=tmp_path / "open")
    (tmp_path / "file").touch()
    fails("kernel cache", "file", kernel_cache=tmp_path / "file")
    warns("kernel cache", "compiled at every start", kernel_cache=None)


def test_a_disk_cache_that_others_may_write_or_that_does_not_fit(tmp_path):
    fails("disk cache", "File exists", disk_cache=Path(__file__))
    warns("disk cache", "disk_cache_bytes is .* free: lower it", disk_cache=tmp_path / "new", disk_cache_bytes=1 << 60)
    (tmp_path / "new").chmod(0o777)
    fails("disk cache", "must belong to the server's user", disk_cache=tmp_path / "new")


@pytest.mark.parametrize("n_bytes", [1, 16_000, (1 << 20) - 1])
def test_a_disk_cache_below_the_minimum(tmp_path, n_bytes):
    fails("disk cache", "bytes are too few: .* 1 MiB", disk_cache=tmp_path / "new", disk_cache_bytes=n_bytes)


def test_a_folder_of_uploads(tmp_path):
    assert [finding.text for finding in findings("uploads")] == ["none are accepted"]
    folder = tmp_path / "new"

    def uploads(path=folder, n_bytes=1 << 20):
        return {"uploads": {"path": path, "bytes": n_bytes}}

    fails("uploads", "cannot be used", **uploads(Path(__file__)))
    fails("uploads", "cannot be used", **uploads(Path("/proc/uploads")))
    (finding,) = findings("uploads", **uploads())
    assert finding.level == "ok" and finding.text == f"{folder}, 0 bytes of 1 MiB"
    warns("uploads", "uploads.bytes is .* free: lower it", **uploads(n_bytes=1 << 60))
    (folder / "pets").mkdir()
    (folder / "pets/dataset.json").write_text("{")
    warns("uploads", "pets: its record is damaged", **uploads())
    _, lock = lock_uploads(folder)
    fails("uploads", "another server uses this folder", **uploads())
    os.close(lock)


def test_a_decoder_without_its_library(monkeypatch):
    monkeypatch.setattr(
        f"{MODULE}.probe_outcomes", lambda name: {"unchanged": "undecodable" if name == "opus" else "0" * 64}
    )
    fails("decoders", "^opus: .*reinstall")


def test_a_clock_that_is_set_or_behind(monkeypatch):
    monkeypatch.setattr(f"{MODULE}.measure_skew", lambda: -3.5)
    fails("clock", r"set by -3\.50 s")
    monkeypatch.undo()
    start = time.monotonic()
    monkeypatch.setattr(time, "time", lambda: time.monotonic() - start)  # 1970
    fails("clock", "behind the installation")


def test_a_token_that_is_too_short(tmp_path):
    path = tmp_path / "tokens.yaml"
    path.write_text("a: {token: short}")
    fails("tokens", "at least 16", tokens_file=path)


def test_an_address_in_use(tmp_path):
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        fails("address", f"port {port} is in use", port=port)
    fails("address", "", uds=tmp_path / "absent" / "socket")


def test_a_module_of_operations_that_is_absent():
    fails("operations", "no_such_module", operations=("no_such_module",))


def test_built_in_datasets_without_their_package(monkeypatch):
    def broken(*_):
        raise FileNotFoundError("digits.csv.gz")

    monkeypatch.setattr(f"{MODULE}.open_catalog", broken)
    fails("built-in datasets", "digits")


def test_a_dataset_that_cannot_be_read_is_not_taken_for_a_folder_to_write_to(tmp_path, monkeypatch):
    def refuse(path):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(f"{MODULE}.newest_time", refuse)
    write_image_folder(tmp_path / "pets", {"cat": 2, "dog": 1})
    entry = ImageFolderSettings(format="image_folder", path=tmp_path / "pets")
    (finding,) = run_check("dataset pets", partial(check_dataset, "pets", entry, Settings()))
    cure = "check that it exists, and that this user may read it"
    assert finding == Finding(
        "failed", "dataset pets", f"{tmp_path / 'pets'} cannot be read (Permission denied): {cure}"
    )


@pytest.fixture
def dataset(tmp_path):
    """The findings of one dataset, as an image folder."""
    write_image_folder(tmp_path / "pets", {"cat": 2, "dog": 1})

    def find(name="pets"):
        entry = {"format": "image_folder", "path": str(tmp_path / "pets")}
        settings = Settings.model_validate({"datasets": {name: entry}})
        return list(run_check(name, partial(check_dataset, name, settings.datasets[name], settings)))

    return find


def first_file(folder):
    return min(path for path in folder.rglob("*") if path.is_file())


def test_a_dataset_that_takes_a_built_in_name(dataset):
    (finding,) = dataset("digits")
    report(finding, "failed", "belongs to a built-in dataset")


def test_a_file_of_the_future(dataset, tmp_path):
    ahead = time.time() + 86_400
    os.utime(first_file(tmp_path / "pets"), (ahead, ahead))
    good, warning = dataset()
    assert "samples" in good.text
    report(warning, "warning", "86,[34]00 s in the future|in the future")


def test_a_sample_that_is_undecodable(dataset, tmp_path):
    first_file(tmp_path / "pets").write_bytes(b"no image")
    report(dataset()[1], "warning", "000.png cannot be decoded")


def test_every_line_is_documented():
    documented = (Path(__file__).parents[1] / "docs/doctor.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `([^`]+)` \|", documented, re.M) == ["settings", *ALL_CHECKS, "dataset NAME"]


def test_a_cache_without_the_largest_kernel_is_not_compiled(tmp_path):
    def text():
        (finding,) = findings("kernel cache", device="cpu", kernel_cache=tmp_path / "new")
        return finding.text

    assert "the next start compiles" in text()
    own = tmp_path / "new" / code_digest()
    (own / "bleach.bleach-1.py311.1.nbc").touch()
    assert "the next start compiles" in text()
    (own / "cpu.render-1.py311.1.nbc").touch()
    assert "compiled for this CPU" in text()
