"""Compare-and-set in the terms of HTTP: what an If-Match or If-None-Match asks of the store (RFC 9110 section 13)."""

from __future__ import annotations

import re

import msgspec

from pillion.errors import PillionError, UsageError

ANY = b"*"
_TAG = re.compile(rb'\s*(?:,\s*)*((?:W/)?"[\x21\x23-\x7e\x80-\xff]*")\s*(?:,|$)')
_OURS = re.compile(rb'"([a-z]+):([0-9]{1,19})"')


class Outdated(PillionError):
    """A precondition does not hold; `etag` is what is there, empty when nothing is."""

    def __init__(self, what: str, etag: bytes) -> None:
        there = etag.decode() if etag else "absent"
        super().__init__(f"cannot write {what}: it is {there} now; read it again and decide anew")
        self.etag = etag


class Precondition(msgspec.Struct, frozen=True):
    """Both fields as lists of entity tags; None for a field that was not sent, `(ANY,)` for the star."""

    match: tuple[bytes, ...] | None = None
    none_match: tuple[bytes, ...] | None = None

    @property
    def absent(self) -> bool:
        """Whether none was sent."""
        return self.match is None and self.none_match is None

    @property
    def creates(self) -> bool:
        """Whether it asks for a key that is not there, and for nothing else."""
        return self.match is None and self.none_match == (ANY,)

    def revision(self, space: str) -> int | None:
        """The one revision of `space` (a layer) that it asks for, so that the store itself can compare; None for anything else."""
        if self.none_match is not None or self.match is None or len(self.match) != 1:
            return None
        found = _OURS.fullmatch(self.match[0])
        if found is None or found[1] != space.encode() or not int(found[2]):
            return None
        return int(found[2])

    def holds(self, etag: bytes) -> bool:
        """Whether it holds when `etag` is there, empty for nothing; weak tags never match (section 13.1.1)."""
        if self.match is not None and (
            not etag or (self.match != (ANY,) and etag not in self.match)
        ):
            return False
        if self.none_match is None or not etag:
            return True
        return self.none_match != (ANY,) and etag not in self.none_match


def read_precondition(match: bytes | None, none_match: bytes | None) -> Precondition:
    """The precondition that the two fields make; `UsageError` for what is no list of tags."""
    try:
        return Precondition(tags(match), tags(none_match))
    except ValueError as error:
        raise UsageError(f"cannot use this precondition: {error}") from error


def tags(field: bytes | None) -> tuple[bytes, ...] | None:
    """The entity tags of a field (section 8.8.3), or the star; None when it was not sent, `ValueError` when it has neither."""
    if field is None:
        return None
    field = field.strip()
    if field == ANY:
        return (ANY,)
    found = []
    at = 0
    while at < len(field):
        one = _TAG.match(field, at)
        if one is None:
            raise ValueError('write a list of ETags as they were given, such as "service:17", or *')
        found.append(one[1])
        at = one.end()
    return tuple(found)


def weakly_listed(field: bytes, etag: bytes) -> bool:
    """Whether If-None-Match `field` of a read lists `etag`, by the weak comparison that holds there (section 13.1.2)."""
    try:
        listed = tags(field) or ()
    except ValueError:
        return False
    return listed == (ANY,) or any(one.removeprefix(b"W/") == etag for one in listed)
