"""A diff says all of it: whoever applies it to the one text has the other."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from pillion.proxies.files.differences import diff

LINES = st.lists(st.sampled_from(["", "a", "b", "server x;", "}"]), max_size=40)
TEXTS = st.builds(lambda lines, end: "\n".join(lines) + end, LINES, st.sampled_from(["", "\n"]))
HEADER = re.compile(r"@@ -(\d+)(?:,(\d+))? \+\d+(?:,\d+)? @@\Z")


def applied(before: str, patch: str) -> str:
    """`before` with the patch; fails where it does not fit."""
    old = before.split("\n")
    old = [line + "\n" for line in old[:-1]] + ([old[-1]] if old[-1] else [])
    new: list[str] = []
    at = 0
    lines = patch.splitlines()
    for number, line in enumerate(lines):
        header = HEADER.match(line)
        if header:
            count = int(header[2] or 1)
            start = int(header[1]) - (1 if count else 0)
            new += old[at:start]
            at = start
            continue
        if line.startswith(("---", "+++", "\\")) or not line:
            continue
        bare = number + 1 < len(lines) and lines[number + 1].startswith("\\")
        text = line[1:] + ("" if bare else "\n")
        if line[0] in " -":
            assert old[at] == text
            at += 1
        if line[0] in " +":
            new.append(text)
    return "".join(new + old[at:])


@given(TEXTS, TEXTS)
def test_a_diff_applies(before: str, after: str) -> None:
    assert applied(before, diff({"f": before}, {"f": after})) == after
