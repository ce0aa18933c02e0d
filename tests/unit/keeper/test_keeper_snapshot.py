"""A keeper as JSON and back: what the next version gets is what there was, and what it cannot read it refuses without harm."""

from __future__ import annotations

import copy
import json
import os
import select
import signal
import socket
import time
from typing import TYPE_CHECKING, Any

import pytest

from pillion import __version__
from pillion.keeper import component as parts
from pillion.keeper import posix, resume, snapshot, wire
from pillion.keeper.attach import Adopted
from pillion.keeper.cgroups import Group, Groups
from pillion.keeper.component import Component, Process, dump_process, load_process
from pillion.keeper.heart import Heart
from pillion.keeper.hierarchies import Hierarchies
from pillion.keeper.instance import claim
from pillion.keeper.keeper import Keeper
from pillion.keeper.listeners import bind
from pillion.keeper.output import open_streams, stream_names
from pillion.keeper.plan import default_plan
from pillion.keeper.wire import Channel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

State = dict[str, Any]
BOUND_S = 40.0
# Of these there is another of the same kind in the state.
ALIKE = {"stderr", "sidecar", "shipper", "ambassador", "ambassador-2", "probe", "spans"}
DESCRIPTORS = {"lock", "guard", "channel", "read", "write", "memory", "report", "oom_fd", "pidfd"}


@pytest.fixture
def keeper(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, signals_restored: None
) -> Iterator[Keeper]:
    """A keeper in the middle of its life, with something in every field."""
    before = set(os.listdir("/proc/self/fd"))
    monkeypatch.setenv("PILLION_RUNTIME_DIR", f"{tmp_path}/run")
    monkeypatch.setenv("PILLION_STATE_DIR", f"{tmp_path}/state")
    plan = default_plan(["node", "server.js"], "shop")
    plan["shipper"]["enabled"] = True
    plan["ambassador"] = {
        **plan["shipper"],
        "workers": 2,
        "listeners": {
            "proxy": {"listen": "127.0.0.1:0", "protocol": "http"},
            "upstream:orders": {"listen": "127.0.0.1:0", "protocol": "http"},
        },
        "proxy_env": True,
        "proxy_credentials": True,
    }
    plan["logs"]["ring_bytes"] = 1 << 16
    instance = claim("shop", exact=True)
    instance.bind({"listen": "127.0.0.1:0", "probe_listen": None}, app_uid=None)
    instance.sockets.update(bind(plan["ambassador"]["listeners"]))
    instance.proxy_token = "t0ken"
    groups = Groups(Hierarchies(None, frozenset(), {}), "pillion-shop")
    one = Keeper(plan, instance, open_streams(plan["logs"], stream_names(plan)), groups)
    one.started, one.version = "2026-01-01T00:00:00.000Z", "0.0.1"
    one.overrides, one.oom_score = ["app.port=1"], "-17"
    one.app_variables = {"PRICES": "[1, 2]"}
    ours, theirs = wire.pair()
    one.output.channel, one.output.pid, one.output.restarts = Channel(ours), os.getpid(), 4
    one.notify.update({"READY": "1", "STATUS": "serving", "MAINPID": "77"})
    peers, channels = [theirs], [one.output.channel]
    for part in one.sidecars:
        ours, theirs = wire.pair()
        peers.append(theirs)
        channels.append(Channel(ours))
        part.process = process(channels[-1])
        part.state, part.generation, part.restarts, part.failures = parts.RUNNING, 3, 2, 1
        part.last_exit, part.python = {"signal": "KILL", "cause": "hung"}, "/usr/bin/python3"
    one.app.state, one.app.stop_wanted = parts.STOPPED, True
    one.app.limits = {"memory": 1 << 30}
    one.adopted = Adopted(os.getpid(), os.pidfd_open(os.getpid()), 5)
    yield one
    one.loop.close()
    for channel in channels:
        channel.close()
    for sock in (*instance.sockets.values(), *peers):
        sock.close()
    for fd in set(os.listdir("/proc/self/fd")) - before:
        try:
            os.close(int(fd))
        except OSError:
            continue


