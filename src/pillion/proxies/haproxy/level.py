"""Which commands bring the servers of a running HAProxy level with a file, in an order in which no backend is without servers in between.

Pure: from what the file says, what it said before, and what runs. The plan starts from what runs, so that it can be made again at any point:
after half of it was carried out, after a restart, or after somebody changed servers by hand.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, TypeAlias

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pillion.proxies.haproxy.running import Running
    from pillion.proxies.haproxy.servers import Backend, Configuration, Server

REPLACED_MOST = 8
"""Servers that may get other options at run time: each is away until its sessions have ended, and a reload has them all back at once."""
Place: TypeAlias = tuple[str, str]
"""A backend and a server of it."""
_NO_SERVERS: Mapping[str, Running] = MappingProxyType({})
_NO_OPTIONS: Mapping[Place, tuple[str, ...]] = MappingProxyType({})


class Say(msgspec.Struct, frozen=True):
    """Say one command to the process."""

    command: str


class Remove(msgspec.Struct, frozen=True):
    """Take away a server that is in maintenance, as soon as nothing goes over it any more; the steps that follow need it gone."""

    place: Place


Step: TypeAlias = Say | Remove


class Plan(msgspec.Struct, frozen=True):
    """What to do. `why` says what takes a reload; nothing is to be done then.

    `steps` in their order; `leaving` are servers that take no requests any more after them, to be removed when their last session has ended;
    `changes` says of each server that changes what becomes of it, in words for people.
    """

    steps: tuple[Step, ...] = ()
    leaving: tuple[Place, ...] = ()
    changes: tuple[str, ...] = ()
    why: str = ""


class _Draft:
    """Steps by their phase: what gives servers comes before what takes them away."""

    def __init__(self) -> None:
        self.give: list[Step] = []
        self.change: list[Step] = []
        self.take: list[Step] = []
        self.replace: list[Step] = []
        self.leaving: list[Place] = []
        self.changes: list[str] = []
        self.replacements = 0
        self.why = ""

    def plan(self) -> Plan:
        if self.why:
            return Plan(why=self.why)
        steps = (*self.give, *self.change, *self.take, *self.replace)
        return Plan(steps, tuple(self.leaving), tuple(self.changes))


def make_plan(
    before: Configuration,
    wanted: Configuration,
    running: Mapping[str, Mapping[str, Running]],
    leaving: Mapping[Place, tuple[str, ...]] = _NO_OPTIONS,
) -> Plan:
    """The plan that brings `running` level with `wanted`.

    `before` is the file that the process was level with: what a server runs with cannot be asked for. `leaving` are the options of servers
    that left and are still there. Both configurations have the same frame (`same_frame`).
    """
    draft = _Draft()
    for name, backend in wanted.backends.items():
        old = before.backends.get(name, backend)
        if backend.governed:
            if old != backend:
                draft.why = f"{name}: {backend.fixed}"
            continue
        _Leveller(draft, old, backend, running.get(name, _NO_SERVERS), leaving).run()
        if draft.why:
            break
    return draft.plan()


class _Leveller:
    """One backend's part of a plan."""

    def __init__(
        self,
        draft: _Draft,
        old: Backend,
        backend: Backend,
        running: Mapping[str, Running],
        leaving: Mapping[Place, tuple[str, ...]],
    ) -> None:
        self._draft = draft
        self._old = old
        self._backend = backend
        self._running = running
        self._leaving = leaving
        self._replaced: list[Server] = []

    def run(self) -> None:
        for server in self._backend.servers.values():
            runs = self._running.get(server.name)
            if runs is None:
                self._add(server)
            elif self._options(server.name) == server.options:
                self._adjust(server, runs)
            else:
                self._replaced.append(server)
        for runs in self._running.values():
            if runs.name not in self._backend.servers:
                self._leave(runs)
        for server in self._replaced:
            self._replace(server)

    def _options(self, name: str) -> tuple[str, ...] | None:
        """What the server runs with; None when nobody knows."""
        known = self._old.servers.get(name)
        if known is not None:
            return known.options
        return self._leaving.get((self._backend.name, name))

    def _add(self, server: Server) -> None:
        if self._cannot(self._backend.fixed or server.fixed, server.name):
            return
        self._draft.give += self._birth(server)
        self._note(server.name, "added")

    def _birth(self, server: Server) -> list[Step]:
        name = self._name(server.name)
        steps: list[Step] = [Say(server.add_command(self._backend.name))]
        if server.checked:
            steps.append(Say(f"enable health {name}"))
        if not server.maint:
            # Last: it serves from here on.
            steps.append(Say(f"set server {name} state ready"))
        return steps

    def _adjust(self, server: Server, runs: Running) -> None:
        draft, name = self._draft, self._name(server.name)
        if server.literal and (runs.address, runs.port) != (server.address, server.port):
            # One that comes back takes no requests yet, so that its address has to be right before it does.
            steps = draft.give if runs.maint else draft.change
            steps.append(Say(f"set server {name} addr {server.address} port {server.port}"))
            self._note(server.name, f"moved to {server.address} port {server.port}")
        elif not server.literal:
            known = self._old.servers.get(server.name)
            if known is not None and known.address != server.address:
                self._cannot(server.fixed, server.name)
        if server.governed:
            return
        if server.weight >= 0 and runs.weight != server.weight:
            if self._cannot(self._backend.fixed_weights, server.name):
                return
            steps = draft.give if server.weight > runs.weight else draft.take
            steps.append(Say(f"set server {name} weight {server.weight}"))
            self._note(server.name, f"weight {runs.weight} to {server.weight}")
        if server.checked and runs.checks_off:
            draft.give.append(Say(f"enable health {name}"))
            self._note(server.name, "checks switched on")
        if server.maint and not runs.maint:
            draft.take.append(Say(f"set server {name} state maint"))
            self._note(server.name, "into maintenance")
        elif not server.maint and (runs.maint or runs.drain):
            draft.give.append(Say(f"set server {name} state ready"))
            self._note(server.name, "out of maintenance" if runs.maint else "no longer drained")

    def _leave(self, runs: Running) -> None:
        known = self._old.servers.get(runs.name)
        if known is not None and self._cannot(self._backend.fixed or known.fixed, runs.name):
            return
        self._draft.leaving.append((self._backend.name, runs.name))
        if not runs.maint:
            self._draft.take.append(Say(f"set server {self._name(runs.name)} state maint"))
            self._note(runs.name, "removed")

    def _replace(self, server: Server) -> None:
        known = self._old.servers.get(server.name)
        fixed = self._backend.fixed or server.fixed or (known.fixed if known is not None else "")
        if self._cannot(fixed, server.name):
            return
        birth = [Remove((self._backend.name, server.name)), *self._birth(server)]
        self._note(server.name, "other options")
        if self._running[server.name].maint:
            # It serves nobody, and may be the one that has to serve before others go.
            self._draft.give += birth
            return
        self._draft.replace += [Say(f"set server {self._name(server.name)} state maint"), *birth]
        self._draft.replacements += 1
        if self._draft.replacements > REPLACED_MOST:
            self._draft.why = f"more than {REPLACED_MOST} servers get other options"
        elif not self._others():
            self._draft.why = f"{self._name(server.name)}: nobody would serve while it changes"

    def _others(self) -> bool:
        """Whether anybody of this backend serves all the time while some are replaced, now and afterwards."""
        replaced = {server.name for server in self._replaced}
        for server in self._backend.servers.values():
            runs = self._running.get(server.name)
            if (
                runs is not None
                and runs.serving
                and server.serving
                and server.name not in replaced
                and "backup" not in server.options
            ):
                return True
        return False

    def _cannot(self, fixed: str, server: str) -> bool:
        if fixed and not self._draft.why:
            self._draft.why = f"{self._name(server)}: {fixed}"
        return bool(fixed)

    def _name(self, server: str) -> str:
        return f"{self._backend.name}/{server}"

    def _note(self, server: str, what: str) -> None:
        self._draft.changes.append(f"{self._name(server)} {what}")
