"""What has changed between two versions of a proxy's files, as a unified diff of bounded size and cost."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

MOST_CHARACTERS = 64 << 10
CONTEXT = 3

# Comparing n lines with m costs up to n times m; beyond this only the numbers are told.
_MOST_PAIRS = 4_000_000


def diff(before: Mapping[str, str], after: Mapping[str, str], limit: int = MOST_CHARACTERS) -> str:
    """The unified diff (GNU diffutils manual, "Detailed Description of Unified Format") between files by name, sorted by name, of at most about `limit` characters.

    Empty when there is no difference. A file that is only in one of them is compared with nothing. What is left out is counted in the last line.
    """
    kept: list[str] = []
    size = left_out = 0
    for name in sorted({*before, *after}):
        for line in _file(name, before.get(name), after.get(name)):
            if size + len(line) > limit:
                left_out += 1
                continue
            kept.append(line)
            size += len(line) + 1
    if left_out:
        kept.append(f"… {left_out} lines of the difference are left out")
    return "\n".join(kept) + "\n" if kept else ""


def _file(name: str, before: str | None, after: str | None) -> Iterator[str]:
    if before == after:
        return
    yield f"--- {'/dev/null' if before is None else f'a/{name}'}"
    yield f"+++ {'/dev/null' if after is None else f'b/{name}'}"
    old, new = _lines(before), _lines(after)
    start = _same(old, new)
    end = _same(old[start:][::-1], new[start:][::-1])
    first = max(0, start - CONTEXT)
    spare = max(0, end - CONTEXT)
    old_part, new_part = old[first : len(old) - spare], new[first : len(new) - spare]
    if len(old_part) * len(new_part) > _MOST_PAIRS:
        yield f"@@ -{first + 1},{len(old_part)} +{first + 1},{len(new_part)} @@ too much has changed to show it"
        return
    for number, line in enumerate(difflib.unified_diff(old_part, new_part, n=CONTEXT, lineterm="")):
        if number >= 2:
            yield _shifted(line, first) if line.startswith("@@ ") else line


def _lines(text: str | None) -> list[str]:
    """The lines, of which the last one says when it has no end."""
    if not text:
        return []
    lines = text.split("\n")
    if lines[-1]:
        lines[-1] += "\n\\ No newline at end of file"
    else:
        lines.pop()
    return lines


def _same(old: Sequence[str], new: Sequence[str]) -> int:
    """How many lines agree at the beginning."""
    count = 0
    for left, right in zip(old, new, strict=False):
        if left != right:
            break
        count += 1
    return count


def _shifted(header: str, by: int) -> str:
    """The header of a hunk of the middle part, in the line numbers of the whole file."""
    _, old, new, _ = header.split(" ", 3)
    return f"@@ -{_moved(old, by)} +{_moved(new, by)} @@"


def _moved(range_: str, by: int) -> str:
    start, comma, count = range_[1:].partition(",")
    return f"{int(start) + by}{comma}{count}"
