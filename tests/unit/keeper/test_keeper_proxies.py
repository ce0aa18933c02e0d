"""Managed proxies in the keeper's own terms: their command lines, what a reload does to each, and whom they belong to when they are gone."""

from __future__ import annotations

import copy
import os
import signal
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from held import hold
from instance import wait_for
from pillion.keeper import component as parts
from pillion.keeper import posix, proxies, renewal, restart, snapshot, tree
from pillion.keeper.cgroups import Group, Groups
from pillion.keeper.component import Process
from pillion.keeper.guard import Tree
from pillion.keeper.heart import Heart
from pillion.keeper.hierarchies import Hierarchies
from pillion.keeper.instance import claim
from pillion.keeper.keeper import Keeper
from pillion.keeper.listeners import addresses, bind, plan_listeners, setting_of
from pillion.keeper.output import open_streams
from pillion.keeper.plan import default_plan
from pillion.keeper.reply import Refused

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pillion.keeper.component import Component
    from pillion.keeper.plan import ProxyPlan
    from pillion.keeper.wire import Message

NOWHERE = Group(None, {}, v2_controls=False)


def proxy(*command: str, listen: str | None = None) -> ProxyPlan:
    return {
        "command": list(command) or ["nginx", "-c", "{conf}/nginx.conf"],
        "limits": {},
        "stop_signal": "QUIT",
        "stop_timeout_s": 1.0,
        "listeners": {} if listen is None else {"offload": {"listen": listen, "protocol": "http"}},
    }


class World:
    """A keeper with proxies, of which those that run are a `sleep` that hears no QUIT at once."""

    def __init__(self, keeper: Keeper) -> None:
        self.keeper = keeper
        self.children: list[subprocess.Popen[bytes]] = []

    def component(self, name: str) -> Component:
        return self.keeper.components[name]

    def run(self, name: str) -> subprocess.Popen[bytes]:
        """Have it run."""
        child = subprocess.Popen(["sleep", "600"], start_new_session=True)
        self.children.append(child)
        one = self.component(name)
        one.process = Process(child.pid, NOWHERE, Heart(0), None, -1)
        one.state = parts.RUNNING
        return child

    def renew(self, **wanted: ProxyPlan) -> None:
        """Put a plan with these proxies in force."""
        plan = copy.deepcopy(self.keeper.plan)
        plan["proxies"] = wanted
        renewal.renew(self.keeper, plan)

    def states(self) -> dict[str, str]:
        return {one.name: one.state for one in self.keeper.proxies}


@pytest.fixture
def world(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, signals_restored: None
) -> Iterator[World]:
    before = set(os.listdir("/proc/self/fd"))
    monkeypatch.setenv("PILLION_RUNTIME_DIR", f"{tmp_path}/run")
    monkeypatch.setenv("PILLION_STATE_DIR", f"{tmp_path}/state")
    plan = default_plan(["true"], "shop")
    plan["logs"]["ring_bytes"] = 1 << 16
    plan["proxies"] = {"edge": proxy(), "offload": proxy(listen="127.0.0.1:0")}
    instance = claim("shop", exact=True)
    instance.bind({"listen": None, "probe_listen": None}, app_uid=None)
    instance.sockets.update(bind(plan_listeners(plan)))
    groups = Groups(Hierarchies(None, frozenset(), {}), "pillion-shop")
    made = World(Keeper(plan, instance, open_streams(plan["logs"]), groups))
    yield made
    for child in made.children:
        child.kill()
        child.wait()
    made.keeper.loop.close()
    made.keeper.lingering.end()
    for sock in instance.sockets.values():
        sock.close()
    for fd in set(os.listdir("/proc/self/fd")) - before:
        try:
            os.close(int(fd))
        except OSError:
            continue


def test_they_wait_and_are_no_part_of_the_sidecar(world: World) -> None:
    keeper = world.keeper
    assert world.states() == {"edge": "waiting", "offload": "waiting"}
    assert [one.role for one in keeper.proxies] == [parts.PROXY] * 2
    assert not {one.name for one in keeper.sidecars} & set(world.states())


def test_a_command_line_has_the_instance_s_directories(world: World) -> None:
    instance = world.keeper.instance
    words = (
        "nginx",
        "-c",
        "{conf}/nginx.conf",
        "-g",
        'pid "{state}/nginx.pid";',
        "unix@{runtime}/x",
    )
    assert proxies.command("edge", proxy(*words), instance) == [
        "nginx",
        "-c",
        f"{instance.state_dir}/proxies/edge/conf/nginx.conf",
        "-g",
        f'pid "{instance.state_dir}/proxies/edge/nginx.pid";',
        f"unix@{instance.runtime_dir}/x",
    ]


