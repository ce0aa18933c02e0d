"""A newly read plan while everything runs: what the workers are told, and that a refusal leaves everything as it was."""

from __future__ import annotations

import copy
import os
import signal
import socket
import subprocess
from typing import TYPE_CHECKING

import pytest

from pillion.keeper import renewal, wire
from pillion.keeper.cgroups import Group, Groups, LimitRefused
from pillion.keeper.component import Process
from pillion.keeper.heart import Heart
from pillion.keeper.hierarchies import Hierarchies
from pillion.keeper.instance import claim
from pillion.keeper.keeper import Keeper
from pillion.keeper.listeners import bind
from pillion.keeper.output import open_streams, stream_names
from pillion.keeper.plan import default_plan
from pillion.keeper.reply import Refused

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pillion.keeper.plan import LimitsPlan, ListenerPlan, Plan
    from pillion.keeper.wire import Json, Message

FREE: ListenerPlan = {"listen": "127.0.0.1:0", "protocol": "http"}


class Tight(Group):
    """A group in which 100 bytes are in use."""

    def __init__(self) -> None:
        super().__init__(None, {}, v2_controls=False)

    def apply(self, limits: LimitsPlan) -> None:
        memory = limits.get("memory")
        if memory is not None and memory < 100:
            raise LimitRefused(f"cannot limit memory to {memory} bytes: 100 are in use")


class World:
    """A keeper with one worker, whose end of the wire is ours."""

    def __init__(self, keeper: Keeper) -> None:
        self.keeper = keeper
        self.child = subprocess.Popen(["sleep", "600"])
        ours, theirs = wire.pair()
        self.peer = socket.socket(fileno=theirs.detach())
        self.peer.setblocking(False)
        self.worker = keeper.components["ambassador"]
        self.worker.process = Process(self.child.pid, Tight(), Heart(2), wire.Channel(ours), -1)

    def plan(self, *names: str) -> Plan:
        """The present plan, but with these listeners."""
        plan = copy.deepcopy(self.keeper.plan)
        plan["ambassador"]["listeners"] = dict.fromkeys(names, FREE)
        return plan

    def renew(self, plan: Plan) -> list[tuple[Message, list[tuple[str, int]]]]:
        """Put it in force; returns what the worker was told, each with the addresses of what came along."""
        renewal.renew(self.keeper, plan)
        told: list[tuple[Message, list[tuple[str, int]]]] = []
        while True:
            try:
                data, fds, _, _ = socket.recv_fds(self.peer, 1 << 17, 253)
            except BlockingIOError:
                return told
            message = wire.decode(data)
            assert message is not None
            addresses = []
            for fd in fds:
                with socket.socket(fileno=fd) as sock:
                    addresses.append(sock.getsockname())
            told.append((message, addresses))

    def close(self) -> None:
        self.child.kill()
        self.child.wait()
        assert self.worker.process is None or self.worker.process.channel is not None
        if self.worker.process is not None and self.worker.process.channel is not None:
            self.worker.process.channel.close()
        self.peer.close()


@pytest.fixture
def world(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, signals_restored: None
) -> Iterator[World]:
    before = set(os.listdir("/proc/self/fd"))
    monkeypatch.setenv("PILLION_RUNTIME_DIR", f"{tmp_path}/run")
    monkeypatch.setenv("PILLION_STATE_DIR", f"{tmp_path}/state")
    plan = default_plan(["true"], "shop")
    plan["logs"]["ring_bytes"] = 1 << 16
    plan["ambassador"] = {
        **plan["shipper"], "enabled": True, "limits": {}, "workers": 1, "proxy_env": False, "proxy_credentials": True,
        "listeners": {"proxy": FREE, "upstream:a": FREE},
    }  # fmt: skip
    instance = claim("shop", exact=True)
    instance.bind({"listen": None, "probe_listen": None}, app_uid=None)
    instance.sockets.update(bind(plan["ambassador"]["listeners"]))
    groups = Groups(Hierarchies(None, frozenset(), {}), "pillion-shop")
    streams = open_streams(plan["logs"], stream_names(plan))
    made = World(Keeper(plan, instance, streams, groups))
    yield made
    made.close()
    made.keeper.loop.close()
    made.keeper.lingering.end()
    for sock in instance.sockets.values():
        sock.close()
    for fd in set(os.listdir("/proc/self/fd")) - before:
        try:
            os.close(int(fd))
        except OSError:
            continue


def ports(world: World) -> dict[str, int]:
    sockets = world.keeper.instance.sockets
    return {n: s.getsockname()[1] for n, s in sockets.items() if n == "proxy" or ":" in n}


