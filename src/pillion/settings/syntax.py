"""TOML text to a table, past its syntax errors: each is reported with its line, and the rest still validated."""

from __future__ import annotations

from pillion.settings.lean import NamedTuple
from pillion.settings.problems import Problem

_MOST_ERRORS = 20


class Document(NamedTuple):
    """What could be read: the table, the text that gave it (lines in error left out, so that lines still count), the errors."""

    table: dict[str, object]
    text: str
    problems: tuple[Problem, ...]


def read_toml(text: str, source: str) -> Document:
    """Read `text` line by line past its errors; a bounded number of them is reported."""
    if not text:
        return Document({}, "", ())
    import tomllib  # not at the top: agent and shipper read JSON, and need not pay for it; nor need a start with --set alone

    problems: list[Problem] = []
    lines = text.replace("\r\n", "\n").split("\n")
    last_line = 0
    while True:
        rest = "\n".join(lines)
        try:
            return Document(tomllib.loads(rest), rest, tuple(problems))
        except tomllib.TOMLDecodeError as error:
            message, line, column = _read_error(str(error), len(lines))
        except RecursionError:
            return Document(
                {}, "", (Problem(None, "", "cannot read values nested this deeply", source=source),)
            )
        # An error right after a line that was left out is more likely its echo (an open array, a long string): one report.
        if not problems or line > last_line + 1:
            problems.append(Problem(line, "", message, source=source, column=column))
        open_end = column is None
        if open_end or len(problems) >= _MOST_ERRORS or line <= last_line:
            return Document({}, "", tuple(problems))
        if lines[line - 1].lstrip().startswith("["):
            # Without its header, what follows would be read as part of another table.
            del lines[line - 1 :]
        else:
            lines[line - 1] = ""
        last_line = line


def _read_error(text: str, last: int) -> tuple[str, int, int | None]:
    """tomllib's message taken apart: what, line, column (None: at the end of the text)."""
    what, _, place = text.rpartition(" (at ")
    words = place.rstrip(")").replace(",", "").split()
    known = {
        "Cannot overwrite a value": "cannot set this twice; keep one of the lines",
    }
    if what.startswith("Cannot declare ") and what.endswith(" twice"):
        what = "cannot begin the same table twice; put its settings under one header"
    message = known.get(what, f"cannot read this: {what[:1].lower()}{what[1:]}")
    if len(words) == 4 and words[0] == "line":
        return message, int(words[1]), int(words[3])
    return message, last, None
