"""The health of one app: what the agent's parts, the API and discovery see of it."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from pillion.health.app import AppFacts
from pillion.health.board import Board
from pillion.health.check import CRITICAL, KINDS, LIVENESS, READINESS, STARTUP, STATUSES
from pillion.health.definitions import from_settings
from pillion.health.prober import Prober
from pillion.health.register import Register
from pillion.health.remembering import Rememberer, memory_of, restore
from pillion.health.report import HealthReport, check_report, reason
from pillion.health.restarter import Restarter
from pillion.health.result import Result, clip
from pillion.health.runner import Runner
from pillion.health.stamp import now_stamp
from pillion.settings.health import Health as Wanted

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from pillion.base.tasks import RootTasks
    from pillion.health.board import Change, Entry
    from pillion.health.memory import Files, Memory
    from pillion.health.outlet import Outlet
    from pillion.health.report import CheckReport
    from pillion.health.result import Verdict
    from pillion.model.event import Json
    from pillion.model.stats import Stats
    from pillion.settings import Settings

# Checks that have metrics of their own: heartbeats carry them, and a message has its bound. All are counted by status.
_METRICS_OF = 50
# What a reader of `/readyz` wants to know; `checks` has them all.
_REASONS = 20


class Health:
    """Checks, their states and what they come to. Make it inside the running loop; it rests until `enable`."""

    def __init__(
        self,
        tasks: RootTasks,
        outlet: Outlet,
        restart: Callable[[], Awaitable[None]],
        files: Files,
        run: str,
    ) -> None:
        self._outlet = outlet
        self._run = run
        self._files = files
        self._board = Board(random.random, now_stamp)
        self._prober = Prober(lambda: self._app.runs)
        self._runner = Runner(self._board, self._prober.attempt, tasks, self._changed)
        self._restarter = Restarter(outlet, restart, tasks, random.random)
        self._register = Register(files)
        self._rememberer = Rememberer(files, tasks, self._memory)
        self._wanted = Wanted()
        self._port: int | None = None
        self._app = AppFacts()
        self._identity = ""
        self._known: Memory | None = None
        self._enabled = False
        self._heard = False
        self._told = CRITICAL
        self._listeners: list[Callable[[str], None]] = []

    @property
    def status(self) -> str:
        """`passing`, `warning` or `critical`: the app and all of its checks, as they are known now."""
        return self._status(KINDS)

    @property
    def app_runs(self) -> bool:
        """Whether the app runs, as far as is known."""
        return self._app.runs

    def on_change(self, listener: Callable[[str], None]) -> None:
        """Call `listener` with the new status whenever it is another; it must not raise."""
        self._listeners.append(listener)

    def enable(self) -> None:
        """This agent is in charge: go on from what is known, and check."""
        self._enabled = True
        self._known = self._files.load(self._run)
        self._register.load(self._known.registered, self._port)
        self._restarter.count = self._known.restarts
        self._renew(quiet=False)
        if self._known.app:
            # Until the keeper speaks the last known holds: nobody is taken out of a list for an agent's end.
            restore(self._board, self._known)
        self._follow()

    def disable(self) -> None:
        """Another agent is in charge, or nobody: check nothing, write nothing."""
        self._enabled = False
        self._board.stop()
        self._restarter.forget()
        self._runner.kick()
        self._runner.close()

    def settings(self, settings: Settings) -> None:
        """Take over settings: what is new or changed is checked at once, what is the same is left alone."""
        self._wanted = settings.health
        self._port = settings.app.port
        self._restarter.policy = settings.app.restart
        if self._enabled:
            self._renew(quiet=True)
            self._runner.kick()
            self._tell()

    def app(self, facts: AppFacts) -> None:
        """Follow the app: another process of it is checked anew, and none is checked while it does not run."""
        self._app = facts
        self._heard = True
        if self._enabled:
            self._follow()

    def report(self, kinds: tuple[str, ...] = KINDS) -> HealthReport:
        """Status, reasons and checks of these kinds."""
        board = self._board
        counted = {entry.check.name for entry in board.counted(KINDS)}
        reasons = list(self._reasons) if READINESS in kinds else []
        bad = [one for one in board.counted(_with_start(kinds)) if one.state.status != STATUSES[0]]
        reasons += map(reason, bad[:_REASONS])
        if len(bad) > _REASONS:
            reasons.append(f"{len(bad) - _REASONS} checks more")
        checks = [
            self._told_of(entry, counts=name in counted)
            for name, entry in sorted(board.entries.items())
            if entry.check.kind in kinds
        ]
        return HealthReport(status=self._status(kinds), checks=checks, reasons=reasons)

    def check(self, name: str) -> CheckReport:
        """One check, which there must be."""
        entry = self._board.entries[name]
        return self._told_of(entry, counts=entry in self._board.counted(KINDS))

    async def register(
        self, name: str, body: Mapping[str, object], *, persistent: bool, operator: bool
    ) -> bool:
        """Add or change a check by request; True when it is new.

        Raises `RefusedError`: 422 for what is no check, 403 for a command of anybody but the operator, 409 for one of
        the settings or one too many, 503 when this agent is not in charge or a persistent one cannot be kept.
        """
        self._register.admit(self._enabled)
        check, created = self._register.put(
            name, body, self._port, persistent=persistent, operator=operator
        )
        self._board.put(check, self._runner.now())
        await self._registered()
        return created

    async def unregister(self, name: str, *, operator: bool) -> None:
        """Remove a registered check. Raises `RefusedError`: 404, 403, 409 for one of the settings, 503."""
        self._register.admit(self._enabled)
        self._register.remove(name, operator=operator)
        self._board.remove(name, self._runner.now())
        await self._registered()

    def tell(self, name: str, verdict: Verdict, output: str) -> None:
        """Take what somebody says of a ttl check. Raises `RefusedError`: 404 for none, 409 for another sort, 503."""
        self._register.admit(self._enabled)
        self._register.need_ttl(name, self._board.entries.get(name))
        result = Result(verdict, clip(output))
        changes = self._board.tell(name, result, self._runner.now())
        self._changed(changes)
        self._runner.kick()

    def stats(self) -> Stats:
        """What is counted, for metrics."""
        board = self._board
        by_status = dict.fromkeys(STATUSES, 0.0)
        for entry in board.entries.values():
            by_status[entry.state.status] += 1
        listed = list(board.entries.values())[:_METRICS_OF]
        stats: Stats = {
            "health_status": STATUSES.index(self.status),
            "health_checks": {"status": by_status},
            "health_attempts_total": board.counters.runs,
            "health_failures_total": board.counters.failures,
            "health_held_up_total": board.counters.held_up,
            "health_transitions_total": board.counters.transitions,
            "health_restarts_total": self._restarter.total,
            "health_events_dropped_total": self._outlet.dropped,
            "health_write_errors_total": self._rememberer.errors,
            "health_paused_seconds_total": self._runner.paused_s,
        }
        if listed:
            states = {one.check.name: float(STATUSES.index(one.state.status)) for one in listed}
            stats["health_check_status"] = {"check": states}
            took = {
                one.check.name: one.state.duration_s
                for one in listed
                if one.state.duration_s is not None
            }
            stats["health_check_duration_seconds"] = {"check": took}
        return stats

    def _told_of(self, entry: Entry, *, counts: bool) -> CheckReport:
        registered = entry.check.name in self._register.registered
        return check_report(entry, counts=counts, registered=registered)

    def _status(self, kinds: tuple[str, ...]) -> str:
        if READINESS in kinds and self._reasons:
            return CRITICAL
        return self._board.status(_with_start(kinds))

    @property
    def _reasons(self) -> tuple[str, ...]:
        """Why the app itself cannot take work. After an agent's end the last known holds until the keeper speaks."""
        resumed = self._known is not None and bool(self._known.app)
        return () if resumed and not self._heard else self._app.reasons

    def _follow(self) -> None:
        """Bring the board to what the app is."""
        app, board = self._app, self._board
        if app.identity and app.identity != self._identity:
            self._meet(app.identity)
        elif app.runs and not board.awake:
            board.resume(self._runner.now(), started=board.started)
        if not app.runs:
            board.stop()
        self._runner.kick()
        self._tell()

    def _meet(self, identity: str) -> None:
        """A process of the app that is new to this agent: another agent may have known it."""
        known, self._known = self._known, None
        first, self._identity = not self._identity, identity
        now = self._runner.now()
        self._restarter.forget()
        if known is not None and known.app == identity:
            self._board.resume(now, started=known.started)
            return
        # What was registered before the first start was meant for it.
        if not first or (known is not None and known.app):
            self._register.drop_of_run()
            self._renew(quiet=False)
        self._board.begin(now)
        self._rememberer.remember()

    def _renew(self, *, quiet: bool) -> None:
        """The checks of the settings, and those that were registered, less those that are gone."""
        now = self._runner.now()
        wanted = from_settings(self._wanted.checks, self._port)
        self._register.reserve(wanted.keys())
        wanted.update(self._register.checks(self._port))
        for name in list(self._board.entries):
            if name not in wanted:
                self._board.remove(name, now)
        for check in wanted.values():
            self._board.put(check, now, quiet=quiet)
        self._keep_names()

    def _keep_names(self) -> None:
        names = frozenset(self._board.entries)
        self._prober.keep(names)
        self._outlet.keep(names)

    async def _registered(self) -> None:
        self._keep_names()
        self._runner.kick()
        self._tell()
        self._rememberer.remember()
        await self._register.save()

    def _changed(self, changes: list[Change]) -> None:
        if not changes:
            return
        for change in changes:
            self._journal(change)
            check = change.check
            if check.kind == LIVENESS and check.restart and self._board.started:
                if change.after == CRITICAL:
                    self._restarter.failed(change)
                else:
                    self._restarter.passed(check.name)
        self._rememberer.remember()
        self._tell()

    def _journal(self, change: Change) -> None:
        check = change.check
        kind = "unhealthy" if change.after == CRITICAL else "healthy"
        data: dict[str, Json] = {
            "check": check.name,
            "kind": check.kind,
            "status": change.after,
            "output": change.output,
        }
        text = f"{check.kind} check {check.name} is {change.after}"
        first = change.output.partition("\n")[0]
        said = f"{text}: {first}" if first else text
        self._outlet.transition(check.name, kind, said, data, self._runner.now())

    def _tell(self) -> None:
        status = self.status
        if status != self._told:
            self._told = status
            for listener in self._listeners:
                listener(status)

    def _memory(self) -> Memory | None:
        """What is to be remembered now; None when it is not for this agent to say."""
        if not self._enabled or not self._identity:
            return None
        return memory_of(
            self._board,
            run=self._run,
            app=self._identity,
            restarts=self._restarter.count,
            registered=self._register.registered,
        )


def _with_start(kinds: tuple[str, ...]) -> tuple[str, ...]:
    """Nobody is ready who has not started."""
    return (*kinds, STARTUP) if READINESS in kinds else kinds
