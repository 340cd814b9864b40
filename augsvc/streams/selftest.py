"""The self-test: digests of what this build computes, so that replicas which would differ cannot answer for one another.

Every operation runs on fixed, painted inputs, at the ends of its parameters too, and so do canvas, borders, passes and
presets; every container chooses for fixed samples; every decoder runs on a fixed file. The SHA-256 of the results that a
stream depends on is its arithmetic id.

A digest is computed when it is first needed: those of a stream when it is first opened, the rest in the background. So a
server is ready after the grounds alone, which also compile the kernels, however many operations there are.
"""

import hashlib
import json
import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock
from typing import Literal

import numpy as np

from augsvc.data.decoders.registry import DECODERS, probe_digest
from augsvc.errors import AugsvcError, Cancelled, NotAvailable, Pending
from augsvc.executors.protocol import Executor
from augsvc.executors.runnable import require_runnable
from augsvc.numerics.rng import Address
from augsvc.ops.operation import Kind, Operation, Step
from augsvc.ops.pipeline import parse_pipeline
from augsvc.ops.registry import Registry, containers, registry
from augsvc.ops.tree import Tree
from augsvc.streams.media import MEDIA
from augsvc.streams.medium import Medium
from augsvc.streams.probes import PROBES
from augsvc.streams.selftest_specs import BORDERS, border_specs, deep_specs, shows_a_border
from augsvc.streams.stream import Stream

logger = logging.getLogger("augsvc")
Section = Literal["grounds", "operations", "decoders"]
_CHOICES = 64  # samples that a container chooses for
# In the arithmetic ids of all streams of a medium, so a later preset is not among them: its operations have digests of their own.
_GROUND_PRESETS = ("none", "light", "standard", "strong", "sound", "speech")
Digests = Mapping[str, Mapping[str, str | tuple[str, ...]]]  # section, and traits → name → digest, or versions


class SelfTest:
    """The digests of one executor and the operations of one server. Safe from any thread.

    `traits` and the section `grounds` have one entry per ground that arithmetic can rest on: image, audio, opaque (torch's
    floats among images), opaque_audio (the host's libraries), deep (sources or output of 16 bits), and border (borders that
    only some streams have).
    """

    def __init__(
        self, executor: Executor, operations: Registry | None = None, check: Callable[[], None] = lambda: None
    ) -> None:
        """Over `operations` (default: the package's). `check` is called now and then, and ends the work by raising.

        Raises:
            ValueError: for the operator: the executor does not run an operation.
        """
        self._operations = registry() if operations is None else operations
        self._steps: Mapping[str, type[Step]] = {**self._operations, **containers()}
        require_runnable(self._operations, executor)
        self._executor, self._check = executor, check
        opaque = {name: cls.media for name, cls in self._operations.items() if cls.kind is Kind.OPAQUE}
        self._opaque_grounds = {name: MEDIA[medium].opaque_ground for name, medium in opaque.items()}
        self._grounds = _grounds()
        self.traits = {
            **{medium.name: medium.traits(executor) for medium in MEDIA.values()},
            **{medium.opaque_ground: medium.opaque_traits(executor) for medium in MEDIA.values()},
            "deep": executor.traits,
            "border": executor.traits,
        }
        self.rendered, self.to_render = 0, sum(map(len, self._grounds.values()))  # specifications of the grounds
        self._lock = Lock()
        self._results: dict[tuple[Section, str], Future[str | None]] = {}  # None: it fails

    def warm_up(self) -> None:
        """Runs the specifications of all grounds, which takes the same time for any number of operations."""
        self._measure({"grounds": self._grounds})

    def arithmetic(self, stream: Stream, wait: bool = True) -> str:
        """The arithmetic id of a stream, over what it uses: 32 hex digits.

        Raises:
            NotAvailable: the self-test of something that the stream uses fails; the log names it.
            Pending: another thread computes a digest that is needed, if this one is not to `wait` for it.
        """
        info = stream.source.info
        is_deep = info.window is not None or stream.spec.output.dtype == "uint16"
        ground = "deep" if is_deep else info.media
        sources = (stream.source, *stream.others.values())
        decoders = {decoder for source in sources for decoder in source.info.decoders}
        return _id(self._digests_used_by(stream.plan.tree, ground, decoders, wait))

    def arithmetic_of(self, steps: Sequence[Step], ground: str, wait: bool = True) -> str:
        """The arithmetic id of steps on samples that need no decoder: `image`, `audio` or `deep`; raises as `arithmetic`."""
        return _id(self._digests_used_by(Tree.of(steps), ground, (), wait))

    def whole(self) -> str:
        """The arithmetic id over everything; raises NotAvailable as `arithmetic` does, after all others have run."""
        return _id(self.digests())

    def digests(self) -> Digests:
        """All digests; raises NotAvailable as `arithmetic` does."""
        return self._measure({"grounds": self._grounds, "operations": self._steps, "decoders": DECODERS})

    def _digests_used_by(self, tree: Tree, ground: str, decoders: Collection[str], wait: bool) -> Digests:
        names = tree.names
        grounds = {"image", "deep"} if ground == "deep" else {ground}
        grounds |= {self._opaque_grounds[name] for name in names if name in self._opaque_grounds}
        if any(shows_a_border(operation) for operation in tree.operations):
            grounds.add("border")
        return self._measure({"grounds": grounds, "operations": names, "decoders": decoders}, wait)

    def _measure(self, sections: Mapping[Section, Iterable[str]], wait: bool = True) -> Digests:
        """Digests by section; one that fails keeps no other from being computed."""
        digests: dict[str, dict[str, str | tuple[str, ...]]] = {section: {} for section in sections}
        failure: NotAvailable | None = None
        for section, names in sections.items():
            for name in names:
                try:
                    digests[section][name] = self._digest(section, name, wait)
                except NotAvailable as err:
                    failure = failure or err
        if failure:
            raise failure
        return {"traits": {ground: self.traits[ground] for ground in sections["grounds"]}, **digests}

    def _digest(self, section: Section, name: str, wait: bool) -> str:
        """One digest: computed by the first thread that needs it, awaited by the others. An error that may pass is not kept."""
        with self._lock:
            result = self._results.get((section, name))
            if is_first := result is None:
                result = self._results[section, name] = Future()
        if is_first:
            try:
                result.set_result(self._compute(section, name))
            except BaseException as err:
                with self._lock:
                    del self._results[section, name]
                result.set_exception(err)
        if not (wait or result.done()):
            raise Pending(result)
        if (digest := result.result()) is None:
            raise NotAvailable(
                f"{name!r} of {section} fails in this server's self-test: its log has the reason", field="pipeline"
            )
        return digest

    def _compute(self, section: Section, name: str) -> str | None:
        """A digest, or None, which is logged, if computing it fails and would fail again."""
        try:
            if section == "decoders":
                self._check()
                return probe_digest(name)
            if section == "grounds":
                return self._render(_medium_of(name), self._grounds[name], self._count)
            if name not in self._operations:
                return _digest_choices(name, self._steps[name])
            operation = self._operations[name]
            return self._render(MEDIA[operation.media], _corners(name, operation))
        except Exception as err:
            if isinstance(err, Cancelled) or (isinstance(err, AugsvcError) and err.status == 503):
                raise  # it may work later
            logger.exception("the self-test fails for %s of %s: streams that use it are refused", name, section)
            return None

    def _count(self) -> None:
        self.rendered += 1

    def _render(
        self, medium: Medium, specs: list[dict[str, object]], rendered: Callable[[], None] = lambda: None
    ) -> str:
        """SHA-256 of the batches' tensors, without their headers. `rendered` is called after each batch."""
        digest = hashlib.sha256()
        with ThreadPoolExecutor(1) as reader:
            for fields in specs:
                spec = medium.probe_spec(fields, self._operations)
                stream = Stream.open(spec, PROBES[spec.dataset], self._executor)
                body = stream.produce(0, 0, stream.samples, 0, reader, self._check)
                digest.update(body.buffer[8 + stream.layout.header_bytes :].tobytes())
                rendered()
        return digest.hexdigest()


