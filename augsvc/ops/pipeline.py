"""A pipeline: a validated list of steps, operations and containers of them, each with an id."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, product

from pydantic import ValidationError

from augsvc.errors import NotAvailable, SpecInvalid
from augsvc.numerics.rng import operation_keys
from augsvc.ops.container import Group
from augsvc.ops.hints import suggest
from augsvc.ops.kinds.composition import Branches, Composition
from augsvc.ops.kinds.mix import Mix
from augsvc.ops.operation import Kind, Operation, Settings, Step
from augsvc.ops.presets import FILE_ENDINGS, PRESETS
from augsvc.ops.recipes import RECIPES
from augsvc.ops.registry import Registry, containers, registry
from augsvc.ops.tree import MAX_OPERATIONS, Tree, are_exclusive
from augsvc.validation import explain, nearest

MAX_DEPTH = 4  # of containers in containers


def parse_pipeline(value: object, known: Registry | None = None, media: str | None = None) -> tuple[Step, ...]:
    """A preset's name or a list of steps (of the operations `known`, default the package's), with their ids filled in.

    `media`: the samples', `image` or `audio`, if it is known: hints name what applies to it.

    Raises:
        SpecInvalid: naming the field, for an unknown preset or operation, a wrong parameter, duplicate ids, a frame that
            is not the first operation, or too many operations.
    """
    if isinstance(value, str):
        presets = [name for name, steps in PRESETS.items() if _is_for(media, steps)]
        if value not in PRESETS:
            raise SpecInvalid(
                f"pipeline must be a list of operations, or one of {', '.join(presets)}{_hint(value, presets)}",
                field="pipeline",
            )
        if not _is_for(media, PRESETS[value]):
            raise SpecInvalid(
                f"pipeline: the preset {value} is not for {media} samples; those that are: {', '.join(presets)}",
                field="pipeline",
            )
        value = PRESETS[value]
    if not isinstance(value, list | tuple):
        nested = isinstance(value, Mapping) and "pipeline" in value
        hint = (
            "; these are fields of a specification: pass them beside `dataset`, in Python as **fields" if nested else ""
        )
        raise SpecInvalid(f"pipeline must be a list of operations, or a preset's name{hint}", field="pipeline")
    _require_few_entries(value)
    steps = _Parser(known or registry(), media).steps(value, "pipeline", 0)
    _require_frame_first(steps)
    tree = Tree.of(steps)  # refuses too many operations, and ids that repeat or collide
    _require_mixes_last(steps, tree)
    return steps


def _hint(name: str, presets: Sequence[str]) -> str:
    """What a name that is no preset's may be instead: a file's, a recipe's, or a similar preset's."""
    if name.endswith(FILE_ENDINGS) or "/" in name:
        return "; files are not read here: load it, and pass what it holds, fields of a specification as **fields"
    if name in RECIPES:
        return (
            f"; {name} is a recipe: `augsvc recipes {name}` prints its fields, to pass as **fields; augsvc-train takes the list "
            "of its pipeline as --pipeline, and its size as --size"
        )
    return nearest(name, presets)


def _require_few_entries(entries: Sequence[object]) -> None:
    """Counts entries and those in containers, before any is validated: 64 kB of JSON hold some 5,000, at 20 µs each."""
    pending, count = [entries], 0
    while pending:
        for entry in pending.pop():
            count += 1
            if count > MAX_OPERATIONS:
                raise SpecInvalid(f"pipeline has over {MAX_OPERATIONS} operations", field="pipeline")
            children = entry.get("of") if isinstance(entry, Mapping) else None
            if isinstance(children, list | tuple):
                pending.append(children)


def walk(steps: Sequence[Step], field: str = "pipeline") -> Iterator[tuple[str, Step]]:
    """All steps that a specification names, with their fields, such as "pipeline.3.of.1"."""
    for index, step in enumerate(steps):
        path = f"{field}.{index}"
        yield path, step
        if isinstance(step, Group):
            yield from walk(step.of, f"{path}.of")


def _require_frame_first(steps: Sequence[Step]) -> None:
    for field, step in walk(steps):
        if isinstance(step, Operation) and step.kind is Kind.FRAME and field != "pipeline.0":
            raise SpecInvalid(
                f"{field}.op: {step.op} is a frame, which maps the source to the canvas: a pipeline has at "
                "most one frame, as its first operation",
                field=f"{field}.op",
            )


def _require_mixes_last(steps: Sequence[Step], tree: Tree) -> None:
    mixes = [leaf for leaf in tree.leaves if isinstance(leaf.step, Mix)]
    compositions = [leaf for leaf in tree.leaves if isinstance(leaf.step, Composition)]
    after = [leaf for leaf in tree.leaves[tree.leaves.index(mixes[0]) :] if leaf not in mixes] if mixes else []
    are_single = all(are_exclusive(*pair) for pair in (*combinations(mixes, 2), *combinations(compositions, 2)))
    averages = [leaf for leaf in compositions if isinstance(leaf.step, Branches)]
    if not after and are_single and all(are_exclusive(*pair) for pair in product(averages, mixes)):
        return
    written = [step for _, step in walk(steps) if isinstance(step, Mix | Composition)]
    for field, step in walk(steps):
        if step in written and len(written) == 1 and not are_single:
            raise SpecInvalid(
                f"{field}.op: {step.op} has several places in its container (random_order, or some_of with replace), and a "
                "sample is mixed at most once: take it out of the container",
                field=f"{field}.op",
            )
        if isinstance(step, Branches) and mixes:
            raise SpecInvalid(
                f"{field}.op: {step.op} and {mixes[0].step.op} are both mixes, and a sample is mixed at most once: remove one "
                "of them, or put both into a one_of",
                field=f"{field}.op",
            )
        if isinstance(step, Composition) and not are_single:
            names = " and ".join(leaf.step.op for leaf in compositions)
            raise SpecInvalid(
                f"{field}.op: {names} are mixes, and a sample is mixed at most once: remove all but one, or put them into a "
                "one_of, which picks one for each sample",
                field=f"{field}.op",
            )
        if isinstance(step, Mix):
            raise SpecInvalid(
                f"{field}.op: {step.op} mixes finished samples: put it last, and several mixes into a one_of, so that a "
                f"sample gets at most one",
                field=f"{field}.op",
            )


def _is_for(media: str | None, steps: Sequence[Settings]) -> bool:
    return media is None or all(registry()[str(step["op"])].media == media for step in steps)


@dataclass(frozen=True, slots=True)
class _Parser:
    known: Registry
    media: str | None

    def steps(self, entries: Sequence[object], field: str, depth: int) -> tuple[Step, ...]:
        """Steps from parsed JSON, in `depth` containers."""
        return _with_ids([self._step(entry, f"{field}.{index}", depth) for index, entry in enumerate(entries)])

    def _step(self, entry: object, field: str, depth: int) -> Step:
        if isinstance(entry, Step):
            return entry
        name = entry.get("op") if isinstance(entry, Mapping) else None
        if not isinstance(entry, Mapping) or not isinstance(name, str):
            raise SpecInvalid(f'{field} must be an object with an operation\'s name as "op"', field=field)
        model: type[Step] | None = self.known.get(name) or containers().get(name)
        if model is None:
            fitting = {
                name: step for name, step in self._all() if self.media in (None, step.media) or step.media is None
            }
            hint = suggest(name, fitting) or "; `augsvc ops` and GET /v1/ops list them"
            raise SpecInvalid(f"{field}.op: unknown operation{hint}", field=f"{field}.op")
        if issubclass(model, Group):
            entry = {**entry, **self._children(entry, field, depth)}
        try:
            return model.model_validate(entry)
        except ValidationError as err:
            raise explain(err, field, model) from err
        except NotAvailable as err:
            raise NotAvailable(err.message, field=f"{field}.{err.field}") from err

    def _children(self, entry: Mapping[str, object], field: str, depth: int) -> dict[str, object]:
        if depth == MAX_DEPTH:
            raise SpecInvalid(f"{field}.op: containers are nested at most {MAX_DEPTH} deep", field=f"{field}.op")
        children = entry.get("of")
        if not isinstance(children, list | tuple):
            return {}  # left to the model
        return {"of": self.steps(children, f"{field}.of", depth + 1)}

    def _all(self) -> list[tuple[str, type[Step]]]:
        return [*self.known.items(), *containers().items()]


def _with_ids(steps: Sequence[Step]) -> tuple[Step, ...]:
    """The default id is the name, `name#2` for the second of that name without an id, and so on.

    Steps with an explicit id do not count, so adding one leaves the draws of all others unchanged.
    """
    counts: dict[str, int] = {}
    with_ids = []
    for step in steps:
        if step.id is None:
            count = counts[step.op] = counts.get(step.op, 0) + 1
            suffix = "" if count == 1 else f"#{count}"
            step = step.model_copy(update={"id": step.op + suffix})
        with_ids.append(step)
    operation_keys([str(step.id) for step in with_ids])  # refuses ids that repeat or collide
    return tuple(with_ids)


def needing_fitted(steps: Sequence[Step]) -> str | None:
    """The field of the first operation that needs statistics fitted on a dataset, such as "pipeline.2"; None without one."""
    return next((field for field, step in walk(steps) if step.needs_fitted), None)


def needing_partners(steps: Sequence[Step]) -> str | None:
    """The field of the first operation that takes other samples; None without one."""
    fields = (field for field, step in walk(steps) if isinstance(step, Operation) and step.takes_partners)
    return next(fields, None)
