"""Managed proxies as the keeper has them: programs that are not ours, started when the agent asks for it and kept from then on.

They have no control socket and no heartbeat, and say nothing but what they write. Once asked for, a proxy is started again whenever it
dies, whether there is an agent or not; it ends after the app and its last output, and before the agent. Loaded only where
the plan has a proxy, and after the start.
"""

from __future__ import annotations

import os
import stat
import time

from . import component as parts
from . import launch, posix, restart, tree
from .app import stop_signal
from .component import Component, Process
from .handed import secret_names
from .heart import Heart
from .lean import json, signal
from .places import proxy_path
from .sidecar import NOT_INHERITED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from .instance import Instance
    from .keeper import Keeper
    from .plan import Plan, ProxyPlan, RestartPlan

# Once for nothing, since a killed proxy is to serve again at once; then ever later, and never given up on.
POLICY: RestartPlan = {
    "policy": "always",
    "initial_s": 0.1,
    "max_s": 10.0,
    "factor": 2.0,
    "jitter": 0.2,
    "limit": 0,
    "reset_after_s": 5.0,
}
# How nginx learns which descriptors it inherits, each number with a semicolon behind it: so it hands them to itself in an upgrade
# (ngx_add_inherited_sockets). It takes those whose address its configuration listens on.
_INHERITED = "NGINX"
_FIRST_FD = 3
_POLL_S = 0.01
_ASK_AGAIN_S = 1.0
_ASKED_AT_MOST = 4
# What a killed master leaves is killed too, and waited for so long; then a new one starts in any case.
_GONE_BOUND_S = 5.0


def proxy_components(plan: Plan) -> list[Component]:
    """Return the components of the plan's proxies. They wait until they are asked for."""
    proxies = plan.get("proxies", {})
    return [Component(name, one["limits"], role=parts.PROXY) for name, one in proxies.items()]


def directory(instance: Instance, name: str) -> str:
    """Return where a proxy has its files: `conf` in it is what it serves. The agent makes it."""
    return f"{instance.state_dir}/proxies/{name}"


def command(name: str, plan: ProxyPlan, instance: Instance) -> list[str]:
    """Return the command line, with the instance's own directories in place of `{conf}`, `{state}` and `{runtime}`."""
    return [_placed(word, name, instance) for word in plan["command"]]


def _placed(word: str, name: str, instance: Instance) -> str:
    state = directory(instance, name)
    places = {"{conf}": f"{state}/conf", "{state}": state, "{runtime}": instance.runtime_dir}
    for mark, place in places.items():
        word = word.replace(mark, place)
    return word


def start(keeper: Keeper, component: Component) -> None:
    """Start a proxy. What cannot be forked is tried again; what cannot be executed ends at once, and is then tried again too."""
    plan = keeper.plan.get("proxies", {}).get(component.name)
    if plan is None:
        return  # a reload has done away with it
    component.generation += 1
    component.restart_timer = None
    group = keeper.groups.create(f"{component.name}.{component.generation}")
    keeper.starter.apply_limits(component, group)
    open_files = component.limits.get("open_files")
    sockets = [
        keeper.instance.sockets[n] for n in plan["listeners"] if n in keeper.instance.sockets
    ]
    inherited = {at: sock.fileno() for at, sock in enumerate(sockets, start=_FIRST_FD)}
    output, null = keeper.output.streams["sidecar"].write, keeper.starter.null
    clear_sockets(keeper.instance.runtime_dir, component.name)
    room = _room(component.name, plan, keeper.instance)
    try:
        pid, report = launch.start(
            launch.Launch(
                command(component.name, plan, keeper.instance),
                _environment(keeper, component.name, list(inherited)),
                {0: null, 1: output, 2: output, **inherited},
                procs_files=group.procs_files(),
                workdir=room,
                open_files=open_files if isinstance(open_files, int) else None,
                death_signal=int(signal.SIGTERM)
                if keeper.plan["app"]["on_keeper_death"] == "stop"
                else 0,
                oom_score=keeper.oom_score,
                most_files=True,
            )
        )
    except launch.Failure as failure:
        group.remove()
        keeper.starter.start_failed(component, str(failure))
        return
    component.process = Process(pid, group, Heart(0), None, report)
    component.state = parts.STARTING
    keeper.starter.watch(component, component.process)
    keeper.watch.look_again()
    keeper.send_tree()
    keeper.event("started", component.name, "start", {"pid": pid})


