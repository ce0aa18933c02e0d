"""A newly read plan while everything runs: limits, listeners and workers at once, the app's command and environment from its next start.

All or nothing: what cannot be had (a limit below what is in use, an address that another holds) is refused before anything changes.
"""

from __future__ import annotations

from . import component as parts
from . import proxies
from .cgroups import LimitRefused
from .instance import write_token
from .launch import Failure
from .lean import signal
from .listeners import Rebinding, plan_listeners, stop_listening, worker_listeners
from .output import open_stream, stream_names
from .places import PROXY_TOKEN
from .reply import Refused
from .sidecar import sidecar_components, sidecar_plan

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .component import Component
    from .keeper import Keeper
    from .lean import socket
    from .plan import Plan
    from .wire import Json

# For the workers to accept what is in the backlog of a listener that goes.
_LINGER_S = 1.0
# What a worker that is done away with gets on top of its drain before it is killed.
_MARGIN_S = 2.0
# Descriptors in one message (SCM_MAX_FD is 253).
_AT_ONCE = 64
_SCRIBE_FINISH_S = 5.0


class Lingering:
    """Sockets that the plan has no more, for a moment: until the workers have taken what waited in them."""

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper
        self._sockets: list[socket.socket] = []

    def add(self, sockets: list[socket.socket]) -> None:
        """Close these soon."""
        if sockets:
            self._sockets += sockets
            self._keeper.loop.after(_LINGER_S, self.end)

    def end(self) -> None:
        """Close them now, for everyone: an address may be wanted again."""
        for sock in self._sockets:
            stop_listening(sock)
            sock.close()
        self._sockets.clear()


def renew(keeper: Keeper, plan: Plan) -> None:
    """Take over from a newly read plan what can change while everything runs. Raises Refused, and then nothing has changed."""
    old, new = keeper.plan, _kept(keeper.plan, plan)
    wanted = {c.name: c for c in sidecar_components(new)}
    going = [c for c in keeper.sidecars if c.name not in wanted and not c.leaving]
    if going and keeper.upgrade is not None:
        raise Refused(
            409,
            "Upgrade under way",
            "cannot reload: a worker would go that is being upgraded; wait for it",
        )
    keeper.lingering.end()
    try:
        rebinding = Rebinding(keeper.instance.sockets, plan_listeners(old), plan_listeners(new))
    except Failure as failure:
        raise Refused(409, "Cannot listen", str(failure)) from failure
    try:
        _furnish(keeper, new)
        _apply_limits(keeper, new, set(wanted))
    except (LimitRefused, OSError) as refused:
        rebinding.undo()
        raise Refused(409, "Cannot be had", str(refused)) from refused
    keeper.plan = new
    _rebind(keeper, rebinding, {*worker_listeners(old), *worker_listeners(new)})
    proxies.renew(keeper, old, new)
    for component in going:
        _dismiss(keeper, component)
    for component in wanted.values():
        _have(keeper, component)
    keeper.watch.look_again()
    keeper.send_tree()
    keeper.push_state()


def _kept(old: Plan, new: Plan) -> Plan:
    """The new plan, with what only another start of the instance changes as it was."""
    changed: Plan = {
        **old,
        "app": new["app"],
        "agent": new["agent"],
        "shipper": {**new["shipper"], "enabled": old["shipper"]["enabled"]},
    }
    changed.pop("ambassador", None)
    changed.pop("proxies", None)
    if "ambassador" in new:
        changed["ambassador"] = new["ambassador"]
    if "proxies" in new:
        changed["proxies"] = new["proxies"]
    return changed


