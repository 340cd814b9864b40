"""The GPU's sections without a GPU: all but its clock and its streams."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from benchmarks import gpu, pixel_tables, targets
from benchmarks.bench import Bench

ROOT = Path(__file__).parent.parent.parent
CASES = {"with noise, batches of 2", "without noise, batches of 2"}


SLOW = pytest.mark.slow  # half a minute: kernels and Kornia are compiled for it


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """In the form of benchmarks/results/."""
    path = tmp_path_factory.mktemp("gpu") / "results.json"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "tests.benchmarks.simulated_gpu", path],
        cwd=ROOT, env=os.environ | {"NUMBA_ENABLE_CUDASIM": "1", "NUMBA_OPT": "0"}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(path.read_text(encoding="utf-8"))


def by_name(rows):
    return {row["who"]: row for row in rows}


def installed(results, names):
    return {name for name in names if name not in results["missing"]}


@SLOW
def test_every_peer_runs_every_pipeline_and_bytes_are_copied_in_the_same_rounds(results):
    sections = results["gpu"]
    assert sections["device"].keys() == sections["host"].keys() == CASES
    for part, names, moves in (("device", gpu.DEVICE, {"copy"}), ("host", gpu.HOST, {"upload", "download"})):
        for case in CASES:
            rows = by_name(sections[part][case])
            assert rows.keys() == installed(results, names) | moves
            for row in rows.values():
                assert row["rounds"] == 2 and row["images_per_s"] > 0
                assert row["to"].keys() == rows.keys()
                assert row["to"][row["who"]]["wall"] == 1


@SLOW
def test_peers_run_the_pipeline(results):
    """Ours exactly; the others have their own noise and border."""
    for part in ("device", "host"):
        for rows in results["gpu"][part].values():
            for row in rows:
                if "levels_from_fused" in row:
                    ours = row["who"].endswith(("_fused", "_kernels"))
                    assert row["levels_from_fused"] == 0 if ours else 0 < row["levels_from_fused"] < 25, row["who"]


@SLOW
def test_a_peer_without_an_operation_is_left_out_for_it(results):
    rows = by_name(results["gpu"]["operations"]["pixel_dropout"])
    assert rows["gpu_kornia"]["missing"] == rows["gpu_compiled"]["missing"] == "has no pixel_dropout"
    assert rows["gpu_fused"]["images_per_s"] > 0
    assert "missing" not in by_name(results["gpu"]["operations"]["rotation"])["gpu_kornia"]


@SLOW
def test_wrong_bytes_have_no_speed(results):
    assert results["wrong"] == "its bytes differ from the CPU's"


@SLOW
def test_the_targets_have_their_rows(results):
    rows = [row for row in targets.evaluate(results) if "on a simulator" in row["what"]]
    host = by_name(results["gpu"]["host"]["with noise, batches of 2"])
    device = by_name(results["gpu"]["device"]["with noise, batches of 2"])
    assert rows[0]["measured"] == host["host_fused"]["to"]["host_kornia"]
    assert rows[1]["measured"] == device["gpu_fused"]["to"]["gpu_kornia"]
    assert rows[2]["measured"]["wall"] == device["gpu_kernels"]["images_per_s"]
    assert [row["level"] for row in rows] == ["below"] * 3  # a simulator


@SLOW
def test_the_page_has_a_table_of_each(results):
    page = pixel_tables.gpu(results)
    assert "on a simulator" in page
    for case in CASES:
        assert page.count(f"| {case} | images/s |") == 2
    for name in installed(results, (*gpu.DEVICE, *gpu.HOST)):
        assert results["titles"][name] in page
    for move in ("copy", "upload", "download"):
        assert f"| {move}, " in page
    for name in results["missing"]:
        assert f"Left out: {name}: " in page


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is CUDA here")
def test_without_cuda_nothing_is_claimed():
    results = {"gpu": gpu.gpu(Bench(1, 0.0, lambda line: None))}
    assert pixel_tables.gpu(results).endswith("not measured: no CUDA here.\n")
    assert [row["measured"] for row in targets.evaluate(results) if "GPU" in row["what"]] == [None] * 3
