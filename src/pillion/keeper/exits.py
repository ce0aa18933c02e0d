"""What follows the end of a process: its cause, what it left behind, and whether and when it is started again."""

from __future__ import annotations

import os
import sys
import time

from . import component as parts
from . import posix, restart, tree
from .app import stop_signal
from .lean import signal, signal_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from .component import Component, Process
    from .keeper import Keeper
    from .wire import Json

_LEFTOVER_POLL_S = 0.02


class Exits:
    """Reaps every child and orphan."""

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper
        self._scribe_failures = 0
        self.scribe_started_s = 0.0

    def reap(self) -> None:
        """Take leave of every child and orphan that has ended."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG | os.WUNTRACED)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if os.WIFSTOPPED(status):
                process = self._keeper.app.process
                if self._keeper.terminal.fd >= 0 and process is not None and pid == process.pid:
                    self._keeper.terminal.app_stopped(pid)
                continue
            self.exited(pid, os.waitstatus_to_exitcode(status))

    def exited(self, pid: int, code: int) -> None:
        """A child or an orphan that was left to us has ended; `code` is negative for a signal."""
        if pid == self._keeper.output.pid:
            self._scribe_exited(code)
            return
        for component in self._keeper.components.values():
            for process in component.processes():
                if process.pid == pid:
                    self._process_exited(component, process, code)
                    return
        self._keeper.calls.child_exited(pid, code)

    def _scribe_exited(self, code: int) -> None:
        channel = self._keeper.output.channel
        if channel is not None:
            self._keeper.loop.remove(channel.fileno())
        self._keeper.output.close_channel()
        self._keeper.output.pid = 0
        if self._keeper.shutdown.scribe_exited():
            return
        self._keeper.event("exited", "scribe", f"ended with {code}; a new one takes over")
        self._keeper.output.restarts += 1
        decision = restart.decide(
            restart.SIDECAR_POLICY, self._scribe_failures, success=False,
            ran_s=time.monotonic() - self.scribe_started_s, random=restart.draw(),
        )  # fmt: skip
        self._scribe_failures = decision.failures
        if decision.delay_s:
            self._keeper.loop.after(decision.delay_s, self._keeper.starter.start_scribe)
        else:
            self._keeper.starter.start_scribe()

    def _process_exited(self, component: Component, process: Process, code: int) -> None:
        if process.report >= 0:
            self._keeper.starter.on_report(component, process)
        process.cancel_timers()
        if process.hang is not None:
            process.hang.ended()
        last_exit = _last_exit(code)
        cause = self._cause(component, process)
        if process is self._keeper.app.process and code != 0:
            # Its last words may still wait in the socket.
            self._keeper.inbox.on_notify()
            cause = "; ".join(filter(None, (cause, self._keeper.notify.failure()))) or None
        if cause:
            last_exit["cause"] = cause
        self._unwatch(process)
        if process is not component.process:
            self._side_process_exited(component, process, last_exit)
            return
        component.last_exit = last_exit
        words = _in_words(code)
        self._keeper.event(
            "exited",
            component.name,
            f"{words}: {cause}" if cause else words,
            {"pid": process.pid, **last_exit},
        )
        if component is self._keeper.app:
            self._keeper.terminal.take_back()
            self._keeper.watch.disarm_watchdog()
            # What has ended serves nobody, however long the rest of it may take to go.
            process.ready = False
            self._keeper.drain.over()
            self._keeper.push_state()
            self._clear_leftovers(process, lambda: self.app_ended(process, code))
        elif component.role == parts.PROXY:
            from .proxies import ended

            ended(self._keeper, component, process)
        else:
            process.group.kill()
            self.remove_group(process)
            self._sidecar_ended(component, process, code)

    def _cause(self, component: Component, process: Process) -> str | None:
        if process.group.oom_kills() > process.oom_seen:
            self.out_of_memory(component, process)
        return process.killed_because

    def out_of_memory(self, component: Component, process: Process) -> None:
        """Enter that a component ran into its limit, once, with the limit and the peak."""
        limit, peak = component.limits.get("memory"), process.group.memory_peak()
        if process.killed_because is None:
            process.killed_because = f"out of memory: the limit of {component.name} is {limit} bytes, its peak was {peak}"
            self._keeper.event(
                "out-of-memory",
                component.name,
                process.killed_because,
                {"limit": limit, "peak": peak},
            )

    def _unwatch(self, process: Process) -> None:
        if process.channel is not None:
            for message, fds in process.channel.receive():
                # Its last words: events and `retired` are often followed by the exit at once.
                for fd in fds:
                    os.close(fd)
                if message.get("op") == "retired":
                    process.retired = message
                elif message.get("op") == "event":
                    self._keeper.event(
                        str(message.get("kind", "")),
                        str(message.get("component", "")),
                        str(message.get("reason", "")),
                    )
            self._keeper.loop.remove(process.channel.fileno())
            process.channel.close()
            process.channel = None
        if process.oom_fd is not None:
            self._keeper.loop.remove(process.oom_fd)
            os.close(process.oom_fd)
            process.oom_fd = None

    def _side_process_exited(
        self, component: Component, process: Process, last_exit: dict[str, Json]
    ) -> None:
        process.group.kill()
        self.remove_group(process)
        if process is component.successor:
            component.successor = None
            if self._keeper.upgrade is not None:
                self._keeper.upgrade.successor_died(component, process, last_exit)
        elif process in component.retiring:
            component.retiring.remove(process)
            report = process.retired or {}
            self._keeper.event(
                "handed-over",
                component.name,
                f"pid {process.pid} has retired",
                {
                    "handed": report.get("handed", 0),
                    "cut": report.get("cut", 0),
                    "said_so": process.retired is not None,
                },
            )
            if self._keeper.upgrade is not None:
                self._keeper.upgrade.predecessor_gone(component, process)
        self._keeper.shutdown.sidecar_gone(component)

    def _clear_leftovers(self, process: Process, then: Callable[[], None]) -> None:
        """The main process has ended: what it left in the background gets the stop signal, then SIGKILL; then go on."""
        deadline_s = time.monotonic() + self._keeper.plan["app"]["stop_timeout_s"]
        first = True

        def poll() -> None:
            nonlocal first
            pids = self.app_pids(process)
            if not pids:
                self.remove_group(process)
                then()
                return
            if first:
                tree.signal_all(pids, stop_signal(self._keeper.plan["app"]["stop_signal"]))
                tree.signal_all(pids, signal.SIGCONT)
                first = False
            elif time.monotonic() >= deadline_s:
                process.group.kill()
                tree.signal_all(pids, signal.SIGKILL)
            self._keeper.loop.after(_LEFTOVER_POLL_S, poll)

        poll()

    def app_pids(self, process: Process) -> list[int]:
        """Return the living processes of the app: its group's, or all our descendants that are not the sidecar's."""
        if process.group.tracked:
            return process.group.pids()
        if self._keeper.adopted is not None:
            return [process.pid, *posix.descendants_of(process.pid)]
        others = {self._keeper.output.pid}
        if process.hang is not None:
            others.add(process.hang.reporter)
        for component in self._keeper.sidecars:
            for other in component.processes():
                others.update([other.pid, *posix.descendants_of(other.pid)])
        for component in self._keeper.proxies:
            for other in component.processes():
                others.update(posix.session_of(other.pid))
        return [p for p in posix.descendants_of(os.getpid()) if p not in others]

    def remove_group(self, process: Process, tries: int = 50) -> None:
        """Remove a group; right after a kill the kernel may still count its last process, so again a little later."""
        if not process.group.remove() and tries:
            self._keeper.loop.after(_LEFTOVER_POLL_S, lambda: self.remove_group(process, tries - 1))

    def app_ended(self, process: Process, code: int) -> None:
        """The app and what it left behind are gone: start it again, or end."""
        app = self._keeper.app
        app.process = None
        shell_code = code if code >= 0 else 128 - code
        if self._keeper.shutdown.begun:
            app.state = parts.STOPPED
            self._keeper.shutdown.app_gone(shell_code)
            return
        if app.stop_wanted:
            app.state = parts.STOPPED
            self._keeper.calls.component_changed(app)
            return
        decision = restart.decide(
            self._keeper.plan["app"]["restart"], app.failures, success=code == 0,
            ran_s=time.monotonic() - process.started_s, random=restart.draw(),
        )  # fmt: skip
        app.failures = decision.failures
        if decision.verdict != restart.RESTART:
            failed = decision.verdict == restart.FAILED
            app.state = parts.FAILED if failed else parts.STOPPED
            if failed:
                self._keeper.event("failed", "app", decision.reason)
                print(f"pillion: the app failed for good: {decision.reason}", file=sys.stderr)
            self._keeper.shutdown.begin(shell_code, "the app has ended")
            return
        self.schedule_restart(app, decision)

    def adopted_ended(self, code: int | None) -> None:
        """What we were attached to has ended: retire with it. Its code is passed on where the kernel tells it, else 0."""
        app, known = self._keeper.app, code is not None
        app.process = None
        app.state = parts.STOPPED
        number = 0 if code is None else code
        app.last_exit = _last_exit(number) if known else {"unknown": True}
        words = _in_words(number) if known else "exit code unknown: the kernel does not tell"
        self._keeper.event("exited", "app", words, {**app.last_exit})
        self._keeper.shutdown.begin(number if number >= 0 else 128 - number, "the app has ended")

    def schedule_restart(self, component: Component, decision: restart.Decision) -> None:
        """Start a component again when it has been decided."""
        component.state = parts.BACKOFF
        component.restarts += 1
        self._keeper.event(
            "restarting", component.name, decision.reason, {"restarts": component.restarts}
        )
        component.restart_timer = self._keeper.loop.after(
            decision.delay_s, lambda: self.restart(component)
        )
        self._keeper.push_state()

    def restart(self, component: Component) -> None:
        """Start a component again, unless everything is stopping."""
        component.restart_timer = None
        if self._keeper.shutdown.begun:
            return
        if component is self._keeper.app:
            self._keeper.starter.start_app()
        elif component.role == parts.PROXY:
            from .proxies import start

            start(self._keeper, component)
        else:
            self._keeper.starter.start_sidecar(component)

    def restarter(self, component: Component) -> Callable[[], None]:
        """Return the call that starts a component again."""
        return lambda: self.restart(component)

    def restart_component(self, component: Component) -> None:
        """Start a component that is stopped or waits for its next try."""
        if component.restart_timer is not None:
            component.restart_timer.cancel()
        component.stop_wanted = False
        self.restart(component)

    def _sidecar_ended(self, component: Component, process: Process, code: int) -> None:
        component.process = None
        if component.stop_wanted or self._keeper.shutdown.begun:
            component.state = parts.STOPPED
            self._keeper.calls.component_changed(component)
            if component.leaving:
                self._keeper.forget(component)
            self._keeper.shutdown.sidecar_gone(component)
            return
        ran_s = time.monotonic() - process.started_s if process.ready else 0.0
        decision = restart.decide(
            restart.SIDECAR_POLICY,
            component.failures,
            success=code == 0,
            ran_s=ran_s,
            random=restart.draw(),
        )
        component.failures = decision.failures
        if decision.delay_s == 0.0:
            component.restarts += 1
            self._keeper.event(
                "restarting", component.name, "at once", {"restarts": component.restarts}
            )
            self._keeper.starter.start_sidecar(component)
        else:
            self.schedule_restart(component, decision)


def _last_exit(code: int) -> dict[str, Json]:
    return {"code": code} if code >= 0 else {"signal": signal_name(-code)}


def _in_words(code: int) -> str:
    return f"code {code}" if code >= 0 else f"signal {signal_name(-code)}"
