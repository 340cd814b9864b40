"""Compiled kernels on disk: loaded again, never stale, never a reason to fail."""

import ast
import inspect
import logging
import multiprocessing
import os
import resource
import runpy
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import numba
import numpy as np
import pytest
from numba.core import caching

from augsvc.executors.fused import kernel_cache, kernels
from augsvc.executors.fused.kernel_cache import code_digest, keep_compiled
from augsvc.executors.fused.kernels import cpu, sound_cpu, statistics, whole
from augsvc.executors.fused.kernels.compiled import entry
from augsvc.streams.probes import SoundProbe, sound_probe_spec
from augsvc.streams.stream import Stream
from tests.executors.grid_cases import MASK_CASES, masks
from tests.harness import Run, open_cpu, patch, run

ROOT = Path(__file__).parent.parent.parent


def doubled(values):
    for k in range(values.size):
        values[k] *= 2


def use(folder, dtype=np.int64, function=doubled):
    """A kernel with its cache in a folder, run once: how often it was loaded, and how often compiled."""
    kernel = entry(function)
    keep_compiled([kernel], folder)
    values = np.arange(5, dtype=dtype)
    kernel(values)
    assert values.tolist() == [0, 2, 4, 6, 8]
    return sum(kernel.stats.cache_hits.values()), sum(kernel.stats.cache_misses.values())


def files(folder):
    return sorted(path for path in folder.rglob("*") if path.is_file())


def test_what_is_compiled_once_is_loaded_again(tmp_path):
    assert use(tmp_path / "new") == (0, 1)
    assert use(tmp_path / "new") == (1, 0)
    assert [path.suffix for path in files(tmp_path)] == [".nbc", ".nbi"]
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("stamp", ["of this version of Numba", "of its 0.61: the time of the file"])
def test_the_same_code_at_another_path_is_loaded_too(tmp_path, monkeypatch, stamp):
    """As of a second environment on the machine, which compiled for 63 CPU seconds. Other code of the same name is not."""
    if "time" in stamp:
        mixin = caching._SourceFileBackedLocatorMixin
        monkeypatch.setattr(mixin, "get_source_stamp", lambda self: Path(self._py_file).stat().st_mtime_ns)
    code = inspect.getsource(doubled)
    for place, text, counts in (
        ("a", code, (0, 1)),
        ("b", code, (1, 0)),
        ("c", code.replace("*= 2", "+= values[k]"), (0, 1)),
    ):
        (tmp_path / place).mkdir()
        (tmp_path / place / "doubling.py").write_text(text, encoding="utf-8")
        function = runpy.run_path(str(tmp_path / place / "doubling.py"))["doubled"]
        assert use(tmp_path / "cache", function=function) == counts


