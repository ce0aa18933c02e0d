"""A worker is killed, stopped, over its limit: the others and the app go on, and what comes meanwhile waits in the backlog."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from ambassador_running import ask, listeners, listens, reload, start, upstream, workers
from held import hold
from instance import BOUND_S, alive, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from instance import Host, Instance

ORDERS = upstream("orders")
TWO = f"[ambassador]\nworkers = 2\n{ORDERS}"
HERE = (200, b"here")
AT_ONCE = 20
MANY = 500
# Fills a control group from within, as a leak would.
EATER = (
    "import sys\n"
    "for path in sys.argv[1:]: open(path, 'w').write('0')\n"
    "hoard = []\n"
    "while True: hoard.append(bytearray(1 << 20))\n"
)


def everyone(instance: Instance) -> dict[str, int]:
    """The pids of all that runs."""
    return {i["name"]: i["pid"] for i in instance.call("components")["result"]["items"]}


def replaced(instance: Instance, name: str, before: int) -> int:
    """Wait until another process serves as this component; its pid."""
    wait_for(f"another {name}", lambda: instance.component(name).get("pid") not in (None, before))
    pid: int = instance.wait_state(name)["pid"]
    return pid


def kill(pid: int) -> None:
    """End a process, and wait until it has."""
    os.kill(pid, signal.SIGKILL)
    wait_for("it has ended", lambda: not alive(pid))


@contextlib.contextmanager
def stopped(pid: int) -> Iterator[None]:
    """Hold a process for a while."""
    hold(pid)
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def test_while_the_only_worker_is_killed_connections_wait(host: Host) -> None:
    instance = start(host, ORDERS)
    address, before = listeners(instance)["upstream:orders"], everyone(instance)
    pid = before.pop("ambassador")
    with ThreadPoolExecutor(AT_ONCE) as clients:
        for _ in range(3):
            kill(pid)
            answers = list(clients.map(lambda _: ask(address), range(AT_ONCE)))
            assert answers == [HERE] * AT_ONCE
            pid = replaced(instance, "ambassador", pid)
    after = everyone(instance)
    after.pop("ambassador")
    assert after == before
    assert instance.component("ambassador")["restarts"] == 3
    assert instance.component("ambassador")["last_exit"] == {"signal": "KILL"}


def test_one_worker_is_killed_and_the_other_goes_on(host: Host) -> None:
    instance = start(host, TWO)
    address, before = listeners(instance)["upstream:orders"], everyone(instance)
    kill(before["ambassador-2"])
    assert ask(address) == HERE
    after = {**before, "ambassador-2": replaced(instance, "ambassador-2", before["ambassador-2"])}
    assert everyone(instance) == after
    assert instance.component("ambassador")["restarts"] == 0


def test_a_worker_that_is_stopped_is_replaced_while_the_other_answers(host: Host) -> None:
    instance = start(host, f'[ambassador]\nworkers = 2\nheartbeat = "200ms"\n{ORDERS}')
    address, before = listeners(instance)["upstream:orders"], everyone(instance)
    with stopped(before["ambassador"]), ThreadPoolExecutor(AT_ONCE) as clients:
        assert list(clients.map(lambda _: ask(address), range(AT_ONCE))) == [HERE] * AT_ONCE
        now = replaced(instance, "ambassador", before["ambassador"])
    wait_for("it is told", lambda: "hung" in instance.kinds("ambassador"))
    assert "hung" not in instance.kinds("ambassador-2")
    assert everyone(instance) == {**before, "ambassador": now}


def test_a_worker_over_its_memory_limit_goes_alone(host: Host) -> None:
    instance = start(host, TWO)
    before = everyone(instance)
    assert instance.component("ambassador-2")["limits_by"] in ("cgroup-v1", "cgroup-v2")
    files = [f"{group}/cgroup.procs" for group in groups_of(before["ambassador-2"])]
    eater = [sys.executable, "-c", EATER, *files]
    os.waitpid(os.spawnv(os.P_NOWAIT, sys.executable, eater), 0)
    now = replaced(instance, "ambassador-2", before["ambassador-2"])
    wait_for("it is told", lambda: "out-of-memory" in instance.kinds("ambassador-2"))
    assert everyone(instance) == {**before, "ambassador-2": now}
    assert ask(listeners(instance)["upstream:orders"]) == HERE


def groups_of(pid: int) -> list[str]:
    """The directories of a process' control groups that are of Pillion's making."""
    found = []
    with open(f"/proc/{pid}/cgroup") as file:
        for line in file:
            _, controllers, path = line.strip().split(":", 2)
            if "/pillion-" in path:
                mounts = controllers.split(",") if controllers else ["unified", ""]
                places = [f"/sys/fs/cgroup/{mount}{path}".replace("//", "/") for mount in mounts]
                found += [place for place in places if os.path.exists(f"{place}/cgroup.procs")]
    return found


def test_while_keeper_or_agent_are_stopped_calls_go_on(host: Host) -> None:
    instance = start(host, ORDERS)
    address = listeners(instance)["upstream:orders"]
    agent = instance.component("agent")["pid"]
    with stopped(instance.process.pid), stopped(agent):
        assert ask(address) == HERE


def test_nothing_survives_the_keeper_and_its_last_records_are_kept(host: Host) -> None:
    instance = start(host, TWO)
    address, all_of_it = listeners(instance)["upstream:orders"], everyone(instance)
    assert ask(address, "/the-last") == HERE
    instance.signal(signal.SIGKILL)
    instance.wait()
    wait_for("everything has ended", lambda: not any(map(alive, all_of_it.values())))
    assert instance.pids() == []
    assert not listens(address)
    assert b"/the-last" in instance.spooled("requests")


def test_records_go_on_after_the_scribe_was_killed(host: Host) -> None:
    instance = start(host, ORDERS)
    address = listeners(instance)["upstream:orders"]
    for number in range(3):
        before = instance.component("scribe")["pid"]
        kill(before)
        assert ask(address, f"/after-{number}") == HERE
        wanted = f"/after-{number}".encode()
        wait_for("it is on record", lambda wanted=wanted: wanted in instance.spooled("requests"))


def test_a_scribe_that_hangs_costs_calls_nothing_and_what_is_dropped_is_counted(
    host: Host,
) -> None:
    instance = start(host, f'[ambassador]\nheartbeat = "500ms"\n{ORDERS}')
    address, pids = listeners(instance)["upstream:orders"], workers(instance)
    client = http.client.HTTPConnection(address, timeout=BOUND_S)
    with contextlib.closing(client), stopped(instance.component("scribe")["pid"]):
        # More than the socket to the scribe and the worker's own queue hold.
        for _ in range(2000):
            client.request("GET", f"/{'x' * 2000}")
            assert client.getresponse().read() == b"here"
        wait_for(
            "what was dropped is counted",
            lambda: instance.component("ambassador")["stats"].get("ambassador_log_dropped_total"),
        )

    def goes_on() -> bool:
        # While the scribe catches up its ring may be full, and what comes then is dropped and counted: ask again.
        assert ask(address, "/afterwards") == HERE
        return b"/afterwards" in instance.spooled("requests")

    wait_for(
        "records go on",
        goes_on,
        state=lambda: (instance.component("scribe"), instance.component("ambassador")),
    )
    # What is on record is whole, whatever was dropped between.
    records = [json.loads(line) for line in instance.spooled("requests").splitlines()]
    assert {record["path"][:3] for record in records} == {"/xx", "/af"}
    assert workers(instance) == pids


def test_an_upgrade_that_cannot_start_leaves_the_worker_as_it_is(host: Host) -> None:
    instance = start(host, TWO)
    before = workers(instance)
    done = host.pillion("upgrade", "--python", "/bin/false", check=False)
    assert done.returncode == 1
    assert "the new ambassador did not become ready" in done.stderr
    assert workers(instance) == before
    assert ask(listeners(instance)["upstream:orders"]) == HERE


def test_a_worker_that_was_stopped_during_a_reload_learns_of_it(host: Host) -> None:
    instance = start(host, TWO)
    pids = workers(instance)
    with stopped(pids["ambassador-2"]):
        reload(instance, f"{TWO}{upstream('stock')}")
    with stopped(pids["ambassador"]):
        assert ask(listeners(instance)["upstream:stock"]) == HERE
    assert workers(instance) == pids


def test_a_listener_that_is_gone_is_gone_whoever_still_holds_it(host: Host) -> None:
    instance = start(host, f"{TWO}{upstream('stock')}")
    address, pids = listeners(instance)["upstream:stock"], workers(instance)
    with stopped(pids["ambassador"]), stopped(pids["ambassador-2"]):
        reload(instance, TWO)
        wait_for("nobody listens there", lambda: not listens(address))
        # The address is free for another, whoever it is.
        host_name, _, port = address.rpartition(":")
        with socket.create_server((host_name, int(port))):
            assert listens(address)
    assert ask(listeners(instance)["upstream:orders"]) == HERE


def test_five_hundred_listeners_fit_under_the_usual_limit_of_open_files(host: Host) -> None:
    many = "".join(
        f'[ambassador.upstreams.u{n}]\nurls = ["http://127.0.0.1:9"]\n' for n in range(MANY - 1)
    )
    instance = start(host, ORDERS, prefix=["prlimit", "--nofile=1024:8192"])
    pid = workers(instance)["ambassador"]
    reload(instance, ORDERS + many)
    where = listeners(instance)
    assert len(where) == MANY
    # Without a server behind it the answer is the ambassador's, and that there is one says that it listens.
    assert ask(where[f"upstream:u{MANY - 2}"])[0] in (502, 503)
    assert workers(instance) == {"ambassador": pid}
    kill(pid)
    replaced(instance, "ambassador", pid)
    assert ask(where["upstream:u0"])[0] in (502, 503)
    assert ask(where["upstream:orders"], bound_s=BOUND_S) == HERE


@pytest.mark.parametrize("command", [("upgrade",), ("restart", "ambassador")])
def test_whoever_connects_while_workers_are_replaced_is_answered(
    host: Host, command: tuple[str, ...]
) -> None:
    instance = start(host, TWO)
    address, before = listeners(instance)["upstream:orders"], workers(instance)
    over = threading.Event()

    def client() -> list[tuple[int, bytes]]:
        answers = [ask(address)]
        while not over.is_set():
            answers.append(ask(address))
        return answers

    with ThreadPoolExecutor(4) as clients:
        asking = [clients.submit(client) for _ in range(4)]
        try:
            host.pillion(*command, timeout=60)
        finally:
            over.set()
        answers = [one for asked in asking for one in asked.result()]
    assert set(answers) == {HERE}
    assert workers(instance)["ambassador"] != before["ambassador"]