def test_the_first_restart_is_at_once_and_the_later_ones_ever_later() -> None:
    failures, delays = 0, []
    for _ in range(12):
        decision = restart.decide(proxies.POLICY, failures, success=False, ran_s=0.1, random=0.5)
        failures = decision.failures
        delays.append(decision.delay_s)
        assert decision.verdict == restart.RESTART
    assert delays[1:4] == [0.2, 0.4, 0.8]
    assert max(delays) == delays[-1] == 10.0
    decision = restart.decide(proxies.POLICY, failures, success=True, ran_s=5.0, random=0.5)
    assert decision.failures == 1


def test_where_it_listens_is_told_and_whoever_inherits_it_need_not_wait(world: World) -> None:
    sockets = world.keeper.instance.sockets
    port = sockets["offload"].getsockname()[1]
    assert addresses(world.keeper.plan, sockets) == {"offload": f"127.0.0.1:{port}"}
    assert not os.get_blocking(sockets["offload"].fileno())
    assert setting_of("offload") == "offload.listen"


# --- a newly read plan -----------------------------------------------------------------------------------------------------


DEAF_AT_FIRST = """
import signal
signal.signal(signal.SIGQUIT, lambda *_: signal.signal(signal.SIGQUIT, signal.SIG_DFL))
print("up", flush=True)
while True:
    signal.pause()
"""


def test_who_did_not_hear_the_signal_is_told_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pillion.keeper.proxies._ASK_AGAIN_S", 0.05)
    child = subprocess.Popen([sys.executable, "-c", DEAF_AT_FIRST], stdout=subprocess.PIPE)
    world.children.append(child)
    assert child.stdout is not None
    with child.stdout:
        assert child.stdout.readline() == b"up\n"
    one = world.component("edge")
    one.process = Process(child.pid, NOWHERE, Heart(0), None, -1)
    proxies.stop(world.keeper, one, proxy())
    while child.poll() is None:
        world.keeper.loop.turn()
    assert child.returncode == -signal.SIGQUIT


def test_the_same_plan_changes_nothing(world: World) -> None:
    child = world.run("edge")
    world.renew(edge=proxy(), offload=proxy(listen="127.0.0.1:0"))
    assert world.states() == {"edge": "running", "offload": "waiting"}
    assert child.poll() is None


def test_what_is_gone_is_told_to_finish_and_forgotten_when_it_has(world: World) -> None:
    child = world.run("edge")
    world.renew(later=proxy())
    assert world.states() == {"edge": "stopping", "later": "waiting"}
    assert child.wait(10) == -signal.SIGQUIT
    world.keeper.exits.exited(child.pid, -signal.SIGQUIT)
    assert world.states() == {"later": "waiting"}
    assert "edge" not in world.keeper.components
    assert "offload" not in world.keeper.instance.sockets


def test_another_program_follows_the_one_that_ends(world: World) -> None:
    child = world.run("edge")
    started: list[str] = []
    world.keeper.exits.restart_component = lambda component: started.append(component.name)  # type: ignore[method-assign]
    world.renew(edge=proxy("other", "-c", "{conf}/nginx.conf"), offload=proxy(listen="127.0.0.1:0"))
    assert child.wait(10) == -signal.SIGQUIT
    assert started == []
    world.keeper.exits.exited(child.pid, -signal.SIGQUIT)
    assert started == ["edge"]


@pytest.mark.parametrize(
    "changed", [proxy("haproxy", "-W"), proxy(listen="127.0.0.1:0")], ids=["kind", "listeners"]
)
def test_what_needs_another_configuration_waits_for_it(world: World, changed: ProxyPlan) -> None:
    child = world.run("edge")
    changed["listeners"] = {name.replace("offload", "more"): one for name, one in changed["listeners"].items()}  # fmt: skip
    world.renew(edge=changed, offload=proxy(listen="127.0.0.1:0"))
    assert child.wait(10) == -signal.SIGQUIT
    world.keeper.exits.exited(child.pid, -signal.SIGQUIT)
    assert world.states()["edge"] == "waiting"
    assert not world.component("edge").stop_wanted


def test_one_that_comes_back_before_it_has_gone_waits(world: World) -> None:
    child = world.run("edge")
    world.renew()
    world.renew(edge=proxy())
    assert world.states()["edge"] == "stopping"
    child.wait(10)
    world.keeper.exits.exited(child.pid, -signal.SIGQUIT)
    assert world.states() == {"edge": "waiting"}


def test_one_that_was_stopped_by_hand_or_waits_is_left_so(world: World) -> None:
    world.component("edge").state = parts.STOPPED
    world.renew(edge=proxy("haproxy", "-W"), offload=proxy("other", listen="127.0.0.1:0"))
    assert world.states() == {"edge": "stopped", "offload": "waiting"}


def test_one_that_waits_for_its_next_try_is_not_tried_with_what_it_needs_no_more(
    world: World,
) -> None:
    edge = world.component("edge")
    edge.state = parts.BACKOFF
    edge.restart_timer = timer = world.keeper.loop.after(60.0, lambda: None)
    world.renew(edge=proxy("haproxy", "-W"))
    assert edge.state == "waiting"
    assert timer.callback is None


