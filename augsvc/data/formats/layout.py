"""What the sub-folders of a dataset are: splits, classes, or leftovers of operating systems and storage.

A folder is taken for what its name says only where its contents agree: `train` is a class among `bus` and `tram` if it holds
images, and a split if it holds the folders of classes. What can be both is refused, and the message names the cure.
"""

import re
from bisect import bisect_left
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from itertools import groupby
from types import MappingProxyType
from typing import Literal

Layout = Literal["auto", "classes"]

_SPLIT_WORDS: Mapping[str, str] = MappingProxyType(
    {
        "train": "train|training|trn",
        "val": "val|valid|validate|validation|dev|devel|development|eval|evaluation",
        "test": "test|testing|tst",
    }
)
_SPLIT = re.compile(
    "(?:" + "|".join(f"(?P<{split}>{words})" for split, words in _SPLIT_WORDS.items()) + ")"
    r"(?:[ _-]?(?:set|data|split|images|imgs|audio|clips|\d{4}))?",
    re.IGNORECASE,
)

# Names of folders that hold one kind of file, without spaces, hyphens and underscores.
_SAMPLES = frozenset(
    {
        *(
            "image",
            "images",
            "img",
            "imgs",
            "jpegimages",
            "jpgs",
            "jpegs",
            "pngs",
            "photos",
            "pics",
            "frames",
            "rgb",
        ),
        *("audio", "audios", "sounds", "wav", "wavs", "clips", "recordings", "samples", "inputs"),
    }
)
_LABELS_ONLY = frozenset(
    {
        *("annotations", "annots", "bboxes", "groundtruth", "imagesets", "segmentationclass", "segmentationobject"),
        "segmentations",
    }
)
_LABELS = _LABELS_ONLY | frozenset(
    {
        *("annotation", "mask", "masks", "label", "labels", "segmentation", "gt", "boxes", "bbox", "depth", "depths"),
        *("target", "targets", "captions", "transcripts", "metadata", "json", "xml", "csv", "keypoints"),
    }
)
_CLASSES = "set `layout: classes` if these are the classes"
_ALL_SAMPLES = "set `layout: classes` to serve all of them"
_ROLES = _SAMPLES | _LABELS
_OTHERS = frozenset(
    {
        *("augmented", "checkpoints", "output", "outputs", "predictions", "results", "unlabeled", "unlabelled"),
        *("thumb", "thumbs", "thumbnail", "thumbnails"),
    }
)

# "imagesTr" is two words: one begins at a capital, and digits and signs separate them.
_WORD = re.compile(r"[A-Z]?[^\W\d_A-Z]+|[A-Z]+(?![a-z])")
_PART = re.compile(r"[^\W\d_]+|\d+")
_SPLIT_WORD = re.compile(
    "(?:" + "|".join(f"(?P<{split}>{words})" for split, words in _SPLIT_WORDS.items()) + ")"
    "(?:set|data|split|images|imgs|audio|clips|val)?"
)
_SHORT_SPLITS: Mapping[str, str] = MappingProxyType({"tr": "train", "ts": "test", "te": "test"})  # as in "imagesTr"
_FOLD = re.compile(r"(?:k|cv)?[ _-]?(?:fold|split|partition|shard|chunk)[ _-]?\d+", re.IGNORECASE)
_MOST_SKIPPED = 1000
_AFTER_SLASH = chr(ord("/") + 1)
_UNDERSCORED_CLASSES = frozenset({"_unknown_", "_silence_"})  # labels of TensorFlow's recipe for Speech Commands


def leftover_group(name: str) -> str:
    """The name under which a leftover is counted; AppleDouble files have one for each file of the dataset."""
    return "._*" if name.startswith("._") else name


def split_of(name: str) -> str | None:
    """`train`, `val` or `test` if a folder is named like that split ("Training", "valid", "test_set", "val2017")."""
    match = _SPLIT.fullmatch(name)
    return match.lastgroup if match else None


def find_splits(folders: Collection[str], holds_folders: Callable[[str], bool], where: str) -> dict[str, str]:
    """Split → folder, in the order train, val, test, of the visible sub-folders of a dataset; empty if they are classes.

    `holds_folders` says whether a sub-folder has sub-folders itself; `where` names the dataset's folder in messages.

    Raises:
        ValueError: for the operator: they may be either.
    """
    named = sorted(name for name in folders if split_of(name))
    others = sorted(set(folders) - set(named))
    deep = [name for name in named if holds_folders(name)]
    if not named or (others and len(named) == 1 and not deep):
        _refuse_split_words(folders, where)
        return {}  # none, or the only one among other classes, as `train` beside `bus` and `tram`
    if others and {"train", "test"} <= set(folders):
        named = [name for name in named if name in deep or name in ("train", "test")]
    elif named and len(deep) < (2 if others else 1):
        beside = f" beside {_listed(others)}: move what is no split elsewhere and" if others else " without classes:"
        raise ValueError(
            f"{where} has folders named like splits, {_listed(named)},{beside} put one folder per class into each split, as in "
            f"{named[0]}/CLASS/1.jpg, or {_CLASSES}"
        )
    by_split = {split: [name for name in named if split_of(name) == split] for split in _SPLIT_WORDS}
    if faults := [
        f"{where} has {_listed(names)}, and each would be the split {split!r}: keep one of them"
        for split, names in by_split.items()
        if len(names) > 1
    ]:
        raise ValueError("\n".join(faults))
    return {split: names[0] for split, names in by_split.items() if names}


