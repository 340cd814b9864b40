"""Manifests: labels of every kind from CSV, TSV and JSONL, splits, and rows that are damaged."""

import csv
import json
import tracemalloc

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError

from augsvc.data.cache import DecodedCache
from augsvc.data.formats.faults import Faults
from augsvc.data.formats.manifest import ManifestSettings
from augsvc.data.formats.manifest_rows import ManifestRows


def write_images(root, *names):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (6, 4), (len(name),) * 3).save(path)


def write_csv(root, rows, name="metadata.csv", delimiter=","):
    write_images(root, *(row["file_name"] for row in rows))
    with (root / name).open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0], delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)


def write_jsonl(root, rows, name="metadata.jsonl"):
    write_images(root, *(row["file_name"] for row in rows))
    (root / name).write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def opened(root, **options):
    return ManifestSettings(format="manifest", path=root, **options).open("table", DecodedCache(0))


def refusal(root, **options):
    with pytest.raises(ValueError, match="dataset 'table'") as refused:
        opened(root, **options)
    return str(refused.value)


ROWS = [
    {"file_name": "a.png", "label": "dog", "n": 1.5, "m": -2, "tags": "x|y", "x": 1, "y": 1, "set": "train"},
    {"file_name": "deep/b.png", "label": "cat, wild", "n": 0, "m": 3, "tags": "", "x": 0, "y": 0, "set": "valid"},
    {"file_name": "c.png", "label": "dog", "n": "1e3", "m": 7, "tags": "y", "x": 0, "y": 1, "set": "train"},
]


@pytest.mark.parametrize(
    ("write", "name"),
    [
        (write_csv, "metadata.csv"),
        (lambda root, rows, name: write_csv(root, rows, name, "\t"), "metadata.tsv"),
        (write_jsonl, "metadata.jsonl"),
    ],
)
def test_classes_in_every_form_of_file(tmp_path, write, name):
    write(tmp_path, ROWS, name)
    (source,) = opened(tmp_path)
    assert (source.info.name, source.info.classes) == ("table", ("cat, wild", "dog"))
    assert [source.describe(index) for index in range(3)] == ["a.png", "deep/b.png", "c.png"]
    assert source.labels().tolist() == [1, 0, 1]
    assert source.read(1).label == 0
    assert source.class_counts()[1].tolist() == [1, 2]


def test_classes_that_are_integers_are_sorted_as_numbers(tmp_path):
    write_csv(tmp_path, [{"file_name": f"{k}.png", "label": k} for k in (10, 2, -1)])
    (source,) = opened(tmp_path)
    assert source.info.classes == ("-1", "2", "10")
    assert source.labels().tolist() == [2, 1, 0]
    assert "the labels -1, 2, 10 are 0 … 2" in "\n".join(source.notes())
    write_jsonl(tmp_path / "json", [{"file_name": f"{k}.png", "label": k} for k in (1, 0)])
    (source,) = opened(tmp_path / "json")
    assert source.labels().tolist() == [1, 0]
    assert not list(source.notes())


def test_several_classes_a_row(tmp_path):
    write_csv(tmp_path, ROWS)
    for label in ("tags", ("x", "y")):
        (source,) = opened(tmp_path, label=label, label_kind="multi_label")
        assert source.info.classes == ("x", "y")
        assert source.info.label_tensor == ("uint8", (2,))
        assert [source.read(index).target.tolist() for index in range(3)] == [[1, 1], [0, 0], [0, 1]]
        assert source.class_counts()[1].tolist() == [1, 2]
    write_jsonl(tmp_path / "json", [{"file_name": "a.png", "label": ["b", "a"]}, {"file_name": "b.png", "label": []}])
    (source,) = opened(tmp_path / "json", label_kind="multi_label")
    assert [source.read(index).target.tolist() for index in range(2)] == [[1, 1], [0, 0]]


def test_numbers(tmp_path):
    write_csv(tmp_path, ROWS)
    (source,) = opened(tmp_path, label=["n", "m"], label_kind="regression")
    assert source.info.label_tensor == ("float32", (2,))
    assert [source.read(index).target.tolist() for index in range(3)] == [[1.5, -2], [0, 3], [1000, 7]]
    (source,) = opened(tmp_path, label="n", label_kind="regression")
    assert source.info.label_tensor == ("float32", (1,))


