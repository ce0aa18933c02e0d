"""The ambassador as the keeper has it: workers on listeners that outlive them, told to the app before its exec, changed by a reload."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import stat
from typing import TYPE_CHECKING

import pytest

from ambassador_running import (
    APP,
    ask,
    environment,
    listeners,
    listens,
    reload,
    start,
    upstream,
    workers,
)
from free_ports import free_port
from instance import BOUND_S, wait_for

if TYPE_CHECKING:
    from instance import Host

ORDERS = upstream("orders")
STOCK = upstream("stock")
PROXY = '[ambassador.proxy]\nlisten = "127.0.0.1:0"\nenv = true\n'


def test_the_app_finds_every_way_out_in_its_environment(host: Host) -> None:
    settings = f'{PROXY}{ORDERS}\n[ambassador.upstreams.the-db]\nurls = ["tcp://127.0.0.1:9"]\n'
    theirs = {
        "HTTP_PROXY": "http://theirs:1",
        "all_proxy": "socks5://theirs:1",
        "no_proxy": ".corp",
    }
    instance = start(host, settings, env=theirs)
    env, where = environment(instance), listeners(instance)
    with open(f"{instance.runtime}/proxy.token") as file:
        token = file.read()
        assert stat.S_IMODE(os.fstat(file.fileno()).st_mode) == 0o600
    proxy = f"http://pillion:{token}@{where['proxy']}"
    assert env["PILLION_UPSTREAM_ORDERS"] == f"http://{where['upstream:orders']}"
    assert env["PILLION_UPSTREAM_THE_DB"] == f"tcp://{where['upstream:the-db']}"
    names = {"http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "PILLION_PROXY"}
    assert {name: env[name] for name in names} == dict.fromkeys(names, proxy)
    assert env["no_proxy"] == env["NO_PROXY"] == "localhost,127.0.0.1,::1,.corp"
    assert "all_proxy" not in env
    assert all(listens(address) for address in where.values())


def test_without_an_ambassador_nothing_of_it_is_there(host: Host) -> None:
    instance = start(host, "")
    assert (workers(instance), listeners(instance)) == ({}, {})
    assert not os.path.exists(f"{instance.runtime}/proxy.token")
    (run,) = os.listdir(instance.spool)
    assert not {"requests", "spans"} & set(os.listdir(os.path.join(instance.spool, run)))
    assert not {name for name in environment(instance) if "PROXY" in name.upper()}


def test_an_address_that_is_taken_is_told_before_anything_starts(host: Host) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        instance = host.run(*APP, settings=upstream("orders", address))
        out, err = instance.output()
    assert instance.wait() == 1
    assert out == b""
    assert err.decode().startswith(
        f"pillion: cannot listen on {address}: already in use by pid {os.getpid()} ("
    )
    assert err.decode().endswith("; set ambassador.upstreams.orders.listen or stop it\n")


def test_each_worker_is_a_component_of_its_own_on_the_same_sockets(host: Host) -> None:
    instance = start(host, f"[ambassador]\nworkers = 2\nlimits.memory = '100M'\n{PROXY}{ORDERS}")
    pids = workers(instance)
    assert list(pids) == ["ambassador", "ambassador-2"]
    inodes = []
    for number, (name, pid) in enumerate(pids.items(), start=1):
        component = instance.component(name)
        assert component["limits"] == {"memory": 100 << 20}
        with open(f"/proc/{pid}/environ", "rb") as file:
            found = next(v for v in file.read().split(b"\0") if v.startswith(b"PILLION_CHILD="))
        place = json.loads(found.partition(b"=")[2])
        assert (place["role"], place["component"], place["worker"]) == ("ambassador", name, number)
        wanted = {"control", "proxy", "upstream:orders", "requests", "spans"}
        assert set(place["fds"]) == wanted
        inodes.append(os.readlink(f"/proc/{pid}/fd/{place['fds']['proxy']}"))
        with open(f"/proc/{pid}/limits") as limits:
            files = next(line for line in limits if line.startswith("Max open files")).split()
        assert files[3] == files[4]  # every connection is one
    assert len(set(inodes)) == 1
    shown = host.pillion("components", "--instance", instance.name).stdout
    assert "ambassador-2" in shown
    where = listeners(instance)
    said = host.pillion("status", "--instance", instance.name).stdout
    assert f"listens orders {where['upstream:orders']}, proxy {where['proxy']}\n" in said
    as_json = host.pillion("status", "--json", "--instance", instance.name).stdout
    assert json.loads(as_json)["listeners"] == where


def test_a_reload_adds_and_removes_listeners_while_workers_run(host: Host) -> None:
    instance = start(host, ORDERS)
    before, pids = listeners(instance), workers(instance)
    reload(instance, ORDERS + STOCK)
    after = listeners(instance)
    assert after["upstream:orders"] == before["upstream:orders"]
    assert ask(after["upstream:stock"]) == (200, b"here")
    reload(instance, ORDERS)
    assert listeners(instance) == before
    wait_for("nobody listens there any more", lambda: not listens(after["upstream:stock"]))
    assert ask(before["upstream:orders"]) == (200, b"here")
    assert workers(instance) == pids


def test_a_reload_leaves_connections_alone(host: Host) -> None:
    instance = start(host, ORDERS + STOCK)
    address = listeners(instance)["upstream:orders"]
    client = http.client.HTTPConnection(address, timeout=BOUND_S)
    with contextlib.closing(client):
        held = []
        for settings in (ORDERS, ORDERS + STOCK, f"[ambassador]\nworkers = 2\n{ORDERS}"):
            client.request("GET", "/")
            assert client.getresponse().read() == b"here"
            held.append(client.sock)
            reload(instance, settings)
        client.request("GET", "/")
        assert client.getresponse().read() == b"here"
        assert [*held, client.sock] == [client.sock] * 4


def test_a_listener_moves_to_another_address(host: Host) -> None:
    port = free_port()
    instance = start(host, upstream("orders", f"127.0.0.1:{port}"))
    for address in (f"0.0.0.0:{port}", f"127.0.0.1:{port}"):
        reload(instance, upstream("orders", address))
        assert listeners(instance)["upstream:orders"] == address
        assert ask(f"127.0.0.1:{port}") == (200, b"here")


def test_a_reload_that_cannot_be_had_changes_nothing(host: Host) -> None:
    instance = start(host, ORDERS)
    before, pids = listeners(instance), workers(instance)
    with open(f"{instance.runtime}/settings.json") as file:
        settings = file.read()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        said = reload(instance, upstream("stock", address) + ORDERS)
    assert f"cannot listen on {address}: already in use by pid {os.getpid()}" in said
    assert "set ambassador.upstreams.stock.listen or stop it" in said
    assert (listeners(instance), workers(instance)) == (before, pids)
    with open(f"{instance.runtime}/settings.json") as file:
        assert file.read() == settings
    wait_for("it is told", lambda: "reload-refused" in instance.kinds())
    assert ask(before["upstream:orders"]) == (200, b"here")
    # What was in the way is gone now.
    reload(instance, upstream("stock", address) + ORDERS)
    assert ask(address) == (200, b"here")


def test_an_ambassador_comes_and_goes_with_a_reload(host: Host) -> None:
    instance = start(host, "")
    reload(instance, ORDERS)
    instance.wait_state("ambassador")
    address = listeners(instance)["upstream:orders"]
    assert ask(address) == (200, b"here")
    wait_for("the request is on record", lambda: instance.spooled("requests"))
    reload(instance, "")
    wait_for("there is none any more", lambda: not workers(instance))
    wait_for("nobody listens there any more", lambda: not listens(address))
    assert instance.component("app")["restarts"] == 0


def test_the_number_of_workers_follows_the_settings(host: Host) -> None:
    more = "[ambassador]\nworkers = {}\n"
    instance = start(host, more.format(1) + ORDERS)
    address, first = listeners(instance)["upstream:orders"], workers(instance)["ambassador"]
    reload(instance, more.format(3) + ORDERS)
    for name in ("ambassador-2", "ambassador-3"):
        instance.wait_state(name)
    reload(instance, more.format(1) + ORDERS)
    wait_for("one is left", lambda: workers(instance) == {"ambassador": first})
    assert ask(address) == (200, b"here")


def test_the_keepers_own_upgrade_keeps_ports_token_and_workers(host: Host) -> None:
    instance = start(host, PROXY + ORDERS)
    before = (listeners(instance), workers(instance))
    env = environment(instance)
    host.pillion("upgrade", "--keeper", "--instance", instance.name)
    assert (listeners(instance), workers(instance)) == before
    assert ask(before[0]["upstream:orders"]) == (200, b"here")
    host.pillion("restart", "app", "--instance", instance.name)
    wait_for("the app has told again", lambda: instance.spooled("stdout").count(b"told\n") == 2)
    again = environment(instance)
    named = [name for name in env if name.startswith("PILLION_") or "proxy" in name.lower()]
    assert {name: again[name] for name in named} == {name: env[name] for name in named}


@pytest.mark.parametrize("count", [1, 2])
def test_an_upgrade_replaces_every_worker_on_the_same_sockets(host: Host, count: int) -> None:
    instance = start(host, f"[ambassador]\nworkers = {count}\n{ORDERS}")
    before, where = workers(instance), listeners(instance)
    said = host.pillion("upgrade", "--instance", instance.name, timeout=60).stdout
    assert all(f"{name}: " in said for name in ("agent", *before))
    after = workers(instance)
    assert list(after) == list(before)
    assert not set(after.values()) & set(before.values())
    assert listeners(instance) == where
    assert ask(where["upstream:orders"]) == (200, b"here")


def test_a_worker_is_restarted_by_its_name(host: Host) -> None:
    instance = start(host, ORDERS)
    before = workers(instance)
    host.pillion("restart", "ambassador", "--instance", instance.name)
    instance.wait_state("ambassador")
    assert workers(instance) != before
    assert ask(listeners(instance)["upstream:orders"]) == (200, b"here")


def test_the_ambassador_ends_after_the_app_and_its_last_records_are_kept(host: Host) -> None:
    instance = start(host, ORDERS)
    address = listeners(instance)["upstream:orders"]
    assert ask(address, "/the-last") == (200, b"here")
    instance.signal(signal.SIGTERM)
    assert instance.wait() == 128 + signal.SIGTERM
    events = [(e["kind"], e["component"]) for e in instance.events()]
    order = [events.index(("exited", name)) for name in ("app", "ambassador", "agent")]
    assert order == sorted(order)
    assert ("killed", "ambassador") not in events
    (record,) = [json.loads(line) for line in instance.spooled("requests").splitlines()]
    assert record["path"] == "/the-last"
    shown = host.pillion("logs", "--stream", "requests", "--instance", instance.name).stdout
    assert "/the-last" in shown
