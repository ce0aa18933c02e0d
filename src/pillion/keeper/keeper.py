"""The keeper: the process that the user sees. It owns the others, decides by the pure rules beside it, and never waits for anything."""

from __future__ import annotations

import os
import sys

from . import component as parts
from . import notify, posix
from .app import foreground_terminal, stop_signal
from .calls import Calls
from .component import Component
from .drain import Drain
from .exits import Exits
from .inbox import Inbox
from .journal import timestamp
from .lean import signal, signal_name
from .loop import Loop
from .output import ScribeProcess, Stream, journal_of
from .shutdown import Shutdown
from .sidecar import sidecar_components
from .starting import Starter
from .succession import Succession
from .terminal import Terminal
from .watch import Watch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .attach import Adopted
    from .cgroups import Groups
    from .instance import Instance
    from .plan import Plan
    from .renewal import Lingering
    from .upgrade import Upgrade
    from .wire import Json

_FORWARDED = (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGWINCH, signal.SIGALRM)
_STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)
_OWN_OOM_SCORE = "-900"
# For a scribe of an earlier version to bring what it has read to disk.
_SCRIBE_FINISH_S = 5.0


class Keeper:
    """One instance's keeper. `run` returns the exit code of the whole."""

    def __init__(
        self, plan: Plan, instance: Instance, streams: dict[str, Stream], groups: Groups
    ) -> None:
        self.plan = plan
        self.instance = instance
        self.loop = Loop(self._failed)
        self.groups = groups
        self.journal = journal_of(streams)
        self.output = ScribeProcess(instance, plan["logs"], streams)
        self.app = Component("app", plan["app"]["limits"])
        # What the plan has of agent, shipper and so on. The agent is always at hand: much concerns it alone.
        self.sidecars = sidecar_components(plan)
        agents = (c for c in self.sidecars if c.role == parts.AGENT)
        self.agent = next(agents, Component(parts.AGENT, plan["agent"]["limits"]))
        # Programs of others that run beside them, when they are asked for.
        self.proxies: list[Component] = []
        if "proxies" in plan:
            from .proxies import proxy_components

            self.proxies = proxy_components(plan)
        self.components = {c.name: c for c in (self.app, *self.sidecars, *self.proxies)}
        self.terminal = Terminal(foreground_terminal())
        self.notify = notify.State()
        self.starter = Starter(self)
        self.inbox = Inbox(self)
        self.exits = Exits(self)
        self.watch = Watch(self)
        self.calls = Calls(self)
        self.drain = Drain(self)
        self.shutdown = Shutdown(self)
        self.succession = Succession(self)
        self.upgrade: Upgrade | None = None
        self._lingering: Lingering | None = None
        # The process of someone else's that we were attached to, instead of an app of our own.
        self.adopted: Adopted | None = None
        self.exit_code: int | None = None
        self.started = ""
        self.version = ""
        # The `--set`s of the command line, which a reload applies again.
        self.overrides: list[str] = []
        # From the configuration, by the agent: what the app's environment has beside the plan's, from its next start.
        self.app_variables: dict[str, str] = {}
        self.oom_score: str | None = None
        self._finished = False

    def prepare(self) -> None:
        """Become the keeper: name, subreaper, a lower OOM score, signals, sockets."""
        posix.set_comm("pillion-keeper")
        posix.prctl(posix.PR_SET_CHILD_SUBREAPER, 1)
        self._lower_oom_score()
        for number in (*_FORWARDED, *_STOPPING):
            self.loop.on_signal(number, self._on_signal)
        self.loop.on_signal(signal.SIGCHLD, lambda _: self.exits.reap())
        self.loop.on_signal(signal.SIGCONT, lambda _: self._continue())
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
        self.loop.add(self.instance.sockets["notify"].fileno(), self.inbox.on_notify)
        listener = self.instance.sockets["keeper"]
        listener.setblocking(False)
        self.loop.add(listener.fileno(), self.inbox.on_operator)

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
        self.started = timestamp()
        self.starter.start_scribe()
        self.describe()
        self.event(
            "started",
            "keeper",
            f"run {self.instance.run}",
            {"pid": os.getpid(), "program": self.plan["app"]["command"][0]},
        )
        wait_s = self.plan["agent"].get("wait_s", 0.0)
        if self.adopted is not None:
            self.starter.adopt(self.adopted)
        elif wait_s <= 0 or not self.sidecars:
            self.starter.start_app()
        for sidecar in self.sidecars:
            self.starter.start_sidecar(sidecar)
        if self.app.state == parts.WAITING:
            self.loop.after(wait_s, self.starter.wait_is_over)
        self.watch.begin()
        self.output.preload()

    def _failed(self, error: Exception) -> None:
        """A defect of ours: told in full, survived."""
        import traceback

        text = "".join(traceback.format_exception(error))
        self.event(
            "failed",
            "keeper",
            f"unexpected {type(error).__name__}: {error}",
            {"trace": text[-2000:]},
        )
        print(f"pillion: unexpected error in the keeper, which goes on: {text}", file=sys.stderr)

    def take_over(self) -> None:
        """Stand where the version before us stood: watch what it watched, and go on with what was due."""
        self.prepare()
        channel = self.output.channel
        if channel is not None:
            self.loop.add(channel.fileno(), self.inbox.on_scribe)
            if self.output.outdated:
                channel.send({"op": "finish", "bound_s": _SCRIBE_FINISH_S})
        elif not self.output.pid:
            self.starter.start_scribe()
        for component in self.components.values():
            if component is self.app and self.adopted is not None:
                self.adopted.watch(self.loop, self.exits.adopted_ended)
            elif component.process is not None:
                self.starter.watch(component, component.process)
                if component.role == parts.PROXY:
                    from .proxies import take_over

                    take_over(self, component)
            elif component.state == parts.BACKOFF:
                component.restart_timer = self.loop.after(1.0, self.exits.restarter(component))
        if self.app.state == parts.WAITING:
            self.loop.after(self.plan["agent"].get("wait_s", 0.0), self.starter.wait_is_over)
        if self.app.process is not None and self.app.process.ready:
            self.watch.arm_watchdog()
        self.describe()
        self.send_tree()
        self.watch.begin()
        self.output.preload()
        self.push_state()

    def describe(self) -> None:
        """Write instance.json anew."""
        command: list[Json] = list(self.plan["app"]["command"])
        bases: list[Json] = list(self.groups.directories())
        overrides: list[Json] = list(self.overrides)
        self.instance.describe(
            {
                "version": self.version,
                "started": self.started,
                "command": command,
                "groups": bases,
                "settings_file": self.plan["settings_file"],
                "overrides": overrides,
            }
        )

    @property
    def lingering(self) -> Lingering:
        """Listening sockets that a reload has done away with."""
        if self._lingering is None:
            from .renewal import Lingering

            self._lingering = Lingering(self)
        return self._lingering

    def forget(self, component: Component) -> None:
        """A component that the plan has no more has ended."""
        (self.proxies if component.role == parts.PROXY else self.sidecars).remove(component)
        del self.components[component.name]
        self.send_tree()
        self.push_state()

    def send_tree(self) -> None:
        """Tell the scribe what lives now: what it ends when we are killed."""
        channel = self.output.channel
        if channel is None:
            return
        app = self.plan["app"]
        proxies = [p for c in self.proxies for p in c.processes()]
        sidecar = [p for c in self.sidecars for p in c.processes()]
        channel.send(
            {
                "op": "tree",
                "policy": app["on_keeper_death"],
                "stop_signal": int(stop_signal(app["stop_signal"])),
                "stop_timeout_s": app["stop_timeout_s"],
                "runtime_dir": self.instance.runtime_dir,
                "app": [p.group.dump() for p in self.app.processes()],
                "sidecar": [p.group.dump() for p in (*proxies, *sidecar)],
                "sessions": [p.pid for p in proxies if not p.group.tracked],
                "bases": list(self.groups.directories()),
            }
        )

    def push_state(self) -> None:
        """Tell the agent how things stand, when something has changed."""
        process = self.agent.process
        if process is not None and process.channel is not None and process.ready:
            process.channel.send({"op": "state", "state": self.calls.status()})

    def event(
        self, kind: str, component: str, reason: str, data: dict[str, Json] | None = None
    ) -> None:
        """Enter an event in the journal."""
        self.journal.event(kind, component, reason, data)

    def _on_signal(self, number: int) -> None:
        name = signal_name(number)
        if number in _STOPPING:
            self.shutdown.asked(number, f"{name} received")
        else:
            self.signal_app(number)

    def signal_app(self, number: int) -> None:
        """Send a signal to the app's group, as a terminal would. What we are attached to gets none: it is not ours."""
        process = self.app.process
        if process is None or self.adopted is not None:
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
