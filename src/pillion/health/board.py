"""All checks of one app: what is known of each, what is to run now, and what a result changes. Without I/O; the runner carries it out.

Times are those of the active clock (`active_clock`). As in Kubernetes, start-up checks come first: until all of them have passed
since the app's start, the others neither run nor count; then the start-up checks rest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec

from pillion.health.agenda import Agenda
from pillion.health.check import CRITICAL, LIVENESS, STARTUP, STATUSES, Ttl
from pillion.health.thresholds import State, adopt, expire, initial, observe, told

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from pillion.health.check import Check
    from pillion.health.result import Result

AT_ONCE = 16
"""Checks that run at the same time; more wait for their turn."""

# Before its first success a check is asked sooner than its interval, so that an app that has come up is known to be up.
_EARLY_S = 0.25
# The time of a ttl check is counted in so many parts, of which a pause takes one at most.
_TTL_PARTS = 4
# An attempt that took so much longer than it may was held up together with us, and says nothing.
HELD_UP_S = 0.5


class Change(NamedTuple):
    """A check's status has changed, or been decided for the first time. `healthy_s`: for how long it was healthy."""

    check: Check
    before: str
    after: str
    output: str
    healthy_s: float


class Run(NamedTuple):
    """An attempt to be made now; `token` comes back with its result."""

    check: Check
    token: int


class Entry(msgspec.Struct):
    """One check and what is known of it. `since` is when its status last changed, as the caller's `stamp` says."""

    check: Check
    state: State
    since: str
    counts: bool = True
    """False for one that was added to a running app by a reload and has not been decided: it must not flap anything."""
    checked: str | None = None
    early: int | None = 0
    """How many attempts before the first success; None once they are made at their interval."""
    token: int = 0
    """Of the attempt that is queued or under way; 0 without."""
    repeated: bool = False
    fed_until: float = 0.0


class Counters(msgspec.Struct):
    """Totals since the agent's start."""

    runs: int = 0
    failures: int = 0
    held_up: int = 0
    transitions: int = 0


