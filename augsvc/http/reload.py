"""Reloading: the operator's datasets are indexed again while the server serves them."""

import logging
from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from queue import SimpleQueue
from threading import Thread

from augsvc.data.catalog import Replacement
from augsvc.data.formats.format import DatasetFormat
from augsvc.data.source import Source
from augsvc.engine.engine import Engine
from augsvc.errors import Draining, ReloadFailed
from augsvc_client.text import printable

logger = logging.getLogger("augsvc")
Reloading = Future[list[Replacement]]


class Reloader:
    """Runs one reload after the other on its own thread.

    All requests that arrive while one runs are answered by the next one, which sees what has changed meanwhile.
    """

    def __init__(self, engine: Engine, datasets: Mapping[str, DatasetFormat]) -> None:
        self._engine, self._datasets = engine, datasets
        self._requests: SimpleQueue[Reloading | None] = SimpleQueue()  # None: stop

    def start(self) -> None:
        """Starts the thread; it is a daemon, because a disk that does not answer must not keep the process."""
        Thread(target=self._run, name="reload", daemon=True).start()

    def stop(self) -> None:
        """Ends the thread after the running reload; those requested meanwhile fail with Draining."""
        self._requests.put(None)

    def request(self) -> Reloading:
        """Requests a reload. Signal handlers may call it."""
        reloading = Reloading()
        self._requests.put(reloading)
        return reloading

    def _run(self) -> None:
        while True:
            requests = [self._requests.get()]
            while not self._requests.empty():
                requests.append(self._requests.get())
            waiting = [request for request in requests if request and request.set_running_or_notify_cancel()]
            if None in requests:
                for request in waiting:
                    request.set_exception(Draining("the server is shutting down"))
                return
            self._answer(waiting)

    def _answer(self, waiting: Iterable[Reloading]) -> None:
        try:
            replacements = self._reload()
        except Exception as err:
            if not isinstance(err, ReloadFailed):
                logger.exception("the reload failed")
            for request in waiting:
                request.set_exception(err)
        else:
            for request in waiting:
                request.set_result(replacements)

    def _reload(self) -> list[Replacement]:
        """Indexes one dataset after the other, so that a fault of one keeps no other from being reloaded.

        Raises:
            ReloadFailed: at least one cannot be indexed; it is served as before.
        """
        replacements: list[Replacement] = []
        failed: list[str] = []
        for name, dataset in self._datasets.items():
            try:
                replaced = self._engine.replace_dataset(name, dataset.open(name, self._engine.catalog.cache))
            except (ValueError, OSError) as err:
                failed.append(name)
                logger.error("%s: %s is served as before: %s", ReloadFailed.code, name, printable(str(err)))
            else:
                replacements += replaced
                log_replacements(replaced)
                changed = {replacement.name for replacement in replaced if replacement.differs}
                log_notes(source for source in self._engine.catalog.sources() if source.info.name in changed)
        if failed:
            raise ReloadFailed(f"served as before, because it cannot be indexed now: {', '.join(failed)}; see the log")
        return replacements


def log_notes(sources: Iterable[Source]) -> None:
    """Logs what the operator should know of the datasets: faults as warnings."""
    for source in sources:
        for fault in source.faults():
            logger.warning("%s: %s", source.info.name, fault)
        for note in source.notes():
            logger.info("%s: %s", source.info.name, note)


def log_replacements(replacements: Iterable[Replacement]) -> None:
    """Logs what a reload has changed."""
    for one in replacements:
        logger.info(
            "%s reloaded: %d samples (%d added, %d removed, %d changed), version %.12s, was %.12s",
            one.name,
            one.samples,
            one.added,
            one.removed,
            one.changed,
            one.version,
            one.former_version,
        )
        if one.labels_moved or (one.former_version and one.version and (one.added_classes or one.removed_classes)):
            logger.warning(
                "%s: its classes changed (added: %s; removed: %s)%s",
                one.name,
                printable(", ".join(one.added_classes) or "none"),
                printable(", ".join(one.removed_classes) or "none"),
                ", and others have other labels now: a model of the former version does not fit"
                if one.labels_moved
                else "",
            )
        if one.changed and one.version == one.former_version:
            logger.warning(
                "%s: %d files were modified or replaced, but names and sizes, and so the version, are the same: "
                "`digest_contents: true` covers contents too",
                one.name,
                one.changed,
            )
