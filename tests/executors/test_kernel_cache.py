"""Compiled kernels on disk: found again, never stale, never a reason to fail."""

import ast
import logging
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import numba
import numpy as np
import pytest

from augsvc.executors.fused import kernel_cache, kernels
from augsvc.executors.fused.kernel_cache import keep_compiled, sources_digest
from augsvc.executors.fused.kernels import cpu, sound_cpu
from augsvc.executors.fused.kernels.compiled import entry
from augsvc.streams.probes import SoundProbe, sound_probe_spec
from augsvc.streams.stream import Stream
from tests.executors.grid_cases import MASK_CASES, masks
from tests.harness import Run, open_cpu, patch, run

ROOT = Path(__file__).parent.parent.parent


def doubled(values):
    for k in range(values.size):
        values[k] *= 2


def use(folder):
    """A kernel with its cache there, run once: how often it was found, and how often not."""
    kernel = entry(doubled)
    keep_compiled([kernel], folder)
    values = np.arange(5)
    kernel(values)
    assert values.tolist() == [0, 2, 4, 6, 8]
    return sum(kernel.stats.cache_hits.values()), sum(kernel.stats.cache_misses.values())


def test_what_is_compiled_once_is_found_again(tmp_path):
    assert use(tmp_path / "new") == (0, 1)
    assert use(tmp_path / "new") == (1, 0)
    assert len(list((tmp_path / "new").iterdir())) == 1


@pytest.mark.slow
def test_another_process_finds_it_too_and_two_at_once_do_not_disturb_each_other(tmp_path):
    code = f"from tests.executors.test_kernel_cache import use; from pathlib import Path; print(use(Path({str(tmp_path)!r})))"
    for found in ({"(0, 1)", "(1, 0)"}, {"(1, 0)"}):
        processes = [
            subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True)
            for _ in range(2)
        ]
        assert {process.communicate()[0].strip() for process in processes} <= found
    assert [path.suffix for path in tmp_path.iterdir()] == [".kernel"]


@pytest.mark.parametrize("damage", [b"", b"x" * 100, None])
def test_a_damaged_file_is_told_and_replaced(tmp_path, damage, caplog):
    use(tmp_path)
    (file,) = tmp_path.iterdir()
    whole = file.read_bytes()
    file.write_bytes(whole[:-1] if damage is None else damage)
    with caplog.at_level(logging.WARNING, "augsvc"):
        assert use(tmp_path) == (0, 1)
    assert "compiled anew" in caplog.text
    assert use(tmp_path) == (1, 0)


def test_a_folder_that_cannot_be_written_is_told_and_no_failure(tmp_path, caplog):
    (tmp_path / "file").write_bytes(b"")
    with caplog.at_level(logging.WARNING, "augsvc"):
        assert use(tmp_path / "file" / "below") == (0, 1)
    assert "cannot be written" in caplog.text


def test_without_a_folder_nothing_is_kept():
    assert use(None) == use(None) == (0, 1)


def test_a_change_in_any_kernel_file_is_another_digest(tmp_path, monkeypatch):
    folder = shutil.copytree(Path(kernels.__path__[0]), tmp_path / "kernels")
    monkeypatch.setattr(kernels, "__path__", [str(folder)])
    digests = set()
    for path in sorted(folder.glob("*.py")):
        path.write_text(path.read_text(encoding="utf-8") + "# changed\n", encoding="utf-8")
        sources_digest.cache_clear()
        digests.add(sources_digest())
    sources_digest.cache_clear()
    assert len(digests) == len(list(folder.glob("*.py"))) > 5


def test_a_change_in_the_kernels_is_compiled_anew(tmp_path, monkeypatch):
    use(tmp_path)
    monkeypatch.setattr(kernel_cache, "sources_digest", lambda: "other")
    assert use(tmp_path) == (0, 1)


def test_code_compiled_with_another_option_is_not_taken(tmp_path):
    code = "import sys, pathlib, tests.executors.test_kernel_cache as t; print(t.use(pathlib.Path(sys.argv[1])))"
    variables = os.environ | {"NUMBA_OPT": "0"}
    subprocess.run([sys.executable, "-c", code, tmp_path], cwd=ROOT, env=variables, capture_output=True, check=True)
    assert use(tmp_path) == (0, 1)
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("OPT", 0), ("BOUNDSCHECK", 1), ("DEBUGINFO_DEFAULT", 1), ("ENABLE_AVX", False), ("LOOP_VECTORIZE", 0),
        ("SLP_VECTORIZE", 1),
    ],
)  # fmt: skip
def test_each_option_that_changes_code_is_part_of_its_name(tmp_path, monkeypatch, option, value):
    context = cpu.sum_values.targetctx
    cache = kernel_cache._KernelCache(tmp_path, "a")
    before = cache._path((), context)
    monkeypatch.setattr(numba.config, option, value)
    assert cache._path((), context) != before


def test_a_full_disk_leaves_nothing_behind(tmp_path, caplog):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))  # bytes of a file; Python ignores the signal
    try:
        with caplog.at_level(logging.WARNING, "augsvc"):
            found = use(tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert found == (0, 1) and "cannot be written" in caplog.text
    assert not list(tmp_path.iterdir())


def test_kernels_depend_on_nothing_that_the_digest_misses():
    for path in Path(kernels.__path__[0]).glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [node.module] if isinstance(node, ast.ImportFrom) else []
            names += [name.name for name in node.names] if isinstance(node, ast.Import) else []
            for name in names:
                own = name == kernels.__name__ or name.startswith(kernels.__name__ + ".")
                assert own or not name.startswith("augsvc"), f"{path.name} imports {name}"


def test_a_new_pipeline_compiles_nothing():
    open_cpu("fused")
    images = [patch("coffee", 20, 24), patch("coffee", 31, 17)]
    for channels in (1, 3):
        for pipeline in ("none", "strong", [{"op": "gaussian_noise"}, {"op": "whitening"}, {"op": "rotation"}]):
            run(pipeline, images, size=[16, 24], channels=channels).images()
    for pipeline in ("sound", "none", [{"op": "gain"}, {"op": "white_noise"}, {"op": "distortion", "mode": "crush"}]):
        stream = Stream.open(sound_probe_spec({"pipeline": pipeline}), SoundProbe(), open_cpu("fused"))
        Run(stream).batch()
    for fields in ("edge, shrunk, tilted", "cover, masks"):
        masks(MASK_CASES[fields], open_cpu("fused"))
    compiled = (cpu.render, cpu.move_masks, cpu.sum_values, sound_cpu.render)
    assert [len(kernel.signatures) for kernel in compiled] == [1, 1, 1, 1]


def test_the_self_test_leaves_every_kernel_compiled():
    """In a process of its own, where none was used yet: a server that is ready compiles nothing more."""
    code = (
        "from tests.harness import open_cpu; from augsvc.streams.selftest import SelfTest;"
        "from augsvc.executors.fused.kernels import cpu, sound_cpu;"
        "SelfTest(open_cpu('fused')).everything();"
        "kernels = (cpu.render, cpu.move_masks, cpu.sum_values, sound_cpu.render);"
        "print([len(kernel.signatures) for kernel in kernels])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[1, 1, 1, 1]"
