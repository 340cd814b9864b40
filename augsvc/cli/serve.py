"""`augsvc serve`: checks what the operator has set, then serves."""

import logging
from collections.abc import Mapping
from pathlib import Path

from augsvc.cli.bounds import find_excess
from augsvc.cli.common import exit_on_sigterm, open_datasets, read_settings, report_errors
from augsvc.cli.listener import open_listener
from augsvc.cli.memory import fit_memory
from augsvc.cli.memory_limit import memory_limit
from augsvc.cli.open_files import fit_open_files
from augsvc.logs import set_up

logger = logging.getLogger("augsvc")


def serve(config: Path | None, flags: Mapping[str, object]) -> None:
    """Serves until a signal; exits with 2 if the settings are wrong, with 1 if the engine was lost."""
    settings = read_settings(config, flags)
    console = set_up(settings.log_format)
    with report_errors():
        settings, min_decoding_bytes = fit_memory(fit_open_files(settings), memory_limit())
        for line in find_excess(settings):
            logger.warning(line)
        settings.tokens()
        with open_listener(settings):
            pass  # only whether the address is free, before datasets are indexed; it is opened when connections are accepted
    catalog = open_datasets(settings, min_decoding_bytes)
    logger.info("%d datasets; loading torch and the kernels", len(catalog.names()))
    with exit_on_sigterm():
        from augsvc.cli.serving import serve_catalog  # FastAPI and torch: seconds

    serve_catalog(settings, catalog, console)
