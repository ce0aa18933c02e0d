"""HAProxy as its manager sees it: checked by `haproxy -c`, loaded by its master, proved by `show proc` and by the served version, and changed
without a load where run time can express the change."""

from __future__ import annotations

import asyncio
import os
import re
from typing import TYPE_CHECKING

from pillion.base.command import KEPT_BYTES, run_command
from pillion.errors import PillionError
from pillion.keeper.places import proxy_path
from pillion.proxies import proof
from pillion.proxies.driver import (
    GOOD,
    OUTPUT_BYTES,
    Level,
    Place,
    ProxyStatus,
    Verdict,
)
from pillion.proxies.haproxy.addresses import Bound, added_and_taken, addresses_of, taken_beyond
from pillion.proxies.haproxy.master import Master, Outcome, Processes, judge
from pillion.proxies.haproxy.messages import alerts, since_reload
from pillion.proxies.haproxy.runtime import LEAVING_S, Runtime
from pillion.proxies.haproxy.socket import CommandSocket
from pillion.proxies.templating.rendered import VERSION_PLACE

if TYPE_CHECKING:
    from collections.abc import Callable

    from pillion.base.tasks import RootTasks
    from pillion.proxies.driver import Runner
    from pillion.proxies.templating.rendered import Rendered

MAIN_FILE = "haproxy.cfg"
CHECK_S = 30.0
LOAD_S = 10.0
"""For the master to say what came of a load: it parses everything anew, and tries for a second to bind what is taken."""
_ALERTS_ONLY = '"$0" "$@" 2>&1 | grep -aF "[ALERT]"'
_FIRST_WAIT_S = 0.01
_LAST_WAIT_S = 0.2
_GROWTH = 1.5
_FILE_BYTES = 8 << 20