@pytest.mark.slow
def test_another_process_loads_it_too_and_two_at_a_time_do_not_disturb_each_other(tmp_path):
    code = f"from tests.executors.test_kernel_cache import use; from pathlib import Path; print(use(Path({str(tmp_path)!r})))"
    for allowed in ({"(0, 1)", "(1, 0)"}, {"(1, 0)"}):
        processes = [
            subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True)
            for _ in range(2)
        ]
        assert {process.communicate()[0].strip() for process in processes} <= allowed
    assert [path.suffix for path in files(tmp_path)] == [".nbc", ".nbi"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the platform cannot fork")
def test_a_forked_process_and_threads_load_it_too(tmp_path):
    use(tmp_path)
    with ProcessPoolExecutor(1, multiprocessing.get_context("fork")) as forked:
        assert forked.submit(use, tmp_path).result() == (1, 0)
    with ThreadPoolExecutor(4) as threads:
        assert set(threads.map(use, [tmp_path] * 8)) == {(1, 0)}


@pytest.mark.parametrize("suffix", [".nbi", ".nbc"])
@pytest.mark.parametrize("damage", [b"", b"x" * 100, None])
def test_a_damaged_file_is_logged_and_replaced(tmp_path, damage, suffix, caplog):
    use(tmp_path)
    (file,) = (path for path in files(tmp_path) if path.suffix == suffix)
    whole = file.read_bytes()
    file.write_bytes(whole[:-1] if damage is None else damage)
    with caplog.at_level(logging.WARNING, "augsvc"):
        assert use(tmp_path) == (0, 1)
    assert "cannot be read" in caplog.text
    assert use(tmp_path) == (1, 0)


@pytest.mark.parametrize("fraction", [0, 0.01, 0.25, 0.5, 0.75, 1])
def test_data_with_a_flipped_bit_are_never_loaded(tmp_path, fraction, caplog):
    """Machine code with a flipped bit may still load, and then crash the process or compute wrong values."""
    use(tmp_path)
    (file,) = (path for path in files(tmp_path) if path.suffix == ".nbc")
    content = bytearray(file.read_bytes())
    content[int(fraction * (len(content) - 1))] ^= 1
    file.write_bytes(content)
    with caplog.at_level(logging.WARNING, "augsvc"):
        assert use(tmp_path) == (0, 1)
    assert "does not match its digest" in caplog.text and "compiled again" in caplog.text
    assert use(tmp_path) == (1, 0)


def test_code_for_another_signature_is_never_loaded(tmp_path):
    """The index of one process may name the data file that another one has replaced."""
    assert use(tmp_path) == use(tmp_path, np.float64) == (0, 1)
    first, second = (path for path in files(tmp_path) if path.suffix == ".nbc")
    second.write_bytes(first.read_bytes())
    assert {use(tmp_path), use(tmp_path, np.float64)} == {(1, 0), (0, 1)}
    assert use(tmp_path) == use(tmp_path, np.float64) == (1, 0)


def test_a_folder_that_cannot_be_made_is_logged_and_no_failure(tmp_path, caplog):
    (tmp_path / "file").write_bytes(b"")
    with caplog.at_level(logging.WARNING, "augsvc"):
        assert use(tmp_path / "file" / "below") == (0, 1)
    (line,) = caplog.messages
    assert (
        "(Not a directory): name a folder that this user may write to; kernels are compiled again at every start"
        in line
    )
    assert "Errno" not in caplog.text


def test_a_folder_that_cannot_be_written_is_logged_and_nothing_is_kept_elsewhere(tmp_path, caplog, monkeypatch):
    def refuse(dir):
        raise PermissionError(dir)

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)  # how Numba tries it; root may write everywhere
    with caplog.at_level(logging.WARNING, "augsvc"):
        assert use(tmp_path) == (0, 1)
    assert "(Permission denied): name a folder" in caplog.text and "Errno" not in caplog.text
    assert not files(tmp_path)


@pytest.mark.parametrize("level", ["the folder", "the one in it"])
@pytest.mark.parametrize("fault", ["another owner", 0o770, 0o707])
def test_a_folder_that_another_user_owns_or_may_write_to_is_not_used(tmp_path, fault, level, caplog, monkeypatch):
    assert use(tmp_path) == (0, 1)
    folder = tmp_path if level == "the folder" else tmp_path / code_digest()
    if fault == "another owner":
        monkeypatch.setattr(os, "geteuid", lambda: folder.stat().st_uid + 1)
    else:
        folder.chmod(fault)
    with caplog.at_level(logging.WARNING, "augsvc"):
        assert use(tmp_path) == (0, 1)
    assert "must belong to the server's user" in caplog.text
    assert "a sub-folder will do" in caplog.text


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
@pytest.mark.parametrize("suffix", [".nbi", ".nbc"])
def test_files_that_another_user_put_there_while_it_was_open_to_them_are_not_loaded(tmp_path, suffix, caplog):
    """The folder is private again, as the log asked for; Numba would unpickle the files."""
    assert use(tmp_path) == (0, 1)
    planted = next(path for path in files(tmp_path) if path.suffix == suffix)
    os.chown(planted, 1, -1)
    with caplog.at_level(logging.WARNING, "augsvc"):
        assert use(tmp_path) == (0, 1)
    assert "of another user: delete it" in caplog.text


def test_in_a_mount_that_others_may_write_to_a_sub_folder_is_used(tmp_path):
    tmp_path.chmod(0o2775)  # with fsGroup; emptyDir: 0777
    assert use(tmp_path / "kernels") == (0, 1)
    assert use(tmp_path / "kernels") == (1, 0)


def test_without_a_folder_nothing_is_kept():
    assert use(None) == use(None) == (0, 1)


def test_numbas_own_cache_folder_stays_as_it_was(tmp_path, monkeypatch):
    monkeypatch.setattr(numba.config, "CACHE_DIR", "elsewhere")
    use(tmp_path)
    assert numba.config.CACHE_DIR == "elsewhere" and not Path("elsewhere").exists()


