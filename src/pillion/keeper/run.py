"""`pillion run` from the plan on: claim the instance, bind, fork, turn."""

from __future__ import annotations

import os
import sys

from . import cgroups, hierarchies, places
from .instance import Instance, claim, write_atomically, write_token
from .keeper import Keeper
from .launch import Failure, lookup_ids
from .output import open_streams, stream_names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .attach import Adopted
    from .plan import Plan


def run(
    plan: Plan,
    settings: str,
    *,
    version: str,
    name: str | None = None,
    pid: int | None = None,
    overrides: list[str] | None = None,
) -> int:
    """Keep one instance until it has ended. Returns the exit code: the app's, 128+n for a signal, 1 when nothing could be started.

    `settings` is the text of settings.json, for agent and shipper. A name that was asked for is taken or refused; one that was derived from the
    command gets a number when it is taken. `pid` adopts a process instead of starting one. `overrides`
    are the command line's settings, for a later reload.
    """
    try:
        adopted = _adopt(pid) if pid is not None else None
        instance = prepare(plan, settings, name)
    except Failure as failure:
        print(f"pillion: {failure}", file=sys.stderr)
        return failure.code
    groups = cgroups.Groups(hierarchies.detect(), f"pillion-{instance.name}-{instance.run[-6:]}")
    groups.prepare()
    keeper = Keeper(plan, instance, open_streams(plan["logs"], stream_names(plan)), groups)
    keeper.version = version
    keeper.overrides = overrides or []
    keeper.adopted = adopted
    keeper.prepare()
    keeper.begin()
    return keeper.run()


def _adopt(pid: int) -> Adopted:
    from .attach import Adopted

    return Adopted.open(pid)


def prepare(plan: Plan, settings: str, name: str | None) -> Instance:
    """Claim and furnish the instance. Raises Failure."""
    _hold_standard_descriptors()
    exact = name is not None or plan["settings_file"] is not None
    instance = claim(places.instance_name(name or plan["app"]["name"]), exact=exact)
    ids = lookup_ids(plan["app"]["user"], plan["app"]["group"])
    instance.bind(plan["api"], app_uid=ids[0] if ids else None)
    if "ambassador" in plan or "proxies" in plan:
        from .listeners import bind, plan_listeners

        instance.sockets.update(bind(plan_listeners(plan)))
    if "ambassador" in plan:
        instance.proxy_token = write_token(instance.path(places.PROXY_TOKEN))
    if ids is not None and ids[0] != os.getuid():
        # The app's user must reach the sockets in it, and may list nothing.
        os.chmod(instance.runtime_dir, 0o711)  # noqa: S103 # to pass through, not to list
    write_atomically(instance.path(places.SETTINGS_FILE), settings)
    run_dir = f"{instance.state_dir}/spool/{instance.run}"
    os.makedirs(run_dir, mode=0o700)
    write_atomically(f"{run_dir}/run.json", _run_facts(plan, instance))
    return instance


def _hold_standard_descriptors() -> None:
    """Open what is missing of 0, 1 and 2, so that no pipe of ours takes their place."""
    while (fd := os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)) <= 2:
        os.set_inheritable(fd, True)
    os.close(fd)


def _run_facts(plan: Plan, instance: Instance) -> str:
    from .journal import timestamp
    from .lean import json

    return json.dumps(
        {
            "v": 1,
            "run": instance.run,
            "instance": instance.name,
            "service": plan["app"].get("service") or plan["app"]["name"],
            "host": os.uname().nodename,
            "command": plan["app"]["command"],
            "started": timestamp(),
        }
    )
