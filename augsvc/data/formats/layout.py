"""What the sub-folders of a dataset are: splits, classes, or leftovers of operating systems and storage.

A folder is taken for what its name says only where its contents agree: `train` is a class among `bus` and `tram` if it holds
images, and a split if it holds the folders of classes. What can be both is refused, and the message names the cure.
"""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
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

# Of macOS, Windows, Linux, Synology, QNAP, NetApp, Python; hidden names are leftovers in any case.
_LEFTOVERS = frozenset(
    {
        *("__macosx", "icon\r", "network trash folder", "temporary items"),
        *("thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini", "$recycle.bin", "recycler", "recycled"),
        *("system volume information", "found.000", "msocache", "lost+found", "__pycache__"),
        *("@eadir", "#recycle", "#snapshot", "@recycle", "@recently-snapshot", "@tmp", "@sharebin", "@__thumb"),
        *("~snapshot", "_gsdata_"),
    }
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


def is_leftover(name: str) -> bool:
    """Whether a file or folder is hidden, or belongs to an operating system, a file server or a tool, and not to the data."""
    return name.startswith((".", "~$")) or name.casefold() in _LEFTOVERS


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
    if others and len(named) == 1 and not deep:
        return {}  # the only one among other classes, as `train` beside `bus` and `tram`
    if others and {"train", "test"} <= set(folders):
        named = [name for name in named if name in deep or name in ("train", "test")]
    elif named and len(deep) < (2 if others else 1):
        beside = f" beside {_listed(others)}: move what is no split elsewhere and" if others else " without classes:"
        raise ValueError(
            f"{where} has folders named like splits, {_listed(named)},{beside} put one folder per class into each split, as in "
            f"{named[0]}/CLASS/1.jpg, or {_CLASSES}"
        )
    by_split = {split: [name for name in named if split_of(name) == split] for split in _SPLIT_WORDS}
    for split, names in by_split.items():
        if len(names) > 1:
            raise ValueError(f"{where} has {_listed(names)}, and each would be the split {split!r}: keep one of them")
    return {split: names[0] for split, names in by_split.items() if names}


def refuse_unlikely_classes(classes: Sequence[str], where: str) -> None:
    """Refuses sub-folders whose names say that they hold images beside their labels, such as `images` and `masks`.

    Raises:
        ValueError: for the operator.
    """
    keys = {name: re.sub("[ _-]", "", name.casefold()) for name in classes}
    samples = [name for name, key in keys.items() if key in _SAMPLES]
    labels = [name for name, key in keys.items() if key in _LABELS]
    certain = [name for name, key in keys.items() if key in _LABELS_ONLY]
    unlikely = samples + labels if (samples and labels) or len(samples + labels) == len(classes) else certain
    if unlikely:
        raise ValueError(
            f"{where} has the sub-folders {_listed(sorted(unlikely))}, which are no classes: this format takes the class of a "
            f"sample from its folder, as in cat/1.jpg and dog/2.jpg. Put each class into a separate sub-folder and move "
            f"masks, boxes and annotations elsewhere, or {_CLASSES}"
        )


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


def refuse_splits_in_classes(names: Sequence[str], where: str) -> None:
    """Refuses classes that hold splits, as in cat/train/1.jpg and cat/val/2.jpg: the splits would be mixed.

    Raises:
        ValueError: for the operator.
    """
    inner: dict[str, dict[str, str]] = {}
    for name in names:
        label, _, below = name.partition("/")
        folder, slash, _ = below.partition("/")
        if slash and (split := split_of(folder)):
            inner.setdefault(label, {})[split] = folder
    mixed = sorted(label for label, splits in inner.items() if len(splits) > 1)
    if mixed:
        folders = sorted(inner[mixed[0]].values())
        raise ValueError(
            f"{where}/{mixed[0]} holds {_listed(folders)}: splits go above classes, as in {folders[0]}/{mixed[0]}; "
            f"move them, or {_CLASSES} and the splits may be mixed"
        )


def _listed(names: Sequence[str], most: int = 6) -> str:
    listed = ", ".join(map(repr, names[:most]))
    return f"{listed} and {len(names) - most} more" if len(names) > most else listed
