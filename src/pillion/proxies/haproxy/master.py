"""HAProxy's master process: told to reload, and asked what came of it, since its answer to `reload` says nothing.

A master whose new configuration cannot be loaded runs on in "wait mode" with the old worker: `show proc` counts the failure (management
guide, section 9.4). While it executes itself again, its socket refuses, resets or is silent, which is no failure yet.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec

from pillion.errors import UnreachableError

if TYPE_CHECKING:
    from pillion.proxies.haproxy.socket import CommandSocket

_RELOADS = re.compile(r"(\d+)(?: \[failed: (\d+)\])?")


class Worker(msgspec.Struct, frozen=True):
    """A worker; `reloads` is how many it has survived."""

    pid: int
    reloads: int


class Processes(msgspec.Struct, frozen=True):
    """What the master has: `failed` are loads that failed since the last one that did not; `workers` the present ones."""

    master: int
    reloads: int
    failed: int
    workers: tuple[Worker, ...]
    old_workers: tuple[Worker, ...]

    @property
    def worker_pids(self) -> frozenset[int]:
        """The pids of the present workers."""
        return frozenset(worker.pid for worker in self.workers)


def read_processes(answer: str) -> Processes | None:
    """What `show proc` says; None for anything else. Later versions add columns at the end, and workers of other kinds."""
    master: tuple[int, int, int] | None = None
    workers: list[Worker] = []
    old_workers: list[Worker] = []
    part = workers
    for line in answer.splitlines():
        if line.startswith("#"):
            part = old_workers if line.startswith("# old workers") else workers
            continue
        fields = line.split(maxsplit=2)
        if len(fields) < 3 or not fields[0].isdecimal():
            continue
        reloads = _RELOADS.match(fields[2])
        if reloads is None:
            continue
        if fields[1] == "master":
            master = (int(fields[0]), int(reloads[1]), int(reloads[2] or 0))
        elif fields[1] == "worker":
            part.append(Worker(int(fields[0]), int(reloads[1])))
    if master is None:
        return None
    return Processes(*master, tuple(workers), tuple(old_workers))


class Outcome(msgspec.Struct, frozen=True):
    """What `show proc` tells of a reload: `done` when there is a new worker, `failed` when HAProxy could not load; neither: not yet."""

    done: bool = False
    failed: bool = False


def judge(before: Processes | None, now: Processes) -> Outcome:
    """What came of a reload that was asked for after `before` was seen (None: before there was any process)."""
    if before is None or before.master != now.master:
        return Outcome(done=bool(now.workers) and now.failed == 0, failed=now.failed > 0)
    if now.reloads <= before.reloads:
        return Outcome()
    if now.failed > 0:
        return Outcome(failed=True)
    return Outcome(done=bool(now.worker_pids - before.worker_pids))


class Master:
    """The master behind its command line socket."""

    def __init__(self, socket: CommandSocket) -> None:
        self._socket = socket

    async def processes(self) -> Processes | None:
        """What it has; None while it does not say, because it is not there or about to be another one."""
        try:
            return read_processes(await self._socket.ask("show proc"))
        except UnreachableError:
            return None

    async def reload(self) -> bool:
        """Tell it to reload; whether it could be told.

        Its answer is a hint at best (a success line and the messages, since 2.7), and a connection that it closes is as good.
        """
        try:
            await self._socket.ask("reload", cut=True)
        except UnreachableError:
            return False
        return True

    async def words(self) -> str:
        """What it said while it last loaded, where it tells (`show startup-logs` of the master, since 2.7); else empty."""
        try:
            answer = await self._socket.ask("show startup-logs")
        except UnreachableError:
            return ""
        return answer if answer.startswith("[") else ""
