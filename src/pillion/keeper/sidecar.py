"""Which processes the sidecar has, and how each is started: the interpreter, the code, the descriptors, and what it is told."""

from __future__ import annotations

import os
import sys

from .component import AGENT, AMBASSADOR, SHIPPER, Component
from .handed import HANDED, secret_names
from .launch import Launch
from .lean import json, signal
from .streams import API, TRAFFIC
from .tree import MARK, ROLE_MARK

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .cgroups import Group
    from .instance import Instance
    from .lean import socket
    from .output import Stream
    from .plan import Plan, SidecarPlan
    from .wire import Message

# What the service manager said to us alone, and what would change how our own code behaves.
NOT_INHERITED = (
    "NOTIFY_SOCKET",
    "WATCHDOG_USEC",
    "WATCHDOG_PID",
    "LISTEN_PID",
    "LISTEN_FDS",
    "LISTEN_FDNAMES",
)
_FIRST_FD = 3

# Which of the instance's sockets a role serves.
_SOCKETS = {AGENT: ("api_unix", "api_tcp", "probe"), SHIPPER: ()}


def sidecar_components(plan: Plan) -> list[Component]:
    """Return the components of the sidecar that the plan has, in the order in which they are started."""
    found = [
        Component(role, sidecar_plan(plan, role)["limits"])
        for role in (AGENT, SHIPPER)
        if sidecar_plan(plan, role)["enabled"]
    ]
    if "ambassador" in plan:
        found += [worker(plan, number) for number in range(1, plan["ambassador"]["workers"] + 1)]
    return found


def worker(plan: Plan, number: int) -> Component:
    """Return the component of the ambassador's worker of this number, from 1."""
    name = AMBASSADOR if number == 1 else f"{AMBASSADOR}-{number}"
    limits = plan["ambassador"]["limits"]
    return Component(name, limits, role=AMBASSADOR, worker=number)


def command(role: str, python: str | None) -> list[str]:
    """Return the command line of a sidecar process: our own interpreter and code, or those that another interpreter finds."""
    # To walk again and again what has just been imported is a twentieth of the start.
    load = f"gc.disable(); from pillion.processes.{role} import main; gc.enable()"
    call = f"{load}; sys.exit(main())"
    if python is not None:
        return [python, "-I", "-c", f"import gc, sys; {call}"]
    return [
        sys.executable,
        "-I",
        "-S",
        "-c",
        f"import gc, sys; sys.path[:] = {running_paths()!r}; {call}",
    ]


def running_paths() -> list[str]:
    """Return where this process finds its code: others are to run the same."""
    return list(sys.path)


def sidecar_launch(
    component: Component,
    plan: Plan,
    instance: Instance,
    streams: dict[str, Stream],
    group: Group,
    control: socket.socket,
    *,
    passive: bool = False,
    handover: socket.socket | None = None,
    oom_score: str | None = None,
    null: int,
    secrets: int = -1,
) -> Launch:
    """Return how to start a process of the sidecar. `null` is /dev/null, its standard input; `secrets` is from `handed.hand_over`."""
    role = component.role
    settings = sidecar_plan(plan, role)
    fds = {0: null, 1: streams["sidecar"].write, 2: streams["sidecar"].write}
    numbers = {}
    served = plan["ambassador"]["listeners"] if role == AMBASSADOR else _SOCKETS[role]
    sources = {
        "control": control,
        **{n: instance.sockets[n] for n in served if n in instance.sockets},
    }
    if handover is not None:
        sources["handover"] = handover
    passed = {name: sock.fileno() for name, sock in sources.items()}
    if role == AGENT:
        passed["logs"] = streams[API].write
        if secrets >= 0:
            passed[HANDED] = secrets
    elif role == AMBASSADOR:
        passed.update({name: streams[name].write for name in TRAFFIC})
    for number, (name, fd) in enumerate(passed.items(), start=_FIRST_FD):
        fds[number] = fd
        numbers[name] = number
    place: Message = {
        "v": 1,
        "role": role,
        "component": component.name,
        "worker": component.worker,
        "instance": instance.name,
        "run": instance.run,
        "runtime_dir": instance.runtime_dir,
        "state_dir": instance.state_dir,
        "heartbeat_s": settings["heartbeat_s"],
        "passive": passive,
        "fds": dict(numbers),
    }
    left_out = secret_names(plan).union(NOT_INHERITED)
    env = {k: v for k, v in os.environ.items() if k not in left_out}
    env[MARK] = instance.run
    env[ROLE_MARK] = json.dumps(place)
    open_files = settings["limits"].get("open_files")
    return Launch(
        command(role, component.python),
        env,
        fds,
        procs_files=group.procs_files(),
        open_files=open_files if isinstance(open_files, int) else None,
        death_signal=int(signal.SIGTERM) if plan["app"]["on_keeper_death"] == "stop" else 0,
        oom_score=oom_score,
        # Each connection is one, each listener another.
        most_files=role == AMBASSADOR,
    )


def sidecar_plan(plan: Plan, role: str) -> SidecarPlan:
    """Return the plan of a role."""
    if role == AGENT:
        return plan["agent"]
    # A worker that the plan has no more goes within anybody's bounds.
    return plan["ambassador"] if role == AMBASSADOR and "ambassador" in plan else plan["shipper"]
