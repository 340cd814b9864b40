"""The index of class folders in an object store: what `Indexer` makes of a folder on disk, from one listing."""

from collections import Counter
from pathlib import PurePosixPath

import numpy as np

from augsvc.data.formats.faults import Faults
from augsvc.data.formats.files import IDENTITY
from augsvc.data.formats.index import FileType, Index
from augsvc.data.formats.layout import (
    doubtful_classes,
    joined_folders,
    leftover_group,
    mixtures_in_classes,
    refuse_wrapper,
    unlikely_classes,
)
from augsvc.data.formats.names import Names
from augsvc.data.formats.store_root import StoreRoot
from augsvc_client.decoding.limits import is_leftover


def index_objects(root: StoreRoot, file_type: FileType, any_class: bool) -> Index:
    """The objects below the class folders of a place in a store. `any_class`: folders are classes whatever they are named.

    Raises:
        ValueError: for the operator: it cannot be listed, has no classes or no files, or names that cannot be those of classes.
    """
    index, faults = Index(), Faults()
    where = root.locate("")
    index.classes = tuple(root.folders())
    names = _find_samples(root, file_type, index)
    counts = Counter(name.partition("/")[0] for name in names)  # in the order of the names
    index.counts = {**counts, **{label: 0 for label in index.classes if label not in counts}}
    if not any_class:
        for _, text in unlikely_classes(index.classes, where):
            faults.add(text)
        index.doubtful = doubtful_classes(index.classes)
        if len(index.classes) == 1:
            with faults.collect():
                refuse_wrapper(index.classes[0], lambda name: (root.folders(name), root.has_objects(name)), where)
        for text in mixtures_in_classes(names, where):
            faults.add(text)
    if not index.classes:
        faults.add(f"{where} has no sub-folders: put the {file_type.plural} of each class into a separate sub-folder")
    elif not names:
        faults.add(f"{where} has no {file_type.plural}: its sub-folders need {file_type.describe_needed()}")
    faults.refuse()
    index.names = Names.of(names)
    if not any_class:
        index.joined = joined_folders(names, index.counts)
    index.identities = np.array([root.objects[name] for name in names], IDENTITY)
    return index


def _find_samples(root: StoreRoot, file_type: FileType, index: Index) -> list[str]:
    """The samples, sorted; counts all else."""
    names = []
    for name in root.objects:
        leftover = next(filter(is_leftover, name.split("/")), None)
        _, dot, extension = name.rpartition("/")[2].rpartition(".")
        is_sample = dot + extension.lower() in file_type.extensions
        if leftover is not None:
            index.leftovers[leftover_group(leftover)] += 1
        elif "/" not in name:
            index.loose += is_sample
        elif is_sample:
            names.append(name)
        else:
            index.left_out[PurePosixPath(name).suffix.lower()] += 1
    return names
