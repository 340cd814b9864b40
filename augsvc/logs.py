"""Logging to standard error: lines for people, or one JSON object a line, including one for each request."""

import json
import logging
import sys
import threading
from datetime import UTC, datetime
from typing import Any, Literal

from rich.console import Console
from rich.logging import RichHandler

from augsvc_client.text import printable

LogFormat = Literal["text", "json"]


class JsonLines(logging.Formatter):
    """time, level, logger, event, and the event's `extra={"fields": {…}}`, escaped; fields of None are omitted."""

    def format(self, record: logging.LogRecord) -> str:
        """One JSON object."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
        }
        line |= {name: value for name, value in getattr(record, "fields", {}).items() if value is not None}
        line = {name: printable(value) if isinstance(value, str) else value for name, value in line.items()}
        if record.exc_info:
            line["traceback"] = escape_lines(self.formatException(record.exc_info))
        return json.dumps(line, ensure_ascii=False)


class TextLines(logging.Formatter):
    """One line an event, in which foreign text cannot forge another one; a traceback follows it, escaped too."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        """The line, escaped."""
        return printable(super().formatMessage(record))

    def formatException(self, ei: Any) -> str:
        """The traceback, each line escaped: an exception's message may have the name of a file."""
        return escape_lines(super().formatException(ei))


def escape_lines(text: str) -> str:
    """Text of several lines, each escaped."""
    return "\n".join(map(printable, text.split("\n")))


def set_up(log_format: LogFormat) -> Console:
    """Configures logging of the whole process. Returns the console of its lines, which is a terminal if a person reads them."""
    console = Console(stderr=True, force_terminal=False if log_format == "json" else None)
    # "Application startup complete", while kernels are compiled, would mislead; the events of this package say what is done
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    handler: logging.Handler = logging.StreamHandler()
    if log_format == "json":
        handler.setFormatter(JsonLines())
        logging.captureWarnings(True)
        threading.excepthook = _log_thread
    else:
        logging.getLogger("augsvc.requests").setLevel(logging.WARNING)  # a line for each request would hide the events
        handler.setFormatter(TextLines("%(asctime)s %(levelname)s %(message)s"))
        if sys.stderr.isatty():
            handler = RichHandler(console=console, show_path=False)
            handler.setFormatter(TextLines("%(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    return console


def _log_thread(thread: threading.ExceptHookArgs) -> None:
    if thread.exc_value is not None:
        error = (thread.exc_type, thread.exc_value, thread.exc_traceback)
        logging.getLogger("augsvc").critical("uncaught error in a thread", exc_info=error)
