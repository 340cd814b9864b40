"""The log, on standard error: lines for people, or one JSON object a line and event, with one for each request."""

import json
import logging
import sys
import threading
from datetime import UTC, datetime
from typing import Literal

from rich.console import Console
from rich.logging import RichHandler

LogFormat = Literal["text", "json"]


class JsonLines(logging.Formatter):
    """time, level, logger, event, and what the event brings along as `extra={"fields": {…}}`; fields of None are left out."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
        }
        line |= {name: value for name, value in getattr(record, "fields", {}).items() if value is not None}
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def set_up(log_format: LogFormat) -> None:
    """For the whole process."""
    handler: logging.Handler = logging.StreamHandler()
    if log_format == "json":
        handler.setFormatter(JsonLines())
        logging.captureWarnings(True)
        threading.excepthook = _log_thread
    else:
        logging.getLogger("augsvc.requests").setLevel(logging.WARNING)  # a line for each would hide the events
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        if sys.stderr.isatty():
            handler = RichHandler(console=Console(stderr=True), show_path=False)
            handler.setFormatter(logging.Formatter("%(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])


def _log_thread(thread: threading.ExceptHookArgs) -> None:
    if thread.exc_value is not None:
        found = (thread.exc_type, thread.exc_value, thread.exc_traceback)
        logging.getLogger("augsvc").critical("a thread ended with an error", exc_info=found)