def _id(digests: Digests) -> str:
    return hashlib.sha256(json.dumps(digests, sort_keys=True).encode()).hexdigest()[:32]


def _medium_of(ground: str) -> Medium:
    """The medium whose streams rest on a ground: images on those that are no medium's own."""
    return next((medium for medium in MEDIA.values() if ground in (medium.name, medium.opaque_ground)), MEDIA["image"])


def _digest_choices(name: str, container: type[Step]) -> str:
    """SHA-256 of what a container selects and sets, for its examples."""
    digest = hashlib.sha256()
    for example in container.examples:
        tree = Tree.of(parse_pipeline([{"op": name, **example}]))
        for draw in tree.draw(0, Address(np.arange(_CHOICES), 0, 0)):
            for values in (draw.selected, *draw.given.values()):
                digest.update(values.tobytes())
    return digest.hexdigest()


def _grounds() -> dict[str, list[dict[str, object]]]:
    """The specification fields to digest, by group: presets, and the settings that every stream of a medium uses."""
    grounds: dict[str, list[dict[str, object]]] = {
        **{medium.name: medium.ground_specs() for medium in MEDIA.values()},
        **{medium.opaque_ground: [] for medium in MEDIA.values()},
        "deep": deep_specs(),
        "border": [spec for border in BORDERS for spec in border_specs(border)],
    }
    for name in _GROUND_PRESETS:
        steps = parse_pipeline(name)
        operations = Tree.of(steps).operations
        opaque = {MEDIA[operation.media].opaque_ground for operation in operations if operation.kind is Kind.OPAQUE}
        for ground in opaque or {operation.media for operation in operations} or MEDIA:
            grounds[ground].append({"pipeline": name})
    return grounds


def _corners(name: str, operation: type[Operation]) -> list[dict[str, object]]:
    """One operation, always selected, in each of its modes: with its defaults, and at both ends of what it takes."""
    marks = operation.parameters().items()
    low: dict[str, object] = {parameter: mark.low for parameter, mark in marks}
    high: dict[str, object] = {parameter: mark.high for parameter, mark in marks}
    modes: list[dict[str, object]] = [{"op": name, "p": 1.0, **chosen} for chosen in operation.examples]
    specs: list[dict[str, object]] = [{"pipeline": [mode | ends]} for mode in modes for ends in ({}, low, high)]
    return MEDIA[operation.media].corner_specs(operation, modes, specs)