def test_texts(tmp_path):
    write_csv(tmp_path, [{"file_name": "a.png", "label": 'ein Bär,\n"brummt"'}, {"file_name": "b.png", "label": "x"}])
    (source,) = opened(tmp_path, label_kind="text")
    texts = [bytes(source.read(index).target).rstrip(b"\0").decode() for index in range(2)]
    assert texts == ['ein Bär,\n"brummt"', "x"]


def test_splits_by_column_file_and_folder(tmp_path):
    write_csv(tmp_path, ROWS)
    sources = opened(tmp_path, split="set")
    assert [(source.info.name, len(source)) for source in sources] == [("table/train", 2), ("table/val", 1)]
    assert [source.info.classes for source in sources] == [("cat, wild", "dog")] * 2
    write_csv(tmp_path, ROWS[:1], "one.csv")
    write_csv(tmp_path, ROWS[1:], "two.csv")
    sources = opened(tmp_path, manifest={"train": "two.csv", "test": "one.csv"})
    assert [(source.info.name, len(source)) for source in sources] == [("table/train", 2), ("table/test", 1)]
    for split in ("train", "validation"):
        write_jsonl(tmp_path / "hub" / split, ROWS)
    sources = opened(tmp_path / "hub")
    assert [source.describe(0) for source in sources] == ["train/a.png", "validation/a.png"]
    write_csv(tmp_path, [{**ROWS[0], "set": "other"}])
    assert "line 2: the split 'other'" in refusal(tmp_path, split="set")


def test_classes_of_the_settings(tmp_path):
    write_csv(tmp_path, ROWS)
    (source,) = opened(tmp_path, classes=["dog", "cow", "cat, wild"])
    assert source.labels().tolist() == [0, 2, 0]
    assert "line 3: 'cat, wild' is none of `classes`" in refusal(tmp_path, classes=["dog"])
    assert "'y' is none" in refusal(tmp_path, classes=["x"], label="tags", label_kind="multi_label")


@pytest.mark.parametrize(
    ("contents", "options", "message"),
    [
        (
            "file_name\na.png\n",
            {},
            "line 1: there is no column 'label', only 'file_name': set `label` to the column of the labels",
        ),
        (
            "image,class\na.png,dog\n",
            {},
            "there is no column 'file_name', 'label', only 'image', 'class': set `file` to the column of the image files, "
            "and set `label` to the column of the labels",
        ),
        (
            "file_name,label\na.png,dog\n",
            {"split": "set"},
            "line 1: there is no column 'set', only 'file_name', 'label': set `split`",
        ),
        ("file_name, label\na.png,dog\n", {}, "only 'file_name', ' label': remove the spaces around ' label'"),
        ("file_name,Label\na.png,dog\n", {}, "only 'file_name', 'Label': set `label` to 'Label', as capitals count"),
        (
            "file_name;label\na.png;dog\n",
            {},
            "'file_name;label' seems to be several columns, separated by semicolons: use commas",
        ),
        ("file_name\tlabel\na.png\tdog\n", {}, "separated by tabs: use commas, or end its name in .tsv"),
        ("a.png,dog\n", {}, "line 1: there is no header: the first line must name the columns, as 'file_name,label'"),
        ("file_name,label\na.png\n", {}, "line 2: 1 values, and the header has 2"),
        ("file_name,label\na.png,b,c\n", {}, "line 2: 3 values"),
        ("file_name,label\na.png,\n", {}, "'label' is empty"),
        ("file_name,label\n,dog\n", {}, "'file_name' is empty"),
        ("file_name,label\na.png,dog\n\na.png,cat\n", {}, "line 4: the file a.png has a row already"),
        ("file_name,label\n../a.png,dog\n", {}, "'../a.png'"),
        ("file_name,label\n/a.png,dog\n", {}, "'/a.png'"),
        (
            "file_name,label\na.png,dog\na.WAV,cat\n",
            {},
            "line 3: it is a sound, and a manifest lists images; `format: kaldi`",
        ),
        ("file_name,label\nnone.png,dog\n", {}, "1 of 1 files are missing"),
        (
            "file_name,label\n" + "".join(f"{k}.png,dog\n" for k in range(1000)),
            {},
            "at least 100 of 1,000 files are missing",
        ),
        ("file_name,file_name\n", {}, "two columns"),
        ('file_name,label\na.png,"dog\n', {}, "no valid CSV"),
        ("file_name,label\na.png,\ud800\n", {}, "UTF-8"),
        ("file_name,label\na.png,x\n", {"label_kind": "regression"}, "no finite number: 'x'"),
        ("file_name,label\na.png,nan\n", {"label_kind": "regression"}, "no finite number"),
        ("file_name,label\na.png,inf\n", {"label_kind": "regression"}, "no finite number"),
        ("file_name,label,b\na.png,2,0\n", {"label_kind": "multi_label", "label": ("label", "b")}, "must be 0 or 1"),
        ("file_name,label\na.png,x||y\n", {"label_kind": "multi_label"}, "must list names"),
        (f"file_name,label\na.png,{'x' * 5000}\n", {"label_kind": "text"}, "more than 4,096 bytes"),
        ("file_name,label\n", {}, "no rows"),
        ("", {}, "no rows"),
        ("file_name,label\na.png," + "x" * 1001, {}, "at most 1,000 characters"),
        ("file_name,label\na.png,dog\n" + "\0" * (17 << 20), {}, "line 3: it has more than 16,777,216 characters"),
    ],
)
def test_a_bad_row_is_named(tmp_path, contents, options, message):
    write_images(tmp_path, "a.png")
    (tmp_path / "metadata.csv").write_bytes(contents.encode(errors="surrogatepass"))
    assert message in refusal(tmp_path, **options)