def process(channel: Channel | None) -> Process:
    one = Process(
        os.getpid(),
        Group("/v2/app.1", {"memory": "/v1/app.1"}, v2_controls=False),
        Heart(5, 2, tick_s=2.5, first_s=12.5),
        channel,
        -1,
    )
    one.started, one.started_s = "2026-01-01T00:00:01.000Z", 12.5
    one.ready, one.version, one.stats = True, "0.0.1", {"lag_ms": 1.5}
    one.oom_seen = 3
    return one


def state_of(keeper: Keeper) -> State:
    """A snapshot as it comes out of the memfd."""
    state: State = json.loads(json.dumps(snapshot.dump(keeper)))
    return state


def in_child(what: Callable[[], int]) -> int:
    """Run it in a process of its own, which may take hold of every descriptor; returns its exit code."""
    pid = os.fork()
    if pid == 0:
        code = 99
        try:
            code = what()
        finally:
            os._exit(code)
    deadline_s = time.monotonic() + BOUND_S
    while os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is None:
        assert time.monotonic() < deadline_s
        select.select([], [], [], 0.002)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def memory_of(state: object) -> int:
    fd = os.memfd_create("state")
    os.write(fd, json.dumps(state).encode())
    return fd


def trial(state: object) -> int:
    fd = memory_of(state)
    code = in_child(lambda: resume.trial(fd))
    os.close(fd)
    return code


def test_what_was_dumped_is_what_is_loaded(keeper: Keeper) -> None:
    state = state_of(keeper)

    def again() -> int:
        loaded = snapshot.load(copy.deepcopy(state))
        loaded.version = state["version"]
        return 0 if state_of(loaded) == state else 1

    assert in_child(again) == 0


def test_every_descriptor_is_named_once_and_is_open(keeper: Keeper) -> None:
    found = snapshot.descriptors(state_of(keeper))
    assert len(found) == len(set(found))
    # Two locks, the scribe's channel, six sockets, three of each stream, a channel each of the sidecar's four, one pidfd.
    assert len(found) == 2 + 1 + 6 + 3 * 7 + 4 + 1
    for fd in found:
        os.fstat(fd)


def test_the_trial_of_the_same_version_succeeds(keeper: Keeper) -> None:
    assert trial(state_of(keeper)) == 0


@pytest.mark.parametrize("version", [0, 2, "1", None])
def test_another_versions_state_is_refused(
    keeper: Keeper, version: object, capfd: pytest.CaptureFixture[str]
) -> None:
    state = {**state_of(keeper), "v": version}
    with pytest.raises(snapshot.Unreadable) as caught:
        snapshot.check(state)
    wanted = f"cannot take over: the running keeper speaks version {version} of its state, not 1"
    assert str(caught.value) == wanted
    assert trial(state) == 1
    assert f"pillion: {wanted}\n" in capfd.readouterr().err


@pytest.mark.parametrize("text", [[], 7, None, "x"])
def test_a_state_that_is_no_object_is_refused(text: object) -> None:
    assert trial(text) == 1


def test_a_descriptor_that_is_missing_is_refused(keeper: Keeper) -> None:
    for fd in snapshot.descriptors(state_of(keeper)):
        state = json.loads(json.dumps(state_of(keeper)).replace(f": {fd},", ": 987654,"))
        if state == state_of(keeper):
            state = json.loads(json.dumps(state_of(keeper)).replace(f": {fd}}}", ": 987654}"))
        assert state != state_of(keeper)
        with pytest.raises(snapshot.Unreadable, match="Bad file descriptor"):
            snapshot.check(state)


