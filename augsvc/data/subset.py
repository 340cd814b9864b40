"""The samples of subsets: a million take half a second, so all streams of a subset share them, in a bounded cache.

A subset is a function of the dataset's version and the settings: each sample has a number keyed by the seed, and of a class
those with the smallest numbers are taken, so that a larger fraction holds the smaller one.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import blake2b, sha256
from threading import Lock
from typing import Annotated, Any, cast

import numpy as np
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    StrictFloat,
    StrictStr,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
)

from augsvc.arrays import I64, U64, Bools
from augsvc.data.index_set import IndexSet
from augsvc.data.source import Source
from augsvc.errors import SpecInvalid
from augsvc.numerics.rng import MAX_SEED, SUBSET_KEY, philox4x32, seed_key
from augsvc.validation import nearest
from augsvc_client.text import printable

MAX_BYTES = 128 << 20  # eight subsets of 100 million samples
MIN_KEPT = 4  # of them, however large: a stream asks for its own at every batch
_COMPACT_BYTES = 1 << 20  # of an array, above which members are kept as bits
MAX_FOLDS = 1000
MAX_CLASS_NAME = 100  # characters of a class that a message repeats
_MOST_CLASSES = 8  # named where none is similar

Integer = Annotated[int, Field(gt=-MAX_SEED, lt=MAX_SEED, strict=True)]  # JSON's exact ones
Value = StrictStr | StrictBool | Integer | StrictFloat
Fold = tuple[Annotated[int, Field(ge=0, strict=True)], Annotated[int, Field(ge=2, le=MAX_FOLDS, strict=True)]]


class Between(BaseModel):
    """A condition on a column of numbers, both ends included."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    min: Integer | StrictFloat | None = None
    max: Integer | StrictFloat | None = None

    @model_validator(mode="after")
    def _require_one(self) -> "Between":
        if self.min is None and self.max is None:
            raise ValueError("must have min, max or both")
        return self


def _read_condition(value: Any, validate: ValidatorFunctionWrapHandler) -> Any:
    try:
        return validate(value)
    except ValidationError as err:
        raise ValueError('must be a value, a list of values, or an object with "min", "max" or both') from err


Condition = Annotated[Between | Value | tuple[Value, ...], WrapValidator(_read_condition)]


