"""What people are shown of managed proxies."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pillion.cli.measures import human_age
from pillion.cli.table import Cell, paint, printable, render
from pillion.proxies.overview import GOOD

if TYPE_CHECKING:
    from pillion.proxies.overview import (
        HistoryEntry,
        HistoryList,
        ProxyAttempt,
        ProxyList,
        ProxyView,
    )

_HEADS = ("PROXY", "KIND", "STATE", "VERSION", "SINCE", "LAST", "WORKERS", "OLD", "NOTE")
_PAST = ("NO", "VERSION", "TIME", "OUTCOME", "TOOK", "CHANGES", "REASON")
_STATES = {"serving": "green", "failing": "red", "applying": "yellow", "waiting": "yellow"}
_OUTCOMES = {
    "applied": "green",
    "changed": "green",
    "refused": "red",
    "returned": "red",
    "failed": "red",
    "held": "yellow",
    "waiting": "yellow",
}


def list_lines(found: ProxyList, *, colour: bool) -> list[str]:
    """A table of them."""
    if not found.items:
        return ["there is no managed proxy: set [[proxies]] or [offload] in pillion.toml"]
    return list(render(_HEADS, [_row(one) for one in found.items], colour=colour))


def status_lines(one: ProxyView, *, colour: bool) -> list[str]:
    """Everything about one."""
    state = paint(one.state, _STATES.get(one.state, ""), colour=colour)
    age = "" if one.age_s is None else f" for {human_age(one.age_s)}"
    lines = [f"{printable(one.name)}  {one.kind}, run by {one.run}: {state}{age}"]
    facts: list[tuple[str, str]] = [
        ("version", one.version or "none yet"),
        ("loaded", one.loaded if one.loaded != one.version else ""),
        ("pinned", one.pinned and f"{one.pinned}, by hand"),
        ("last", one.outcome),
        ("reason", one.reason),
        ("again", "" if one.retry_in_s is None else f"in {one.retry_in_s:g} s"),
        ("stale", "" if one.stale_s is None else f"its sources may be {one.stale_s} s old"),
        ("pid", "" if one.pid is None else str(one.pid)),
        ("workers", f"{one.workers}, and {one.old_workers} old of {one.old_loads} loads"),
        ("members", ", ".join(f"{name} {count}" for name, count in one.members.items())),
        ("uses", ", ".join(one.uses)),
        ("files", one.directory),
        ("counted", ", ".join(f"{name} {n}" for name, n in one.counts.items() if n)),
    ]
    return [*lines, *(f"  {name:8} {printable(text)}" for name, text in facts if text)]


def attempt_lines(attempt: ProxyAttempt, *, colour: bool) -> list[str]:
    """What came of an attempt."""
    outcome = paint(attempt.outcome, _OUTCOMES.get(attempt.outcome, ""), colour=colour)
    version = attempt.version or "no version"
    line = f"{printable(attempt.proxy.name)}: {outcome}, {version} serves"
    if attempt.outcome not in GOOD:
        word = (
            "serves on" if attempt.proxy.state == "serving" else "is in place, and does not serve"
        )
        line = f"{printable(attempt.proxy.name)}: {outcome}, {version} {word}"
    reason = [f"  {printable(attempt.reason)}"] if attempt.reason else []
    return [line, *reason]


def history_lines(found: HistoryList, *, colour: bool) -> list[str]:
    """A table of versions, the newest first."""
    lines = ["there is no version yet"]
    if found.items:
        lines = list(render(_PAST, [_past(one) for one in found.items], colour=colour))
    return [*lines, *(paint(printable(one), "yellow", colour=colour) for one in found.damaged)]


def _row(one: ProxyView) -> list[Cell | str]:
    note = [printable(one.reason)] if one.reason else []
    if one.pinned:
        note.append("pinned by hand")
    if one.stale_s is not None:
        note.append(f"sources {one.stale_s} s old")
    return [
        printable(one.name),
        one.kind,
        Cell(one.state, _STATES.get(one.state, "")),
        one.version or "-",
        Cell("-" if one.age_s is None else human_age(one.age_s), right=True),
        Cell(one.outcome or "-", _OUTCOMES.get(one.outcome, "")),
        Cell(str(one.workers), right=True),
        Cell(str(one.old_workers), right=True),
        ", ".join(note),
    ]


def _past(one: HistoryEntry) -> list[Cell | str]:
    return [
        Cell(str(one.number), right=True),
        one.version,
        one.time,
        Cell(one.outcome, _OUTCOMES.get(one.outcome, "")),
        Cell(f"{one.took_ms:g} ms", right=True),
        Cell(str(one.changes), right=True),
        printable(one.reason),
    ]