def _apply_limits(keeper: Keeper, plan: Plan, names: set[str]) -> None:
    wanted = {
        c.name: sidecar_plan(plan, c.role)["limits"] for c in keeper.sidecars if c.name in names
    }
    wanted.update({name: proxy["limits"] for name, proxy in plan.get("proxies", {}).items()})
    wanted["app"] = plan["app"]["limits"]
    components = [c for c in keeper.components.values() if c.name in wanted]
    applied: list[Component] = []
    try:
        for component in components:
            if component.process is not None and component.limits != wanted[component.name]:
                applied.append(component)
                component.process.group.apply(wanted[component.name])
    except LimitRefused:
        for component in applied:
            if component.process is not None:
                component.process.group.apply(component.limits)
        raise
    for component in components:
        component.limits = wanted[component.name]


def _furnish(keeper: Keeper, plan: Plan) -> None:
    """The first ambassador of this run needs its streams and the proxy's token; raises OSError when there is no room for them."""
    instance, output = keeper.instance, keeper.output
    if "ambassador" not in plan:
        return
    if not instance.proxy_token:
        instance.proxy_token = write_token(instance.path(PROXY_TOKEN))
    missing = [name for name in stream_names(plan) if name not in output.streams]
    for name in missing:
        output.streams[name] = open_stream(name, plan["logs"])
    if missing and output.channel is not None:
        # A scribe has the streams that there were when it was forked; the next one has all, and the pipes wait for it.
        output.channel.send({"op": "finish", "bound_s": _SCRIBE_FINISH_S})


def _rebind(keeper: Keeper, rebinding: Rebinding, workers: set[str]) -> None:
    sockets = keeper.instance.sockets
    for name in rebinding.gone:
        sockets.pop(name, None)
    sockets.update(rebinding.added)
    if not rebinding.added and not rebinding.gone:
        return
    told = workers.intersection((*rebinding.added, *rebinding.gone))
    for component in keeper.sidecars if told else ():
        if component.role == parts.AMBASSADOR:
            for process in (component.process, component.successor):
                if process is not None and process.channel is not None:
                    _tell(keeper, component, process, rebinding, told)
    keeper.lingering.add(rebinding.dropped)


def _tell(
    keeper: Keeper,
    component: Component,
    process: parts.Process,
    rebinding: Rebinding,
    told: set[str],
) -> None:
    """Hand a worker what was added and name what is gone; one that does not take it starts anew, with the right ones."""
    assert process.channel is not None
    names = [name for name in rebinding.added if name in told]
    all_gone = [name for name in rebinding.gone if name in told]
    sent = True
    for first in range(0, max(1, len(names)), _AT_ONCE):
        some: list[Json] = list(names[first : first + _AT_ONCE])
        gone: list[Json] = [] if first else list(all_gone)
        fds = [rebinding.added[str(name)].fileno() for name in some]
        sent &= process.channel.send({"op": "listeners", "added": some, "gone": gone}, fds)
    if not sent:
        process.killed_because = "does not read what the keeper says of its listeners"
        keeper.event("killed", component.name, process.killed_because, {"pid": process.pid})
        keeper.kill_pid(process.pid, signal.SIGKILL)


def _have(keeper: Keeper, wanted: Component) -> None:
    """See to it that there is such a component. One that was on its way out comes back when its process has ended."""
    present = keeper.components.get(wanted.name)
    if present is None:
        keeper.sidecars.append(wanted)
        keeper.components[wanted.name] = wanted
        if not keeper.shutdown.begun:
            keeper.starter.start_sidecar(wanted)
    elif present.leaving:
        present.leaving = present.stop_wanted = False


def _dismiss(keeper: Keeper, component: Component) -> None:
    """Have a worker drain and end: the plan has it no more."""
    component.leaving = component.stop_wanted = True
    if component.restart_timer is not None:
        component.restart_timer.cancel()
        component.restart_timer = None
    process = component.process
    if process is None:
        keeper.forget(component)
        return
    component.state = parts.STOPPING
    drain_s = sidecar_plan(keeper.plan, component.role)["drain_s"]
    if process.channel is not None:
        process.channel.send({"op": "retire", "drain_s": drain_s})
    process.timers.append(
        keeper.loop.after(drain_s + _MARGIN_S, lambda: keeper.kill_pid(process.pid, signal.SIGKILL))
    )
