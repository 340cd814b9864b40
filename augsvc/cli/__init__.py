"""`augsvc`: `serve`, `push`, `fit`, `check`, `doctor`; `ops`, `recipes`, `preview`, `explain`, `datasets`, `import`."""

from augsvc.cli.main import app

__all__ = ["app"]
