"""An idle instance sleeps: nobody wakes but for a heartbeat, and nothing is written. Two hundred of them share one host."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

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
    return {i["name"]: i["pid"] for i in items if i["name"] in WAKE_UPS}


@pytest.mark.parametrize("settings", [None, "shipper"])
def test_an_idle_instance_sleeps_and_writes_nothing(host: Host, settings: str | None) -> None:
    text = f'[logs.file]\npath = "{host.root}/shipped.log"\n' if settings else None
    instance = host.run("sleep", "600", settings=text)
    for name in ("app", "agent", *(["shipper"] if settings else [])):
        instance.wait_state(name)
    quiet: dict[str, int] = {}

    def has_settled() -> bool:
        """What a start leaves to be done is done when two looks in a row see the same."""
        nonlocal quiet
        signal.sigtimedwait([signal.SIGUSR2], 1)
        before, quiet = quiet, {name: wake_ups(pid) for name, pid in pids(instance).items()}
        return all(quiet[name] - before.get(name, -99) <= 3 for name in quiet)

    wait_for("it has settled", has_settled)
    watched = pids(instance)
    before = {name: wake_ups(pid) for name, pid in watched.items()}
    written = files(host.root)
    signal.sigtimedwait([signal.SIGUSR2], WATCHED_S)
    woken = {name: wake_ups(pid) - before[name] for name, pid in watched.items()}
    assert {n: w for n, w in woken.items() if w > WAKE_UPS[n]} == {}, woken
    assert files(host.root) == written
