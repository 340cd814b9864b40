"""The server of `augsvc serve`, and its signals."""

import logging
import os
import signal
from contextlib import ExitStack
from functools import partial

import typer
from fastapi import FastAPI
from rich.console import Console

from augsvc.cli.common import exit_on_sigterm, report_errors
from augsvc.cli.listener import open_listener
from augsvc.cli.start_bar import show_start
from augsvc.data.catalog import Catalog
from augsvc.http import create_app
from augsvc.http.server.uvicorn_server import Server
from augsvc.settings import Settings

logger = logging.getLogger("augsvc")


def serve_catalog(settings: Settings, catalog: Catalog, console: Console) -> None:
    """Serves until a signal; exits with 2 if the device or the address cannot be used, with 1 if the engine was lost."""
    with ExitStack() as stack:
        with exit_on_sigterm(), report_errors():
            application = create_app(settings, catalog=catalog, show_start=partial(show_start, console, logger.info))
            listener, url = stack.enter_context(open_listener(settings))
        typer.echo(f"augsvc listens on {url}")
        if settings.tokens_file or settings.datasets:
            reload_on_hangup(application)
        server = Server(
            application, settings.shutdown_timeout_s, settings.min_client_bytes_per_s, settings.max_connections
        )
        server.run(sockets=[listener])
    if application.state.lifecycle.failed:
        raise typer.Exit(1)


def reload_on_hangup(application: FastAPI) -> None:
    """Makes SIGHUP reread the tokens and reload the datasets; when the terminal was closed, it shuts down as SIGTERM does."""
    ends_with_terminal = has_terminal() and signal.getsignal(signal.SIGHUP) != signal.SIG_IGN  # nohup ignores it

    def reload(*_: object) -> None:
        if ends_with_terminal and not has_terminal():
            signal.raise_signal(signal.SIGTERM)
        else:
            application.state.tokens.invalidate()
            application.state.reloader.request()

    signal.signal(signal.SIGHUP, reload)


def has_terminal() -> bool:
    """Whether the process has a terminal that controls it, and that is open."""
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY))
    except OSError:
        return False
    return True
