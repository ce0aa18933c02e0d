"""Commands against a real agent, and against the keeper alone when the agent does not answer."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest

from held import hold
from keeper_peer import RUN, KeeperPeer, Refuse, component, eventually
from logs_spooling import Spool
from pillion.cli.main import main
from pillion.keeper.places import take_lock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def instance(
    keeper: KeeperPeer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[KeeperPeer]:
    """One instance that runs, as far as a command can see; no agent yet."""
    monkeypatch.setenv("PILLION_RUNTIME_DIR", str(tmp_path / "run"))
    monkeypatch.delenv("PILLION_SOCKET", raising=False)
    keeper.serve_operators()
    facts = {
        "name": "shop",
        "run": RUN,
        "keeper": {"pid": os.getpid()},
        "command": ["node", "x.js"],
    }
    keeper.write("instance.json", json.dumps(facts))
    return keeper


def said(capsys: pytest.CaptureFixture[str], *argv: str, code: int = 0) -> str:
    assert main(argv) == code
    out, err = capsys.readouterr()
    if code == 0:
        assert err == ""
        return out
    return err


def told(capsys: pytest.CaptureFixture[str], *argv: str) -> Any:
    return json.loads(said(capsys, *argv, "--json"))


def test_status_in_words_and_as_json(
    instance: KeeperPeer, capsys: pytest.CaptureFixture[str]
) -> None:
    instance.components = [
        component("app", restarts=2, last_exit={"signal": "KILL", "cause": "\x1b[31mred"})
    ]
    instance.start()
    text = said(capsys, "status")
    assert "shop  run " + RUN in text
    assert "app says: serving" in text
    assert "limits by cgroup-v1" in text
    assert "memory 512M" in text
    assert "signal KILL, \\x1b[31mred" in text
    assert "\x1b" not in text
    answer = told(capsys, "status", "--instance", "shop")
    assert (answer["instance"], answer["components"][0]["restarts"]) == ("shop", 2)
    assert told(capsys, "components")["items"][0]["name"] == "app"
    assert instance.operator_calls == []


def test_without_an_agent_the_keeper_answers(
    instance: KeeperPeer, capsys: pytest.CaptureFixture[str]
) -> None:
    instance.sockets["api_unix"].close()
    assert told(capsys, "status")["run"] == RUN
    assert said(capsys, "restart", "app") == "app: running, pid 4711\n"
    assert said(capsys, "limits", "app", "memory=1G") == "app: memory 1G (by cgroup-v1)\n"
    assert said(capsys, "signal", "app", "sigusr1") == "app: running, pid 4711\n"
    assert [method for method, _ in instance.operator_calls] == [
        "status",
        "restart",
        "limits",
        "signal",
    ]
    assert instance.operator_calls[2][1] == {"name": "app", "limits": {"memory": 1 << 30}}


def test_a_stopped_agent_is_passed_over_within_its_second(
    instance: KeeperPeer, capsys: pytest.CaptureFixture[str]
) -> None:
    child = instance.start()
    hold(child.pid)
    try:
        assert "app" in said(capsys, "components")
    finally:
        os.kill(child.pid, signal.SIGCONT)
    assert [method for method, _ in instance.operator_calls] == ["status"]


def test_a_refusal_is_one_clear_line(
    instance: KeeperPeer, capsys: pytest.CaptureFixture[str]
) -> None:
    instance.start()

    def busy(_: object) -> object:
        raise Refuse(409, "Already running", "cannot start app: it runs as pid 4711")

    instance.methods["start"] = busy
    assert (
        said(capsys, "start", "app", code=1) == "pillion: cannot start app: it runs as pid 4711\n"
    )


def test_the_agent_is_restarted_by_the_keeper_itself(
    instance: KeeperPeer, capsys: pytest.CaptureFixture[str]
) -> None:
    """The agent's own answer to that could only be half of the truth."""
    instance.start()
    assert said(capsys, "restart", "agent") == "agent: running, pid 4711\n"
    assert [method for method, _ in instance.operator_calls] == ["restart"]