def clear_sockets(directory: str, name: str) -> None:
    """Remove the Unix sockets that a killed one has left: nginx would not start while they are there. Nobody of that name runs."""
    prefix = f"proxy-{name}."
    for entry in os.listdir(directory):
        # The name of another proxy may begin with this one's and a dot.
        if entry.startswith(prefix) and "." not in entry[len(prefix) :]:
            path = f"{directory}/{entry}"
            try:
                if stat.S_ISSOCK(os.lstat(path).st_mode):
                    os.unlink(path)
            except OSError:
                continue  # the proxy itself says what is in its way


def _room(name: str, plan: ProxyPlan, instance: Instance) -> str | None:
    """Make the directory that a proxy is started in, without the sockets that a killed one has left there.

    Its workers reach a socket in it by a name without a directory, whoever they are and whatever the directories above it allow.
    """
    room = plan.get("room")
    if room is None:
        return None
    room = _placed(room, name, instance)
    try:
        os.makedirs(room, exist_ok=True)
        os.chmod(room, 0o755)  # noqa: S103 # nginx looks at it where a name is empty
        for entry in os.listdir(room):
            if stat.S_ISSOCK(os.lstat(f"{room}/{entry}").st_mode):
                os.unlink(f"{room}/{entry}")
    except OSError:
        return room  # that it cannot be entered is told, and tried again
    return room


def _environment(keeper: Keeper, name: str, inherited: list[int]) -> dict[str, str]:
    left_out = {*secret_names(keeper.plan), *NOT_INHERITED, _INHERITED}
    env = {k: v for k, v in os.environ.items() if k not in left_out}
    env["PATH"] = proxy_path()
    env[tree.MARK] = keeper.instance.run
    # By it the guard tells the sidecar's from the app's, where no control group does.
    env[tree.ROLE_MARK] = json.dumps({"v": 1, "role": parts.PROXY, "component": name})
    if inherited:
        env[_INHERITED] = "".join(f"{fd};" for fd in inherited)
    return env


def living(process: Process) -> list[int]:
    """Return the living processes of a proxy, also those that a killed master has left.

    Without a control group by their session, which is the master's: it survives the master, and that nginx writes over its environment.
    """
    group = process.group
    return group.pids() if group.tracked else posix.session_of(process.pid)


def kill(process: Process) -> None:
    """SIGKILL everything of a proxy."""
    process.group.kill() if process.group.tracked else tree.signal_all(
        living(process), signal.SIGKILL
    )


def stop(keeper: Keeper, component: Component, plan: ProxyPlan) -> None:
    """Ask a running proxy to finish what it has under way, and kill it when that takes too long. `stop_wanted` says what follows."""
    process = component.process
    if process is None:
        return
    component.state = parts.STOPPING
    _ask_to_stop(keeper, process, stop_signal(plan["stop_signal"]), _ASKED_AT_MOST)
    keeper.kill_pid(process.pid, signal.SIGCONT)
    bound_s = plan["stop_timeout_s"]

    def too_late() -> None:
        process.killed_because = f"did not stop within {bound_s:g} s"
        keeper.event("killed", component.name, process.killed_because, {"pid": process.pid})
        kill(process)

    process.timers.append(keeper.loop.after(bound_s, too_late))


def _ask_to_stop(keeper: Keeper, process: Process, number: int, times: int) -> None:
    """Send the signal, and again while it stands: HAProxy's master does not hear it while it executes itself anew for a load."""
    keeper.kill_pid(process.pid, number)
    if times > 1:
        again = keeper.loop.after(
            _ASK_AGAIN_S, lambda: _ask_to_stop(keeper, process, number, times - 1)
        )
        process.timers.append(again)


