"""The page: rows, reasons for missing rows, and the documented page is the one of its results."""

import json

import pytest

from augsvc.ops.kinds.sound_partners import SoundPartner
from augsvc.ops.registry import registry
from benchmarks import file_tables, pixel_tables, recipes, report, sections, sound, sound_operations, sound_tables
from benchmarks.__main__ import merge
from benchmarks.bench import Bench
from benchmarks.peers import fused, fused_sound, kornia
from benchmarks.rounds import all_pairs, interleave
from benchmarks.serving import tables as serving_tables
from benchmarks.tables import table
from benchmarks.targets import TARGETS
from tests.benchmarks.test_rounds import entry


class FailingWorker:
    """A peer whose process ends in the second round, if it is Kornia's."""

    def __init__(self, name):
        self.name = self.peer = name
        self._entry = entry(name, fails_in=2 if name == "kornia" else None)

    def make(self, pipeline, batch, size):
        return recipes.np.zeros((1, 1, 3)), 1.0

    def run(self, times):
        return self._entry.run(times)


def test_a_table_has_a_heading_and_a_line_a_row():
    columns = [("n", lambda row: str(row)), ("n²", lambda row: str(row * row))]
    assert table(columns, [2, 3]) == "| n | n² |\n| --- | --- |\n| 2 | 4 |\n| 3 | 9 |\n"


def test_the_page_says_why_a_peer_has_no_row():
    bench = Bench(3, 1.0, lambda text: None)
    rows = sections._compare(bench, [FailingWorker(name) for name in ("fused", "kornia")], [], "pipeline")
    results = {"pipeline": {"with noise": rows}, "missing": {}, "titles": {"fused": "f"}, "versions": {"fused": "1"}}
    page = pixel_tables.pipeline(json.loads(json.dumps(results)))
    assert "Left out: kornia: ended in round 2 of 3" in page
    assert "| f (1) |" in page


def test_a_peer_with_a_row_is_not_left_out():
    row = {"who": "tcp", "images_per_s": 1.0, "quartiles": [1.0, 1.0], "images_per_cpu_s": 1.0, "to": {}}
    results = {"wire": [row], "titles": {"tcp": "t"}, "versions": {"tcp": "1"}, "missing": {"tcp": "x", "http": "y"}}
    page = serving_tables.wire(results)
    assert "Left out: http: y." in page
    assert "tcp: x" not in page


def test_every_image_operation_has_a_benchmark_row():
    steps = recipes.operations()
    assert [step["op"] for step in steps] == [name for name, op in registry().items() if op.media == "image"]
    assert all(step | {"p": 1.0} in steps for step in recipes.PINNED)
    assert {step["p"] for step in steps} == {1.0}, "peers take all images"


def test_an_operation_is_compared_with_its_fastest_peer_and_the_least_gain_is_the_target():
    def row(who, cpu):
        to_it = {"wall": 9.0, "cpu": cpu, "low": 8.0, "high": 10.0}
        return {"who": who, "images_per_cpu_s": 1e5 / cpu, "fused_to_it": to_it}

    sizes = {"gamma": (8.0, 2.0), "invert": (7.0, 3.0)}
    operations = {
        name: [row("fused", 1.0), row("kornia", kornia), row("torchvision", 5.0), row("albumentations", albumentations)]
        for name, (kornia, albumentations) in sizes.items()
    }
    alone = {"letterbox": [row("fused", 1.0), {"who": "kornia", "missing": "has no letterbox"}]}
    results = {"operations": operations | alone}
    page = pixel_tables.each_operation(results)
    assert "| `gamma` | 0.20 | 1.59 | 1.00 | 0.40 | Albumentations | 9.00 (8.00–10.00) | 2.00 |" in page
    assert page.index("`gamma`") < page.index("`invert`") < page.index("No counterpart") < page.index("`letterbox`")
    target = next(target for target in TARGETS if target.what.startswith("the operation"))
    assert target.find(results)["cpu"] == 2.0


def test_files_are_compared_with_the_cheapest_loader_by_cpu_time():
    def row(who, ms, to):
        ratios = {name: {"wall": 9.0, "cpu": cpu, "low": 8.0, "high": 10.0} for name, cpu in to.items()}
        return {"who": who, "images_per_s": 1.0, "quartiles": [1, 1], "images_per_cpu_s": 1000 / ms, "to": ratios}

    ours = row("files", 2.0, {"files": 1.0, "files_opencv": 1.5, "files_dali": 1.4})
    rows = [ours, row("files_opencv", 3.0, {}), row("files_dali", 2.8, {})]
    names = {row["who"]: row["who"] for row in rows}
    results = {"files": {"500 × 375": rows}, "titles": names, "versions": names, "missing": {"files_torchvision": "no"}}
    page = file_tables.files(results)
    assert "| files_opencv (files_opencv) | 3.00 | 1.50 |" in page and "Left out: files_torchvision: no." in page
    target = next(target for target in TARGETS if target.what.startswith("from JPEG files of 500"))
    assert target.find(results)["cpu"] == 1.4 and target.level(target.find(results)) == "minimum"
    assert target.find({}) is None and target.find({"files": {"500 × 375": rows[1:]}}) is None


