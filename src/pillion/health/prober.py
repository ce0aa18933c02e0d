"""From a check to its probe: one attempt, timed, and never an exception for what the world does."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import msgspec

from pillion.health.check import Exec, Grpc, Http, Process, Tcp
from pillion.health.probes import exec as exec_probe
from pillion.health.probes import grpc as grpc_probe
from pillion.health.probes import tcp as tcp_probe
from pillion.health.probes.http import HttpProbe
from pillion.health.probes.process import ProcessProbe
from pillion.health.result import Result, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable

    from pillion.health.check import Check


class Prober:
    """Makes attempts. `app_runs` says whether the app's process runs, which only the keeper knows."""

    def __init__(self, app_runs: Callable[[], bool]) -> None:
        self._app_runs = app_runs
        self._http = HttpProbe()
        self._processes = ProcessProbe()

    async def attempt(self, check: Check) -> Result:
        """The result of one attempt, of at most `check.timeout_s` seconds and what a kill takes."""
        began_s = time.monotonic()
        result = await self._ask(check)
        return msgspec.structs.replace(result, duration_s=time.monotonic() - began_s)

    def keep(self, names: frozenset[str]) -> None:
        """Forget what was remembered of checks that there are no more."""
        self._processes.keep(names)

    async def _ask(self, check: Check) -> Result:
        target, timeout_s = check.probe, check.timeout_s
        match target:
            case Http():
                return await self._http.ask(target, timeout_s)
            case Tcp():
                return await tcp_probe.connect(target, timeout_s)
            case Exec():
                return await exec_probe.run(target, timeout_s)
            case Process(pid_file=None):
                if self._app_runs():
                    return Result(Verdict.PASS, "the app runs")
                return Result(Verdict.FAIL, "the app does not run")
            case Process():
                # A pid file may lie on a disk that hangs.
                return await asyncio.to_thread(self._processes.look, check.name, target)
            case Grpc():
                return await grpc_probe.ask(target, timeout_s)
        raise AssertionError(f"a check of the sort {target.sort} is told, not asked")
