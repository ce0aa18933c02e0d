"""Apps that hang, lie, flood and ignore: each with real processes, and each ends as it should and no other way."""

from __future__ import annotations

import os
import signal
import socket
import sys
from typing import TYPE_CHECKING

import pytest

from held import hold
from instance import alive, wait_for

if TYPE_CHECKING:
    from instance import Host, Instance

NOTIFY = """
import os, signal, socket, subprocess, sys, time
sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
sock.connect(os.environ["NOTIFY_SOCKET"])
def say(text, fds=()):
    socket.send_fds(sock, [text.encode()], list(fds))
def feed(seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        say("WATCHDOG=1")
        time.sleep(0.05)
"""
RESTART = '[app]\nrestart = { policy = "on-failure", initial = "10ms" }\nstop_timeout = "1s"\n'
FED = f'{RESTART}watchdog = {{ timeout = "1s" }}\n'


def start(host: Host, script: str, settings: str = FED, **options: object) -> Instance:
    return host.run(sys.executable, "-c", NOTIFY + script, settings=settings, **options)


def hung(instance: Instance) -> dict[str, object]:
    """The first hang in the journal, waited for."""
    wait_for("it hangs", lambda: "hung" in instance.kinds("app"))
    found: dict[str, object] = next(
        e for e in instance.events() if e["kind"] == "hung" and e["component"] == "app"
    )
    return found


def last_exit(instance: Instance) -> dict[str, object]:
    found: dict[str, object] = instance.component("app")["last_exit"]
    return found


def test_an_app_that_is_fed_by_nobody_is_reported_ended_and_restarted(host: Host) -> None:
    instance = start(host, "feed(1)\ntime.sleep(600)")
    event = hung(instance)
    assert event["reason"] == "no heartbeat for 1 s"
    wait_for("it is restarted", lambda: instance.component("app").get("restarts"))
    assert last_exit(instance) == {"signal": "ABRT", "cause": "hung: no heartbeat for 1 s"}
    wait_for("it is told", lambda: "restarting" in instance.kinds("app"))
    kinds = instance.kinds("app")
    assert kinds.index("hung") < kinds.index("exited") < kinds.index("restarting")


def test_without_a_restart_policy_a_hang_is_the_end(host: Host) -> None:
    instance = start(host, "time.sleep(600)", '[app]\nwatchdog = { timeout = "500ms" }\n')
    assert instance.wait() == 128 + signal.SIGABRT


def test_whoever_ignores_sigabrt_is_killed_with_all_that_is_its(host: Host) -> None:
    script = """
signal.signal(signal.SIGABRT, signal.SIG_IGN)
ignore = "import signal,time; signal.signal(signal.SIGABRT, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"
child = subprocess.Popen([sys.executable, "-c", ignore], start_new_session=True, stdout=subprocess.PIPE)
child.stdout.readline()
print(child.pid, flush=True)
time.sleep(600)
"""
    instance = start(host, script)
    wait_for("the child is known", lambda: instance.spooled("stdout").count(b"\n") >= 1)
    child = int(instance.spooled("stdout").split()[0])
    before = instance.component("app")["pid"]
    wait_for("both are gone", lambda: not alive(child) and not alive(before))
    wait_for("it is told", lambda: "exited" in instance.kinds("app"))
    assert "killed" in instance.kinds("app")
    assert last_exit(instance) == {"signal": "KILL", "cause": "hung: no heartbeat for 1 s"}


def test_an_app_that_somebody_stopped_ends_too(host: Host) -> None:
    instance = start(host, "feed(600)")
    wait_for("it is fed", lambda: facts(instance)["beats"])
    pid = instance.component("app")["pid"]
    hold(pid)
    hung(instance)
    wait_for("it is gone", lambda: not alive(pid))


def facts(instance: Instance) -> dict[str, float]:
    try:
        found: dict[str, float] = instance.call("status")["result"]["app"]["watchdog"]
    except OSError:
        return {"beats": 0}
    return found