class Subset(BaseModel):
    """A part of a dataset. First the samples are filtered (`classes`, `where`, `fold`), then some of each class are taken.

    `per_class`: this number of each class. `fraction`: of each class, rounded, at least 1. `fold` [k, n]: the k-th of n folds, in
    which each class has its fraction; `without_fold` [k, n]: the samples of the others. Folds are those of the whole dataset,
    whatever else is filtered. `where`: for each column a value, a list of values, or {min, max}.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    per_class: Annotated[int, Field(ge=1, lt=1 << 32, strict=True)] | None = None
    seed: Annotated[int, Field(ge=0, lt=MAX_SEED, strict=True)] = 0
    classes: Annotated[tuple[StrictStr, ...], Field(min_length=1, max_length=4096)] | None = None
    fraction: Annotated[float, Field(gt=0.0, le=1.0, strict=True)] | None = None
    fold: Fold | None = None
    without_fold: Fold | None = None
    where: Annotated[dict[StrictStr, Condition], Field(min_length=1)] | None = None

    @model_validator(mode="after")
    def _require_compatible(self) -> "Subset":
        fields = {name: getattr(self, name) for name in type(self).model_fields if name != "seed"}
        given = {name for name, value in fields.items() if value is not None}
        if not given:
            raise ValueError(f"must have one of {', '.join(fields)}")
        for pair in ({"per_class", "fraction"}, {"fold", "without_fold"}):
            if pair <= given:
                raise ValueError(f"must not have both {' and '.join(sorted(pair))}")
        for name in ("fold", "without_fold"):
            if (fold := fields[name]) is not None and fold[0] >= fold[1]:
                raise ValueError(f"{name} is [k, n] with k from 0 to n - 1")
        return self

    def fields(self) -> dict[str, Any]:
        """What the canonical form of a specification holds: fields that are not given are left out."""
        return self.model_dump(mode="json", exclude_none=True)


class Subsets:
    """A cache of recently used indices. Thread-safe."""

    def __init__(self, n_bytes: int = MAX_BYTES) -> None:
        self._n_bytes = n_bytes
        self._kept: OrderedDict[tuple[str, ...], I64 | IndexSet] = OrderedDict()  # least recently used first
        self._lock = Lock()

    @property
    def n_bytes(self) -> int:
        """Bytes of the cached arrays."""
        with self._lock:
            return sum(indices.nbytes for indices in self._kept.values())

    def get_or_make(self, key: tuple[str, ...], make: Callable[[], I64 | IndexSet]) -> I64 | IndexSet:
        """The cached indices of a key, or the result of `make`, then cached; exceptions of `make` propagate."""
        with self._lock:
            indices = self._kept.get(key)
        if indices is None:
            indices = make()
            if isinstance(indices, np.ndarray):
                indices.setflags(write=False)
        with self._lock:
            indices = self._kept.setdefault(key, indices)
            self._kept.move_to_end(key)
            total = sum(kept.nbytes for kept in self._kept.values())
            while total > self._n_bytes and len(self._kept) > MIN_KEPT:
                total -= self._kept.popitem(last=False)[1].nbytes
        return indices


@dataclass(frozen=True, slots=True, eq=False)
class Members:
    """The samples of a dataset, or of a subset of it: rows 0 … count − 1. `kept` caches their indices."""

    source: Source
    subset: Subset | None
    count: int
    kept: Subsets

    @staticmethod
    def of(source: Source, subset: Subset | None, kept: Subsets) -> "Members":
        """Raises SpecInvalid as `subset_members` does."""
        if subset is None:
            return Members(source, None, len(source), kept)
        return Members(source, subset, len(_kept_members(source, subset, kept)), kept)

    def __len__(self) -> int:
        return self.count

    def indices(self, rows: I64) -> I64:
        """The index in the dataset of each row (N,); ascending with the rows."""
        return rows if self.subset is None else _kept_members(self.source, self.subset, self.kept)[rows]

    def all(self) -> I64:
        """The index in the dataset of every row, ascending."""
        if self.subset is None:
            return np.arange(self.count)
        members = _kept_members(self.source, self.subset, self.kept)
        return members.to_array() if isinstance(members, IndexSet) else members

    @property
    def fold_digest(self) -> bytes:
        """SHA-256 of all indices if a fold selects them, else b"": versions of datasets cover neither keys nor the rule."""
        if self.subset is None or (self.subset.fold is None and self.subset.without_fold is None):
            return b""
        return sha256(self.all().astype("<i8", copy=False).data).digest()

    def after(self, index: int) -> int:
        """The index of the next sample, cyclic."""
        if self.subset is None:
            return (index + 1) % self.count
        members = _kept_members(self.source, self.subset, self.kept)
        if isinstance(members, IndexSet):
            following = members.count_to(index)
        else:
            following = int(np.searchsorted(members, index, side="right"))
        return int(members[np.array([following % len(members)])][0])

    def by_class(self) -> I64:
        """The indices of all samples, those of the first class first."""

        def sort() -> I64:
            indices = self.all()
            return indices[np.argsort(self.source.labels()[indices], kind="stable")]

        return cast(I64, self.kept.get_or_make((*_key(self.source, self.subset), "by class"), sort))


def _key(source: Source, subset: Subset | None) -> tuple[str, ...]:
    return (source.info.name, source.info.version, "" if subset is None else subset.model_dump_json())


def _kept_members(source: Source, subset: Subset, kept: Subsets) -> I64 | IndexSet:
    def make() -> I64 | IndexSet:
        members = subset_members(source, subset)
        return IndexSet.of(members) if members.nbytes > _COMPACT_BYTES else members

    return kept.get_or_make(_key(source, subset), make)


def subset_members(source: Source, subset: Subset) -> I64:
    """The members of a subset, ascending; of equal numbers the lower index comes first.

    Raises:
        SpecInvalid: no sample is left, a class has fewer samples than `per_class`, or there is no such class or column.
    """
    labels, numbers = source.labels(), _numbers(len(source), subset.seed)
    chosen = _chosen_classes(source, labels, subset)
    kept = np.ones(len(labels), np.bool_) if chosen is None else np.isin(labels, chosen)
    for name, condition in (subset.where or {}).items():
        kept &= _matching(source, name, condition)
    if (fold := subset.fold or subset.without_fold) is not None:
        in_fold = _folds(labels, _key_numbers(source, subset.seed), fold[1]) == fold[0]
        kept &= in_fold if subset.fold else ~in_fold
    members = np.flatnonzero(kept)
    if subset.per_class is not None:
        members = members[labels[members] >= 0]
        wanted = range(len(source.info.classes)) if chosen is None else chosen
        counts = np.bincount(labels[members], minlength=len(source.info.classes))
        _require_enough(counts, wanted, source.info.classes, subset.per_class)
    if subset.per_class is not None or subset.fraction is not None:
        members = members[_first_of_each(labels[members], numbers[members], subset)]
    if not len(members):
        raise SpecInvalid("no sample of the dataset is in this subset", field="subset")
    return members.astype(np.int64)


def _numbers(count: int, seed: int) -> U64:
    low, high, _, _ = philox4x32((0, SUBSET_KEY, np.arange(count), 0), seed_key(seed))
    return low.astype(np.uint64) | (high.astype(np.uint64) << np.uint64(32))


def _chosen_classes(source: Source, labels: I64, subset: Subset) -> Sequence[int] | None:
    """The labels of `classes`; None: all."""
    if (subset.per_class is not None or subset.classes) and not (len(source.info.classes) and (labels >= 0).any()):
        raise SpecInvalid("the samples of this dataset have no classes", field="subset")
    if subset.classes is None:
        return None
    known = {name: label for label, name in enumerate(source.info.classes)}
    if unknown := [name for name in subset.classes if name not in known]:
        raise SpecInvalid(explain_class(unknown[0], source.info.classes), field="subset.classes")
    return sorted({known[name] for name in subset.classes})


def explain_class(name: str, classes: Sequence[str]) -> str:
    """What to say of a class that the dataset does not have: similar ones, else the first few."""
    hint = nearest(name[:MAX_CLASS_NAME], classes)
    if not hint:
        listed = ", ".join(label[:MAX_CLASS_NAME] for label in classes[:_MOST_CLASSES])
        more = f" and {len(classes) - _MOST_CLASSES:,} more" if len(classes) > _MOST_CLASSES else ""
        hint = f"; it has {printable(listed)}{more}"
    return f"the dataset has no class {name[:MAX_CLASS_NAME]!r}{hint}"


def _matching(source: Source, name: str, condition: object) -> Bools:
    column, field = source.columns().get(name), f"subset.where.{name}"
    if column is None:
        raise SpecInvalid(f"the dataset has no column {name[:100]!r} to filter by", field="subset.where")
    try:
        if isinstance(condition, Between):
            low = -np.inf if condition.min is None else condition.min
            return column.between(low, np.inf if condition.max is None else condition.max)
        return column.equal_to(condition if isinstance(condition, tuple) else (condition,))
    except TypeError as err:
        raise SpecInvalid(f"the column {name[:100]!r} has another type: {err}", field=field) from err


def _key_numbers(source: Source, seed: int) -> U64:
    """A number of each sample's fold key (N,), which stays when others are added: BLAKE2b keyed by the seed; 1.3 s a million."""
    keyed = blake2b(digest_size=8, key=seed.to_bytes(8, "little"))
    digests = bytearray()
    for index in range(len(source)):
        digest = keyed.copy()
        digest.update(source.fold_key(index).encode())
        digests += digest.digest()
    return np.frombuffer(digests, "<u8").astype(np.uint64)


