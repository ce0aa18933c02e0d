"""What the agent and operators may ask of the keeper: a table of methods, each answered at once or when it is done."""

from __future__ import annotations

import os
import resource

from . import cgroups, wire
from . import component as parts
from .app import checked_variables, stop_signal
from .lean import signal
from .reply import Refused, Reply
from .upgrade import Upgrade
from .watchdog_calls import WatchdogCalls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from .component import Component, Process
    from .keeper import Keeper
    from .plan import LimitsPlan
    from .wire import Channel, Json, Message

# As many components or sockets always fit into one message.
_FEW = 16
_LIMIT_NAMES = ("memory", "cpu", "processes", "open_files")


class Calls:
    """Answers calls. Those that wait for a process to end are kept until `component_changed`."""

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper
        self._waiting: dict[str, list[Callable[[], None]]] = {}
        self._methods: dict[str, Callable[[Reply, Message], None]] = {
            "status": lambda reply, _: reply.result(self.status()),
            "components": lambda reply, _: reply.result({"items": self.views()}),
            "start": self._start,
            "stop": self._stop,
            "restart": self._restart,
            "signal": self._signal,
            "limits": self._limits,
            "upgrade": self._upgrade,
            "reload": self._reload,
            "app-ready": self._app_ready,
            "app-environment": self._app_environment,
            "shutdown": self._shutdown,
            **WatchdogCalls(keeper).methods,
        }

    def handle(self, channel: Channel, message: Message) -> None:
        """Carry out one call message."""
        reply = Reply(channel, message.get("id"))
        method = self._methods.get(str(message.get("method")))
        params = message.get("params")
        if method is None:
            reply.error(
                404,
                "No such method",
                f"cannot call {message.get('method')}: the keeper has no such method",
            )
            return
        try:
            method(reply, params if isinstance(params, dict) else {})
        except Refused as refused:
            reply.error(refused.status, refused.title, str(refused))
        except Exception as error:
            reply.error(
                500,
                "Unexpected error",
                f"cannot {message.get('method')}: {error!r}; see the keeper's output",
            )
            raise

    def views(self) -> list[Json]:
        """Return every component, keeper and scribe among them."""
        keeper = self._keeper
        own: list[Json] = [
            {
                "name": "keeper", "state": parts.RUNNING, "pid": os.getpid(), "started": keeper.started, "restarts": 0,
                "ready": True, "version": keeper.version, "limits": {}, "limits_by": keeper.groups.means, "usage": {},
                "last_exit": None, "stats": {"events_dropped": keeper.journal.dropped, **keeper.inbox.heard.stats()},
            },
            {
                "name": "scribe", "state": parts.RUNNING if keeper.output.pid else parts.BACKOFF, "pid": keeper.output.pid,
                "started": keeper.started, "restarts": keeper.output.restarts, "ready": True, "version": keeper.version,
                "limits": {}, "limits_by": keeper.groups.means, "usage": {}, "last_exit": None, "stats": keeper.output.stats,
            },
        ]  # fmt: skip
        return [*own, *(c.view() for c in keeper.components.values())]

    def status(self) -> dict[str, Json]:
        """Return the whole instance; without what its processes count, when that does not fit into a message."""
        status = self._status()
        if len(self._keeper.components) > _FEW or len(self._keeper.instance.sockets) > _FEW:
            try:
                wire.encode({"op": "reply", "id": 1 << 53, "result": status})
            except ValueError:
                components = self.views()
                for component in components:
                    assert isinstance(component, dict)
                    component["stats"] = {}
                status["components"] = components
        return status

    def _status(self) -> dict[str, Json]:
        keeper = self._keeper
        instance, said = keeper.instance, keeper.notify
        return {
            "instance": instance.name,
            "run": instance.run,
            "keeper": {"pid": os.getpid(), "started": keeper.started, "version": keeper.version},
            "app": {
                "name": keeper.plan["app"]["name"],
                "command": list(keeper.plan["app"]["command"]),
                "ready": bool(keeper.app.process and keeper.app.process.ready),
                "status_text": said.status,
                "reloading": said.reloading,
                "stopping": said.stopping,
                "main_pid": said.main_pid,
                "watchdog": keeper.watch.facts(),
            },
            "url": instance.url,
            "listeners": self._listeners(),
            "stopping": keeper.shutdown.begun,
            "components": self.views(),
        }

    def _listeners(self) -> dict[str, Json]:
        plan = self._keeper.plan
        if "ambassador" not in plan and "proxies" not in plan:
            return {}
        from .listeners import addresses

        return {**addresses(plan, self._keeper.instance.sockets)}

    def _component(self, params: Message) -> Component:
        name = str(params.get("name"))
        component = self._keeper.components.get(name)
        if component is None:
            names = ", ".join(self._keeper.components)
            raise Refused(
                404, "No such component", f"cannot find component {name}; there are {names}"
            )
        return component

    def _own_component(self, params: Message) -> Component:
        """The component, unless it is one that we are merely attached to."""
        component = self._component(params)
        if component is self._keeper.app and self._keeper.adopted is not None:
            raise Refused(
                409,
                "Attached",
                "cannot control the app: it was started by someone else; ask its own supervisor",
            )
        return component

    def when_changed(self, component: Component, then: Callable[[], None]) -> None:
        """Do this when a component that was told to stop has stopped."""
        self._waiting.setdefault(component.name, []).append(then)

    def component_changed(self, component: Component) -> None:
        """A component that was told to stop has stopped."""
        self._keeper.event("stopped", component.name, "as asked")
        for then in self._waiting.pop(component.name, []):
            then()

    def _start(self, reply: Reply, params: Message) -> None:
        component = self._own_component(params)
        self._refuse_while_stopping()

        def begin() -> None:
            if component.process is None:
                self._keeper.exits.restart_component(component)
            reply.result(component.view())

        if component.role == parts.PROXY and component.processes():
            if not component.stop_wanted or component.leaving:
                raise Refused(
                    409,
                    "Already running",
                    f"cannot start {component.name}: it is {component.state}",
                )
            # On its way out, and wanted again.
            self.when_changed(component, begin)
            return
        if component.process is not None:
            raise Refused(
                409,
                "Already running",
                f"cannot start {component.name}: it runs as pid {component.process.pid}",
            )
        begin()

    def _stop(self, reply: Reply, params: Message) -> None:
        component = self._own_component(params)
        self._end(component, lambda: reply.result(component.view()))

    def _restart(self, reply: Reply, params: Message) -> None:
        component = self._own_component(params)
        self._refuse_while_stopping()

        def again() -> None:
            component.restarts += 1
            component.failures = 0
            self._keeper.exits.restart_component(component)
            reply.result(component.view())

        self._end(component, again)

    def _refuse_while_stopping(self) -> None:
        if self._keeper.shutdown.begun:
            raise Refused(409, "Stopping", "cannot start anything: the instance is stopping")

    def _end(self, component: Component, then: Callable[[], None]) -> None:
        process = component.process
        if process is None and not (component.role == parts.PROXY and component.retiring):
            if component.restart_timer is not None:
                component.restart_timer.cancel()
                component.restart_timer = None
            component.state = parts.STOPPED
            then()
            return
        self.when_changed(component, then)
        if component.stop_wanted:
            return
        component.stop_wanted = True
        component.state = parts.STOPPING
        if process is None:
            return  # what a killed master has left is being ended
        if component.role == parts.PROXY:
            from .proxies import stop

            stop(self._keeper, component, self._keeper.plan["proxies"][component.name])
            return
        if component is self._keeper.app:
            self._keeper.drain.before(lambda: self._stop_app(process))
            return
        bound_s = 5.0
        if process.channel is not None:
            process.channel.send({"op": "stop", "grace_s": bound_s})
        self._kill_after(component, process, bound_s + 1.0)

    def _stop_app(self, process: Process) -> None:
        """Nobody finds it any more: now it may be told."""
        plan = self._keeper.plan["app"]
        if self._keeper.app.process is process:
            self._keeper.signal_app(stop_signal(plan["stop_signal"]))
            self._kill_after(self._keeper.app, process, plan["stop_timeout_s"])

    def _kill_after(self, component: Component, process: Process, bound_s: float) -> None:
        keeper = self._keeper

        def kill() -> None:
            if component.process is process:
                process.killed_because = f"did not stop within {bound_s:g} s"
                process.group.kill() if process.group.tracked else keeper.kill_pid(
                    process.pid, signal.SIGKILL
                )

        process.timers.append(keeper.loop.after(bound_s, kill))

    def _signal(self, reply: Reply, params: Message) -> None:
        component = self._own_component(params)
        name = str(params.get("signal"))
        try:
            number = stop_signal(name)
        except KeyError:
            raise Refused(
                422, "No such signal", f"cannot send {name}: no such signal; try HUP, USR1, USR2"
            ) from None
        process = component.process
        if process is None:
            raise Refused(
                409, "Not running", f"cannot signal {component.name}: it is {component.state}"
            )
        if component is self._keeper.app:
            self._keeper.signal_app(number)
        else:
            self._keeper.kill_pid(process.pid, number)
        reply.result(component.view())

    def _limits(self, reply: Reply, params: Message) -> None:
        component = self._own_component(params)
        wanted = params.get("limits")
        if not isinstance(wanted, dict):
            raise Refused(422, "No limits", "cannot change limits: none were given")
        limits: LimitsPlan = {**component.limits}
        for key, value in wanted.items():
            if key not in _LIMIT_NAMES:
                raise Refused(
                    422, "No such limit", f"cannot limit {key}; there are {', '.join(_LIMIT_NAMES)}"
                )
            if value is not None and (
                isinstance(value, bool) or not isinstance(value, (int, float)) or value <= 0
            ):
                raise Refused(
                    422,
                    "No limit",
                    f"cannot limit {key} to {value}: a positive number is needed, or null to lift it",
                )
            _set(limits, key, value)
        process = component.process
        if process is not None:
            try:
                process.group.apply(limits)
                self._open_files(component, limits.get("open_files"))
            except cgroups.LimitRefused as refused:
                process.group.apply(component.limits)
                raise Refused(409, "Limit refused", str(refused)) from refused
        component.limits = limits
        self._keeper.watch.look_again()
        self._keeper.event(
            "limits",
            component.name,
            "changed",
            {k: v for k, v in wanted.items() if isinstance(v, (int, float))},
        )
        self._keeper.push_state()
        reply.result(component.view())

    def _open_files(self, component: Component, count: int | None) -> None:
        process = component.process
        if process is None or count is None:
            return
        if component is self._keeper.app:
            pids = self._keeper.exits.app_pids(process)
        elif component.role == parts.PROXY:
            from .proxies import living

            pids = living(process)
        else:
            pids = [process.pid]
        for pid in pids:
            try:
                resource.prlimit(pid, resource.RLIMIT_NOFILE, (count, count))
            except ProcessLookupError:
                continue
            except (PermissionError, ValueError) as error:
                if component.role == parts.PROXY and pid != process.pid:
                    continue  # a worker that has become another user: the next ones inherit it
                raise cgroups.LimitRefused(
                    f"cannot limit open files of pid {pid} to {count}: {error}"
                ) from error

    def _upgrade(self, reply: Reply, params: Message) -> None:
        self._refuse_while_stopping()
        keeper = self._keeper
        if keeper.upgrade is not None or keeper.succession.under_way:
            raise Refused(
                409,
                "Upgrade under way",
                "cannot upgrade: another upgrade is under way; wait for it",
            )
        python, names, drain = params.get("python"), params.get("components"), params.get("drain_s")
        wanted = (
            [str(n) for n in names]
            if isinstance(names, list) and names
            else [c.name for c in keeper.sidecars]
        )
        if wanted == ["keeper"]:
            keeper.succession.begin(python if isinstance(python, str) else None, reply)
            return
        known = [c.name for c in keeper.sidecars]
        # What there need not be is no mistake.
        if unknown := [n for n in wanted if n not in (*known, parts.SHIPPER, parts.AMBASSADOR)]:
            raise Refused(
                422,
                "Cannot upgrade",
                f"cannot upgrade {', '.join(unknown)}: there are {', '.join(known)} and keeper",
            )
        wanted = [n for n in wanted if n in known]
        # The agent last: it is the one that answers.
        wanted.sort(key=lambda n: n == parts.AGENT)

        def done(upgraded: list[Json], error: str | None) -> None:
            if error is None:
                reply.result({"upgraded": upgraded})
            else:
                reply.error(
                    500, "Upgrade failed", f"cannot upgrade: {error}; the old version carries on"
                )

        keeper.upgrade = Upgrade(
            keeper, wanted, python if isinstance(python, str) else None,
            float(drain) if isinstance(drain, (int, float)) else None, done,
        )  # fmt: skip
        keeper.upgrade.begin()

    def _reload(self, reply: Reply, params: Message) -> None:
        plan = params.get("plan")
        if isinstance(plan, dict):
            if plan.get("v") != self._keeper.plan["v"]:
                raise Refused(
                    422,
                    "Another version",
                    f"cannot take over a plan of version {plan.get('v')}; upgrade the keeper too",
                )
            from .renewal import renew

            renew(self._keeper, plan)  # type: ignore[arg-type] # versioned, and written by our own agent
        for component in self._keeper.sidecars:
            process = component.process
            if process is not None and process.channel is not None:
                process.channel.send({"op": "reload"})
        self._keeper.event("reloaded", "keeper", "settings are read again")
        reply.result({})

    def _app_ready(self, reply: Reply, params: Message) -> None:
        del params
        self._keeper.starter.app_is_ready()
        reply.result({})

    def _app_environment(self, reply: Reply, params: Message) -> None:
        """Keep these variables for every start of the app from now on, in place of those that were told before."""
        try:
            self._keeper.app_variables = checked_variables(params.get("env"))
        except ValueError as error:
            raise Refused(
                422, "No environment", f"cannot put this into the app's environment: {error}"
            ) from error
        reply.result({})

    def _shutdown(self, reply: Reply, params: Message) -> None:
        del params
        reply.result({})
        self._keeper.shutdown.begin(None, "asked to shut down")

    def child_exited(self, pid: int, code: int) -> None:
        """A child that is no component has ended (the trial child of our own upgrade)."""
        self._keeper.succession.trial_exited(pid, code)


def _set(limits: LimitsPlan, key: str, value: float | None) -> None:
    if key == "cpu":
        limits["cpu"] = None if value is None else float(value)
    elif key == "memory":
        limits["memory"] = None if value is None else int(value)
    elif key == "processes":
        limits["processes"] = None if value is None else int(value)
    else:
        limits["open_files"] = None if value is None else int(value)
