"""An idle instance sleeps: nobody wakes but for a heartbeat, and nothing is written. Two hundred of them share one host."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

from instance import wait_for

if TYPE_CHECKING:
    from instance import Host, Instance

# What one watch of this length may cost: a heartbeat each 10 s, a ping and its answer each 30 s; the shipper looks into the spool each 5 s
# besides, by a thread, since file systems may fail to report growth.
WATCHED_S = 15
WAKE_UPS = {"keeper": 8, "scribe": 4, "agent": 6, "shipper": 24}


def wake_ups(pid: int) -> int:
    """How often the threads of a process have gone to sleep since their start."""
    total = 0
    for tid in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{tid}/status") as file:
            fields = dict(line.split(":", 1) for line in file if ":" in line)
        total += int(fields["voluntary_ctxt_switches"])
    return total


def files(directory: str) -> dict[str, tuple[int, int]]:
    """Size and time of change of everything below a directory."""
    return {
        path: (facts.st_size, facts.st_mtime_ns)
        for top, _, names in os.walk(directory)
        for name in names
        if (facts := os.lstat(path := os.path.join(top, name)))
    }


def pids(instance: Instance) -> dict[str, int]:
    items = instance.call("components")["result"]["items"]
    return {i["name"]: i["pid"] for i in items if i["name"] in WAKE_UPS and i["pid"]}


def test_idle_instances_sleep_and_write_nothing(host: Host) -> None:
    """One with a shipper and one without, side by side as they may be on a host."""
    shipped = f'[logs.file]\npath = "{host.root}/shipped.log"\n'
    plain = host.run("sleep", "600", name="plain")
    shipping = host.run("sleep", "600", name="shipping", settings=shipped)
    for instance, names in ((plain, ("app", "agent")), (shipping, ("app", "agent", "shipper"))):
        for name in names:
            instance.wait_state(name)

    def now() -> dict[tuple[str, str], int]:
        return {
            (instance.name, name): wake_ups(pid)
            for instance in (plain, shipping)
            for name, pid in pids(instance).items()
        }

    quiet: dict[tuple[str, str], int] = {}

    def has_settled() -> bool:
        """What a start leaves to be done is done when two looks in a row see the same."""
        nonlocal quiet
        signal.sigtimedwait([signal.SIGUSR2], 1)
        before, quiet = quiet, now()
        return all(quiet[one] - before.get(one, -99) <= 3 for one in quiet)

    wait_for("they have settled", has_settled)
    watched = {
        (one.name, name): pid for one in (plain, shipping) for name, pid in pids(one).items()
    }
    assert {name for _, name in watched} == WAKE_UPS.keys()
    before = {one: wake_ups(pid) for one, pid in watched.items()}
    written = files(host.root)
    signal.sigtimedwait([signal.SIGUSR2], WATCHED_S)
    woken = {one: wake_ups(pid) - before[one] for one, pid in watched.items()}
    assert {one: n for one, n in woken.items() if n > WAKE_UPS[one[1]]} == {}, woken
    assert files(host.root) == written
