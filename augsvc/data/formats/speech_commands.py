"""The layout of Speech Commands (Warden 2018): a folder a word, and lists of the files of validation and test."""

import hashlib
from collections import Counter
from collections.abc import Mapping
from typing import Literal

import numpy as np

from augsvc.data.formats.annotations import Annotations
from augsvc.data.formats.dataset_root import DatasetRoot, require_below
from augsvc.data.formats.faults import Faults
from augsvc.data.formats.index import list_names
from augsvc.data.formats.sound_files import AUDIO, LabelledSoundFormat
from augsvc_client.text import printable

LISTS = {"val": "validation_list.txt", "test": "testing_list.txt"}
NOISE = "_background_noise_"


class SpeechCommandsSettings(LabelledSoundFormat):
    """The operator's settings of one dataset in this layout."""

    format: Literal["speech_commands"]

    def read_splits(self, root: DatasetRoot) -> Mapping[str, Annotations]:
        """NAME/val and NAME/test are the files of the lists, NAME/train are all others; NAME/noise is the folder of noises, whose
        clips have no class.
        """
        folders = root.folders()
        words = tuple(folder for folder in folders if folder != NOISE)
        if not words:
            raise ValueError(f"{root.locate('')} has no folders of words")
        names = {word: list(root.walk(word, AUDIO.extensions)) for word in words}
        known = {name for files in names.values() for name in files}
        listed = _read_lists(root, known)
        rest = known - {name for files in listed.values() for name in files}
        splits = {"train": rest, **listed}
        label_of = {word: label for label, word in enumerate(words)}
        annotations = {split: _annotate(files, words, label_of) for split, files in splits.items()}
        if NOISE in folders:
            annotations["noise"] = _annotate(set(root.walk(NOISE, AUDIO.extensions)), words, label_of)
        return annotations


def _read_lists(root: DatasetRoot, known: set[str]) -> dict[str, set[str]]:
    """The files of each list; raises ValueError for those that are missing, or in both."""
    faults, listed = Faults(), dict[str, set[str]]()
    for split, file in LISTS.items():
        lines = [line.strip() for line in root.read_lines(file)] if root.is_file(file) else []
        with faults.collect(root.locate(file)):
            names = [require_below(line, "a line") for line in lines if line]
            if repeated := [name for name, count in Counter(names).items() if count > 1]:
                raise ValueError(f"names twice {list_names(repeated)}")
            if missing := sorted(set(names) - known):
                raise ValueError(f"names {len(missing):,} files that are missing: {list_names(missing)}")
            if names:
                listed[split] = set(names)
    if both := sorted(listed.get("val", set()) & listed.get("test", set())):
        faults.add(f"in {' and '.join(LISTS.values())}: {list_names(both)}")
    if not listed and not len(faults):
        faults.add(
            f"{printable(str(root.path))} has neither {' nor '.join(LISTS.values())}: use the format audio_folder"
        )
    faults.refuse()
    return listed


def _annotate(names: set[str], words: tuple[str, ...], label_of: Mapping[str, int]) -> Annotations:
    ordered = sorted(names)
    labels = np.array([label_of.get(name.partition("/")[0], -1) for name in ordered], dtype=np.int64)
    return Annotations(ordered, words, hashlib.sha256(labels.tobytes()).hexdigest(), labels)
