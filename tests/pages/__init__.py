"""The generated pages of the operations: `make golden` writes what has changed, `python -m tests.pages` all of it."""
