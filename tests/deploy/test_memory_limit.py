"""Default bounds fit the memory of a container: checked at start, against control groups of both versions."""

import logging

import pytest

from augsvc.cli.memory import BASE_BYTES, fit_memory
from augsvc.cli.memory_limit import memory_limit
from augsvc.data.cache import DECODING_BYTES
from augsvc.data.catalog import open_catalog
from augsvc.http import app
from augsvc.settings import Settings
from tests.deploy.composed import composed

GIB, MIB = 1 << 30, 1 << 20
V2, V1 = "sys/fs/cgroup/{}memory.max", "sys/fs/cgroup/memory/{}memory.limit_in_bytes"
UNIT = "0::/system.slice/augsvc.service\n"
OLD = "5:cpu,cpuacct:/x\n4:memory:/docker/0123\n"


def write(root, files):
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return root


@pytest.mark.parametrize(
    ("files", "limit"),
    [
        ({}, None),
        ({V2.format(""): "max\n"}, None),
        ({V2.format(""): "4294967296\n", "proc/self/cgroup": "0::/\n"}, 4 * GIB),
        ({V2.format(""): "4294967296\n"}, 4 * GIB),
        ({V2.format("system.slice/augsvc.service/"): "1073741824\n", "proc/self/cgroup": UNIT}, GIB),
        ({V2.format("system.slice/"): "1073741824", "proc/self/cgroup": UNIT}, GIB),
        (
            {
                V2.format("system.slice/"): "1073741824",
                V2.format("system.slice/augsvc.service/"): "2147483648",
                "proc/self/cgroup": UNIT,
            },
            GIB,
        ),
        ({V2.format("other.slice/"): "1", "proc/self/cgroup": UNIT}, None),
        ({V2.format(""): "1073741824", "proc/self/cgroup": "0::/../..\n"}, GIB),
        ({V1.format(""): "2147483648\n", "proc/self/cgroup": OLD}, 2 * GIB),
        ({V1.format("docker/0123/"): "2147483648\n", "proc/self/cgroup": OLD}, 2 * GIB),
        ({V1.format(""): "9223372036854771712\n", "proc/self/cgroup": OLD}, None),
        ({V2.format(""): "", "proc/self/cgroup": "\n::\n:"}, None),
        ({V2.format(""): "-1"}, None),
    ],
)
def test_the_limit_of_the_control_groups(tmp_path, files, limit):
    assert memory_limit(write(tmp_path, files)) == limit


FOLDERS = {"flowers": {"format": "image_folder", "path": "/f"}, "birds": {"format": "audio_folder", "path": "/b"}}


def test_compose_s_limit_holds_the_defaults(caplog):
    """With datasets of files as large as the default bounds allow, too."""
    settings = Settings(datasets=FOLDERS)
    for service in ("server", "server-gpu"):
        limits = composed()["services"][service]["deploy"]["resources"]["limits"]
        assert limits["memory"].endswith("g")
        assert fit_memory(settings, int(limits["memory"][:-1]) * GIB) == (settings, DECODING_BYTES)
    assert not caplog.records


def test_files_that_may_be_too_large_to_decode_are_named(caplog):
    with caplog.at_level(logging.WARNING):
        assert fit_memory(Settings(datasets=FOLDERS), 2 * GIB)[0].cache_bytes == 192 * MIB
    named = [line for line in caplog.messages if line.startswith("datasets.")]
    assert [line.partition(":")[0] for line in named] == ["datasets.flowers", "datasets.birds"]
    assert all("lower max_pixels, max_frames or max_file_bytes" in line for line in named)
    caplog.clear()
    small = {"flowers": FOLDERS["flowers"] | {"max_pixels": 10_000_000}}
    fit_memory(Settings(datasets=small), 3 * GIB)
    assert not caplog.records


@pytest.mark.parametrize("limit", [None, 64 * GIB])
def test_without_a_limit_or_below_it_nothing_changes(limit, caplog):
    assert fit_memory(Settings(), limit) == (Settings(), DECODING_BYTES)
    assert not caplog.records


def test_a_cache_that_does_not_fit_is_lowered_and_the_log_names_the_settings(caplog):
    with caplog.at_level(logging.WARNING):
        fitted, _ = fit_memory(Settings(), 2 * GIB)
    assert fitted == Settings().model_copy(update={"cache_bytes": 2 * GIB - BASE_BYTES - 4 * (256 * MIB)})
    (line,) = caplog.messages
    assert "cache_bytes: lowered from 1 GiB to 192 MiB" in line
    assert "memory limit of 2 GiB" in line
    assert "4 × max_batch_bytes" in line


@pytest.mark.parametrize(("limit", "most"), [(GIB, "48 MiB"), (256 * MIB, "0 bytes")])
def test_a_budget_that_does_not_fit_is_refused(limit, most):
    with pytest.raises(ValueError, match=f"lower max_batch_bytes to at most {most}, or raise the limit"):
        fit_memory(Settings(), limit)


def test_settings_that_name_less_fit_a_small_container():
    small = Settings(max_batch_bytes=32 * MIB, cache_bytes=64 * MIB)
    assert fit_memory(small, GIB) == (small, GIB - BASE_BYTES - 4 * 32 * MIB)


@pytest.mark.parametrize("cache", [0, 16 * MIB, GIB], ids=["none", "small", "lowered"])
@pytest.mark.parametrize("spare", [0, 30 * MIB, 300 * MIB])
def test_decoding_takes_no_more_than_the_limit_leaves(cache, spare, monkeypatch, tmp_path):
    """However small the cache is: the floor of DECODING_BYTES is for servers without a limit."""
    settings = Settings(max_batch_bytes=32 * MIB, cache_bytes=cache, kernel_cache=tmp_path)
    opened = []
    monkeypatch.setattr(app, "open_catalog", lambda *args: opened.append(open_catalog(*args)) or opened[0])
    app.create_app(*fit_memory(settings, BASE_BYTES + 4 * 32 * MIB + spare))
    assert opened[0].cache.max_decoding_bytes == min(spare, max(cache, DECODING_BYTES))
    assert opened[0].cache.max_bytes == min(cache, spare)
