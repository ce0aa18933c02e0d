"""Which files are compressed beforehand, and which compressed ones are no longer right: decided from two listings, without touching a file.

A compressed file is believed only while its original is the very file that it was made of. HTML is left to compression on the way: a page must be the
present one with the next request, whether or not there is an agent to notice the change.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pillion.proxies.offload.types import COMPRESSED_ENDS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

LEAST_BYTES = 1024
"""As for compression on the way (`gzip_min_length`)."""
MOST_BYTES = 32 << 20
"""Of one file: larger ones are no matter of a web page, and would take minutes."""
MOST_FILES = 20_000
SETTLE_S = 2.0
"""A file that changed less than this ago may still be written to."""


class Original(msgspec.Struct, frozen=True, array_like=True):
    """A file below the root, as fstat(2) shows it: `changed_ns` is when anything of it changed last, its content or its name."""

    size: int
    modified_ns: int
    changed_ns: int
    inode: int


class Made(msgspec.Struct, frozen=True, array_like=True):
    """What was made of `original`: the sizes by coding (`gz`, `br`); none where compressing was no gain."""

    original: Original
    sizes: dict[str, int]


class Work(msgspec.Struct, frozen=True):
    """What is to be done: first remove, then make. `later_s` is when to look again, None when there is no reason to. `left_out` are files beyond the bound."""

    remove: tuple[str, ...]
    make: tuple[str, ...]
    later_s: float | None = None
    left_out: int = 0


def wants(path: str, size: int, names: Callable[[str], bool]) -> bool:
    """Whether the file at `path` (relative, with `/`) is compressed beforehand; `names` says for which paths that is wanted."""
    name = path.rpartition("/")[2]
    stem, dot, end = name.rpartition(".")
    return (
        bool(stem and dot)
        and end in COMPRESSED_ENDS
        and LEAST_BYTES <= size <= MOST_BYTES
        and not any(part.startswith(".") for part in path.split("/"))
        # A name that is not UTF-8 has surrogates in it, and could not be written down.
        and not any("\ud800" <= one <= "\udfff" for one in path)
        and names(path)
    )


def work(
    originals: Mapping[str, Original],
    made: Mapping[str, Made],
    present: Mapping[str, int],
    now_ns: int,
) -> Work:
    """What to do about `originals`, those that are wanted; `made` is what is known to have been made, `present` the sizes of what lies in the tree.

    Neither of the two is believed without the other: a tree that was written while the host crashed has files without content.
    """
    remove = [path for path in present if _original_of(path) not in originals]
    make = []
    settle_ns = round(SETTLE_S * 1e9)
    later_ns: int | None = None
    for path, original in originals.items():
        one = made.get(path)
        there = {
            end: present[f"{path}.{end}"] for end in ("gz", "br") if f"{path}.{end}" in present
        }
        if one is not None and one.original == original and one.sizes == there:
            continue
        remove += [f"{path}.{end}" for end in there]
        # A clock that was set back must not put a file off for ever.
        age_ns = now_ns - original.changed_ns
        if 0 <= age_ns < settle_ns:
            left = settle_ns - age_ns
            later_ns = left if later_ns is None else max(later_ns, left)
        else:
            make.append(path)
    kept = len(originals) - len(make)
    room = max(0, MOST_FILES - kept)
    return Work(
        remove=tuple(remove),
        make=tuple(make[:room]),
        later_s=None if later_ns is None else later_ns / 1e9,
        left_out=max(0, len(make) - room),
    )


def _original_of(path: str) -> str:
    stem, _, end = path.rpartition(".")
    return stem if end in ("gz", "br") else ""