def test_starts_over_many_files_have_a_row_each_and_two_targets():
    rows = [{"case": case, "wall": 0.125, "cpu": 0.1, "bytes": 8e6, "samples": 1e6} for case in "abcd"]
    assert "| c | 0.12 | 0.10 | 8 |" in file_tables.opening({"opening": rows})
    targets = [target for target in TARGETS if target.what.startswith("a start over")]
    assert [target.find({"opening": rows})["wall"] for target in targets] == [0.125, 8.0]
    assert [target.find({}) for target in targets] == [None, None]


def test_a_section_that_replaces_a_stored_one_says_when_it_was_measured():
    stored = {"machine": {"commit": "a"}, "versions": {}, "titles": {}, "missing": {}, "far": 1, "wire": 2}
    taken = {"machine": {"date": "2026-01-02", "commit": "b"}, "versions": {}, "titles": {}, "missing": {}}
    merged = merge(stored, taken, "far", 3)
    assert (merged["far"], merged["wire"], merged["machine"]) == (3, 2, {"commit": "a"})
    assert merged["later"] == {"far": "2026-01-02, commit b"}


@pytest.mark.parametrize("step", [*recipes.operations(), recipes.CLASSIFICATION], ids=str)
def test_our_peer_renders_every_operation(step):
    pipeline = step if isinstance(step, list) else [step]
    batch = fused.make(pipeline, recipes.images(6, 40))()
    side = recipes.SIZE if recipes.has_frame(pipeline) else 40
    assert batch.shape == (6, side, side, 3)


def test_kornias_steps_are_operations():
    names = {step["op"] for step in recipes.operations()}
    assert kornia.STEPS.keys() <= names


def test_the_page_is_generated_from_stored_results():
    page = (report.ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    stored = [json.loads(path.read_text(encoding="utf-8")) for path in report.RESULTS.glob("20*.json")]
    assert page in [report.text(results) for results in stored if results["machine"]["commit"] in page]


def test_clips_have_rows_and_peers_that_are_missing_a_reason():
    entries = [entry("fused_sound"), entry("audiomentations")]
    interleave(entries, 3, 1.0, lambda text: None)
    results = {
        "sound": {"1 s": all_pairs(entries)},
        "titles": {"fused_sound": "ours", "audiomentations": "theirs"},
        "versions": {"fused_sound": "1", "audiomentations": "2"},
        "missing": {"torch_audiomentations": "no torchaudio", "dali": "x"},
    }
    page = sound_tables.sound(json.loads(json.dumps(results)))
    assert "| theirs (2) | 20 (20–20) | 1.00 (1.00–1.00) | 1.00 |" in page
    assert "Left out: torch_audiomentations: no torchaudio." in page and "dali" not in page
    of_sound = [target for target in TARGETS if target.what.startswith("sound")]
    assert [target.find(results) is None for target in of_sound] == [True, True, False, True]


def test_a_sound_operation_is_compared_with_its_fastest_peer_and_a_slower_one_has_a_reason():
    ours, fast, slow, alone = (entry(name) for name in ("fused_sound", "torchaudio", "audiomentations", "fused_sound"))
    for one, seconds in ((ours, 0.5), (fast, 0.25), (slow, 1.0), (alone, 0.5)):
        one.wall, one.cpu = [seconds], [seconds]
    results = {
        "sound_operations": {"gain": all_pairs([ours, fast, slow]), "reverse": all_pairs([alone])},
        "missing": {"gain, dali": "x", "dali": "y"},
    }
    page = sound_tables.each_operation(json.loads(json.dumps(results)))
    ns = f"{1e9 * 0.5 / 10 / sound_operations.SAMPLES:.1f}"
    assert f"| `gain` | {ns} |  | " in page and "| 0.50 (0.50–0.50) | 0.50 |" in page
    assert "- `gain`: " in page and "- `reverse`" not in page
    assert f"| `reverse` | {ns} |\n" in page
    assert "Left out: gain, dali: x." in page and "y" not in page.split("Left out")[1]


def test_every_sound_operation_without_partners_has_a_row():
    names = {step["op"] for step in sound_operations.steps()}
    partners = {name for name, op in registry().items() if issubclass(op, SoundPartner)}
    assert names | partners | {"spec_mask"} == {name for name, op in registry().items() if op.media == "audio"}
    assert not names & partners


def test_our_peer_renders_clips():
    clips = sound.clips(3, 400)
    assert fused_sound.make(sound.PIPELINE, clips)().shape == (3, 400)