def _refuse_split_words(folders: Collection[str], where: str) -> None:
    """Refuses folders that hold splits under longer names: `seg_train` and `seg_test`, `trainA` and `trainB`.

    `test_tube` and `train_station` are classes: names that differ only in their splits are splits, beside others too,
    and so are all names if each has a word of a split, except where one split is followed by different words.
    """
    pairs = _split_pairs(folders)
    splits = {name: parsed for name in folders if (parsed := _split_and_rest(name))}
    if not pairs and len(splits) == len(folders):
        rests = {rest for _, rest in splits.values()}
        if len({split for split, _ in splits.values()}) > 1 or (
            len(rests) == 1 and (len(folders) > 1 or rests == {()})
        ):
            pairs = sorted(folders)
    if pairs:
        raise ValueError(
            f"{where} has folders named like splits, {_listed(pairs)}: name them train, val or test, with one folder per class "
            f"in each, as in train/CLASS/1.jpg, set `path` to the one that holds the classes, or {_CLASSES}"
        )


def _words(name: str) -> list[str]:
    return [word.casefold() for word in _WORD.findall(name)]


def _split_and_rest(name: str) -> tuple[str, tuple[str, ...]] | None:
    """The split that a word of a name stands for, and the other words, without single letters and `images`, `masks`, …"""
    words = _words(name)
    rest = [word for word in words if len(word) > 1 and word not in _ROLES]
    for word in rest:
        if match := _SPLIT_WORD.fullmatch(word):
            return str(match.lastgroup), tuple(other for other in rest if other != word)
    if len(rest) == 1 and len(words) > 1 and rest[0] in _SHORT_SPLITS:
        return _SHORT_SPLITS[rest[0]], ()
    return None


def _split_pairs(names: Collection[str]) -> list[str]:
    """The names of which others differ only in the split, sorted: `seg_train` and `seg_test`."""
    groups: dict[tuple[str, ...], dict[str, str]] = {}
    for name in names:
        if parsed := _split_and_rest(name):
            split, rest = parsed
            groups.setdefault(rest, {})[name] = split
    return sorted(name for group in groups.values() if len(set(group.values())) > 1 for name in group)


def unlikely_classes(classes: Sequence[str], where: str) -> Iterator[tuple[list[str], str]]:
    """Sub-folders whose names are no classes, with a message for the operator: images beside their labels, such as `images` and
    `masks`; folds; and `_background_noise_` or the like among the classes.
    """
    certain = [name for name in classes if _key(name) in _LABELS_ONLY]
    if unlikely := _samples_and_labels(classes) or certain:
        yield (
            unlikely,
            f"{where} has the sub-folders {_listed(sorted(unlikely))}, which are no classes: this format takes the class of a "
            f"sample from its folder, as in cat/1.jpg and dog/2.jpg. Put each class into a separate sub-folder and move "
            f"masks, boxes and annotations elsewhere, or {_CLASSES}",
        )
    if classes and all(map(_FOLD.fullmatch, classes)):
        yield (
            list(classes),
            f"{where} has the sub-folders {_listed(classes)}, which are folds and no classes: put the files of each class into "
            f"one sub-folder, as in CLASS/{classes[0]}, or {_CLASSES}",
        )
    private = [name for name in classes if name.startswith("_") and name.casefold() not in _UNDERSCORED_CLASSES]
    if private and len(private) < len(classes):
        yield private, f"{where} has {_listed(private)} among the classes: move it elsewhere, or {_CLASSES}"


def doubtful_classes(classes: Sequence[str]) -> list[str]:
    """Classes that may be no classes, as `masks` beside `cat` and `dog`; not `mask` beside `no_mask`."""
    named = [name for name in classes if _key(name) in _ROLES | _OTHERS]
    others = {word.rstrip("s") for name in classes if name not in named for word in _words(name)}
    return [name for name in named if _key(name).rstrip("s") not in others] if len(named) < len(classes) else []


def joined_folders(names: Sequence[str], counts: Mapping[str, int]) -> dict[str, list[str]]:
    """Class → its sub-folders, of classes with several of them and no files beside: `animals` with `cat` and `dog`.

    `names` are sorted within each class, and `counts` has the files of each, in the same order. A sub-folder is skipped by
    bisection, and after _MOST_SKIPPED the rest is not looked at, so that a million files cost milliseconds.
    """
    joined: dict[str, list[str]] = {}
    start = skipped = 0
    for label, count in counts.items():
        stop, folders, row = start + count, [], start
        while row < stop and skipped < _MOST_SKIPPED:
            folder, _, rest = names[row].removeprefix(f"{label}/").partition("/")
            if not rest:
                break
            folders.append(folder)
            row = bisect_left(names, f"{label}/{folder}{_AFTER_SLASH}", row, stop)
            skipped += 1
        if row == stop and len(folders) > 1:
            joined[label] = sorted(folders)
        start = stop
    return joined