def test_another_address_is_bound_and_the_same_one_kept(world: World) -> None:
    before = world.keeper.instance.sockets["offload"]
    world.renew(offload=proxy(listen="127.0.0.1:0"))
    assert world.keeper.instance.sockets["offload"] is before
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(Refused, match=r"set offload\.listen or stop it"):
            world.renew(offload=proxy(listen=f"127.0.0.1:{port}"))
    assert world.keeper.instance.sockets["offload"] is before
    world.renew(offload=proxy(listen=f"127.0.0.1:{port}"))
    assert world.keeper.instance.sockets["offload"].getsockname()[1] == port


def test_a_worker_of_the_ambassador_hears_nothing_of_it(world: World) -> None:
    """It has listeners of its own, and these are none of them."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    from pillion.keeper.wire import Channel

    worker = parts.Component("ambassador", {}, role=parts.AMBASSADOR)
    child = subprocess.Popen(["sleep", "600"])
    world.children.append(child)
    channel = Channel(socket.socket(fileno=ours.detach()))
    worker.process = Process(child.pid, NOWHERE, Heart(2), channel, -1)
    plan = world.keeper.plan
    plan["ambassador"] = {
        **plan["shipper"], "workers": 1, "listeners": {}, "proxy_env": False, "proxy_credentials": True,
    }  # fmt: skip
    world.keeper.instance.proxy_token = "t"
    world.keeper.sidecars.append(worker)
    world.keeper.components["ambassador"] = worker
    world.renew()
    theirs.setblocking(False)
    with theirs, pytest.raises(BlockingIOError):
        theirs.recv(1)
    assert "offload" not in world.keeper.instance.sockets
    channel.close()


# --- an upgrade ------------------------------------------------------------------------------------------------------------


def test_a_snapshot_has_them_and_their_sockets(world: World) -> None:
    world.run("edge")
    world.component("offload").state = parts.STOPPED
    state = snapshot.dump(world.keeper)
    assert world.keeper.instance.sockets["offload"].fileno() in snapshot.descriptors(state)
    snapshot.check(state)
    components = state["components"]
    assert isinstance(components, dict)
    assert {"edge", "offload"} <= set(components)


# --- whom processes belong to ----------------------------------------------------------------------------------------------

MASTER = "import os, sys, time\nif os.fork():\n print('up', flush=True)\ntime.sleep(600)\n"


def test_what_a_killed_master_leaves_is_found_by_its_session(world: World) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", MASTER], start_new_session=True, stdout=subprocess.PIPE
    )
    world.children.append(child)
    assert child.stdout is not None
    with child.stdout:
        assert child.stdout.readline() == b"up\n"
    process = Process(child.pid, NOWHERE, Heart(0), None, -1)
    both = proxies.living(process)
    assert len(both) == 2
    child.kill()
    child.wait()
    assert proxies.living(process) == [pid for pid in both if pid != child.pid]
    proxies.kill(process)
    wait_for("nothing is left", lambda: not proxies.living(process))


def test_the_guard_ends_what_only_its_session_names(world: World) -> None:
    child = world.run("edge")
    message: Message = {"policy": "stop", "sessions": [child.pid, 0], "sidecar": [], "app": []}
    guard = Tree("no-such-run")
    guard.update(message)
    guard.end_sidecar()
    assert child.wait(10) == -signal.SIGTERM


def test_the_guard_kills_what_does_not_hear_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pillion.keeper.guard._SIDECAR_BOUND_S", 0.1)
    child = world.run("edge")
    hold(child.pid)
    guard = Tree("no-such-run")
    guard.update({"policy": "stop", "sessions": [child.pid], "sidecar": [], "app": []})
    guard.end_sidecar()
    assert child.wait(10) == -signal.SIGKILL


def test_an_nginx_is_known_by_its_pid_file_and_its_title(tmp_path: Path) -> None:
    place = tmp_path / "proxies" / "edge"
    place.mkdir(parents=True)
    (tmp_path / "proxies" / "none").mkdir()
    titled = subprocess.Popen(
        ["nginx: master process", "600"], executable="/bin/sleep", start_new_session=True
    )
    plain = subprocess.Popen(["sleep", "600"], start_new_session=True)
    try:
        wait_for("both have been executed", lambda: posix.session_of(plain.pid) == [plain.pid])
        (place / "nginx.pid").write_text(f"{titled.pid}\n")
        wait_for("it has its title", lambda: tree.titled_pids(str(tmp_path)) == [titled.pid])
        # A number that has become somebody else's.
        (place / "nginx.pid").write_text(f"{plain.pid}\n")
        assert tree.titled_pids(str(tmp_path)) == []
        (place / "nginx.pid").write_text("nonsense")
        assert tree.titled_pids(str(tmp_path)) == []
    finally:
        for one in (titled, plain):
            one.kill()
            one.wait()
    assert tree.titled_pids(str(tmp_path / "nowhere")) == []
