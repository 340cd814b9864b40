"""Foreign text on its way to a terminal or a log."""

import io
import json
import logging

import pytest

from augsvc.cli.common import safe
from augsvc.logs import JsonLines, TextLines
from augsvc.validation import nearest
from augsvc_client.text import printable

HOSTILE = "a\x1b[2J\r\n2026 CRITICAL forged\u202e\u2028\x9b\udcff\0"


def test_only_printable_characters_are_left():
    assert printable("é 猫 😀 a_b-1.png") == "é 猫 😀 a_b-1.png"
    assert printable(HOSTILE) == r"a\x1b[2J\r\n2026 CRITICAL forged\u202e\u2028\x9b\udcff\x00"
    assert safe("[red]\x1b") == r"\[red]\x1b"


def test_a_hint_names_a_class_in_printable_characters():
    assert nearest("a", ["a\x1b[2Jb"]) == r"; did you mean a\x1b[2Jb?"


@pytest.mark.parametrize("formatter", [TextLines("%(levelname)s %(message)s"), JsonLines()])
def test_a_log_line_stays_one_line_of_printable_characters(formatter):
    out = io.StringIO()
    handler = logging.StreamHandler(out)
    handler.setFormatter(formatter)
    logger = logging.Logger("hostile")
    logger.addHandler(handler)
    logger.warning("pets: %s", HOSTILE, extra={"fields": {"job": HOSTILE}})
    (line,) = out.getvalue().removesuffix("\n").splitlines()
    assert line.isprintable()
    if isinstance(formatter, JsonLines):
        assert json.loads(line)["job"] == printable(HOSTILE)


@pytest.mark.parametrize("formatter", [TextLines("%(levelname)s %(message)s"), JsonLines()])
def test_a_traceback_cannot_move_the_terminals_cursor(formatter):
    """The message of an exception may have the name of a file."""
    out = io.StringIO()
    handler = logging.StreamHandler(out)
    handler.setFormatter(formatter)
    logger = logging.Logger("hostile")
    logger.addHandler(handler)
    try:
        raise OSError(HOSTILE)
    except OSError:
        logger.exception("reading failed")
    assert all(line.isprintable() for line in out.getvalue().split("\n"))
    assert r"a\x1b[2J" in out.getvalue().replace("\\\\", "\\")