def _has_label_word(name: str) -> bool:
    return _key(name) in _LABELS or not _LABELS.isdisjoint(_words(name))


def _key(name: str) -> str:
    return re.sub("[ _-]", "", name.casefold())


def _samples_and_labels(names: Collection[str]) -> list[str]:
    """The names of folders that hold samples and of those that hold their labels, if there are both or nothing else.

    Longer names count if all are such names, as `imagesTr` and `labelsTr`.
    """
    samples = [name for name in names if _key(name) in _SAMPLES]
    labels = [name for name in names if _key(name) in _LABELS]
    if (samples and labels) or len(samples + labels) == len(names):
        return samples + labels
    with_labels = [name for name in names if _has_label_word(name)]
    with_samples = [name for name in names if name not in with_labels and not _SAMPLES.isdisjoint(_words(name))]
    are_all = with_labels and with_samples and len(with_labels + with_samples) == len(names)
    return with_samples + with_labels if are_all else []


def refuse_wrapper(lone: str, inside: Callable[[str], tuple[Sequence[str], bool]], where: str) -> None:
    """Refuses a single class folder that holds no files but several folders: archives often unpack to one folder.

    `inside` gives the sub-folders of a folder, and whether it has files.

    Raises:
        ValueError: for the operator, with the path to set.
    """
    path = lone
    folders, has_files = inside(path)
    while len(folders) == 1 and not has_files and not split_of(folders[0]):
        path = f"{path}/{folders[0]}"
        folders, has_files = inside(path)
    if folders and not has_files:
        raise ValueError(
            f"{where} has a single sub-folder, {lone!r}, and {_listed(folders)} below it: all samples would be of one class. "
            f"Set `path` to '{where}/{path}', or {_CLASSES}"
        )


def mixtures_in_classes(names: Sequence[str], where: str) -> Iterator[str]:
    """A message for each class that holds splits, as cat/train/1.jpg and cat/val/2.jpg, or images beside their labels, as
    cat/images/1.jpg, cat/masks/1.png or cat/1_mask.png: both would be samples of the class.
    """
    for parent, children in sorted(_sub_folders(names).items()):
        if splits := _split_pairs(children):
            yield (
                f"{where}/{parent} holds {_listed(splits)}: splits go above classes, as in {splits[0]}/{parent}; "
                f"move them, or {_CLASSES} and the splits may be mixed"
            )
        mixed = _samples_and_labels(children)
        if any(map(_has_label_word, mixed)) and not all(map(_has_label_word, mixed)):
            yield (
                f"{where}/{parent} holds {_listed(sorted(mixed))}: all would be samples of one class. Move masks, boxes "
                f"and annotations elsewhere, or {_ALL_SAMPLES}"
            )
    if labels := _labels_beside_samples(names):
        yield (
            f"{where}/{labels[0]} is named like the label of another sample, and would be one itself; such files: "
            f"{len(labels):,}. Move masks, boxes and annotations elsewhere, or {_ALL_SAMPLES}"
        )


def _sub_folders(names: Sequence[str]) -> dict[str, set[str]]:
    """Folder → the folders in it, of all that hold samples, from the classes on."""
    inner: dict[str, set[str]] = {}
    for folder in {name.rpartition("/")[0] for name in names}:
        while "/" in folder:
            parent, _, child = folder.rpartition("/")
            inner.setdefault(parent, set()).add(child)
            folder = parent
    return inner


def _labels_beside_samples(names: Sequence[str]) -> list[str]:
    """The files whose names are those of others in the class but for a word like `mask`, of classes of which they are a tenth.

    `names` are sorted, so that those of a class follow one another.
    """
    beside: list[str] = []
    for _, group in groupby(names, lambda name: name.partition("/")[0]):
        files = list(group)
        marked = [name for name in files if _has_label_part(name)]
        samples = {_without_roles(name) for name in set(files).difference(marked)} if marked else set()
        labels = [name for name in marked if _without_roles(name) in samples]
        if len(labels) * 10 >= len(files):
            beside += labels
    return beside


def _has_label_part(name: str) -> bool:
    return not _LABELS.isdisjoint(_PART.findall(name.partition("/")[2].lower()))


def _without_roles(name: str) -> tuple[str, ...]:
    """The words and numbers of a file's name below its class, without its extension and words like `images` and `mask`."""
    below = name.partition("/")[2].rpartition(".")[0]
    return tuple(word for word in _PART.findall(below.casefold()) if word not in _ROLES)


def _listed(names: Sequence[str], most: int = 6) -> str:
    listed = ", ".join(map(repr, names[:most]))
    return f"{listed} and {len(names) - most} more" if len(names) > most else listed
