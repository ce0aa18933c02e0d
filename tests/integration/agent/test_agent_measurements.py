"""What real processes use, as `/metrics` tells it: a tree with a zombie, ports, threads and a limit that holds it back."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from instance import Host, wait_for
from pillion.http.blocking import BlockingClient

if TYPE_CHECKING:
    from collections.abc import Iterator

    from instance import Instance

# Prints when all of it is there: two ports on one process, a zombie, a thread, and a child that works for ever.
_APP = """
import os, socket, threading
first, second = socket.create_server(("127.0.0.1", 0)), socket.create_server(("127.0.0.1", 0))
zombie = os.fork()
if zombie == 0:
    os._exit(0)
os.waitid(os.P_PID, zombie, os.WEXITED | os.WNOWAIT)
worker = os.fork()
if worker == 0:
    while True:
        os.stat("/")
threading.Thread(target=threading.Event().wait, daemon=True).start()
print("there", flush=True)
threading.Event().wait()
"""


def measured(instance: Instance) -> dict[str, float]:
    """The page's samples by name and labels."""
    with (
        BlockingClient.unix(f"{instance.runtime}/api.sock") as client,
        client.request("GET", "/metrics") as answer,
    ):
        lines = answer.read().decode().splitlines()
    return dict(_samples(lines))


def _samples(lines: list[str]) -> Iterator[tuple[str, float]]:
    for line in lines:
        if not line.startswith("#"):
            name, _, value = line.rpartition(" ")
            yield name, float(value)


def test_a_tree_of_real_processes_is_measured() -> None:
    with Host() as host:
        app = host.run(sys.executable, "-c", _APP, overrides=["app.limits.cpu=0.02"])
        app.wait_state("agent")
        wait_for("the app is there", lambda: b"there" in app.spooled("stdout"))
        found = measured(app)
        mine = '{component="app"}'
        assert found[f"pillion_process_count{mine}"] == 2
        assert found[f"pillion_process_zombies{mine}"] == 1
        assert found[f"process_thread_count{mine}"] == 3
        assert found[f"pillion_process_listening_ports{mine}"] == 2
        assert (
            found[f"process_memory_usage_bytes{mine}"]
            > found[f"pillion_process_memory_proportional_bytes{mine}"]
        )
        assert found['pillion_process_count{component="keeper"}'] == 1
        assert found['pillion_process_count{component="agent"}'] == 1
        assert found['system_memory_usage_bytes{system_memory_state="used"}'] > 0
        system = 'process_cpu_time_seconds_total{component="app",cpu_mode="system"}'
        before = found[system]
        wait_for("the worker's CPU time grows", lambda: measured(app)[system] > before)
        if app.component("app")["limits_by"] != "sampling":
            held = f"pillion_component_cpu_throttled_periods_total{mine}"
            wait_for("the CPU limit holds it back", lambda: measured(app)[held] > 0)
        app.end()