def test_events(instance: KeeperPeer, capsys: pytest.CaptureFixture[str]) -> None:
    spool = Spool(str(instance.state_dir), RUN, "events")
    event = {
        "time": "2026-01-01T00:00:00Z",
        "kind": "exited",
        "component": "app",
        "reason": "code 1\x1b",
    }
    spool.write(json.dumps(event).encode() + b"\n")
    instance.start()
    text = said(capsys, "events")
    assert text == "2026-01-01T00:00:00Z  exited           app        code 1\\x1b\n"
    assert told(capsys, "events", "--kind", "exited")["reason"] == "code 1\x1b"
    assert said(capsys, "events", "--component", "shipper") == ""
    assert "write 10m" in said(capsys, "events", "--since", "soon", code=1)


def test_events_without_an_agent_and_after_the_end(
    instance: KeeperPeer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PILLION_STATE_DIR", str(instance.state_dir.parent))
    spool = Spool(str(instance.state_dir), RUN, "events")
    spool.write(b'{"time": "t0", "kind": "failed", "component": "app"}\n')
    spool.write(b'{"time": "t1", "kind": "exited", "component": "app"}\n')
    instance.sockets["api_unix"].close()
    assert [told(capsys, "events", "--limit", "1")["time"]] == ["t1"]
    assert told(capsys, "events", "--kind", "failed")["time"] == "t0"
    assert said(capsys, "events", "--since", "10m") == ""
    assert "write 10m" in said(capsys, "events", "--since", "soon", code=2)
    instance.unlock()
    assert told(capsys, "events", "--instance", "shop", "--kind", "failed")["time"] == "t0"
    assert "cannot find an instance" in said(capsys, "events", code=2)


def test_events_go_on_with_the_next_agent(
    instance: KeeperPeer, capfd: pytest.CaptureFixture[str]
) -> None:
    spool = Spool(str(instance.state_dir), RUN, "events")

    def happen(number: int) -> None:
        event = {"time": f"2026-01-01T00:00:0{number}Z", "kind": "started", "component": "app"}
        spool.write(json.dumps(event).encode() + b"\n")

    happen(0)
    first = instance.start()
    follower = threading.Thread(target=main, args=(["events", "-f", "--json"],))
    follower.start()
    seen = wait_for_output(capfd, "00:00:00Z")
    first.process.kill()
    happen(1)
    second = instance.start()
    seen += wait_for_output(capfd, "00:00:01Z")
    instance.unlock()
    second.send({"op": "stop", "grace_s": 5.0})
    follower.join(10)
    assert not follower.is_alive()
    seen += capfd.readouterr().out
    assert [json.loads(line)["time"][-3:] for line in seen.splitlines()] == ["00Z", "01Z"]


def wait_for_output(capfd: pytest.CaptureFixture[str], text: str) -> str:
    seen = ""

    def there() -> bool:
        nonlocal seen
        seen += capfd.readouterr().out
        return text in seen

    eventually(there, f"no {text}")
    return seen


def test_limits_without_a_value_are_shown(
    instance: KeeperPeer, capsys: pytest.CaptureFixture[str]
) -> None:
    instance.start()
    assert said(capsys, "limits", "app") == "app: memory 512M (by cgroup-v1)\n"
    assert "there are app, agent" in said(capsys, "limits", "nobody", code=1)


def test_reload_says_what_holds_and_what_waits(
    instance: KeeperPeer, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "pillion.toml"
    file.write_text('[app]\nname = "shop"\nport = 3000\nstop_timeout = "3s"\n')
    facts = {"name": "shop", "run": RUN, "settings_file": str(file)}
    instance.write("instance.json", json.dumps(facts))
    instance.start()
    text = said(capsys, "reload")
    assert "applied: app.stop_timeout 10.0 -> 3.0\n" in text
    assert "after `pillion restart app`: app.port None -> 3000\n" in text
    assert said(capsys, "reload") == "nothing has changed\n"
    file.write_text("[app]\nprot = 1\n")
    text = said(capsys, "reload", code=2)
    assert "nothing was changed" in text
    assert "app.prot: unknown setting; did you mean app.port?" in text


def test_upgrade(instance: KeeperPeer, capsys: pytest.CaptureFixture[str]) -> None:
    instance.start()
    facts = {"name": "agent", "from": "0.1.0", "to": "0.2.0", "pid": 5}
    instance.methods["upgrade"] = lambda _: {"upgraded": [facts]}
    assert said(capsys, "upgrade", "--drain", "3s") == "agent: 0.1.0 -> 0.2.0, pid 5\n"
    assert told(capsys, "upgrade", "--keeper")["upgraded"] == [facts]
    assert "it is no program" in said(capsys, "upgrade", "--python", "/nowhere/python", code=2)
    (child,) = instance.children
    first, second = child.calls("upgrade")
    assert first == {"python": None, "drain_s": 3.0}
    assert second["components"] == ["keeper"]


def test_stop_waits_for_the_keepers_end(
    instance: KeeperPeer, capsys: pytest.CaptureFixture[str]
) -> None:
    instance.start()
    ended = threading.Timer(0.2, instance.unlock)
    instance.methods["shutdown"] = lambda _: ended.start() or {}
    # Without a pid in its record, the lock alone tells.
    instance.write("instance.json", json.dumps({"name": "shop", "run": RUN}))
    assert said(capsys, "stop") == "shop: ended\n"
    assert said(capsys, "status").startswith("INSTANCE")


def test_a_stop_that_takes_too_long_says_so(
    instance: KeeperPeer, capsys: pytest.CaptureFixture[str]
) -> None:
    instance.start()
    assert "it is still stopping" in said(capsys, "stop", "--timeout", "100ms", code=1)
    assert said(capsys, "stop", "--no-wait") == "shop: stopping\n"


def test_top_counts_what_is_used_at_the_moment(
    instance: KeeperPeer, capsys: pytest.CaptureFixture[str]
) -> None:
    instance.start()
    text = said(capsys, "top", "--count", "2", "--interval", "100ms")
    assert text.count("NAME ") == 2
    assert "0.0%" in text.split("NAME ")[2]
    lines = said(capsys, "top", "--count", "2", "--interval", "100ms", "--json").splitlines()
    assert [json.loads(line)["instance"] for line in lines] == ["shop", "shop"]


def test_many_instances_are_listed_without_asking_any(
    instance: KeeperPeer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    locks = []
    for number in range(200):
        directory = tmp_path / "run" / f"many-{number:03d}"
        directory.mkdir()
        record = {"name": directory.name, "keeper": {"pid": number + 1}, "command": ["sleep", "1"]}
        (directory / "instance.json").write_text(json.dumps(record))
        locks.append(take_lock(str(directory / "lock")))
    try:
        items = told(capsys, "status")["items"]
        assert len(items) == 201
        assert {one["state"] for one in items} == {"running"}
        text = said(capsys, "status")
        assert text.splitlines()[1].split()[:3] == ["many-000", "running", "1"]
        error = said(capsys, "restart", "app", code=2)
        assert "which of 201 instances" in error
        assert "and 181 more" in error
        assert instance.operator_calls == []
        assert told(capsys, "status", "--instance", "shop")["instance"] == "shop"
    finally:
        for lock in locks:
            assert lock is not None
            os.close(lock)
    assert {one["state"] for one in told(capsys, "status", "--all")["items"]} == {
        "running",
        "ended",
    }


def test_the_inherited_socket_says_which(
    instance: KeeperPeer,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    other = tmp_path / "run" / "other"
    other.mkdir()
    (other / "instance.json").write_text('{"name": "other"}')
    lock = take_lock(str(other / "lock"))
    assert lock is not None
    instance.start()
    monkeypatch.setenv("PILLION_SOCKET", instance.api_socket)
    assert told(capsys, "status")["instance"] == "shop"
    assert told(capsys, "components")["items"]
    os.close(lock)


def test_a_dead_instance_is_said_to_be_one(
    instance: KeeperPeer, capsys: pytest.CaptureFixture[str]
) -> None:
    instance.unlock()
    assert "cannot find a running instance named 'shop'" in said(
        capsys, "status", "--instance", "shop", code=2
    )
    assert "start one with" in said(capsys, "components", code=2)
    assert "ended" in said(capsys, "status")


def test_neither_agent_nor_keeper(instance: KeeperPeer, capsys: pytest.CaptureFixture[str]) -> None:
    instance.sockets["api_unix"].close()
    os.unlink(instance.runtime_dir / "keeper.sock")
    assert "cannot reach the keeper" in said(capsys, "components", code=1)


def test_a_reader_that_leaves_is_no_error(instance: KeeperPeer) -> None:
    instance.start()
    read, write = os.pipe()
    os.close(read)
    code = "import sys; from pillion.cli.main import main; sys.exit(main(['status']))"
    done = subprocess.run(
        [sys.executable, "-c", code], stdout=write, stderr=subprocess.PIPE, check=False
    )
    os.close(write)
    assert done.stderr == b""