def test_a_change_in_any_kernel_file_is_another_digest(tmp_path, monkeypatch):
    folder = shutil.copytree(Path(kernels.__path__[0]), tmp_path / "kernels")
    monkeypatch.setattr(kernels, "__path__", [str(folder)])
    digests = {code_digest()}
    paths = sorted(folder.rglob("*.py"))
    for path in paths:
        path.write_text(path.read_text(encoding="utf-8") + "# changed\n", encoding="utf-8")
        digests.add(code_digest())
    assert len(digests) == 1 + len(paths) > 5


def test_after_a_change_in_the_kernels_they_are_compiled_again(tmp_path, monkeypatch):
    use(tmp_path)
    monkeypatch.setattr(kernel_cache, "code_digest", lambda: "other")
    assert use(tmp_path) == (0, 1)


def test_code_compiled_with_another_option_is_not_loaded(tmp_path):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(numba.config, "OPT", 0)
        assert use(tmp_path) == (0, 1)
    assert use(tmp_path) == (0, 1)
    assert len(files(tmp_path)) == 4


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("OPT", 0), ("BOUNDSCHECK", 1), ("DEBUGINFO_DEFAULT", 1), ("ENABLE_AVX", False), ("LOOP_VECTORIZE", 0),
        ("SLP_VECTORIZE", 1), ("CPU_NAME", "generic"), ("CPU_FEATURES", "+avx"),
    ],
)  # fmt: skip
def test_each_option_that_changes_code_is_part_of_the_digest(monkeypatch, option, value):
    before = code_digest()
    monkeypatch.setattr(numba.config, option, value)
    assert code_digest() != before


@pytest.mark.parametrize("part", ["numba.__version__", "llvmlite.__version__", "numpy.__version__", "sys.version"])
def test_each_version_is_part_of_the_digest(monkeypatch, part):
    before = code_digest()
    monkeypatch.setattr(part, "another")
    assert code_digest() != before


def test_another_cpu_has_another_digest(monkeypatch):
    before = code_digest()
    monkeypatch.setattr(kernel_cache.binding, "get_host_cpu_name", lambda: "another")
    assert code_digest() != before


def test_a_full_disk_leaves_nothing_behind(tmp_path, caplog):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))  # bytes of a file; Python ignores the signal
    try:
        with caplog.at_level(logging.WARNING, "augsvc"):
            counts = use(tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert counts == (0, 1) and "cannot be written" in caplog.text
    assert not files(tmp_path)


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
        for pipeline in (
            "none",
            "strong",
            [
                {"op": "gaussian_noise"},
                {"op": "whitening"},
                {"op": "equalize"},
                {"op": "photometric_distort"},
                {"op": "rotation"},
            ],
        ):
            run(pipeline, images, size=[16, 24], channels=channels).images()
        run([{"op": "sharpen"}], [patch("coffee", 16, 24)], size=[16, 24], channels=channels).images()
    for pipeline in ("sound", "none", [{"op": "gain"}, {"op": "white_noise"}, {"op": "distortion", "mode": "crush"}]):
        stream = Stream.open(sound_probe_spec({"pipeline": pipeline}), SoundProbe(), open_cpu("fused"))
        Run(stream).batch()
    for fields in ("edge, shrunk, tilted", "cover, masks"):
        masks(MASK_CASES[fields], open_cpu("fused"))
    images = (cpu.render, whole.render, cpu.move_masks, statistics.sum_values, statistics.count_levels)
    assert [len(kernel.signatures) for kernel in (*images, sound_cpu.render)] == [1, 1, 1, 1, 1, 1]


def test_the_self_test_leaves_every_kernel_compiled():
    """In a new process, where none was used yet: a server that is ready compiles nothing more."""
    code = (
        "from tests.harness import few_operations, open_cpu; from augsvc.streams.selftest import SelfTest;"
        "from augsvc.executors.fused.kernels import cpu, sound_cpu, statistics, whole;"
        "from augsvc.ops.registry import registry;"
        "known = few_operations() | {name: registry()[name] for name in ('whitening', 'equalize')};"
        "SelfTest(open_cpu('fused'), known).digests();"
        "images = (cpu.render, whole.render, cpu.move_masks, statistics.sum_values, statistics.count_levels);"
        "print([len(kernel.signatures) for kernel in (*images, sound_cpu.render)])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[1, 1, 1, 1, 1, 1]"
