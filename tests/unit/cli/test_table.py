"""Tables: aligned on a terminal, the same columns in a pipe."""

from __future__ import annotations

import io

from pillion.cli.table import Cell, has_colour, printable, render


def test_columns_are_aligned_and_numbers_to_the_right() -> None:
    rows = [["app", Cell("7", right=True), "x"], ["shipper", Cell("4711", right=True), ""]]
    assert render(("NAME", "PID", "MORE"), rows, colour=False) == [
        "NAME      PID  MORE",
        "app         7  x",
        "shipper  4711",
    ]


def test_colour_does_not_count_as_width() -> None:
    rows = [[Cell("running", "green"), "1"], [Cell("up", "red"), "2"]]
    plain = render(("STATE", "N"), rows, colour=False)
    coloured = render(("STATE", "N"), rows, colour=True)
    assert "\x1b[32mrunning\x1b[0m  1" in coloured[1]
    assert plain[1] == "running  1"
    assert coloured[2] == "\x1b[31mup\x1b[0m       2"


def test_no_rows() -> None:
    assert render(("A", "B"), [], colour=False) == ["A  B"]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_who_gets_colour() -> None:
    assert has_colour(Terminal(), {"TERM": "xterm"})
    assert not has_colour(Terminal(), {"TERM": "xterm", "NO_COLOR": "1"})
    assert not has_colour(Terminal(), {"TERM": "dumb"})
    assert not has_colour(io.StringIO(), {"TERM": "xterm"})


def test_what_an_app_says_cannot_steer_the_terminal() -> None:
    assert printable("a\x1b[2Jb\nc\u202e") == "a\\x1b[2Jb\\x0ac\\x202e"
