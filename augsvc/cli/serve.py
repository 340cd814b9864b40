"""`augsvc serve`."""

import logging
import os
import signal
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

import typer
from fastapi import FastAPI

from augsvc.cli.common import read_settings, report_errors
from augsvc.cli.folders import COMPILING, will_compile
from augsvc.cli.memory import fit_memory
from augsvc.cli.memory_limit import memory_limit
from augsvc.http import create_app
from augsvc.http.server.sockets import open_listener
from augsvc.http.server.uvicorn_server import Server
from augsvc.logs import set_up

logger = logging.getLogger("augsvc")


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


def serve(config: Path | None, flags: Mapping[str, object]) -> None:
    """Serves until a signal; exits with 2 if the settings are wrong, with 1 if the engine was lost."""
    settings = read_settings(config, flags)
    set_up(settings.log_format)
    with ExitStack() as stack:
        with report_errors():
            application = create_app(*fit_memory(settings, memory_limit()))
            listener, url = stack.enter_context(open_listener(settings))
        typer.echo(f"augsvc listens on {url}")
        if will_compile(settings):
            logger.info(COMPILING)
        if settings.tokens_file or settings.datasets:
            reload_on_hangup(application)
        Server(application, settings.shutdown_timeout_s, settings.min_client_bytes_per_s).run(sockets=[listener])
    if application.state.lifecycle.failed:
        raise typer.Exit(1)