def test_the_same_listeners_are_nothing_to_tell(world: World) -> None:
    before = ports(world)
    assert world.renew(world.plan("proxy", "upstream:a")) == []
    assert ports(world) == before


def test_a_worker_gets_what_is_new_and_hears_what_is_gone(world: World) -> None:
    ((message, addresses),) = world.renew(world.plan("proxy", "upstream:b"))
    wanted: dict[str, Json] = {"op": "listeners", "added": ["upstream:b"], "gone": ["upstream:a"]}
    assert message == wanted
    assert [port for _, port in addresses] == [ports(world)["upstream:b"]]
    assert set(ports(world)) == {"proxy", "upstream:b"}


def test_what_is_only_gone_is_told_too(world: World) -> None:
    told = world.renew(world.plan("proxy"))
    assert told == [({"op": "listeners", "added": [], "gone": ["upstream:a"]}, [])]


def test_many_come_in_several_messages_in_their_order(world: World) -> None:
    names = [f"upstream:n{n}" for n in range(150)]
    told = world.renew(world.plan("proxy", *names))
    assert [len(addresses) for _, addresses in told] == [64, 64, 22]
    assert [message["gone"] for message, _ in told] == [["upstream:a"], [], []]
    found: dict[str, int] = {}
    for message, addresses in told:
        added = message["added"]
        assert isinstance(added, list)
        found.update(zip(map(str, added), (port for _, port in addresses), strict=True))
    assert found == {name: port for name, port in ports(world).items() if name in names}
    assert list(found) == names


def test_a_worker_that_cannot_be_told_starts_anew(world: World) -> None:
    world.peer.close()
    renewal.renew(world.keeper, world.plan("proxy"))
    assert world.child.wait(10) == -signal.SIGKILL
    assert world.worker.process is not None
    assert "does not read" in str(world.worker.process.killed_because)


def test_an_address_that_is_taken_changes_nothing(world: World) -> None:
    before, plan = ports(world), copy.deepcopy(world.keeper.plan)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        wanted = world.plan("upstream:b", "inbound")
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        wanted["ambassador"]["listeners"]["inbound"] = {"listen": address, "protocol": "http"}
        with pytest.raises(Refused, match=f"cannot listen on {address}: already in use") as caught:
            world.renew(wanted)
    assert caught.value.status == 409
    assert (ports(world), world.keeper.plan) == (before, plan)


def test_a_limit_that_is_refused_changes_nothing(world: World) -> None:
    before, plan = ports(world), copy.deepcopy(world.keeper.plan)
    descriptors = len(os.listdir("/proc/self/fd"))
    wanted = world.plan("upstream:b")
    wanted["ambassador"]["limits"] = {"memory": 99}
    with pytest.raises(Refused, match="cannot limit memory to 99 bytes"):
        world.renew(wanted)
    assert (ports(world), world.keeper.plan, world.worker.limits) == (before, plan, {})
    assert len(os.listdir("/proc/self/fd")) == descriptors


def test_a_token_that_cannot_be_written_changes_nothing(world: World) -> None:
    before, plan = ports(world), copy.deepcopy(world.keeper.plan)
    assert not world.keeper.instance.proxy_token
    world.keeper.instance.runtime_dir = "/nowhere"
    with pytest.raises(Refused, match=r"/nowhere/proxy\.token"):
        world.renew(world.plan("upstream:b"))
    assert (ports(world), world.keeper.plan) == (before, plan)


def test_limits_of_a_worker_change_while_it_runs(world: World) -> None:
    wanted = world.plan("proxy", "upstream:a")
    wanted["ambassador"]["limits"] = {"memory": 101}
    world.renew(wanted)
    assert world.worker.limits == {"memory": 101}


def test_without_an_ambassador_its_worker_retires_and_is_forgotten(world: World) -> None:
    wanted = world.plan()
    del wanted["ambassador"]
    told = [message["op"] for message, _ in world.renew(wanted)]
    assert told == ["listeners", "retire"]
    assert world.worker.leaving
    assert ports(world) == {}
    world.worker.process, kept = None, world.worker.process
    world.keeper.forget(world.worker)
    assert "ambassador" not in world.keeper.components
    assert world.worker not in world.keeper.sidecars
    world.worker.process = kept


def test_a_worker_that_is_wanted_again_comes_back(world: World) -> None:
    plan = copy.deepcopy(world.keeper.plan)
    wanted = world.plan()
    del wanted["ambassador"]
    world.renew(wanted)
    world.renew(plan)
    assert not world.worker.leaving
    assert not world.worker.stop_wanted
    assert set(ports(world)) == {"proxy", "upstream:a"}