class HaproxyDriver:
    """One HAProxy in master-worker mode.

    `directory` holds the served `haproxy.cfg`. `master` and `admin` are addresses of its command lines (`CommandSocket`), empty when there is none;
    `proof_path` is the Unix socket that tells the version, empty when it does not: then a new worker is the proof. `said` returns what the process has lately said on its stderr, empty when
    nobody keeps that. `leaving_s` bounds the sessions of servers that left.
    """

    def __init__(
        self,
        name: str,
        directory: str,
        runner: Runner,
        tasks: RootTasks,
        *,
        master: str,
        admin: str,
        proof_path: str,
        binary: str = "haproxy",
        leaving_s: float = LEAVING_S,
        said: Callable[[], str] = str,
    ) -> None:
        self._directory = directory
        self._runner = runner
        self._master = Master(CommandSocket(master)) if master else None
        self._proof_path = proof_path
        self._binary = binary
        self._said = said
        self._loaded_after: Processes | None = None
        self._awaited = False
        # What the version that was proved last listens on; None while that is not known.
        self._held: tuple[Bound, ...] | None = None
        self.runtime = (
            Runtime(name, CommandSocket(admin), tasks, leaving_s=leaving_s) if admin else None
        )

    async def check(self, directory: str) -> Verdict:
        """What `haproxy -c` says of the files in `directory`, and whether the addresses that they add can be bound."""
        try:
            absolute = await asyncio.to_thread(_absolute_name, directory, self._directory)
        except OSError as error:
            return Verdict(False, f"cannot read {directory}: {error.strerror}", passing=True)
        if absolute is not None:
            return Verdict(False, _first((absolute,)), absolute.message, (absolute,))
        file = os.path.join(directory, MAIN_FILE)
        command = [self._binary, "-c", "-C", directory, "-f", file]
        ended = await run_command(command, CHECK_S, path=proxy_path())
        if ended.failure:
            places = alerts(ended.output, directory)
            if not places and len(ended.output) >= KEPT_BYTES // 2:
                # So many warnings that what matters was no longer kept.
                again = await run_command(
                    ("sh", "-c", _ALERTS_ONLY, *command), CHECK_S, path=proxy_path()
                )
                places = alerts(again.output, directory)
            reason = _first(places) or ended.failure
            return Verdict(
                False, reason, ended.output[:OUTPUT_BYTES], places, passing=_passing(places)
            )
        live = os.path.join(self._directory, MAIN_FILE)
        taken = await asyncio.to_thread(added_and_taken, file, live, MAIN_FILE)
        if taken is not None:
            return Verdict(False, _first((taken,)), taken.message, (taken,), passing=True)
        return Verdict(True, output=ended.output[:OUTPUT_BYTES])

    async def load(self) -> Verdict:
        """Start it, or have its master load what is in place, and wait until the master knows what came of that."""
        pid = self._runner.running()
        before = await self._processes()
        self._loaded_after, self._awaited = before, False
        starts = pid is None and before is None
        if starts and self._master is not None:
            # Nobody listens who would mind the question, and HAProxy would only end. Without a master to ask it may well run.
            live = os.path.join(self._directory, MAIN_FILE)
            taken = await asyncio.to_thread(taken_beyond, live, (), MAIN_FILE)
            if taken is not None:
                return Verdict(False, _first((taken,)), taken.message, (taken,), passing=True)
        try:
            if starts:
                await self._runner.start()
            else:
                await self._reload()
        except PillionError as error:
            return Verdict(False, str(error), passing=True)
        if self.runtime is not None:
            self.runtime.forget()
        if self._master is None:
            return GOOD
        self._awaited = True
        end_s = asyncio.get_running_loop().time() + LOAD_S
        wait_s = _FIRST_WAIT_S
        while True:
            outcome = await self._outcome()
            if outcome.failed:
                return await self._failed()
            if outcome.done:
                self._awaited = False
                return GOOD
            if asyncio.get_running_loop().time() >= end_s:
                found = await self._failed()
                if found.places:
                    return found
                reason = f"HAProxy's master does not say within {LOAD_S:g} s what came of the load"
                return Verdict(False, reason, self._words(), passing=True)
            await asyncio.sleep(wait_s)
            wait_s = min(wait_s * _GROWTH, _LAST_WAIT_S)

    async def prove(self, version: str, timeout_s: float) -> Verdict:
        """Whether the present worker serves `version`: it says so itself, or was brought level with it at run time since it was loaded."""
        loop = asyncio.get_running_loop()
        end_s = loop.time() + timeout_s
        wait_s = _FIRST_WAIT_S
        while True:
            answer = await self._ask(max(0.05, min(proof.ASK_S, end_s - loop.time())))
            outcome = await self._outcome() if self._awaited else Outcome(done=True)
            if outcome.failed:
                return await self._failed()
            if outcome.done and not self._proof_path:
                return await self._proved()
            if outcome.done and answer.version:
                serves = await self._level_version() or answer.version
                if serves == version:
                    return await self._proved()
                answer = proof.Answer(why=f"it serves {serves}, not {version}")
            if loop.time() >= end_s:
                why = answer.why or "its new worker is not there yet"
                return Verdict(
                    False,
                    f"HAProxy did not prove {version} within {timeout_s:g} s: {why}",
                    self._words(),
                    alerts(self._words(), self._directory),
                    passing=True,
                )
            await asyncio.sleep(min(wait_s, end_s - loop.time()))
            wait_s = min(wait_s * _GROWTH, _LAST_WAIT_S)

    async def status(self) -> ProxyStatus:
        """What runs: from the master, the runner and the proof, as far as each of them answers."""
        processes = await self._processes()
        pid = self._runner.running()
        if processes is None and pid is None:
            return ProxyStatus(False)
        version = await self._level_version() or (await self._ask()).version
        if processes is None:
            return ProxyStatus(True, pid, version or None)
        return ProxyStatus(
            bool(processes.workers),
            processes.master,
            version or None,
            len(processes.workers),
            len(processes.old_workers),
            # One worker for each.
            len(processes.old_workers),
        )

    async def bring_level(self, old: Rendered, new: Rendered) -> Level:
        """Change the servers at run time when that is all in which the two differ; `old` and `new` may be the same, to mend a drift."""
        if self.runtime is None:
            return Level(False, why="there is no admin socket")
        before, after = _texts(old), _texts(new)
        main = new.files[0].name
        if old.files[0].name != main or before.keys() != after.keys():
            return Level(False, why="there are other files than before")
        for name in after:
            if name != main and before[name] != after[name]:
                return Level(False, why=f"{name} changes too")
        return await self.runtime.bring_level(before[main], after[main], new.version)

    async def drift(self, rendered: Rendered) -> str:
        """In what the process differs from `rendered`, in words; empty when in nothing, or when it cannot be said."""
        if self.runtime is None:
            return ""
        found = await self.runtime.drift(rendered.files[0].text)
        return "" if isinstance(found, str) else "; ".join(found.differences[:10])

    async def _reload(self) -> None:
        if self._master is not None and await self._master.reload():
            return
        # The signal does the same (management guide, section 4); the socket's path may have been removed.
        await self._runner.signal("USR2")

    async def _processes(self) -> Processes | None:
        return None if self._master is None else await self._master.processes()

    async def _outcome(self) -> Outcome:
        now = await self._processes()
        return Outcome() if now is None else judge(self._loaded_after, now)

    async def _proved(self) -> Verdict:
        self._awaited = False
        self._held = await asyncio.to_thread(addresses_of, os.path.join(self._directory, MAIN_FILE))
        return GOOD

    async def _failed(self) -> Verdict:
        """A load that failed, in HAProxy's own words wherever they can be had."""
        self._awaited = False
        words = self._words()
        if not words and self._master is not None:
            words = await self._master.words()
        places = alerts(words, self._directory)
        if not places:
            # Nobody has kept what it said; the same questions again have the same answers.
            found = await self.check(self._directory)
            words, places = words or found.output, found.places
        if not places and self._held is not None:
            live = os.path.join(self._directory, MAIN_FILE)
            taken = await asyncio.to_thread(taken_beyond, live, self._held, MAIN_FILE)
            places = () if taken is None else (taken,)
        reason = _first(places) or "HAProxy could not load it, and runs on as it was"
        return Verdict(False, reason, words[:OUTPUT_BYTES], places, passing=_passing(places))

    async def _ask(self, timeout_s: float = proof.ASK_S) -> proof.Answer:
        return await proof.ask(self._proof_path, timeout_s) if self._proof_path else proof.Answer()

    async def _level_version(self) -> str:
        return "" if self.runtime is None else await self.runtime.level_version()

    def _words(self) -> str:
        return since_reload(self._said())[:OUTPUT_BYTES]


