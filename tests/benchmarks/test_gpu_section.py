"""The GPU's section runs, counts and says what it should, seen without a GPU: only its clock and its streams are not."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from benchmarks import bar, gpu, gpu_report
from benchmarks.sections import Bench

ROOT = Path(__file__).parent.parent.parent
CASES = {"with noise, batches of 2", "without noise, batches of 2"}


SLOW = pytest.mark.slow  # half a minute: kernels and Kornia are compiled for it


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """As benchmarks/results/ would have them."""
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
def test_everybody_runs_every_pipeline_and_bytes_are_moved_in_the_same_rounds(results):
    found = results["gpu"]
    assert found["device"].keys() == found["host"].keys() == CASES
    for part, names, moves in (("device", gpu.DEVICE, {"copy"}), ("host", gpu.HOST, {"upload", "download"})):
        for case in CASES:
            rows = by_name(found[part][case])
            assert rows.keys() == installed(results, names) | moves
            for row in rows.values():
                assert row["rounds"] == 2 and row["images_per_s"] > 0
                assert row["to"].keys() == rows.keys()
                assert row["to"][row["who"]]["wall"] == 1


@SLOW
def test_what_runs_is_the_pipeline(results):
    """Ours to the level; the others' noise is their own, and so is their rim."""
    for part in ("device", "host"):
        for rows in results["gpu"][part].values():
            for row in rows:
                if "levels_from_fused" in row:
                    ours = row["who"].endswith(("_fused", "_kernels"))
                    assert row["levels_from_fused"] == 0 if ours else 0 < row["levels_from_fused"] < 25, row["who"]


@SLOW
def test_an_operation_that_somebody_has_not_is_left_out_for_him(results):
    rows = by_name(results["gpu"]["operations"]["pixel_dropout"])
    assert rows["gpu_kornia"]["missing"] == rows["gpu_compiled"]["missing"] == "has no pixel_dropout"
    assert rows["gpu_fused"]["images_per_s"] > 0
    assert "missing" not in by_name(results["gpu"]["operations"]["rotation"])["gpu_kornia"]


@SLOW
def test_what_computes_other_bytes_has_no_speed(results):
    assert results["wrong"] == "its bytes are not the CPU's"


@SLOW
def test_the_bar_has_its_rows(results):
    rows = [row for row in bar.reached(results) if "on a simulator" in row["what"]]
    host = by_name(results["gpu"]["host"]["with noise, batches of 2"])
    device = by_name(results["gpu"]["device"]["with noise, batches of 2"])
    assert rows[0]["found"] == host["host_fused"]["to"]["host_kornia"]
    assert rows[1]["found"] == device["gpu_fused"]["to"]["gpu_kornia"]
    assert rows[2]["found"]["wall"] == device["gpu_kernels"]["images_per_s"]
    assert [row["reached"] for row in rows] == ["below"] * 3  # a simulator


@SLOW
def test_the_page_has_a_table_of_each(results):
    page = gpu_report.text(results)
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
    found = gpu.gpu(Bench(1, 0.0, lambda line: None))
    assert gpu_report.text({"gpu": found}).endswith("not measured: no CUDA here.\n")
    assert [row["found"] for row in bar.reached({"gpu": found}) if "GPU" in row["what"]] == [None] * 3