def test_a_paused_container_is_no_missed_heartbeat(host: Host) -> None:
    instance = start(host, "feed(600)")
    wait_for("it is fed", lambda: facts(instance)["beats"])
    app = instance.component("app")["pid"]
    everyone = [instance.process.pid, instance.component("agent")["pid"], app]
    for pid in everyone:
        hold(pid)
    signal.sigtimedwait([signal.SIGUSR2], 3)
    # The keeper first: the app has had no time of its own yet when it looks.
    for pid in everyone:
        os.kill(pid, signal.SIGCONT)
    beats = facts(instance)["beats"]
    wait_for("it is fed on", lambda: facts(instance)["beats"] > beats + 20)
    assert instance.component("app")["pid"] == app
    assert "hung" not in instance.kinds()


def test_an_app_can_ask_for_its_own_end(host: Host) -> None:
    instance = start(host, "say('WATCHDOG=trigger')\ntime.sleep(600)", RESTART)
    assert hung(instance)["reason"] == "it asked for it: WATCHDOG=trigger"
    wait_for("it is restarted", lambda: instance.component("app").get("restarts"))


def test_a_stranger_feeds_nobody(host: Host) -> None:
    instance = start(host, "feed(0.5)\ntime.sleep(600)")
    instance.wait_state("app")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sock:
        sock.connect(f"{instance.runtime}/notify.sock")

        def spoof() -> bool:
            for text in (b"WATCHDOG=1", b"EXTEND_TIMEOUT_USEC=60000000", b"WATCHDOG_USEC=0"):
                try:
                    sock.send(text)
                except BlockingIOError:
                    break
            return "hung" in instance.kinds("app")

        wait_for("it hangs all the same", spoof)
    assert instance.component("keeper")["stats"]["notify_foreign_total"] > 0


def test_a_timeout_chosen_at_run_time_holds(host: Host) -> None:
    instance = start(host, "say('WATCHDOG_USEC=700000')\nfeed(1)\ntime.sleep(600)", RESTART)
    assert hung(instance)["reason"] == "no heartbeat for 0.7 s"


def test_an_app_may_turn_its_watchdog_off(host: Host) -> None:
    instance = start(host, "say('WATCHDOG_USEC=0')\ntime.sleep(3)")
    assert instance.wait() == 0
    assert "hung" not in instance.kinds()


def test_an_extension_is_time_for_what_takes_long(host: Host) -> None:
    script = "say('EXTEND_TIMEOUT_USEC=6000000')\ntime.sleep(3)\nfeed(1)"
    instance = start(host, script)
    assert instance.wait() == 0
    assert "hung" not in instance.kinds()


def test_a_stop_is_extended_too(host: Host) -> None:
    script = """
def leave(*_):
    for _ in range(5):
        say("EXTEND_TIMEOUT_USEC=1500000")
        time.sleep(0.5)
    sys.exit(0)
signal.signal(signal.SIGTERM, leave)
say("READY=1")
while True:
    signal.pause()
"""
    settings = '[app]\nstop_timeout = "1s"\nready = { notify = true }\n'
    instance = start(host, script, settings)
    instance.wait_state("app")
    instance.signal(signal.SIGTERM)
    assert instance.wait() == 0
    assert "killed" not in instance.kinds("app")


def test_a_stop_that_is_announced_has_an_end_but_no_heartbeat(host: Host) -> None:
    instance = start(host, "say('STOPPING=1')\ntime.sleep(600)", FED.replace("1s", "2s", 1))
    wait_for("it is ended", lambda: "exited" in instance.kinds("app"))
    assert "hung" not in instance.kinds()
    assert last_exit(instance)["cause"] == "did not stop within 2 s of its STOPPING=1"


def test_a_watchdog_begins_when_the_app_is_ready(host: Host) -> None:
    script = "time.sleep(2.5)\nsay('READY=1')\nfeed(1)"
    instance = start(host, script, FED + "ready = { notify = true }\n")
    assert instance.wait() == 0
    assert "hung" not in instance.kinds()