def ended(keeper: Keeper, component: Component, process: Process) -> None:
    """The master has ended: end what it has left, and only then see what follows, since a new one needs its addresses."""
    component.process = None
    component.retiring.append(process)
    if not component.stop_wanted and not keeper.shutdown.begun:
        component.state = parts.BACKOFF
    ran_s = time.monotonic() - process.started_s
    deadline_s = time.monotonic() + _GONE_BOUND_S

    def poll() -> None:
        if living(process) and time.monotonic() < deadline_s:
            kill(process)
            keeper.loop.after(_POLL_S, poll)
            return
        component.retiring.remove(process)
        keeper.exits.remove_group(process)
        _gone(keeper, component, ran_s)

    poll()


def _gone(keeper: Keeper, component: Component, ran_s: float) -> None:
    keeper.send_tree()
    if component.stop_wanted or keeper.shutdown.begun:
        component.state = parts.STOPPED
        keeper.calls.component_changed(component)
        if component.leaving:
            keeper.forget(component)
        keeper.push_state()
        keeper.shutdown.proxy_gone()
        return
    decision = restart.decide(
        POLICY, component.failures, success=False, ran_s=ran_s, random=restart.draw()
    )
    component.failures = decision.failures
    if decision.failures == 1:
        decision.delay_s, decision.reason = 0.0, "at once"
    keeper.exits.schedule_restart(component, decision)


def take_over(keeper: Keeper, component: Component) -> None:
    """Go on with what the version before us was about: of a proxy that was being stopped its time begins anew."""
    plan = keeper.plan.get("proxies", {}).get(component.name)
    if component.process is not None and component.stop_wanted and plan is not None:
        stop(keeper, component, plan)


def renew(keeper: Keeper, old: Plan, new: Plan) -> None:
    """Have the proxies of a newly read plan, which is in force: no others, and those that changed as they are now.

    A changed program is started anew. One whose kind or listeners have changed needs another configuration first:
    it is stopped, and waits to be asked for. Anything else holds from its next start.
    """
    before, wanted = old.get("proxies", {}), new.get("proxies", {})
    for component in list(keeper.proxies):
        if component.name not in wanted and not component.leaving:
            _dismiss(keeper, component, before[component.name])
    for component in proxy_components(new):
        present = keeper.components.get(component.name)
        if present is None:
            keeper.proxies.append(component)
            keeper.components[component.name] = component
            continue
        if present.leaving:
            present.leaving = False
            keeper.calls.when_changed(present, _waiter(present))
            continue
        was, now = before[component.name], wanted[component.name]
        if was["command"][1:] != now["command"][1:] or was["listeners"] != now["listeners"]:
            _stop_and(keeper, present, was, _waiter(present))
        elif was["command"] != now["command"]:
            _stop_and(keeper, present, was, _starter(keeper, present))


def _waiter(component: Component) -> Callable[[], None]:
    def wait() -> None:
        component.state = parts.WAITING
        component.stop_wanted = False

    return wait


def _starter(keeper: Keeper, component: Component) -> Callable[[], None]:
    def begin() -> None:
        component.restarts += 1
        keeper.exits.restart_component(component)

    return begin


def _stop_and(
    keeper: Keeper, component: Component, plan: ProxyPlan, then: Callable[[], None]
) -> None:
    """Stop a proxy that runs, by the plan that it was started by, and go on when it has ended; one that was stopped by hand stays so."""
    if component.process is None and not component.retiring:
        if component.state == parts.BACKOFF:
            _cancel(component)
            then()
        return
    if component.stop_wanted:
        return
    component.stop_wanted = True
    keeper.calls.when_changed(component, then)
    stop(keeper, component, plan)


def _dismiss(keeper: Keeper, component: Component, plan: ProxyPlan) -> None:
    """Have a proxy finish and end: the plan has it no more."""
    component.leaving = True
    if component.process is None and not component.retiring:
        _cancel(component)
        keeper.forget(component)
    elif not component.stop_wanted:
        component.stop_wanted = True
        stop(keeper, component, plan)


def _cancel(component: Component) -> None:
    if component.restart_timer is not None:
        component.restart_timer.cancel()
        component.restart_timer = None


def end_all(keeper: Keeper) -> None:
    """Stop every proxy: the instance is stopping. Those that are on their way out already have their bound."""
    plans = keeper.plan.get("proxies", {})
    for component in list(keeper.proxies):
        _cancel(component)
        if component.process is None:
            component.state = parts.STOPPED
        elif not component.stop_wanted and component.name in plans:
            stop(keeper, component, plans[component.name])