@pytest.mark.parametrize(
    "line", ["{", "[]", "1", '{"file_name": 1.5, "label": "x"}', '{"file_name": "a.png", "label": null}']
)
def test_a_bad_row_of_jsonl_is_named(tmp_path, line):
    write_images(tmp_path, "a.png")
    (tmp_path / "metadata.jsonl").write_text(f"\n{line}\n")
    assert "metadata.jsonl, line 2" in refusal(tmp_path)


def test_all_bad_rows_are_named_together(tmp_path):
    write_images(tmp_path, "a.png")
    rows = ["a.png,dog", "a.png,cat", ",dog", "b.png,", "c.png,dog,1", "../d.png,dog", "e.png,dog"]
    (tmp_path / "metadata.csv").write_text("\n".join(["file_name,label", *rows]) + "\n")
    lines = refusal(tmp_path).split("\n")
    assert all(line.startswith("dataset 'table': ") for line in lines)
    assert [line.partition("metadata.csv, line ")[2].partition(":")[0] for line in lines] == ["3", "4", "5", "6", "7"]
    (tmp_path / "metadata.csv").unlink()
    (tmp_path / "metadata.jsonl").write_text('{"file_name": "a.png"}\n' * 3 + "[]\n" + "{\n" * 30)
    lines = refusal(tmp_path).split("\n")
    assert "line 1: there is no column 'label', only 'file_name'" in lines[0]
    assert [line.rpartition("; likewise ")[2] for line in lines if "likewise" in line] == [
        "line 2, line 3",
        "line 6, line 7 and 27 more",
    ]
    assert len(lines) == 3


def test_the_faults_of_all_manifests_are_named_together(tmp_path):
    for split in ("train", "val"):
        write_csv(tmp_path / split, [{"file_name": "a.png", "label": ""}])
    assert ["train/metadata.csv, line 2" in (text := refusal(tmp_path)), "val/metadata.csv, line 2" in text] == [
        True,
        True,
    ]


def test_classes_that_differ_only_in_case_are_noted(tmp_path):
    write_csv(tmp_path, [{"file_name": "a.png", "label": "Cat"}, {"file_name": "b.png", "label": "cat"}])
    (source,) = opened(tmp_path)
    assert "classes whose names differ only in case, form or spaces: Cat, cat" in list(source.notes())