def _texts(rendered: Rendered) -> dict[str, str]:
    return {
        file.name: file.text.replace(rendered.version, VERSION_PLACE) for file in rendered.files
    }


def _absolute_name(candidate: str, served: str) -> Place | None:
    """Where a file names another one of ours by where it is served: the old one would be checked instead of the new one. Blocks."""
    if os.path.realpath(candidate) == os.path.realpath(served):
        return None
    ours = [entry.name for entry in os.scandir(candidate) if entry.is_file(follow_symlinks=False)]
    for name in sorted(ours):
        with open(os.path.join(candidate, name), errors="replace") as file:
            text = file.read(_FILE_BYTES)
        for other in ours:
            path = os.path.join(served, other)
            found = re.search(rf"{re.escape(path)}(?![\w./-])", text)
            if found is not None:
                line = text.count("\n", 0, found.start()) + 1
                return Place(name, line, f"it names {path}, where the old one is: write {other}")
    return None


def _first(places: tuple[Place, ...]) -> str:
    if not places:
        return ""
    place = places[0]
    return f"{place.file} line {place.line}: {place.message}" if place.file else place.message


def _passing(places: tuple[Place, ...]) -> bool:
    """Whether the same files may be accepted a moment later: a port that is taken, a name that is not resolved, a full disk or table."""
    words = " ".join(place.message for place in places).lower()
    return any(
        text in words
        for text in (
            "address already in use",
            "cannot bind",
            "could not resolve",
            "cannot assign requested address",
            "no space left",
            "too many open files",
            "cannot allocate memory",
        )
    )