def test_what_cannot_be_done_is_refused_clearly(host: Host) -> None:
    script = """
for _ in range(3):
    say("FDSTORE=1\\nFDNAME=x", [0, 1])
say("MAINPID=1")
say("\\x00\\x01nonsense")
say("ERRNO=28")
sys.exit(1)
"""
    instance = start(host, script, "[app]\n")
    assert instance.wait() == 1
    refused = [e for e in instance.events() if e["kind"] == "notify-refused"]
    assert len(refused) == 1
    assert "FDSTORE" in refused[0]["reason"]
    exited = next(e for e in instance.events() if e["kind"] == "exited" and e["component"] == "app")
    assert exited["data"]["cause"] == "ERRNO=28 (No space left on device)"


def test_a_flood_keeps_nobody_from_anything(host: Host) -> None:
    script = """
say("READY=1")
n = 0
while True:
    n += 1
    say(f"STATUS={n}\\nWATCHDOG=1")
"""
    instance = start(host, script, FED + "ready = { notify = true }\n")
    instance.wait_state("app")
    instance.wait_state("agent")
    for _ in range(20):
        assert instance.call("status", bound_s=5)["result"]["app"]["ready"]
    instance.signal(signal.SIGTERM)
    assert instance.wait() == 143


def test_a_report_that_cannot_be_written_keeps_no_hung_app_alive(host: Host) -> None:
    os.makedirs(f"{host.state}/app", mode=0o700)
    with open(f"{host.state}/app/hangs", "w"):
        pass
    instance = start(host, "time.sleep(600)")
    data = hung(instance)["data"]
    assert isinstance(data, dict)
    assert "cannot write" in data["report_failed"]
    assert data["first"][0]["state"] == "S"
    wait_for("it is restarted", lambda: instance.component("app").get("restarts"))


def test_a_watchdog_outlives_the_keepers_own_upgrade(host: Host) -> None:
    script = "say('WATCHDOG_USEC=1000000')\nfeed(6)\ntime.sleep(600)"
    instance = start(host, script, RESTART)
    wait_for("it is fed", lambda: facts(instance)["beats"] > 5)
    instance.wait_state("agent")
    pid = instance.component("app")["pid"]
    answer = instance.call("upgrade", components=["keeper"])
    assert "error" not in answer
    assert facts(instance)["timeout_s"] == 1.0
    assert instance.component("app")["pid"] == pid
    assert hung(instance)["reason"] == "no heartbeat for 1 s"
    assert "hung" not in instance.kinds("agent")


def test_what_we_are_attached_to_is_never_ended(host: Host) -> None:
    reader, writer = os.pipe()
    pid = os.posix_spawnp("sleep", ["sleep", "600"], os.environ)
    os.close(reader)
    os.close(writer)
    try:
        instance = host.run(verb="attach", words=["--pid", str(pid)])
        instance.wait_state("app")
        assert instance.call("hang", reason="a test")["error"]["status"] == 409
        assert instance.call("watchdog")["result"] == {"timeout_s": None, "beats": 1}
        assert alive(pid)
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


@pytest.mark.parametrize("usec", ["600000", "1"])
def test_a_manager_above_us_is_fed_and_its_watchdog_is_not_the_apps(host: Host, usec: str) -> None:
    path = f"{host.root}/outer"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as outer:
        outer.bind(path)
        outer.settimeout(20)
        instance = host.run(
            "sh", "-c", 'echo "usec=$WATCHDOG_USEC pid=$WATCHDOG_PID"; exec sleep 600',
            env={"NOTIFY_SOCKET": path, "WATCHDOG_USEC": usec},
        )  # fmt: skip
        heard: list[bytes] = []
        while heard.count(b"WATCHDOG=1") < 4 or b"READY=1" not in heard:
            heard.append(outer.recv(100))
        wait_for("it has spoken", lambda: instance.spooled("stdout"))
        assert instance.spooled("stdout") == b"usec= pid=\n"
