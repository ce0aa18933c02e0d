"""The mounts of a host, and which of them holds a path."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence

_ESCAPE = re.compile(r"\\([0-7]{3})")


class Mount(msgspec.Struct, frozen=True):
    """One line of mountinfo (proc(5)): `root` is the part of the file system that is mounted at `point`."""

    root: str
    point: str
    kind: str
    source: str
    options: frozenset[str]


def parse_mounts(text: str) -> list[Mount]:
    """The mounts of a mountinfo text, in its order; lines that make no sense are left out."""
    found = []
    for line in text.splitlines():
        left, dash, right = line.partition(" - ")
        fields, rest = left.split(" "), right.split(" ")
        if not dash or len(fields) < 6 or len(rest) < 2:
            continue
        options = frozenset(",".join([fields[5], *rest[2:]]).split(","))
        found.append(Mount(_plain(fields[3]), _plain(fields[4]), rest[0], _plain(rest[1]), options))
    return found


def mount_of(mounts: Sequence[Mount], path: str) -> Mount | None:
    """The mount that holds the absolute `path`: the deepest, and of several at one point the last, which covers the others."""
    best = None
    for mount in mounts:
        point = mount.point.rstrip("/")
        if f"{path}/".startswith(f"{point}/") and (
            best is None or len(mount.point) >= len(best.point)
        ):
            best = mount
    return best


def _plain(field: str) -> str:
    """A field without mountinfo's escapes of blanks and backslashes."""
    return _ESCAPE.sub(lambda found: chr(int(found[1], 8)), field) if "\\" in field else field
