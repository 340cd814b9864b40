"""Foreign text, such as file, class, job and dataset names, on its way to a terminal, a log or a page."""


def printable(text: str) -> str:
    """The text with everything but printable characters and spaces escaped as in Python ("\\x1b[2J", "\\u202e").

    That covers control characters, which could move a terminal's cursor or forge a line of a log, marks of direction, which
    could display a name in another order, and bytes of file names that are not UTF-8.
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
