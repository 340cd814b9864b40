"""The `augsvc` command: `serve`; `ops`, `recipes`, `preview`, `explain`, `datasets [inspect]`, `import`; `fit`, `check`."""

from augsvc.cli.main import app

__all__ = ["app"]