def paths(value: object, at: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    if isinstance(value, dict):
        for key, one in value.items():
            yield (*at, key)
            yield from paths(one, (*at, key))


def needed(path: tuple[str, ...]) -> bool:
    """Whether a keeper cannot stand without this: not what is only told on, and not one of several."""
    if path[0] == "plan":
        return len(path) < 3 and path[-1] in {"plan", "app", "agent", "shipper", "logs"}
    if path[0] in {"streams", "components"} and len(path) == 2:
        return path[1] == "events"
    if "sockets" in path and len(path) == 3:
        return False
    # Read with a default, or for people alone.
    return (
        (
            path[-1]
            not in {"version", "start_ticks", "heart_s", "watchdog_s", "access", "proxy_token"}
            # A keeper before there were any hands on none; nor a proxy's token.
            and "app_variables" not in path
            and not ({"limits", "last_exit", "stats", "group"} & set(path[:-1]))
        )
        or (path[-1] == "version" and "process" in path)
    )


def test_a_trial_refuses_whatever_the_take_over_could_not_do_without(keeper: Keeper) -> None:
    state = state_of(keeper)
    wrong = []
    for path in paths(state):
        # One of each kind stands for its like.
        if ALIKE & set(path[1:]) or "plan" in path[:-2]:
            continue
        cut = copy.deepcopy(state)
        inner = cut
        for key in path[:-1]:
            inner = inner[key]
        del inner[path[-1]]
        code = trial(cut)
        if code not in (0, 1) or (code == 0 and needed(path)):
            wrong.append((".".join(path), code))
    assert wrong == []


def test_a_take_over_that_fails_leaves_every_descriptor_as_it_was(keeper: Keeper) -> None:
    """So that the old version can come back."""
    state = state_of(keeper)
    state["components"]["stranger"] = state["components"]["app"]
    fds = snapshot.descriptors(state)
    before = {fd: os.fstat(fd).st_ino for fd in fds}
    fd = memory_of(state)

    def attempt() -> int:
        try:
            resume.resume(fd)
        except snapshot.Unreadable:
            same = {fd: os.fstat(fd).st_ino for fd in fds} == before
            open_for_next = all(os.get_inheritable(fd) for fd in fds)
            return 0 if same and open_for_next else 1
        return 2

    assert in_child(attempt) == 0
    os.close(fd)


@pytest.mark.parametrize("failure", [None, "it broke"])
def test_a_take_over_closes_descriptors_on_exec_and_tells_the_journal(
    keeper: Keeper, failure: str | None
) -> None:
    keeper.adopted = None
    for part in keeper.sidecars:
        part.process = None
        part.state = parts.STOPPED
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    state = state_of(keeper)
    fds = snapshot.descriptors(state)
    state["reply"] = {"fd": ours.fileno(), "id": 7, "of": ""}
    fd = memory_of(state)

    def attempt() -> int:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        for kept in (*fds, ours.fileno()):
            os.set_inheritable(kept, True)
        taken = resume.resume(fd, failure)
        closes = not any(os.get_inheritable(kept) for kept in (*fds, ours.fileno()))
        unblocked = signal.SIGTERM not in signal.pthread_sigmask(signal.SIG_BLOCK, ())
        return 0 if closes and unblocked and taken.version == __version__ else 1

    assert in_child(attempt) == 0
    os.close(fd)
    reply = json.loads(theirs.recv(1 << 17))
    events = os.read(keeper.output.streams["events"].read, 1 << 16).decode()
    kinds = [json.loads(line)["kind"] for line in events.splitlines()]
    assert reply["id"] == 7
    if failure is None:
        assert reply["result"]["upgraded"][0]["from"] == "0.0.1"
        assert kinds == ["keeper-upgraded"]
    else:
        assert "it broke; the old version carries on" in reply["error"]["detail"]
        assert kinds == ["upgrade-failed"]
    ours.close()
    theirs.close()


def test_a_process_comes_back_as_it_was() -> None:
    one = process(None)
    again = load_process(json.loads(json.dumps(dump_process(one))))
    assert dump_process(again) == dump_process(one)
    assert (again.channel, again.oom_fd, again.heart.misses) == (None, None, 2)


def test_a_process_is_dumped_with_what_names_it_for_good() -> None:
    assert dump_process(process(None))["start_ticks"] == posix.start_ticks(os.getpid())


def test_a_component_without_a_process_is_shown_without_one() -> None:
    assert Component("app", {"memory": 5, "cpu": None}).view() == {
        "name": "app",
        "state": "waiting",
        "pid": None,
        "started": None,
        "restarts": 0,
        "ready": False,
        "version": None,
        "limits": {"memory": 5},
        "limits_by": None,
        "usage": {},
        "last_exit": None,
        "stats": {},
    }


def test_a_component_is_shown_with_its_process_and_what_that_uses(tmp_path: Path) -> None:
    for name, text in {
        "memory.current": "5000",
        "memory.stat": "inactive_file 1000\n",
        "cpu.stat": "usage_usec 2500000\n",
        "cgroup.procs": "1\n2\n3\n",
    }.items():
        (tmp_path / name).write_text(text)
    one = Component("app", {})
    one.process = process(None)
    one.process.group = Group(str(tmp_path), {}, v2_controls=True)
    one.state, one.restarts, one.last_exit = parts.RUNNING, 2, {"code": 1}
    view = one.view()
    assert (view["pid"], view["ready"], view["version"]) == (os.getpid(), True, "0.0.1")
    assert (view["limits_by"], view["stats"]) == ("cgroup-v2", {"lag_ms": 1.5})
    assert view["usage"] == {"memory": 4000, "cpu_s": 2.5, "processes": 3}
    assert json.loads(json.dumps(view)) == view


def test_what_nobody_counts_is_left_out() -> None:
    one = Component("app", {})
    one.process = process(None)
    one.process.group = Group(None, {}, v2_controls=False)
    assert (one.view()["usage"], one.view()["limits_by"]) == ({}, "sampling")


def test_every_process_of_a_component_is_told() -> None:
    one = Component("agent", {})
    one.process, one.successor = process(None), process(None)
    one.retiring = [process(None)]
    assert one.processes() == [one.process, one.successor, *one.retiring]
    assert Component("agent", {}).processes() == []


def test_a_state_from_before_a_stream_is_given_it(keeper: Keeper) -> None:
    state = state_of(keeper)
    state["streams"].pop("api")

    def again() -> int:
        loaded = snapshot.load(copy.deepcopy(state))
        stream = loaded.output.streams["api"]
        return 0 if loaded.output.outdated and os.fstat(stream.write) else 1

    assert trial(state) == 0
    assert in_child(again) == 0


def test_an_earlier_version_had_no_ambassador(keeper: Keeper) -> None:
    """Its state is taken over as it stands, and nothing of an ambassador is made up."""
    state = state_of(keeper)
    del state["plan"]["ambassador"], state["instance"]["proxy_token"]
    for name in ("proxy", "upstream:orders"):
        del state["instance"]["sockets"][name]
    for name in ("requests", "spans"):
        del state["streams"][name]
    for name in ("ambassador", "ambassador-2"):
        del state["components"][name]

    def again() -> int:
        loaded = snapshot.load(copy.deepcopy(state))
        right = (
            [c.name for c in loaded.sidecars] == ["agent", "shipper"]
            and not {"requests", "spans"} & set(loaded.output.streams)
            and not loaded.output.outdated
        )
        return 0 if right else 1

    assert in_child(again) == 0


def test_workers_come_back_as_what_they_are(keeper: Keeper) -> None:
    state = state_of(keeper)

    def again() -> int:
        loaded = snapshot.load(copy.deepcopy(state))
        found = [(c.name, c.role, c.worker) for c in loaded.sidecars[2:]]
        wanted = [("ambassador", "ambassador", 1), ("ambassador-2", "ambassador", 2)]
        return 0 if found == wanted else 1

    assert in_child(again) == 0


def test_a_status_that_is_too_long_leaves_out_what_processes_count(keeper: Keeper) -> None:
    whole = keeper.calls.status()
    assert keeper.components["ambassador"].view() in whole["components"]  # type: ignore[operator] # a list
    assert set(whole["listeners"]) == {"proxy", "upstream:orders"}  # type: ignore[arg-type] # an object
    worker = keeper.components["ambassador"].process
    assert worker is not None
    worker.stats = {f"number_{n}": n for n in range(10_000)}
    names = [f"upstream:{'x' * 60}{n}" for n in range(500)]
    for name in names:
        keeper.plan["ambassador"]["listeners"][name] = {"listen": "127.0.0.1:0", "protocol": "http"}
        keeper.instance.sockets[name] = keeper.instance.sockets["proxy"]
    status = keeper.calls.status()
    wire.encode({"op": "state", "state": status})
    assert set(names) <= set(status["listeners"])  # type: ignore[arg-type] # an object
    assert all(not c["stats"] for c in status["components"])  # type: ignore[index,union-attr,call-overload] # objects
