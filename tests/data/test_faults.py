"""The faults of a dataset's files: those of rows that are alike are one line with a count."""

import pytest

from augsvc.data.formats.faults import MOST_FAULTS, Faults


def lines(faults):
    with pytest.raises(ValueError) as refused:
        faults.refuse()
    return str(refused.value).split("\n")


def test_rows_that_differ_in_values_and_numbers_are_one_line_with_the_first_named():
    faults = Faults()
    for row in range(6000):
        name = f"utt{row:04}"
        faults.add(f"wav.scp: {name}: it names '../{row}.wav': give a path below the folder", row=name)
    assert len(faults) == 6000
    text = "wav.scp: utt0000: it names '../0.wav': give a path below the folder"
    assert lines(faults) == [f"{text}; likewise utt0001, utt0002 and 5,997 more"]


def test_a_few_values_that_rows_share_have_a_line_each():
    """A start that names one unknown class alone would be followed by one that names the next."""
    faults, names = Faults(), ["dgo"] * 4 + ["brid", "hrose"] * 2
    for line, name in enumerate(names, start=2):
        faults.add(f"a.csv, line {line}: '{name}' is none of `classes`", row=f"line {line}")
    assert lines(faults) == [
        "a.csv, line 2: 'dgo' is none of `classes`; likewise line 3, line 4 and 1 more",
        "a.csv, line 6: 'brid' is none of `classes`; likewise line 8",
        "a.csv, line 7: 'hrose' is none of `classes`; likewise line 9",
    ]
    for line in range(20, 40):
        faults.add(f"a.csv, line {line}: '{line}' is none of `classes`", row=f"line {line}")
    assert lines(faults) == ["a.csv, line 2: 'dgo' is none of `classes`; likewise line 3, line 4 and 25 more"]


def test_few_are_all_named():
    faults = Faults()
    for line in (3, 5):
        faults.add(f"a.csv, line {line}: 2 values, and the header has {line + 1}", row=f"line {line}")
    assert lines(faults) == ["a.csv, line 3: 2 values, and the header has 4; likewise line 5"]


def test_other_columns_and_faults_without_rows_stay_apart():
    faults = Faults()
    for line, column in enumerate(("text", "offset", "text"), start=2):
        faults.add(f"a.csv, line {line}: the column '{column}' is empty", row=f"line {line}")
    for split in ("train", "val"):
        faults.add(f"the split '{split}' has no samples")
    assert [line.partition(": ")[2] or line for line in lines(faults)] == [
        "the column 'text' is empty; likewise line 4",
        "the column 'offset' is empty",
        "the split 'train' has no samples",
        "the split 'val' has no samples",
    ]


def test_a_file_of_many_kinds_of_faults_is_counted():
    faults = Faults()
    for number in range(100):
        faults.add(f"fault {number}")
    assert lines(faults)[MOST_FAULTS:] == ["and 80 more such faults"]


def test_a_fault_without_a_row_is_counted_too():
    faults = Faults()
    for _ in range(5):
        faults.add("a list has no names")
    assert lines(faults) == ["a list has no names (5 times)"]
