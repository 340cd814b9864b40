"""The `augsvc` command."""

from augsvc.cli.main import app

__all__ = ["app"]
