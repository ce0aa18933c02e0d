"""What health says, and what follows from it, when agents die, peers stop, everything is paused, and checks are broken."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from typing import TYPE_CHECKING, Any, Self

import pytest

from health_client import SLEEPER, ask, check_of, touch, unlink, wait_health
from instance import alive, wait_for
from own_time import OwnTime
from pillion.health.memory import STATES_FILE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from instance import Host, Instance

# Long enough that nothing expires while the machine is busy, short enough to be waited for.
TTL_S = 4.0
PAUSE_S = 6.0


def file_check(host: Host, name: str, more: str = "") -> str:
    return (
        f'[health.checks.{name}]\nexec = ["test", "-e", "{host.root}/{name}"]\ninterval = "100ms"\n'
        f"fall = 2\n{more}\n"
    )


def kinds_of(instance: Instance) -> list[str]:
    return [e["kind"] for e in instance.events() if e["kind"] in ("healthy", "unhealthy")]


class Watcher:
    """Asks for health all the time, as a load balancer does, and keeps every status that it was told."""

    def __init__(self, instance: Instance) -> None:
        self.statuses: list[int] = []
        self._instance = instance
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._done.wait(0.01):
            # A connection that a killed agent had accepted is reset; those in the backlog are not.
            with contextlib.suppress(OSError):
                self.statuses.append(ask(self._instance, "GET", "/v1/health")[0])


def test_a_killed_agent_takes_no_healthy_app_out_and_forgets_no_check(host: Host) -> None:
    touch(f"{host.root}/db")
    instance = host.run(*SLEEPER, settings=file_check(host, "db"))
    wait_health(instance, "passing")
    ask(instance, "PUT", "/v1/health/checks/beat", {"ttl": "1h"})
    ask(instance, "POST", "/v1/health/checks/beat/pass", {"output": "well"})
    wait_for("the states are written", lambda: b"well" in states(instance))
    before = kinds_of(instance)
    with Watcher(instance) as watcher:
        for _ in range(3):
            kill_agent(instance)
            report = wait_health(instance, "passing")
            assert {one["name"] for one in report["checks"]} == {"db", "beat"}
            assert check_of(report, "beat")["output"] == "well"
    assert set(watcher.statuses) == {200}
    assert kinds_of(instance) == before


def kill_agent(instance: Instance) -> None:
    """SIGKILL, and wait for the next."""
    agent = instance.component("agent")["pid"]
    os.kill(agent, signal.SIGKILL)
    wait_for(
        "another agent runs", lambda: instance.component("agent").get("pid") not in (None, agent)
    )


def states(instance: Instance) -> bytes:
    with open(f"{instance.runtime}/{STATES_FILE}", "rb") as file:
        return file.read()


def test_an_upgrade_changes_nothing_for_those_who_ask(host: Host) -> None:
    touch(f"{host.root}/db")
    instance = host.run(*SLEEPER, settings=file_check(host, "db"))
    wait_health(instance, "passing")
    ask(instance, "PUT", "/v1/health/checks/beat", {"ttl": "1h"})
    ask(instance, "POST", "/v1/health/checks/beat/warn")
    wait_health(instance, "warning")
    wait_for("both are told", lambda: len(kinds_of(instance)) == 2)
    before = kinds_of(instance)
    with Watcher(instance) as watcher:
        host.pillion("upgrade")
    assert set(watcher.statuses) == {200}
    report = wait_health(instance, "warning")
    assert check_of(report, "beat")["status"] == "warning"
    assert kinds_of(instance) == before
    unlink(f"{host.root}/db")
    wait_health(instance, "critical")


NODE = """
const server = require('http').createServer((_, answer) => answer.end('fine'));
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
"""


@pytest.fixture
def peer() -> Iterator[tuple[subprocess.Popen[str], int]]:
    with subprocess.Popen(["node", "-e", NODE], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process, int(process.stdout.readline())
        process.kill()


def test_a_stopped_peer_is_critical_within_its_fall_count_and_passes_again(
    host: Host, peer: tuple[subprocess.Popen[str], int]
) -> None:
    process, port = peer
    settings = (
        f'[health.checks.peer]\nhttp = "http://127.0.0.1:{port}/"\ninterval = "200ms"\ntimeout = "200ms"\nfall = 3\n'
        f"[health.checks.port]\ntcp = {port}\n"
    )
    instance = host.run(*SLEEPER, settings=settings)
    wait_health(instance, "passing")
    with OwnTime() as took:
        process.send_signal(signal.SIGSTOP)
        report = wait_health(instance, "critical")
    assert took.seconds < 5
    assert "the total time is over" in check_of(report, "peer")["output"]
    # The kernel goes on to accept for one that is stopped.
    assert check_of(report, "port")["status"] == "passing"
    process.send_signal(signal.SIGCONT)
    wait_health(instance, "passing")


def test_a_pause_of_everything_is_nobodys_failure(host: Host) -> None:
    settings = (
        f'[health.checks.beat]\nttl = "{TTL_S:g}s"\n'
        '[health.checks.live]\nexec = ["sleep", "0.2"]\nkind = "liveness"\ninterval = "500ms"\nfall = 1\n'
    )
    instance = host.run(*SLEEPER, settings=settings)
    wait_for("the app runs", lambda: instance.component("app").get("ready"))
    ask(instance, "POST", "/v1/health/checks/beat/pass")
    wait_health(instance, "passing")
    pids = [instance.process.pid, *instance.pids()]
    for pid in pids:
        signal_one(pid, signal.SIGSTOP)
    # A pause is as long as it is: there is nothing to wait for.
    threading.Event().wait(PAUSE_S)
    for pid in pids:
        signal_one(pid, signal.SIGCONT)
    report = wait_health(instance, "passing")
    assert check_of(report, "beat")["status"] == "passing"
    assert "unhealthy" not in kinds_of(instance)
    # And yet a beat that stays away is noticed, in its own time.
    wait_health(instance, "critical")
    wait_for("it is told", lambda: kinds_of(instance).count("unhealthy") == 1)


def signal_one(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def test_a_failed_liveness_check_restarts_the_app_and_a_broken_one_not_for_ever(host: Host) -> None:
    touch(f"{host.root}/alive")
    settings = '[app.restart]\ninitial = "100ms"\nlimit = 2\n' + file_check(
        host, "alive", 'kind = "liveness"\nrestart = true'
    )
    instance = host.run(*SLEEPER, settings=settings)
    wait_health(instance, "passing")
    first = instance.component("app")["pid"]
    unlink(f"{host.root}/alive")

    def given_up() -> list[dict[str, Any]]:
        return [e for e in instance.events() if e["kind"] == "failed"]

    (event,) = wait_for("it is given up", given_up)
    assert event["component"] == "app"
    assert "2 restarts did not make it pass" in event["reason"]
    app = instance.component("app")
    assert app["restarts"] == 2
    assert app["state"] == "running"
    assert app["pid"] != first
    assert not alive(first)
    reasons = [e["reason"] for e in instance.events() if e["kind"] == "restarting"]
    assert reasons[0] == "liveness check alive is critical: restart 1 now"
    assert ask(instance, "GET", "/v1/health?kind=liveness")[0] == 503
    touch(f"{host.root}/alive")
    wait_health(instance, "passing")


def test_checks_that_hang_fork_and_flood_leave_a_working_agent_and_no_process(host: Host) -> None:
    scripts = {
        "hangs": "sleep 4711 & sleep 4711",
        "forks": "sleep 4712 & sleep 4712 & exit 1",
        "floods": "yes; exit 1",
        "ignores": "trap '' TERM; while :; do sleep 4713; done",
    }
    settings = "".join(
        f'[health.checks.{name}]\nexec = ["sh", "-c", "{script}"]\ninterval = "300ms"\ntimeout = "300ms"\nfall = 2\n'
        for name, script in scripts.items()
    )
    instance = host.run(*SLEEPER, settings=settings)

    def all_failed() -> bool:
        report = wait_health(instance, "critical")
        return all(one["failures"] == 2 for one in report["checks"]) and len(report["checks"]) == 4

    wait_for("all have failed", all_failed)
    with OwnTime() as took:
        for _ in range(20):
            assert ask(instance, "GET", "/livez")[0] == 200
    assert took.seconds < 5
    with open(f"{host.root}/app.toml", "w") as file:
        file.write("")
    host.pillion("reload")
    wait_health(instance, "passing")
    wait_for("no command is left", lambda: not left_over(instance))


def left_over(instance: Instance) -> list[str]:
    found = []
    for pid in instance.pids():
        with contextlib.suppress(OSError), open(f"/proc/{pid}/cmdline") as file:
            words = file.read().split("\0")
            if "yes" in words or any(word.startswith("471") for word in words):
                found.append(" ".join(words))
    return found


def test_a_runtime_directory_that_takes_nothing_costs_the_memory_alone(host: Host) -> None:
    touch(f"{host.root}/db")
    instance = host.run(*SLEEPER, settings=file_check(host, "db"))
    wait_health(instance, "passing")
    path = f"{instance.runtime}/{STATES_FILE}"
    os.unlink(path)
    os.mkdir(path)  # a rename onto it fails, for root as well
    unlink(f"{host.root}/db")
    wait_health(instance, "critical")
    touch(f"{host.root}/db")
    wait_health(instance, "passing")
    wait_for("it says so", lambda: b"cannot remember health" in instance.spooled("sidecar"))
    os.rmdir(path)
