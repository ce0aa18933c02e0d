"""The offload's nginx is killed, master and workers, while clients ask without a pause: nobody is refused, and it serves what it served."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

from instance import alive, wait_for
from offload_instance import address_of, ask, begun
from proxies_running import children
from steady_load import steady_load

if TYPE_CHECKING:
    from instance import Host, Instance
    from steady_load import Seen

KEPT, FRESH, KILLS = 6, 4, 3
# Whoever a killed process had accepted and not answered yet; nobody can change that.
CUT = ("cut: ", "reset: ")


def serving(host: Host) -> tuple[Instance, str]:
    os.chmod(host.root, 0o755)
    instance = begun(host)
    return instance, address_of(instance)


def port_of(address: str) -> int:
    return int(address.rpartition(":")[2])


def master(instance: Instance) -> int:
    """Its pid, while it runs and has a worker; else 0."""
    component = instance.component("offload")
    pid = component.get("pid") or 0
    if component.get("state") != "running" or not pid or not alive(pid):
        return 0
    try:
        return int(pid) if children(pid) else 0
    except OSError:
        return 0


def check(seen: Seen) -> None:
    others = {what: count for what, count in seen.failed.items() if not what.startswith(CUT)}
    assert others == {}
    assert sum(seen.failed.values()) <= KILLS * (KEPT + FRESH)
    assert set(seen.bodies) == {"entry"}


def test_nobody_is_refused_while_the_master_is_killed(host: Host) -> None:
    instance, address = serving(host)
    with steady_load(port_of(address), kept=KEPT, fresh=FRESH) as load:
        for _ in range(KILLS):
            before = wait_for("its master runs", lambda: master(instance))
            os.kill(before, signal.SIGKILL)
            wait_for(
                "another serves",
                lambda before=before: master(instance) not in (0, before),  # type: ignore[misc]
                state=instance.events,
            )
            assert ask(address, "/")[2] == b"entry"
        seen = load.stop()
    check(seen)
    assert instance.component("offload")["restarts"] == KILLS
    assert instance.component("app")["restarts"] == 0


def test_nobody_is_refused_while_the_workers_are_killed(host: Host) -> None:
    instance, address = serving(host)
    pid = wait_for("its master runs", lambda: master(instance))
    with steady_load(port_of(address), kept=KEPT, fresh=FRESH) as load:
        for _ in range(KILLS):
            before = wait_for("it has workers", lambda: children(pid))
            for worker in before:
                os.kill(worker, signal.SIGKILL)
            wait_for(
                "all of them are others",
                lambda before=before: (  # type: ignore[misc]
                    len(children(pid)) == len(before) and not children(pid) & before
                ),
            )
            assert ask(address, "/")[2] == b"entry"
        seen = load.stop()
    check(seen)
    # Its own master starts them anew.
    assert (master(instance), instance.component("offload")["restarts"]) == (pid, 0)
