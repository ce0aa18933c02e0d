"""Starting processes, and holding the app until its sidecar is ready or the agreed wait is over."""

from __future__ import annotations

import os
import sys
import time

from . import cgroups, launch, notify, restart, wire
from . import component as parts
from .app import app_launch
from .component import Component, Process
from .handed import hand_over
from .heart import Heart
from .heart import sidecar as sidecar_heart
from .lean import signal
from .sidecar import sidecar_launch, sidecar_plan

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .attach import Adopted
    from .keeper import Keeper
    from .lean import socket


class Starter:
    """Starts scribe, sidecar and app."""

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper
        self.null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)

    def start_scribe(self) -> None:
        """Fork a scribe and tell it what it guards."""
        self._keeper.output.start()
        self._keeper.exits.scribe_started_s = time.monotonic()
        self._keeper.watch.new_scribe()
        channel = self._keeper.output.channel
        assert channel is not None
        self._keeper.loop.add(channel.fileno(), self._keeper.inbox.on_scribe)
        self._keeper.send_tree()

    def start_sidecar(
        self, component: Component, *, passive: bool = False, handover: socket.socket | None = None
    ) -> Process | None:
        """Start a process of the sidecar, or its successor when `passive`; None when it could not even be forked."""
        settings = sidecar_plan(self._keeper.plan, component.role)
        component.generation += 1
        group = self._keeper.groups.create(f"{component.name}.{component.generation}")
        ours, theirs = wire.pair()
        secrets = -1
        try:
            secrets = hand_over(self._keeper.plan) if component.role == parts.AGENT else -1
            self.apply_limits(component, group)
            pid, report = launch.start(
                sidecar_launch(
                    component,
                    self._keeper.plan,
                    self._keeper.instance,
                    self._keeper.output.streams,
                    group,
                    theirs,
                    passive=passive,
                    handover=handover,
                    oom_score=self._keeper.oom_score,
                    null=self.null,
                    secrets=secrets,
                )
            )
        except launch.Failure as failure:
            ours.close()
            group.remove()
            self.start_failed(component, str(failure))
            return None
        finally:
            theirs.close()
            if secrets >= 0:
                os.close(secrets)
        process = Process(
            pid,
            group,
            sidecar_heart(settings["heartbeat_s"], settings["heartbeat_misses"]),
            wire.Channel(ours),
            report,
        )
        process.promoted = not passive
        if passive:
            component.successor = process
        else:
            component.process = process
            component.state = parts.STARTING
        self.watch(component, process)
        deadline = self._keeper.loop.after(
            settings["ready_timeout_s"], lambda: self._not_ready(component, process)
        )
        process.timers.append(deadline)
        self._keeper.event(
            "started", component.name, "passive, to take over" if passive else "start", {"pid": pid}
        )
        self._keeper.send_tree()
        return process

    def apply_limits(self, component: Component, group: cgroups.Group) -> None:
        """Put a component's limits in force for a new group of it; one that cannot hold is an event."""
        try:
            group.apply(component.limits)
        except cgroups.LimitRefused as refused:
            self._keeper.event("limits", component.name, str(refused))

    def start_failed(self, component: Component, reason: str) -> None:
        """There could be no process: try again a little later."""
        self._keeper.event("failed", component.name, reason)
        print(f"pillion: {reason}", file=sys.stderr)
        component.state = parts.BACKOFF
        component.failures += 1
        delay_s = restart.backoff_s(restart.SIDECAR_POLICY, component.failures, restart.draw())
        component.restart_timer = self._keeper.loop.after(
            delay_s, lambda: self._keeper.exits.restart(component)
        )

    def watch(self, component: Component, process: Process) -> None:
        """Watch a process: its start, its messages, its memory."""
        if process.report >= 0:
            self._keeper.loop.add(process.report, lambda: self.on_report(component, process))
        if process.channel is not None:
            self._keeper.loop.add(
                process.channel.fileno(), lambda: self._keeper.inbox.on_message(component, process)
            )
        if process.oom_fd is None:
            process.oom_fd = process.group.watch_oom()
            process.oom_seen = process.group.oom_kills()
        if process.oom_fd is not None:
            self._keeper.loop.add(
                process.oom_fd, lambda: self._keeper.watch.on_oom(component, process)
            )

    def adopt(self, adopted: Adopted) -> None:
        """Watch a process of someone else's as the app."""
        app = self._keeper.app
        app.generation += 1
        nowhere = cgroups.Group(None, {}, v2_controls=False)
        app.process = Process(adopted.pid, nowhere, Heart(0), None, -1)
        app.process.ready = True
        app.state = parts.RUNNING
        adopted.watch(self._keeper.loop, self._keeper.exits.adopted_ended)
        self._keeper.event(
            "started", "app", "attached to", {"pid": adopted.pid, "start_ticks": adopted.ticks}
        )

    def start_app(self) -> None:
        """Start the app, for the first time or again."""
        app = self._keeper.app
        app.generation += 1
        app.restart_timer = None
        group = self._keeper.groups.create(f"app.{app.generation}")
        self.apply_limits(app, group)
        self._keeper.notify = notify.State()
        self._keeper.watch.new_app()
        try:
            pid, report = launch.start(
                app_launch(
                    self._keeper.plan,
                    self._keeper.instance,
                    self._keeper.output.streams,
                    group,
                    variables=self._keeper.app_variables,
                    terminal=self._keeper.terminal.fd,
                    oom_score=self._keeper.oom_score,
                )
            )
        except launch.Failure as failure:
            group.remove()
            self._app_cannot_start(failure)
            return
        app.process = Process(pid, group, Heart(0), None, report)
        app.state = parts.STARTING
        self.watch(app, app.process)
        self._keeper.watch.look_again()
        self._keeper.send_tree()
        self._keeper.event(
            "started", "app", "start" if app.generation == 1 else "restart", {"pid": pid}
        )

    def _app_cannot_start(self, failure: launch.Failure) -> None:
        self._keeper.app.state = parts.FAILED
        self._keeper.app.last_exit = {"code": failure.code, "cause": str(failure)}
        self._keeper.event("failed", "app", str(failure))
        print(f"pillion: {failure}", file=sys.stderr)
        self._keeper.shutdown.begin(failure.code, "the app cannot be started")

    def on_report(self, component: Component, process: Process) -> None:
        """The exec has succeeded (nothing to read), or the child says why not."""
        try:
            report = os.read(process.report, 4096)
        except BlockingIOError:
            return
        self._keeper.loop.remove(process.report)
        os.close(process.report)
        process.report = -1
        if not report:
            if component.role == parts.PROXY and component.process is process:
                # It says nothing of itself; whether it serves, the agent finds out.
                process.ready = True
                if component.state == parts.STARTING:
                    component.state = parts.RUNNING
                self._keeper.push_state()
            elif component is self._keeper.app and component.process is process:
                component.state = parts.RUNNING
                if self._keeper.plan["app"]["ready"] is None:
                    self.app_ready()
                self._keeper.push_state()
            return
        failure = launch.explain(report)
        process.killed_because = str(failure)
        if component is self._keeper.app:
            self._app_cannot_start(failure)

    def app_ready(self) -> None:
        """Note that the app serves, once."""
        process = self._keeper.app.process
        if process is None or process.ready or process.hang is not None:
            return
        process.ready = True
        self._keeper.watch.arm_watchdog()
        self._keeper.event(
            "ready", "app", "started" if self._keeper.plan["app"]["ready"] is None else "said so"
        )
        self._tell_outer("READY=1")
        self._keeper.push_state()

    def app_is_ready(self) -> None:
        """The agent has seen the app's readiness (http, tcp, exec)."""
        self.app_ready()

    def _tell_outer(self, text: str) -> None:
        address = os.environ.get("NOTIFY_SOCKET")
        if not address:
            return
        try:
            notify.tell(address, text)
        except OSError as error:
            self._keeper.event("failed", "keeper", f"cannot tell {address}: {error.strerror}")

    def wait_is_over(self) -> None:
        """The agreed wait has passed: start the app without its sidecar, or not at all when that is required."""
        if self._keeper.app.state != parts.WAITING or self._keeper.shutdown.begun:
            return
        missing = [c.name for c in self._keeper.sidecars if not (c.process and c.process.ready)]
        reason = f"{' and '.join(missing)} not ready within {self._keeper.plan['agent'].get('wait_s', 0.0):g} s"
        self._keeper.event("not-ready", "agent", reason)
        if self._keeper.plan["agent"].get("required"):
            print(
                f"pillion: cannot start the app: {reason}, and agent.required is true",
                file=sys.stderr,
            )
            self._keeper.app.state = parts.FAILED
            self._keeper.shutdown.begin(1, reason)
            return
        print(f"pillion: starting the app without its sidecar: {reason}", file=sys.stderr)
        self.start_app()

    def release_app(self) -> None:
        """Start the app when everything that it waits for is ready."""
        if self._keeper.app.state != parts.WAITING or self._keeper.shutdown.begun:
            return
        if all(c.process and c.process.ready for c in self._keeper.sidecars):
            self.start_app()

    def _not_ready(self, component: Component, process: Process) -> None:
        if process.ready:
            return
        process.killed_because = f"not ready within {sidecar_plan(self._keeper.plan, component.role)['ready_timeout_s']:g} s"
        self._keeper.event(
            "not-ready", component.name, process.killed_because, {"pid": process.pid}
        )
        process.group.kill() if process.group.tracked else self._keeper.kill_pid(
            process.pid, signal.SIGKILL
        )
