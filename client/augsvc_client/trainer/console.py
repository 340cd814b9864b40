"""The terminal of the trainer, to which foreign text goes as text."""

from typing import Any

from rich.console import Console
from rich.text import Text

from augsvc_client.text import printable


class PlainConsole(Console):
    """A rich console whose strings are one line of text each: without markup, emoji codes, colours of
    numbers and unprintable characters.

    Names of classes, datasets, files and runs, and a server's own words, are in many of them.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        super().__init__(quiet=quiet, markup=False, emoji=False, highlight=False)

    def render_str(self, text: str, **options: Any) -> Text:  # the library's own signature
        """The string as text, with the library's options."""
        return super().render_str(printable(text), **options)
