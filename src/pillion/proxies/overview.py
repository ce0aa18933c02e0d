"""What is told about managed proxies: the shapes that the API answers and the commands show."""

from typing import Literal, TypeAlias

import msgspec

from pillion.proxies.applying.steps import Outcome

ProxyState: TypeAlias = Literal["serving", "failing", "applying", "waiting", "passive"]

GOOD = frozenset({"unchanged", "applied", "changed"})
"""The outcomes after which what the sources say is what serves."""


class ProxyView(msgspec.Struct, frozen=True, kw_only=True):
    """One proxy. `state`: serving (the last good version, proved), applying (something is under way), failing (no version was found to serve), waiting
    (nothing has come of its templates yet), passive (another agent is in charge).

    `version` is the last good one, `age_s` seconds since it was found to serve, `loaded` what the process has read, which is older than `version` after changes at run
    time. `outcome` is what became of the last attempt and `reason` what is wrong since then; `pinned` is a version that was chosen by hand; `stale_s` for how long what it
    was made of may have been wrong. `uses` is what a change of has it rendered again.
    """

    name: str
    kind: str
    run: str
    state: ProxyState
    version: str = ""
    loaded: str = ""
    age_s: float | None = None
    outcome: Outcome = ""
    reason: str = ""
    pinned: str = ""
    stale_s: int | None = None
    retry_in_s: float | None = None
    pid: int | None = None
    workers: int = 0
    old_workers: int = 0
    old_loads: int = 0
    members: dict[str, int] = {}
    uses: list[str] = []
    counts: dict[str, int] = {}
    directory: str = ""


class ProxyList(msgspec.Struct, frozen=True):
    """Every managed proxy, in the order of the settings."""

    items: list[ProxyView]


class ProxyAttempt(msgspec.Struct, frozen=True, kw_only=True):
    """What came of an attempt by hand, and how the proxy stands then."""

    outcome: Outcome
    version: str
    reason: str = ""
    proxy: ProxyView


class ProxyPreview(msgspec.Struct, frozen=True, kw_only=True):
    """What the sources and templates make now, and what of it differs from what is served. `problem` is why nothing comes of them; `files` is text by name, with stars
    where secrets stand."""

    version: str = ""
    previous: str = ""
    changed: bool = False
    problem: str = ""
    diff: str = ""
    files: dict[str, str] = {}
    uses: list[str] = []


class HistoryEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt. `time` is RFC 3339 in UTC; `took_ms` the work alone, `waited_ms` how long its first change had waited before; `kept` when its files are there,
    so that one can go back to it."""

    number: int
    version: str
    previous: str
    outcome: str
    reason: str
    time: str
    took_ms: float
    waited_ms: float = 0.0
    changes: int
    kept: bool


class HistoryList(msgspec.Struct, frozen=True):
    """The history, the newest first; `damaged` are entries that could not be read, and why."""

    items: list[HistoryEntry]
    damaged: list[str] = []


class HistoryVersion(msgspec.Struct, frozen=True, kw_only=True):
    """One version of the history: its files by name and how it differs from the one before it, with stars where secrets stood."""

    entry: HistoryEntry
    files: dict[str, str]
    diff: str = ""