def test_settings_that_contradict_themselves(tmp_path):
    with pytest.raises(ValidationError):
        ManifestSettings(format="manifest", path=tmp_path, label=("a", "b"))
    assert "no metadata.csv" in refusal(tmp_path)


def test_the_version_covers_labels_and_settings(tmp_path):
    write_csv(tmp_path, ROWS)
    versions = {
        opened(tmp_path, **options)[0].info.version
        for options in ({}, {"label": "set"}, {"label_kind": "text"}, {"classes": ["dog", "cat, wild"]})
    }
    write_csv(tmp_path, [ROWS[0], ROWS[1], {**ROWS[2], "label": "cat, wild"}])
    versions.add(opened(tmp_path)[0].info.version)
    assert len(versions) == 5
    assert np.all(opened(tmp_path)[0].labels() == [1, 0, 0])


@pytest.mark.parametrize("kind", ["class", "multi_label"])
def test_classes_that_are_equal_as_numbers_have_a_fixed_order(tmp_path, kind):
    names = [f"{zero}{number}" for number in range(1, 11) for zero in ("0", "")]
    write_csv(tmp_path, [{"file_name": f"{name}.png", "label": name} for name in reversed(names)])
    (source,) = opened(tmp_path, label_kind=kind)
    assert source.info.classes == tuple(names)


@pytest.mark.parametrize("kind", ["class", "multi_label"])
def test_integer_classes_that_are_renumbered_are_noted(tmp_path, kind):
    write_csv(tmp_path, [{"file_name": f"{name}.png", "label": name} for name in (9, 3, 7)])
    (source,) = opened(tmp_path, label_kind=kind)
    assert any("3, 7, 9" in note and "0 … 2" in note for note in source.notes())


def test_a_row_with_a_repeated_name_is_refused(tmp_path):
    write_images(tmp_path, "a.png")
    (tmp_path / "metadata.jsonl").write_text('{"file_name": "a.png", "label": "cat", "label": "dog"}\n')
    assert "line 1: the name 'label' is repeated" in refusal(tmp_path)


def test_a_file_without_an_end_is_refused_at_its_first_line(tmp_path):
    """50 GB of zeros in a sparse file were read twice, and held in memory as one line."""
    with (tmp_path / "metadata.csv").open("wb") as file:
        file.truncate(50 << 30)
    tracemalloc.start()
    try:
        assert "line 1: it has more than 16,777,216 characters" in refusal(tmp_path)
        assert tracemalloc.get_traced_memory()[1] < 128 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("write", [write_csv, write_jsonl])
def test_further_columns_are_numbers_or_texts(tmp_path, write):
    rows = [
        {**row, "site": site, "year": year} for row, site, year in zip(ROWS, "aba", ("2001", "", "1e3"), strict=True)
    ]
    write(tmp_path, rows)
    (source,) = opened(tmp_path, columns=["site", "year", "x"])
    columns = source.columns()
    assert [columns[name].kind for name in ("site", "year", "x")] == ["text", "number", "number"]
    assert columns["site"].equal_to(["a"]).tolist() == [True, False, True]
    assert columns["year"].between(-1e9, 1e9).tolist() == [True, False, True]
    assert columns["year"].equal_to([1000]).tolist() == [False, False, True]
    assert source.info.version == opened(tmp_path)[0].info.version


def test_further_columns_that_are_missing_or_hold_lists_are_refused(tmp_path):
    write_jsonl(tmp_path, [{**row, "ok": index == 1, "list": [index]} for index, row in enumerate(ROWS)])
    assert "set `columns`" in refusal(tmp_path, columns=["site"])
    assert "'list' is no number or text" in refusal(tmp_path, columns=["list"])
    (source,) = opened(tmp_path, columns=["ok"])
    assert source.columns()["ok"].equal_to([True]).tolist() == [False, True, False]