class Board(msgspec.Struct):
    """The checks. `random` gives numbers in [0, 1), `stamp` the time of day for people."""

    random: Callable[[], float]
    stamp: Callable[[], str]
    at_once: int = AT_ONCE
    entries: dict[str, Entry] = msgspec.field(default_factory=dict)
    counters: Counters = msgspec.field(default_factory=Counters)
    started: bool = False
    """Whether the start-up checks have passed since the app's start."""
    under_way: int = 0
    awake: bool = False
    """Whether anything is checked."""
    _agenda: Agenda = msgspec.field(default_factory=Agenda)
    _queue: dict[str, None] = msgspec.field(default_factory=dict)
    _tokens: int = 0
    _flying: dict[int, str] = msgspec.field(default_factory=dict)

    def begin(self, now: float) -> None:
        """A new process of the app has started: everything is to be found out anew."""
        self._rest()
        self.awake = True
        for entry in self.entries.values():
            entry.state = initial(entry.check, now)
            entry.since, entry.checked = self.stamp(), None
            entry.counts = True
            entry.early = None if entry.check.kind == LIVENESS else 0
        self.started = False
        self._open(now)

    def resume(self, now: float, *, started: bool) -> None:
        """This process of the app is one that another agent has watched before us: go on from its states, and look at once."""
        self._rest()
        self.awake = True
        self.started = started
        for entry in self.entries.values():
            if started or entry.check.kind == STARTUP:
                self._schedule(entry, now)
        self._open(now)

    def stop(self) -> None:
        """The app does not run, or another agent is in charge: nothing is checked."""
        self._rest()
        self.awake = False

    def put(self, check: Check, now: float, *, quiet: bool = False) -> None:
        """Add or change a check; one that is the same already is left alone.

        A changed check keeps its status. A new one counts at once, a `quiet` one when it has been decided.
        """
        entry = self.entries.get(check.name)
        if entry is not None and entry.check == check:
            return
        if entry is not None and entry.check.kind == check.kind:
            entry.check, entry.state = check, adopt(check, entry.state)
            self._forget(check.name, entry)
        else:
            if entry is not None:
                self.remove(check.name, now)
            early = None if check.kind == LIVENESS else 0
            entry = Entry(check, initial(check, now), self.stamp(), early=early)
            entry.counts = not (quiet and self.awake)
            self.entries[check.name] = entry
        if self.awake and (self.started or check.kind == STARTUP):
            self._schedule(entry, now)
            self._open(now)

    def remove(self, name: str, now: float) -> None:
        """Forget a check; one that there is not is no error."""
        entry = self.entries.pop(name, None)
        if entry is not None:
            self._forget(name, entry)
            if self.awake:
                self._open(now)

    def due(self, now: float) -> tuple[list[Run], list[Change]]:
        """What is to be attempted now, as far as there is room, and what has changed by nobody's saying anything."""
        changes = []
        for name in self._agenda.take(now):
            entry = self.entries[name]
            if isinstance(entry.check.probe, Ttl):
                changes += self._tick(entry, now)
            else:
                self._tokens += 1
                entry.token = self._tokens
                self._queue[name] = None
        return list(self._starts()), changes

    def wake_at(self) -> float | None:
        """When `due` is to be asked next; None: not before something else happens."""
        return self._agenda.next()

    def finished(self, token: int, result: Result, now: float) -> list[Change]:
        """Take the result of an attempt; that of one which nobody waits for any more only makes room."""
        name = self._flying.pop(token, None)
        if name is None:
            return []
        self.under_way -= 1
        entry = self.entries.get(name)
        if entry is None or entry.token != token:
            return []
        entry.token = 0
        self.counters.runs += 1
        self.counters.failures += not result.good
        check = entry.check
        if (
            not result.good
            and result.duration_s > check.timeout_s + HELD_UP_S
            and not entry.repeated
        ):
            # We were paused, or kept from running: once more, and that one counts whatever it was held up by.
            self.counters.held_up += 1
            entry.repeated = True
            self._agenda.put(name, now)
            return []
        entry.repeated = False
        entry.checked = self.stamp()
        state = observe(check, entry.state, result, now, early=entry.early is not None)
        changes = self._take(entry, state)
        if self.awake and not _is_over(entry):
            self._agenda.put(name, now + self._delay_s(entry, result))
        self._open(now)
        return changes

    def tell(self, name: str, result: Result, now: float) -> list[Change]:
        """Somebody has said how a ttl check stands."""
        entry = self.entries[name]
        assert isinstance(entry.check.probe, Ttl)
        if _is_over(entry):
            return []
        entry.fed_until = now + entry.check.probe.ttl_s
        entry.checked = self.stamp()
        changes = self._take(entry, told(entry.state, result, now))
        counting = self.awake and (self.started or entry.check.kind == STARTUP)
        # Who feeds often must not make work: the time that is set already comes first, and finds that it was fed.
        if counting and name not in self._agenda:
            self._schedule_tick(entry, now)
        self._open(now)
        return changes

    def status(self, kinds: Iterable[str]) -> str:
        """The worst status among the checks of `kinds` that count now."""
        worst = max((STATUSES.index(one.state.status) for one in self.counted(kinds)), default=0)
        return STATUSES[worst]

    def counted(self, kinds: Iterable[str]) -> Iterator[Entry]:
        """The entries that have a say now."""
        wanted = frozenset(kinds)
        for entry in self.entries.values():
            check = entry.check
            if check.kind not in wanted or not entry.counts:
                continue
            if self.started or check.kind == STARTUP:
                yield entry

    def _take(self, entry: Entry, state: State) -> list[Change]:
        before, entry.state = entry.state, state
        if state.good_from is not None:
            entry.early = None
        if state.decided:
            entry.counts = True
        if before.status == state.status and before.decided == state.decided:
            return []
        if before.status != state.status:
            entry.since = self.stamp()
        self.counters.transitions += 1
        return [Change(entry.check, before.status, state.status, state.output, before.healthy_s)]

    def _open(self, now: float) -> None:
        """Let the others begin once the start-up checks have passed; with none they have."""
        if self.started or not self.awake:
            return
        starting = [one for one in self.entries.values() if one.check.kind == STARTUP]
        waiting = [one for one in starting if not _is_over(one)]
        if waiting:
            for entry in waiting:
                if not entry.token and entry.check.name not in self._agenda:
                    self._schedule(entry, now)
            return
        self.started = True
        for entry in self.entries.values():
            if entry.check.kind != STARTUP:
                self._schedule(entry, now)

    def _schedule(self, entry: Entry, now: float) -> None:
        """At once; a ttl check has its whole time from now on."""
        if isinstance(entry.check.probe, Ttl):
            entry.fed_until = max(now + entry.check.probe.ttl_s, entry.state.grace_until)
            self._schedule_tick(entry, now)
        else:
            self._agenda.put(entry.check.name, now)

    def _schedule_tick(self, entry: Entry, now: float) -> None:
        assert isinstance(entry.check.probe, Ttl)
        part_s = entry.check.probe.ttl_s / _TTL_PARTS
        self._agenda.put(entry.check.name, min(entry.fed_until, now + part_s))

    def _tick(self, entry: Entry, now: float) -> list[Change]:
        if _is_over(entry):
            return []
        if now < entry.fed_until:
            self._schedule_tick(entry, now)
            return []
        return self._take(entry, expire(entry.check, entry.state))

    def _delay_s(self, entry: Entry, result: Result) -> float:
        """From the end of an attempt to the next; its own time is part of the interval."""
        check = entry.check
        if entry.early is not None:
            early_s = _EARLY_S * 2.0**entry.early
            entry.early += 1
            if early_s < check.interval_s:
                return early_s
            entry.early = None
        spread = 1 + check.jitter * (2 * self.random() - 1)
        return max(0.0, check.interval_s * spread - result.duration_s)

    def _starts(self) -> Iterator[Run]:
        while self._queue and self.under_way < self.at_once:
            name = next(iter(self._queue))
            del self._queue[name]
            entry = self.entries[name]
            self.under_way += 1
            self._flying[entry.token] = name
            yield Run(entry.check, entry.token)

    def _forget(self, name: str, entry: Entry) -> None:
        self._agenda.drop(name)
        self._queue.pop(name, None)
        entry.token = 0
        entry.repeated = False

    def _rest(self) -> None:
        for name, entry in self.entries.items():
            self._forget(name, entry)


def _is_over(entry: Entry) -> bool:
    """A start-up check that has passed: nothing can make it count again before the app's next start."""
    passed = entry.state.decided and entry.state.status != CRITICAL
    return passed and entry.check.kind == STARTUP
