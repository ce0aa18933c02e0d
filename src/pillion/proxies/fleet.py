"""All managed proxies of one instance: who of them there is follows the settings, and everything that is asked or told about one finds it here."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from pillion.errors import RefusedError
from pillion.proxies.applying.manager import Manager
from pillion.proxies.applying.telling import Counts
from pillion.proxies.files.differences import diff
from pillion.proxies.overview import (
    GOOD,
    HistoryEntry,
    HistoryList,
    HistoryVersion,
    ProxyAttempt,
    ProxyPreview,
    ProxyView,
)
from pillion.proxies.templating.rendered import masked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from pillion.base.tasks import RootTasks
    from pillion.model.component import Status
    from pillion.model.event import Json
    from pillion.model.stats import Stats
    from pillion.proxies.applying.steps import Outcome
    from pillion.proxies.applying.world import World
    from pillion.proxies.files.history import Entry
    from pillion.proxies.overview import ProxyState
    from pillion.settings.proxies import ManagedProxy

    Journal = Callable[[str, str, str, dict[str, Json]], None]

_MOST_USES = 200


class Fleet:
    """The proxies that `settings` names. `make_world` gives each what it is managed with; `journal` takes kind, component, reason and data."""

    def __init__(
        self,
        tasks: RootTasks,
        journal: Journal,
        make_world: Callable[[ManagedProxy], World],
    ) -> None:
        self._tasks = tasks
        self._journal = journal
        self._make_world = make_world
        self._managers: dict[str, Manager] = {}
        self._leaving: set[asyncio.Task[None]] = set()
        self._made_of: dict[str, tuple[ManagedProxy, object]] = {}
        self._pids: dict[str, int] = {}
        self._begun = False
        self._ended = False

    # Its life.

    def begin(self) -> None:
        """Which of them run is known: from now on they are managed, and not only listed."""
        self._begun = True
        for manager in self._managers.values():
            manager.start()

    def settings(self, wanted: Iterable[tuple[ManagedProxy, object]]) -> None:
        """Manage these from now on: new ones are begun, changed ones are applied anew, the others are let go.

        With each comes what else its configuration is made of in the settings; None for nothing.
        """
        if self._ended:
            return
        made_of = {one.name: (one, besides) for one, besides in wanted}
        named = {name: one for name, (one, _) in made_of.items()}
        for name in [*self._managers]:
            if name not in named or self._is_another(self._managers[name], named[name]):
                self._dismiss(self._managers.pop(name))
        for name, settings in named.items():
            manager = self._managers.get(name)
            if manager is None:
                self._managers[name] = manager = Manager(
                    self._make_world(settings), self._tasks, self._journal_of(name)
                )
                if self._begun:
                    manager.start()
            elif self._made_of.get(name) != made_of[name]:
                manager.reset(self._make_world(settings))
        self._made_of = made_of
        self.look_at_facts()

    def status(self, status: Status) -> None:
        """Follow the keeper: a process that was started anew is proved, and what templates know of the app may be another."""
        if status.stopping:
            # The proxies end by themselves now, after the app: nothing is to be started or loaded any more.
            self.end()
            return
        for name, manager in self._managers.items():
            component = status.component(name)
            pid = None if component is None else component.pid
            if pid is not None and self._pids.get(name, pid) != pid:
                manager.restarted()
            if pid is not None:
                self._pids[name] = pid
        self.look_at_facts()

    def look_at_facts(self) -> None:
        """What templates know of the app may be another."""
        for manager in self._managers.values():
            manager.look_at_facts()

    def end(self) -> None:
        """Another agent takes over, or the instance stops: come to a safe place."""
        self._ended = True
        for manager in self._managers.values():
            manager.end()

    async def close(self, within_s: float) -> None:
        """Wait until all have let go, at most so many seconds."""
        self.end()
        waits = [manager.close(within_s) for manager in self._managers.values()]
        await asyncio.gather(*waits)

    # What is asked.

    async def views(self) -> list[ProxyView]:
        """Every proxy."""
        return [await _view(one) for one in self._managers.values()]

    async def view(self, name: str) -> ProxyView:
        """One of them; raises `RefusedError` 404."""
        return await _view(self._find(name))

    async def apply(self, name: str, *, forced: bool) -> ProxyAttempt:
        """Apply what the sources say now and wait for the outcome; raises `RefusedError`."""
        manager = self._find(name)
        state = await manager.apply(forced=forced)
        return await _attempt(manager, state.outcome, state.held or state.reason)

    async def roll_back(self, name: str, version: str) -> ProxyAttempt:
        """Go back to `version`, or, without one, to the one before the last; raises `RefusedError`."""
        manager = self._find(name)
        history = manager.performer.memory.history
        if not version:
            version = await asyncio.to_thread(_version_before, manager)
        if not version or await asyncio.to_thread(history.find, version) is None:
            raise RefusedError(
                404,
                "Not Found",
                f"cannot roll {name} back to {version[:64] or 'a version before this one'}: it is not in the history; "
                f"see `pillion proxy history {name}`",
            )
        state = await manager.roll_back(version)
        return await _attempt(manager, state.outcome, state.reason)

    async def preview(self, name: str) -> ProxyPreview:
        """What the sources and templates make now; nothing is changed. Raises `RefusedError`."""
        manager = self._find(name)
        performer = manager.performer
        made = await performer.make()
        live, rendered = performer.live, made.rendered
        uses = sorted(map(str, made.used))[:_MOST_USES]
        previous = "" if live is None else live.version
        if rendered is None:
            return ProxyPreview(previous=previous, problem=made.words, uses=uses)
        secrets = {*rendered.secrets, *made.secrets.values()}
        files = {one.name: masked(one.text, secrets) for one in rendered.files}
        before: Mapping[str, str] = {}
        if live is not None:
            # What a secret was when it was written is known to nobody any more but the history, which marks its place.
            shown = await asyncio.to_thread(performer.memory.history.shown, live.version)
            known = {*secrets, *live.secrets}
            before = shown or {one.name: masked(one.text, known) for one in live.files}
        return ProxyPreview(
            version=rendered.version,
            previous=previous,
            changed=rendered.version != previous,
            diff=diff(before, files),
            files=files,
            uses=uses,
        )

    async def history(self, name: str) -> HistoryList:
        """What became of its versions; raises `RefusedError`."""
        history = self._find(name).performer.memory.history
        entries = await asyncio.to_thread(history.entries)
        return HistoryList([_entry(one) for one in entries], [*history.damaged.values()])

    async def version(self, name: str, version: str) -> HistoryVersion:
        """One version of the history; raises `RefusedError`."""
        history = self._find(name).performer.memory.history
        entry = await asyncio.to_thread(history.find, version)
        files = await asyncio.to_thread(history.shown, version)
        if entry is None or files is None:
            raise RefusedError(
                404,
                "Not Found",
                f"cannot show version {version[:64]} of {name}: it is not in the history; see `pillion proxy history {name}`",
            )
        before = await asyncio.to_thread(history.diff, entry.previous, version)
        return HistoryVersion(entry=_entry(entry), files=files, diff=before or "")

    def stats(self) -> Stats:
        """What is counted, by proxy."""
        stats: Stats = {}
        managers = self._managers.items()
        for field in Counts.__struct_fields__:
            counted = {name: float(getattr(one.counts, field)) for name, one in managers}
            stats[f"proxy_{field}_total"] = {"proxy": counted}
        stats["proxy_serving"] = {
            "proxy": {name: float(one.state.serving) for name, one in managers}
        }
        stats["proxy_unrecorded_total"] = {
            "proxy": {name: float(one.performer.memory.failures) for name, one in managers}
        }
        stats["proxy_old_workers"] = {
            "proxy": {name: float(one.performer.old_workers) for name, one in managers}
        }
        stats["proxy_version_age_seconds"] = {
            "proxy": {name: age for name, one in managers if (age := one.age_s) is not None}
        }
        return stats

    def _find(self, name: str) -> Manager:
        manager = self._managers.get(name)
        if manager is None:
            there = ", ".join(self._managers) or "none"
            raise RefusedError(
                404, "Not Found", f"cannot find the proxy {name[:64]!r}; there is {there}"
            )
        return manager

    def _journal_of(self, name: str) -> Callable[[str, str, dict[str, Json]], None]:
        return lambda kind, reason, data: self._journal(kind, name, reason, data)

    def _dismiss(self, manager: Manager) -> None:
        task = self._tasks.start(f"proxy {manager.name}: let go", manager.close(10.0), may_end=True)
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)

    @staticmethod
    def _is_another(manager: Manager, settings: ManagedProxy) -> bool:
        """Whether it is so different that it is begun anew."""
        before = manager.world.settings
        return (before.kind, before.run, before.directory) != (
            settings.kind,
            settings.run,
            settings.directory,
        )


async def _view(manager: Manager) -> ProxyView:
    state, performer = manager.state, manager.performer
    status = await manager.world.driver.status()
    settings = manager.world.settings
    live = performer.live
    due_s = state.again_s
    now = manager.world.clock()
    return ProxyView(
        name=settings.name,
        kind=settings.kind,
        run=settings.run,
        state=_state(manager),
        version=state.live,
        loaded=state.loaded,
        age_s=manager.age_s,
        outcome=state.outcome,
        reason=state.held or state.reason,
        pinned=state.pinned,
        stale_s=performer.world.sources.stale_s(performer.used),
        retry_in_s=None if due_s is None else round(max(0.0, due_s - now), 1),
        pid=status.pid,
        workers=status.workers,
        old_workers=status.old_workers,
        old_loads=status.old_loads,
        members={}
        if live is None
        else {
            name: sum(one.is_usable for one in members) for name, members in live.members.items()
        },
        uses=sorted(map(str, performer.used))[:_MOST_USES],
        counts=msgspec.structs.asdict(manager.counts),
        directory=manager.world.site.directory,
    )


def _state(manager: Manager) -> ProxyState:
    state = manager.state
    if not manager.in_charge:
        return "passive"
    if state.phase != "idle" or manager.busy:
        return "applying"
    if state.serving:
        return "serving"
    return "failing" if state.live or state.reason else "waiting"


async def _attempt(manager: Manager, outcome: Outcome, reason: str) -> ProxyAttempt:
    view = await _view(manager)
    return ProxyAttempt(
        outcome=outcome,
        version=view.version,
        reason="" if outcome in GOOD else reason,
        proxy=view,
    )


def _version_before(manager: Manager) -> str:
    """The last version that served, other than the present one."""
    for entry in manager.performer.memory.history.entries():
        good = entry.outcome in ("applied", "changed")
        if good and entry.files and entry.version != manager.state.live:
            return entry.version
    return ""


def _entry(entry: Entry) -> HistoryEntry:
    moment = datetime.fromtimestamp(entry.at_s, UTC)
    return HistoryEntry(
        number=entry.number,
        version=entry.version,
        previous=entry.previous,
        outcome=entry.outcome,
        reason=entry.reason,
        time=moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        took_ms=entry.took_ms,
        waited_ms=entry.waited_ms,
        changes=entry.changes,
        kept=bool(entry.files),
    )