@pytest.mark.parametrize(
    ("data", "line"),
    [
        ("file_name,label\na.png,caf\xe9\n".encode("latin-1"), 2),
        ("file_name,label\n".encode("utf-16"), 1),
        (b"file_name,label\n" + b"a.png,x\r\n" * 5000 + b"a.png,\xff\n", 5002),
        (b'file_name,"label"x\n', 1),
        (b"file_name,label\n" + b"a.png,x\n" * 3 + b'a.png,"x"y\n', 5),
    ],
)
def test_a_file_that_is_not_utf_8_or_not_csv_is_refused_with_the_line(tmp_path, data, line):
    (tmp_path / "metadata.csv").write_bytes(data)
    faults = Faults()
    with (tmp_path / "metadata.csv").open("rb") as file:
        list(ManifestRows(file, "metadata.csv", {}, faults))
    with pytest.raises(ValueError, match=rf"line {line}: it is no"):
        faults.refuse()


def test_numbers_as_pandas_writes_them_are_sorted_as_numbers(tmp_path):
    """A column of integers with gaps is one of floats: 10.0 is behind 2.0."""
    write_csv(tmp_path, [{"file_name": f"{k}.png", "label": label} for k, label in enumerate(("10.0", "2.0", "1.0"))])
    (source,) = opened(tmp_path)
    assert source.info.classes == ("1.0", "2.0", "10.0") and source.labels().tolist() == [2, 1, 0]
    assert "the labels 1.0, 2.0, 10.0 are 0 … 2" in "\n".join(source.notes())


def test_classes_that_are_the_same_number_are_noted(tmp_path):
    write_csv(tmp_path, [{"file_name": f"{k}.png", "label": label} for k, label in enumerate(("01", "1", "1.0", "2"))])
    (source,) = opened(tmp_path)
    assert source.info.classes == ("01", "1", "1.0", "2")
    assert "classes that are the same number: 01, 1, 1.0" in "\n".join(source.notes())


@pytest.mark.parametrize("kind", ["class", "multi_label"])
def test_integers_are_positions_in_the_classes_of_the_settings(tmp_path, kind):
    write_jsonl(tmp_path, [{"file_name": "a.png", "label": 1}, {"file_name": "bb.png", "label": "0"}])
    (source,) = opened(tmp_path, classes=["cat", "dog"], label_kind=kind)
    assert source.info.classes == ("cat", "dog")
    if kind == "class":
        assert source.labels().tolist() == [1, 0]
    else:
        assert [source.read(index).target.tolist() for index in (0, 1)] == [[0, 1], [1, 0]]
    assert "'1' is none of `classes`, nor the position of one" in refusal(tmp_path, classes=["cat"], label_kind=kind)
    assert "'0' is none of `classes`" in refusal(tmp_path, classes=["1", "2"], label_kind=kind)


@pytest.mark.parametrize("others", [["metadata.jsonl"], ["train/metadata.jsonl"]])
def test_manifests_that_would_be_left_out_are_refused(tmp_path, others):
    write_csv(tmp_path, ROWS)
    for name in others:
        write_jsonl(tmp_path, ROWS[:1], name) if "/" not in name else (tmp_path / "train").mkdir()
        (tmp_path / name).write_text('{"file_name": "a.png", "label": "cat"}')
    assert "of which some would be left out" in refusal(tmp_path)
    assert len(opened(tmp_path, manifest="metadata.csv")[0]) == 3


def test_lists_with_another_separator_are_noted_and_those_of_python_refused(tmp_path):
    write_csv(tmp_path, [{"file_name": "a.png", "label": "x,y"}, {"file_name": "b.png", "label": "y"}])
    (source,) = opened(tmp_path, label_kind="multi_label")
    assert "classes that may be several: x,y; set `separator`" in "\n".join(source.notes())
    (source,) = opened(tmp_path, label_kind="multi_label", separator=",")
    assert source.info.classes == ("x", "y") and not [note for note in source.notes() if "separator" in note]
    write_csv(tmp_path, [{"file_name": "a.png", "label": "['x', 'y']"}])
    assert "line 2: the column 'label' is the text of a list" in refusal(tmp_path, label_kind="multi_label")


def test_two_folders_of_one_split_are_refused(tmp_path):
    for name in ("train", "training"):
        write_csv(tmp_path / name, ROWS)
    assert "of which some would be left out" in refusal(tmp_path)