def _folds(labels: I64, numbers: U64, folds: int) -> I64:
    """The fold of each sample (N,): sizes, and those of each class, differ by at most one.

    A fold is a run of each class's samples in the order of their numbers. So a sample more moves few others, at the ends of runs.
    """
    order = np.lexsort((numbers, labels))
    # the sizes are those of dealing the samples, class by class, to the folds in turn
    dealt = np.lexsort((np.arange(len(labels)) % folds, labels[order]))
    fold = np.empty(len(labels), np.int64)
    fold[order] = dealt % folds
    return fold


def _require_enough(counts: I64, labels: Sequence[int], classes: Sequence[str], per_class: int) -> None:
    scarce = min(labels, key=lambda label: int(counts[label]))
    if (count := int(counts[scarce])) >= per_class:
        return
    name = repr(classes[scarce][:MAX_CLASS_NAME])
    if not count:
        text = f"class {name} has no samples here: remove it (an empty folder?), or name the other ones in `classes`"
    else:
        unit = "sample" if count == 1 else "samples"
        text = f"class {name} has only {count} {unit}: ask for at most {count}, or name classes with more in `classes`"
    raise SpecInvalid(text, field="subset.per_class")


def _first_of_each(labels: I64, numbers: U64, subset: Subset) -> I64:
    """The rows, ascending, that have the smallest numbers of their class; samples without one count as a class."""
    by_class = np.lexsort((numbers, labels))  # stable: ties go by index
    _, firsts, counts = np.unique(labels[by_class], return_index=True, return_counts=True)
    if subset.per_class is not None:
        taken = np.full(len(counts), subset.per_class)
    else:
        taken = np.maximum(1, np.floor(counts * (subset.fraction or 1.0) + 0.5).astype(np.int64))
    rank = np.arange(len(labels)) - np.repeat(firsts, counts)
    return np.sort(by_class[rank < np.repeat(taken, counts)])
