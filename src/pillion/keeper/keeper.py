"""The keeper: the process that the user sees. It owns the others, decides by the pure rules beside it, and never waits for anything."""

from __future__ import annotations

import os
import random

import signal
import socket
import sys
import time

from . import cgroups, component as parts, launch, notify, places, posix, restart, sampling, tree, wire
from .app import app_launch, foreground_terminal, stop_signal
from .calls import Calls
from .component import Component, Process
from .heart import ABORT, BEATS, Heart
from .loop import Loop
from .output import ScribeProcess, Stream, journal_of
from .shutdown import Shutdown
from .sidecar import sidecar_launch, sidecar_plan
from .terminal import Terminal
from .upgrade import Upgrade

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .calls import Reply
    from .instance import Instance
    from .plan import Plan
    from .wire import Json, Message

_FORWARDED = (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGWINCH, signal.SIGALRM)
_STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)
_OWN_OOM_SCORE = "-900"
_LEFTOVER_POLL_S = 0.02
_SCRIBE_PING_TICKS = 5
_SCRIBE_MISSES = 3


class Keeper:
    """One instance's keeper. `run` returns the exit code of the whole."""

    def __init__(self, plan: Plan, instance: Instance, streams: dict[str, Stream], groups: cgroups.Groups) -> None:
        self.plan = plan
        self.instance = instance
        self.loop = Loop()
        self.groups = groups
        self.journal = journal_of(streams)
        self.output = ScribeProcess(instance, plan["logs"], streams)
        self.scribe_heart = Heart(_SCRIBE_MISSES)
        self.app = Component("app", plan["app"]["limits"])
        self.agent = Component("agent", plan["agent"]["limits"])
        self.shipper = Component("shipper", plan["shipper"]["limits"])
        self.components = {c.name: c for c in (self.app, self.agent, self.shipper)}
        self.terminal = Terminal(foreground_terminal())
        self.notify = notify.State()
        self.watchdog: Heart | None = None
        self.calls = Calls(self)
        self.shutdown = Shutdown(self)
        self.upgrade: Upgrade | None = None
        self.exit_code: int | None = None
        self.started = ""
        self.version = ""
        self.oom_score: str | None = None
        self._null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
        self._scribe_failures = 0
        self._scribe_started_s = 0.0
        self._ticks = 0
        self._watchdog_beats = 0
        self._finished = False

    # ---- start ----------------------------------------------------------------------------------------------------

    def prepare(self) -> None:
        """Become the keeper: name, subreaper, a lower OOM score, signals, sockets."""
        posix.set_comm("pillion-keeper")
        posix.prctl(posix.PR_SET_CHILD_SUBREAPER, 1)
        self._lower_oom_score()
        for number in (*_FORWARDED, *_STOPPING):
            self.loop.on_signal(number, self._on_signal)
        self.loop.on_signal(signal.SIGCHLD, lambda _: self._reap())
        self.loop.on_signal(signal.SIGCONT, lambda _: self._continue())
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
        self.loop.add(self.instance.sockets["notify"].fileno(), self._on_notify)
        listener = self.instance.sockets["keeper"]
        listener.setblocking(False)
        self.loop.add(listener.fileno(), self._on_operator)

    def _lower_oom_score(self) -> None:
        try:
            with open("/proc/self/oom_score_adj", "r+") as file:
                before = file.read().strip()
                file.write(_OWN_OOM_SCORE)
            self.oom_score = before
        except OSError:
            self.oom_score = None  # only root may lower it

    def begin(self) -> None:
        """Start everything in order: scribe, sidecar, and the app when the sidecar is ready or need not be."""
        self.started = parts.timestamp()
        self.start_scribe()
        self.describe()
        self.event("started", "keeper", f"run {self.instance.run}", {"pid": os.getpid(), "command": list(self.plan["app"]["command"])})
        wait_s = self.plan["agent"].get("wait_s", 0.0)
        sidecars = [c for c in (self.agent, self.shipper) if sidecar_plan(self.plan, c.name)["enabled"]]
        if wait_s <= 0 or not sidecars:
            self.start_app()
        for sidecar in sidecars:
            self.start_sidecar(sidecar)
        if self.app.state == parts.WAITING:
            self.loop.after(wait_s, self._wait_is_over)
        self.schedule_tick()

    def describe(self) -> None:
        """Write instance.json anew."""
        command: list[Json] = list(self.plan["app"]["command"])
        bases: list[Json] = list(self.groups.directories())
        self.instance.describe({"version": self.version, "started": self.started, "command": command, "groups": bases})

    def start_scribe(self) -> None:
        """Fork a scribe and tell it what it guards."""
        self.output.start()
        self._scribe_started_s = time.monotonic()
        self.scribe_heart = Heart(_SCRIBE_MISSES)
        channel = self.output.channel
        assert channel is not None
        self.loop.add(channel.fileno(), self._on_scribe)
        self.send_tree()

    def send_tree(self) -> None:
        """Tell the scribe what lives now: what it ends when we are killed."""
        channel = self.output.channel
        if channel is None:
            return
        app = self.plan["app"]
        sidecar = [p for c in (self.agent, self.shipper) for p in c.processes()]
        channel.send(
            {
                "op": "tree",
                "policy": app["on_keeper_death"],
                "stop_signal": int(stop_signal(app["stop_signal"])),
                "stop_timeout_s": app["stop_timeout_s"],
                "runtime_dir": self.instance.runtime_dir,
                "app": [p.group.dump() for p in self.app.processes()],
                "sidecar": [p.group.dump() for p in sidecar],
                "bases": list(self.groups.directories()),
            }
        )

    def start_sidecar(self, component: Component, *, passive: bool = False, handover: socket.socket | None = None) -> Process | None:
        """Start agent or shipper, or its successor when `passive`; None when it could not even be forked."""
        settings = sidecar_plan(self.plan, component.name)
        component.generation += 1
        group = self.groups.create(f"{component.name}.{component.generation}")
        ours, theirs = wire.pair()
        try:
            self._apply_limits(component, group)
            pid, report = launch.start(
                sidecar_launch(
                    component, self.plan, self.instance, self.output.streams, group, theirs,
                    passive=passive, handover=handover, oom_score=self.oom_score, null=self._null,
                )  # fmt: skip
            )
        except launch.Failure as failure:
            ours.close()
            group.remove()
            self._start_failed(component, str(failure))
            return None
        finally:
            theirs.close()
        process = Process(pid, group, Heart(settings["heartbeat_misses"]), wire.Channel(ours), report)
        process.promoted = not passive
        if passive:
            component.successor = process
        else:
            component.process = process
            component.state = parts.STARTING
        self._watch(component, process)
        deadline = self.loop.after(settings["ready_timeout_s"], lambda: self._not_ready(component, process))
        process.timers.append(deadline)
        self.event("started", component.name, "passive, to take over" if passive else "start", {"pid": pid})
        self.send_tree()
        return process

    def _apply_limits(self, component: Component, group: cgroups.Group) -> None:
        try:
            group.apply(component.limits)
        except cgroups.LimitRefused as refused:
            self.event("limits", component.name, str(refused))

    def _start_failed(self, component: Component, reason: str) -> None:
        self.event("failed", component.name, reason)
        print(f"pillion: {reason}", file=sys.stderr)
        component.state = parts.BACKOFF
        component.failures += 1
        delay_s = restart.backoff_s(restart.SIDECAR_POLICY, component.failures, random.random())
        component.restart_timer = self.loop.after(delay_s, lambda: self._restart(component))

    def watch_process(self, component: Component, process: Process) -> None:
        """Watch a process that was taken over from before an execve."""
        self._watch(component, process)

    def _watch(self, component: Component, process: Process) -> None:
        if process.report >= 0:
            self.loop.add(process.report, lambda: self._on_report(component, process))
        if process.channel is not None:
            self.loop.add(process.channel.fileno(), lambda: self._on_message(component, process))
        if process.oom_fd is None:
            process.oom_fd = process.group.watch_oom()
            process.oom_seen = process.group.oom_kills()
        if process.oom_fd is not None:
            self.loop.add(process.oom_fd, lambda: self._on_oom(component, process))

    def start_app(self) -> None:
        """Start the app, for the first time or again."""
        app = self.app
        app.generation += 1
        app.restart_timer = None
        group = self.groups.create(f"app.{app.generation}")
        self._apply_limits(app, group)
        self.notify = notify.State()
        self._watchdog_beats = 0
        try:
            pid, report = launch.start(
                app_launch(
                    self.plan, self.instance, self.output.streams, group, terminal=self.terminal.fd, oom_score=self.oom_score
                )
            )
        except launch.Failure as failure:
            group.remove()
            self._app_cannot_start(failure)
            return
        app.process = Process(pid, group, Heart(0), None, report)
        app.state = parts.STARTING
        self._watch(app, app.process)
        self.send_tree()
        self.event("started", "app", "start" if app.generation == 1 else "restart", {"pid": pid})

    def _app_cannot_start(self, failure: launch.Failure) -> None:
        self.app.state = parts.FAILED
        self.app.last_exit = {"code": failure.code, "cause": str(failure)}
        self.event("failed", "app", str(failure))
        print(f"pillion: {failure}", file=sys.stderr)
        self.shutdown.begin(failure.code, "the app cannot be started")

    def _on_report(self, component: Component, process: Process) -> None:
        """The exec has succeeded (nothing to read), or the child says why not."""
        try:
            report = os.read(process.report, 4096)
        except BlockingIOError:
            return
        self.loop.remove(process.report)
        os.close(process.report)
        process.report = -1
        if not report:
            if component is self.app and component.process is process:
                component.state = parts.RUNNING
                if self.plan["app"]["ready"] is None:
                    self._app_ready()
                timeout_s = self.plan["app"]["watchdog_timeout_s"]
                if timeout_s:
                    self.watchdog = Heart(max(1, round(timeout_s / self.plan["agent"]["heartbeat_s"])))
            return
        failure = launch.explain(report)
        process.killed_because = str(failure)
        if component is self.app:
            self._app_cannot_start(failure)

    def _app_ready(self) -> None:
        process = self.app.process
        if process is None or process.ready:
            return
        process.ready = True
        self.event("ready", "app", "started" if self.plan["app"]["ready"] is None else "said so")
        self._tell_outer("READY=1")
        self.push_state()

    def app_is_ready(self) -> None:
        """The agent has seen the app's readiness (http, tcp, exec)."""
        self._app_ready()

    def _tell_outer(self, text: str) -> None:
        address = os.environ.get("NOTIFY_SOCKET")
        if not address:
            return
        try:
            notify.tell(address, text)
        except OSError as error:
            self.event("failed", "keeper", f"cannot tell {address}: {error.strerror}")

    def _wait_is_over(self) -> None:
        if self.app.state != parts.WAITING or self.shutdown.begun:
            return
        missing = [c.name for c in (self.agent, self.shipper) if not (c.process and c.process.ready)]
        reason = f"{' and '.join(missing)} not ready within {self.plan['agent'].get('wait_s', 0.0):g} s"
        self.event("not-ready", "agent", reason)
        if self.plan["agent"].get("required"):
            print(f"pillion: cannot start the app: {reason}, and agent.required is true", file=sys.stderr)
            self.app.state = parts.FAILED
            self.shutdown.begin(1, reason)
            return
        print(f"pillion: starting the app without its sidecar: {reason}", file=sys.stderr)
        self.start_app()

    def _release_app(self) -> None:
        """Start the app when everything that it waits for is ready."""
        if self.app.state != parts.WAITING or self.shutdown.begun:
            return
        wanted = [c for c in (self.agent, self.shipper) if sidecar_plan(self.plan, c.name)["enabled"]]
        if all(c.process and c.process.ready for c in wanted):
            self.start_app()

    # ---- messages -------------------------------------------------------------------------------------------------

    def _on_message(self, component: Component, process: Process) -> None:
        channel = process.channel
        assert channel is not None
        fd = channel.fileno()
        for message, fds in channel.receive():
            for received in fds:
                os.close(received)
            self._handle(component, process, message)
            if process.channel is None:
                return
        channel.flush()
        if channel.closed and process.channel is channel:
            self.loop.remove(fd)

    def _handle(self, component: Component, process: Process, message: Message) -> None:
        process.heart.beat()
        op = message.get("op")
        if op == "hello":
            version = message.get("version")
            process.version = version if isinstance(version, str) else None
        elif op == "ready":
            self._sidecar_ready(component, process)
        elif op == "heartbeat":
            stats = message.get("stats")
            process.stats = stats if isinstance(stats, dict) else {}
        elif op == "event":
            data = message.get("data")
            self.event(
                str(message.get("kind", "")), str(message.get("component", component.name)), str(message.get("reason", "")),
                data if isinstance(data, dict) else {},
            )  # fmt: skip
        elif op == "retired":
            process.retired = message
        elif op == "call" and process.channel is not None:
            self.calls.handle(process.channel, message)

    def _sidecar_ready(self, component: Component, process: Process) -> None:
        if process.ready:
            return
        process.ready = True
        process.cancel_timers()
        self.event("ready", component.name, f"after {time.monotonic() - process.started_s:.3f} s", {"pid": process.pid})
        if process is component.process:
            component.state = parts.RUNNING
            self._release_app()
            self.push_state()
        elif self.upgrade is not None:
            self.upgrade.successor_ready(component, process)

    def _not_ready(self, component: Component, process: Process) -> None:
        if process.ready:
            return
        process.killed_because = f"not ready within {sidecar_plan(self.plan, component.name)['ready_timeout_s']:g} s"
        self.event("not-ready", component.name, process.killed_because, {"pid": process.pid})
        process.group.kill() if process.group.tracked else self.kill_pid(process.pid, signal.SIGKILL)

    def _on_scribe(self) -> None:
        channel = self.output.channel
        if channel is None:
            return
        for message, _ in channel.receive():
            self.scribe_heart.beat()
            op = message.get("op")
            if op in ("stats", "heartbeat"):
                self._scribe_stats(message.get("stats"))
            elif op == "drained":
                self.shutdown.drained(message)
        if channel.closed:
            self.loop.remove(channel.fileno())

    def _scribe_stats(self, stats: Json) -> None:
        if not isinstance(stats, dict):
            return
        before, self.output.stats = self.output.stats, stats
        for key, kind, words in (
            ("dropped_bytes", "output-lost", "bytes of output were dropped: the disk did not keep up"),
            ("mirror_lost_bytes", "mirror-lost", "bytes of output were not shown: the terminal did not keep up"),
            ("failures", "output-lost", "the spool cannot be written"),
        ):
            data = stats.get(key)
            if isinstance(data, dict) and data and data != before.get(key):
                self.event(kind, "scribe", words, data)

    def _on_operator(self) -> None:
        try:
            sock, _ = self.instance.sockets["keeper"].accept()
        except (BlockingIOError, ConnectionError):
            return
        credentials = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        uid = int.from_bytes(credentials[4:8], "little")
        if uid not in (0, os.getuid()):
            sock.close()
            return
        channel = wire.Channel(sock)
        self.loop.add(channel.fileno(), lambda: self._on_operator_message(channel))

    def _on_operator_message(self, channel: wire.Channel) -> None:
        for message, fds in channel.receive():
            for fd in fds:
                os.close(fd)
            if message.get("op") == "call":
                self.calls.handle(channel, message)
        channel.flush()
        if channel.closed:
            self.loop.remove(channel.fileno())
            channel.close()

    def _on_notify(self) -> None:
        changed = notify.receive(self.instance.sockets["notify"], self._may_notify, self.notify)
        if self.watchdog is not None and self.notify.beats > self._watchdog_beats:
            self._watchdog_beats = self.notify.beats
            self.watchdog.beat()
        ready = self.plan["app"]["ready"]
        if self.notify.ready and ready is not None and "notify" in ready:
            self._app_ready()
        if changed:
            self.push_state()

    def _may_notify(self, pid: int, uid: int) -> bool:
        """A process of the app, by its control group where there is one, else by its user."""
        process = self.app.process
        if process is None:
            return False
        if process.group.tracked:
            return pid in process.group.pids()
        return uid in (0, os.getuid())

    def push_state(self) -> None:
        """Tell the agent how things stand, when something has changed."""
        process = self.agent.process
        if process is not None and process.channel is not None and process.ready:
            process.channel.send({"op": "state", "state": self.calls.status()})

    def event(self, kind: str, component: str, reason: str, data: dict[str, Json] | None = None) -> None:
        """Enter an event in the journal."""
        self.journal.event(kind, component, reason, data)

    # ---- signals and exits ----------------------------------------------------------------------------------------

    def _on_signal(self, number: int) -> None:
        name = signal.Signals(number).name.removeprefix("SIG")
        if number in _STOPPING:
            self.shutdown.asked(number, f"{name} received")
        else:
            self.signal_app(number)

    def signal_app(self, number: int) -> None:
        """Send a signal to the app's group, as a terminal would."""
        process = self.app.process
        if process is None:
            return
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            self.kill_pid(process.pid, number)

    @staticmethod
    def kill_pid(pid: int, number: int) -> None:
        """Signal a child of ours, which keeps its pid until we have reaped it."""
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return

    def _continue(self) -> None:
        process = self.app.process
        if self.terminal.fd >= 0 and process is not None:
            self.terminal.lend(process.pid)

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG | os.WUNTRACED)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if os.WIFSTOPPED(status):
                process = self.app.process
                if self.terminal.fd >= 0 and process is not None and pid == process.pid:
                    self.terminal.app_stopped(pid)
                continue
            self.exited(pid, os.waitstatus_to_exitcode(status))

    def exited(self, pid: int, code: int) -> None:
        """A child or an orphan that was left to us has ended; `code` is negative for a signal."""
        if pid == self.output.pid:
            self._scribe_exited(code)
            return
        for component in self.components.values():
            for process in component.processes():
                if process.pid == pid:
                    self._process_exited(component, process, code)
                    return
        self.calls.child_exited(pid, code)

    def _scribe_exited(self, code: int) -> None:
        channel = self.output.channel
        if channel is not None:
            self.loop.remove(channel.fileno())
        self.output.close_channel()
        self.output.pid = 0
        if self.shutdown.scribe_exited():
            return
        self.event("exited", "scribe", f"ended with {code}; a new one takes over")
        self.output.restarts += 1
        decision = restart.decide(
            restart.SIDECAR_POLICY, self._scribe_failures, success=False,
            ran_s=time.monotonic() - self._scribe_started_s, random=random.random(),
        )  # fmt: skip
        self._scribe_failures = decision.failures
        if decision.delay_s:
            self.loop.after(decision.delay_s, self.start_scribe)
        else:
            self.start_scribe()

    def _process_exited(self, component: Component, process: Process, code: int) -> None:
        if process.report >= 0:
            self._on_report(component, process)
        process.cancel_timers()
        last_exit: dict[str, Json] = {"code": code} if code >= 0 else {"signal": _signal_name(-code)}
        cause = self._cause(component, process)
        if cause:
            last_exit["cause"] = cause
        self._unwatch(process)
        if process is not component.process:
            self._side_process_exited(component, process, last_exit)
            return
        component.last_exit = last_exit
        words = f"code {code}" if code >= 0 else f"signal {last_exit['signal']}"
        self.event("exited", component.name, f"{words}: {cause}" if cause else words, {"pid": process.pid, **last_exit})
        if component is self.app:
            self.terminal.take_back()
            self.watchdog = None
            self._clear_leftovers(process, lambda: self._app_ended(process, code))
        else:
            process.group.kill()
            self._remove_group(process)
            self._sidecar_ended(component, process, code)

    def _cause(self, component: Component, process: Process) -> str | None:
        if process.group.oom_kills() > process.oom_seen:
            limit, peak = component.limits.get("memory"), process.group.memory_peak()
            cause = f"out of memory: the limit of {component.name} is {limit} bytes, its peak was {peak}"
            self.event("out-of-memory", component.name, cause, {"limit": limit, "peak": peak})
            return cause
        return process.killed_because

    def _unwatch(self, process: Process) -> None:
        if process.channel is not None:
            for message, fds in process.channel.receive():
                # Its last words: events and `retired` are often followed by the exit at once.
                for fd in fds:
                    os.close(fd)
                if message.get("op") == "retired":
                    process.retired = message
                elif message.get("op") == "event":
                    self.event(str(message.get("kind", "")), str(message.get("component", "")), str(message.get("reason", "")))
            self.loop.remove(process.channel.fileno())
            process.channel.close()
            process.channel = None
        if process.oom_fd is not None:
            self.loop.remove(process.oom_fd)
            os.close(process.oom_fd)
            process.oom_fd = None

    def _side_process_exited(self, component: Component, process: Process, last_exit: dict[str, Json]) -> None:
        process.group.kill()
        self._remove_group(process)
        if process is component.successor:
            component.successor = None
            if self.upgrade is not None:
                self.upgrade.successor_died(component, process, last_exit)
        elif process in component.retiring:
            component.retiring.remove(process)
            if self.upgrade is not None:
                self.upgrade.predecessor_gone(component, process)

    def _clear_leftovers(self, process: Process, then: object) -> None:
        """The main process has ended: what it left in the background gets the stop signal, then SIGKILL; then go on."""
        assert callable(then)
        deadline_s = time.monotonic() + self.plan["app"]["stop_timeout_s"]
        first = True

        def poll() -> None:
            nonlocal first
            pids = self.app_pids(process)
            if not pids:
                self._remove_group(process)
                then()
                return
            if first:
                tree.signal_all(pids, stop_signal(self.plan["app"]["stop_signal"]))
                tree.signal_all(pids, signal.SIGCONT)
                first = False
            elif time.monotonic() >= deadline_s:
                process.group.kill()
                tree.signal_all(pids, signal.SIGKILL)
            self.loop.after(_LEFTOVER_POLL_S, poll)

        poll()

    def app_pids(self, process: Process) -> list[int]:
        """Return the living processes of the app: its group's, or all our descendants that are not the sidecar's."""
        if process.group.tracked:
            return process.group.pids()
        others = {self.output.pid}
        for component in (self.agent, self.shipper):
            for other in component.processes():
                others.update([other.pid, *posix.descendants_of(other.pid)])
        return [p for p in posix.descendants_of(os.getpid()) if p not in others]

    def _remove_group(self, process: Process, tries: int = 50) -> None:
        """Remove a group; right after a kill the kernel may still count its last process, so again a little later."""
        if not process.group.remove() and tries:
            self.loop.after(_LEFTOVER_POLL_S, lambda: self._remove_group(process, tries - 1))

    def _app_ended(self, process: Process, code: int) -> None:
        app = self.app
        app.process = None
        shell_code = code if code >= 0 else 128 - code
        if self.shutdown.begun:
            app.state = parts.STOPPED
            self.shutdown.app_gone(shell_code)
            return
        if app.stop_wanted:
            app.state = parts.STOPPED
            self.calls.component_changed(app)
            return
        decision = restart.decide(
            self.plan["app"]["restart"], app.failures, success=code == 0,
            ran_s=time.monotonic() - process.started_s, random=random.random(),
        )  # fmt: skip
        app.failures = decision.failures
        if decision.verdict != restart.RESTART:
            failed = decision.verdict == restart.FAILED
            app.state = parts.FAILED if failed else parts.STOPPED
            if failed:
                self.event("failed", "app", decision.reason)
                print(f"pillion: the app failed for good: {decision.reason}", file=sys.stderr)
            self.shutdown.begin(shell_code, "the app has ended")
            return
        self._schedule_restart(app, decision)

    def _schedule_restart(self, component: Component, decision: restart.Decision) -> None:
        component.state = parts.BACKOFF
        component.restarts += 1
        self.event("restarting", component.name, decision.reason, {"restarts": component.restarts})
        component.restart_timer = self.loop.after(decision.delay_s, lambda: self._restart(component))
        self.push_state()

    def _restart(self, component: Component) -> None:
        component.restart_timer = None
        if self.shutdown.begun:
            return
        if component is self.app:
            self.start_app()
        else:
            self.start_sidecar(component)

    def restart_component(self, component: Component) -> None:
        """Start a component that is stopped or waits for its next try."""
        if component.restart_timer is not None:
            component.restart_timer.cancel()
        component.stop_wanted = False
        self._restart(component)

    def _sidecar_ended(self, component: Component, process: Process, code: int) -> None:
        component.process = None
        if component.stop_wanted or self.shutdown.begun:
            component.state = parts.STOPPED
            self.calls.component_changed(component)
            self.shutdown.sidecar_gone(component)
            return
        ran_s = time.monotonic() - process.started_s if process.ready else 0.0
        decision = restart.decide(
            restart.SIDECAR_POLICY, component.failures, success=code == 0, ran_s=ran_s, random=random.random()
        )
        component.failures = decision.failures
        if decision.delay_s == 0.0:
            component.restarts += 1
            self.event("restarting", component.name, "at once", {"restarts": component.restarts})
            self.start_sidecar(component)
        else:
            self._schedule_restart(component, decision)

    # ---- watching -------------------------------------------------------------------------------------------------

    def schedule_tick(self) -> None:
        """Tick once per heartbeat interval."""
        self.loop.after(self.plan["agent"]["heartbeat_s"], self._tick)

    def _tick(self) -> None:
        self.schedule_tick()
        self._ticks += 1
        for component in (self.agent, self.shipper):
            for process in component.processes():
                if process.ready:
                    self._tick_heart(component, process, process.heart)
        app = self.app.process
        if app is not None and self.watchdog is not None:
            self._tick_heart(self.app, app, self.watchdog)
        if self._ticks % _SCRIBE_PING_TICKS == 0:
            self._ping_scribe()
        self._sample()

    def _tick_heart(self, component: Component, process: Process, heart: Heart) -> None:
        verdict = heart.tick()
        if verdict == BEATS:
            return
        words = f"no heartbeat for {heart.misses} intervals"
        if verdict == ABORT:
            process.killed_because = f"hung: {words}"
            self.event("hung", component.name, words, {"pid": process.pid})
            self.kill_pid(process.pid, signal.SIGABRT)
            # A stopped process takes no signal but SIGKILL until it is continued.
            self.kill_pid(process.pid, signal.SIGCONT)
        else:
            self.kill_pid(process.pid, signal.SIGKILL)

    def _ping_scribe(self) -> None:
        if self.output.channel is None:
            return
        self.output.channel.send({"op": "ping"})
        if self.scribe_heart.tick() != BEATS:
            self.event("hung", "scribe", "no answer", {"pid": self.output.pid})
            self.kill_pid(self.output.pid, signal.SIGKILL)

    def _sample(self) -> None:
        """Where no control group holds a memory limit, compare the tree's resident memory with it at every tick."""
        for component in self.components.values():
            limit, process = component.limits.get("memory"), component.process
            if not limit or process is None or process.group.means != cgroups.SAMPLING:
                continue
            pids = self.app_pids(process) if component is self.app else [process.pid, *posix.descendants_of(process.pid)]
            resident = sampling.resident_bytes(pids)
            if resident > limit:
                process.killed_because = (
                    f"out of memory: {component.name} used {resident} bytes by sampling, its limit is {limit}"
                )
                self.event("out-of-memory", component.name, process.killed_because, {"limit": limit, "peak": resident})
                tree.signal_all(pids, signal.SIGKILL)

    def _on_oom(self, component: Component, process: Process) -> None:
        """cgroup v1 has killed, or is about to kill, one process of the group: the component goes as a whole."""
        assert process.oom_fd is not None
        os.eventfd_read(process.oom_fd)
        if component.limits.get("memory"):
            process.killed_because = f"out of memory: the limit of {component.name} is {component.limits['memory']} bytes"
            process.group.kill()

    def replace_self(self, python: str | None, reply: Reply) -> None:
        """Upgrade the keeper in place."""
        raise NotImplementedError

    def trial_exited(self, pid: int, code: int) -> None:
        """A child that is no component has ended."""

    # ---- the end --------------------------------------------------------------------------------------------------

    def finish(self, code: int) -> None:
        """Nothing is left to do: `run` returns this code."""
        self.exit_code = code
        self._finished = True

    def run(self) -> int:
        """Turn until finished. Returns the exit code."""
        while not self._finished:
            self.loop.turn()
        self.groups.remove()
        self.instance.release()
        return self.exit_code if self.exit_code is not None else 1


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name.removeprefix("SIG")
    except ValueError:
        return str(number)


