"""What the journal is told of a proxy, and what is counted of it, so that neither is forgotten beside the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable

    from pillion.model.event import Json
    from pillion.proxies.applying.steps import Action, Tell

    Journal = Callable[[str, str, dict[str, Json]], None]


class Counts(msgspec.Struct):
    """What became of changes, since this agent's start."""

    applied: int = 0
    refused: int = 0
    returned: int = 0
    changed: int = 0
    held: int = 0
    edited: int = 0
    drifted: int = 0
    reloads: int = 0
    renderings: int = 0
    checks: int = 0


class Telling:
    """Writes entries of one proxy into its journal, and counts."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.counts = Counts()

    def tell(self, told: Tell, edited: str) -> None:
        """Enter what was decided to be told; `edited` is the difference that the last edit by somebody else made."""
        counts = self.counts
        match told.kind:
            case "proxy-applied":
                counts.applied += 1
            case "proxy-refused":
                counts.refused += 1
            case "proxy-returned":
                counts.returned += 1
            case "proxy-changed":
                counts.changed += 1
            case "proxy-held":
                counts.held += 1
            case "proxy-edited":
                counts.edited += 1
            case "proxy-drift":
                counts.drifted += 1
            case _:
                raise AssertionError(told)
        data: dict[str, Json] = {"version": told.version, "previous": told.previous}
        if told.took_s:
            data["took_ms"] = round(told.took_s * 1000, 1)
        if told.waited_s:
            data["waited_ms"] = round(told.waited_s * 1000, 1)
        if told.served_s is not None and told.kind == "proxy-changed":
            data["served_ms"] = round(told.served_s * 1000, 1)
        if told.changes:
            data["changes"] = told.changes
        if told.kind == "proxy-edited":
            data["diff"] = edited
        self.journal(told.kind, told.reason, {key: one for key, one in data.items() if one != ""})

    def count(self, action: Action) -> None:
        """Count what is about to be done."""
        match type(action).__name__:
            case "Render":
                self.counts.renderings += 1
            case "Check":
                self.counts.checks += 1
            case "Load" | "Return" | "Restore":
                self.counts.reloads += 1
            case _:
                pass
