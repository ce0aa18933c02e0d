"""The sidecar is killed and replaced again and again: the app does not notice, no connection is refused, no line is missing."""

from __future__ import annotations

import collections
import json
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from instance import wait_for
from otlp_receiver import Receiver

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from instance import Host, Instance

TESTS = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
WRITER = os.path.join(TESTS, "paced_writer.py")
LOAD = os.path.join(TESTS, "api_load.py")


class Clients:
    """Clients in a process of their own."""

    def __init__(self, report: str, *arguments: str) -> None:
        self.report = report
        self.process = subprocess.Popen(
            [sys.executable, LOAD, "--report", report, *arguments], stdout=subprocess.PIPE
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == b"up\n"

    def stop(self) -> dict[str, Any]:
        """End them and return their report."""
        self.process.terminate()
        self.process.communicate(timeout=30)
        with open(self.report) as file:
            report: dict[str, Any] = json.load(file)
        return report

    def close(self) -> None:
        """End them, whatever happened."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.communicate()


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Receiver]:
    with Receiver(str(tmp_path / "records")) as made:
        yield made


def start(
    host: Host, receiver: Receiver, rate: int = 20_000, seconds: float = 600, **options: Any
) -> Instance:
    """Start the paced writer with a shipper."""
    with open(os.devnull, "wb") as null:
        instance = host.run(
            sys.executable, WRITER, str(rate), str(seconds), os.path.join(host.root, "report"), stdout=null,
            overrides=[f'telemetry.otlp="{receiver.url}"', *options.pop("overrides", [])], **options,
        )  # fmt: skip
    instance.wait_state("app")
    instance.wait_state("shipper")
    return instance


def clients(host: Host, instance: Instance, count: int, kinds: str, **more: str) -> Clients:
    """Start clients on the instance's Unix socket."""
    arguments = [w for k, v in more.items() for w in (f"--{k}", v)]
    return Clients(
        os.path.join(host.root, f"clients-{kinds}"), "--socket", f"{instance.runtime}/api.sock",
        "--clients", str(count), "--kind", kinds, *arguments,
    )  # fmt: skip


def check_shipped(host: Host, receiver: Receiver, name: str) -> int:
    """Every line is at the receiver at least once, a duplicate only with the position of its twin; returns the duplicates.

    What a stop left in the spool is shipped by the next run.
    """
    with open(os.path.join(host.root, "report")) as file:
        lines = json.load(file)["lines"]
    offsets: dict[int, int] = {}
    times: collections.Counter[int] = collections.Counter()
    seen = 0

    def complete() -> bool:
        nonlocal seen
        records = receiver.records()
        for record in records[seen:]:
            if record["stream"] != "stdout":
                continue
            number = int(record["body"].split()[1])
            assert offsets.setdefault(record["offset"], number) == number
            times[number] += 1
        seen = len(records)
        return len(times) == lines

    if not complete():
        again = host.run("sleep", "600", name=name, overrides=[f'telemetry.otlp="{receiver.url}"'])
        wait_for("all lines are at the receiver", complete, 120)
        again.signal(signal.SIGTERM)
        again.wait()
    assert sorted(times) == list(range(lines))
    assert len(offsets) == lines
    return sum(times.values()) - lines


def kill_again_and_again(host: Host, receiver: Receiver, times: int) -> None:
    instance = start(host, receiver)
    app = instance.component("app")
    load = clients(host, instance, 2, "new")
    try:
        for _ in range(times):
            for role in ("agent", "shipper"):
                before = instance.wait_state(role)["pid"]
                # Killed while it works, not before it does.
                assert host.pillion("components", "--instance", instance.name).returncode == 0
                os.kill(before, signal.SIGKILL)
                wait_for(
                    f"another {role}",
                    lambda role=role, before=before: (
                        instance.component(role).get("pid") not in (None, before)
                    ),
                )
        instance.wait_state("agent")
        instance.wait_state("shipper")
        report = load.stop()
    finally:
        load.close()
    after = instance.component("app")
    assert (after["pid"], after["started"]) == (app["pid"], app["started"])
    refused = [what for what in report["failures"] if "refused" in what.lower()]
    assert refused == []
    # At most the connections that a killed agent had accepted.
    assert sum(report["failures"].values()) <= 2 * times
    assert report["requests"] > 2 * times, report
    instance.signal(signal.SIGTERM)
    assert instance.wait(60) == 0
    check_shipped(host, receiver, instance.name)


def test_sidecar_killed_under_load(host: Host, receiver: Receiver) -> None:
    kill_again_and_again(host, receiver, 5)


@pytest.mark.soak
def test_sidecar_killed_fifty_times_under_load(host: Host, receiver: Receiver) -> None:
    kill_again_and_again(host, receiver, 50)


def upgrade_under_clients(host: Host, receiver: Receiver, count: int, times: int) -> None:
    instance = start(host, receiver, rate=2_000)
    app = instance.component("app")
    load = clients(host, instance, count, "keep-alive,new,pipelined,slow", pause="0.1")
    try:
        for _ in range(times):
            before = {r: instance.wait_state(r)["pid"] for r in ("agent", "shipper")}
            done = host.pillion("upgrade", "--instance", instance.name, "--json", timeout=60)
            assert done.returncode == 0
            after = {r: instance.wait_state(r)["pid"] for r in ("agent", "shipper")}
            assert not set(before.values()) & set(after.values())
        failed = host.pillion(
            "upgrade", "--python", "/bin/false", "--instance", instance.name, check=False
        )
        assert failed.returncode == 1
        assert "the old version carries on" in failed.stderr
        report = load.stop()
    finally:
        load.close()
    assert report["failures"] == {}
    assert report["requests"] > count
    after_app = instance.component("app")
    assert (after_app["pid"], after_app["started"]) == (app["pid"], app["started"])
    instance.signal(signal.SIGTERM)
    assert instance.wait(60) == 0
    cut = [e["data"].get("cut") for e in instance.events() if e["kind"] == "handed-over"]
    assert cut
    assert not any(cut)
    duplicates = check_shipped(host, receiver, instance.name)
    assert duplicates == 0, "\n".join(
        f"{e['time']} {e['kind']} {e['reason']} {e['data']}"
        for e in instance.events()
        if e["component"] == "shipper"
    )


def test_no_request_and_no_line_is_lost_in_an_upgrade(host: Host, receiver: Receiver) -> None:
    upgrade_under_clients(host, receiver, 80, 2)


@pytest.mark.soak
def test_no_request_and_no_line_is_lost_in_upgrades_under_400_clients(
    host: Host, receiver: Receiver
) -> None:
    upgrade_under_clients(host, receiver, 400, 5)


def test_a_second_upgrade_meanwhile_is_refused(host: Host) -> None:
    instance = host.run("sleep", "600")
    instance.wait_state("app")
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(instance.call, "upgrade")
        wait_for("the first is under way", lambda: "upgrade-started" in instance.kinds())
        second = instance.call("upgrade")
        assert "upgraded" in first.result(30)["result"]
    assert second["error"]["status"] == 409
    assert "another upgrade is under way" in second["error"]["detail"]


def keeper_upgrades(host: Host, receiver: Receiver, times: int) -> None:
    instance = start(host, receiver, rate=5_000)
    pids = {
        n: instance.component(n)["pid"] for n in ("keeper", "scribe", "app", "agent", "shipper")
    }
    load = clients(host, instance, 20, "keep-alive,new", pause="0.05")
    try:
        for _ in range(times):
            result = instance.call("upgrade", components=["keeper"])
            assert result["result"]["upgraded"][0]["pid"] == pids["keeper"]
        broken = instance.call("upgrade", components=["keeper"], python="/bin/false")
        assert "the old version carries on" in broken["error"]["detail"]
        report = load.stop()
    finally:
        load.close()
    assert report["failures"] == {}
    assert {n: instance.component(n)["pid"] for n in pids} == pids
    assert instance.kinds("keeper").count("keeper-upgraded") == times
    instance.signal(signal.SIGUSR1)  # the default of USR1 ends the app: signals still pass
    assert instance.wait(60) == 128 + signal.SIGUSR1
    lines = instance.spooled("stdout").split(b"\n")[:-1]
    assert [int(line.split()[1]) for line in lines] == list(range(len(lines)))


def test_the_keeper_is_upgraded_in_place_under_load(host: Host, receiver: Receiver) -> None:
    keeper_upgrades(host, receiver, 3)


@pytest.mark.soak
def test_the_keeper_is_upgraded_in_place_ten_times_under_load(
    host: Host, receiver: Receiver
) -> None:
    keeper_upgrades(host, receiver, 10)


def test_a_new_keeper_that_cannot_take_over_gives_way_to_the_old_one(host: Host) -> None:
    """A version whose trial succeeds and whose takeover fails: the old one is executed again, in the same process."""
    package = os.path.join(host.root, "broken", "pillion", "keeper")
    os.makedirs(package)
    for name in (os.path.dirname(package), package):
        with open(os.path.join(name, "__init__.py"), "w") as file:
            file.write("__version__ = '9.9.9'\n")
    with open(os.path.join(package, "resume.py"), "w") as file:
        file.write(
            "def trial(fd):\n    return 0\ndef resume(fd, failure=None):\n    raise RuntimeError('does not start')\n"
        )
    python = os.path.join(host.root, "python")
    with open(python, "w") as file:
        # An interpreter that finds the broken version instead of ours.
        file.write(f'#!/bin/sh\nshift\nPYTHONPATH={host.root}/broken exec {sys.executable} "$@"\n')
    os.chmod(python, 0o755)
    instance = host.run("sh", "-c", "trap 'exit 8' TERM; while :; do echo tick; sleep 0.02; done")
    app = instance.wait_state("app")["pid"]
    error = instance.call("upgrade", components=["keeper"], python=python)["error"]
    assert "does not start" in error["detail"]
    assert instance.component("app")["pid"] == app
    assert instance.component("keeper")["pid"] == instance.process.pid
    size = len(instance.spooled("stdout"))
    wait_for("output goes on", lambda: len(instance.spooled("stdout")) > size + 20)
    instance.signal(signal.SIGTERM)
    assert instance.wait() == 8


def many_instances(host: Host, count: int) -> None:
    running = [host.run("sleep", "600", name=f"many-{i}") for i in range(count)]
    for instance in running:
        instance.wait_state("app", bound_s=120)
    urls = set()
    for instance in running:
        with open(f"{instance.runtime}/instance.json") as file:
            urls.add(json.load(file)["url"])
    assert len(urls) == count
    listed = json.loads(host.pillion("status", "--json").stdout)
    names = {
        i["instance"] if "instance" in i else i["name"]
        for i in (listed["items"] if isinstance(listed, dict) else listed)
    }
    assert names == {i.name for i in running}
    for instance in running:
        instance.signal(signal.SIGTERM)
    for instance in running:
        assert instance.wait(120) == 143


def test_instances_start_without_a_clash(host: Host) -> None:
    many_instances(host, 12)


@pytest.mark.soak
def test_two_hundred_instances_start_without_a_clash(host: Host) -> None:
    many_instances(host, 200)


def test_the_sidecar_is_upgraded_to_what_another_interpreter_finds(host: Host) -> None:
    instance = host.run("sleep", "600", overrides=[f'logs.file.path="{host.root}/shipped"'])
    instance.wait_state("app")
    instance.wait_state("shipper")
    done = host.pillion("upgrade", "--python", sys.executable, "--instance", instance.name)
    assert "agent: " in done.stdout
    assert "shipper: " in done.stdout
    for role in ("agent", "shipper"):
        with open(f"/proc/{instance.wait_state(role)['pid']}/cmdline", "rb") as file:
            assert file.read().startswith(sys.executable.encode() + b"\0-I\0-c\0")


@pytest.mark.soak
def test_a_receiver_that_is_away_for_a_minute_misses_nothing(
    host: Host, receiver: Receiver
) -> None:
    instance = start(host, receiver, rate=5_000)
    wait_for("records arrive", receiver.records)
    receiver.stop()
    wait_for("the journal says so", lambda: "shipping-stalled" in instance.kinds(), 60)
    signal.sigtimedwait([signal.SIGUSR2], 60)
    receiver.start()
    wait_for("shipping goes on", lambda: "shipping-resumed" in instance.kinds(), 90)
    instance.signal(signal.SIGTERM)
    assert instance.wait(60) == 0
    with open(os.path.join(host.root, "report")) as file:
        assert json.load(file)["longest_ms"] < 50
    check_shipped(host, receiver, instance.name)


def test_a_stop_right_after_an_upgrade_does_not_hang(host: Host) -> None:
    """The predecessor is still on its way out, and may be the last to go."""
    instance = host.run("sleep", "600")
    instance.wait_state("app")
    assert "result" in instance.call("upgrade")
    instance.signal(signal.SIGTERM)
    assert instance.wait() == 143


def test_derived_names_get_numbers(host: Host) -> None:
    for name in ("sleep", "sleep-2", "sleep-3"):
        instance = host.run("sleep", "600", name=None)
        instance.name = name
        wait_for(name, lambda name=name: os.path.exists(f"{host.runtime}/{name}/instance.json"))
