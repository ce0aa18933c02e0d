"""The ambassador's listeners: bound all or none, kept over a change of settings wherever they can be, and told to the app."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

import pytest

from free_ports import free_port
from pillion.keeper.launch import Failure
from pillion.keeper.listeners import (
    Rebinding,
    addresses,
    announce,
    bind,
    setting_of,
    stop_listening,
    variable_part,
)
from pillion.keeper.plan import default_plan
from pillion.settings.upstreams import upstream_variable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pillion.keeper.plan import AmbassadorPlan, ListenerPlan

FREE = "127.0.0.1:0"


def listener(listen: str, protocol: str = "http") -> ListenerPlan:
    return {"listen": listen, "protocol": protocol}


def ambassador(
    listeners: dict[str, ListenerPlan], *, env: bool = False, credentials: bool = True
) -> AmbassadorPlan:
    return {
        "enabled": True, "heartbeat_s": 12.0, "heartbeat_misses": 2, "ready_timeout_s": 10.0, "drain_s": 10.0,
        "stop_timeout_s": 5.0, "limits": {}, "workers": 1, "listeners": listeners, "proxy_env": env,
        "proxy_credentials": credentials,
    }  # fmt: skip


class Sockets:
    """What is bound in a test, closed at its end."""

    def __init__(self) -> None:
        self.bound: dict[str, socket.socket] = {}
        self._all: list[socket.socket] = []

    def bind(self, listeners: Mapping[str, ListenerPlan]) -> dict[str, socket.socket]:
        self.bound = bind(listeners)
        self._all += self.bound.values()
        return self.bound

    def rebind(self, old: Mapping[str, ListenerPlan], new: Mapping[str, ListenerPlan]) -> Rebinding:
        change = Rebinding(self.bound, old, new)
        self._all += change.added.values()
        return change

    def other(self) -> tuple[socket.socket, int]:
        """A listener of somebody else's."""
        sock = socket.create_server(("127.0.0.1", 0))
        self._all.append(sock)
        return sock, sock.getsockname()[1]

    def close(self) -> None:
        for sock in self._all:
            sock.close()


@pytest.fixture
def sockets() -> Iterator[Sockets]:
    made = Sockets()
    yield made
    made.close()


def port_of(sock: socket.socket) -> int:
    port: int = sock.getsockname()[1]
    return port


def accepts(port: int) -> bool:
    """Whether a connection to this port is taken into a backlog."""
    try:
        socket.create_connection(("127.0.0.1", port), 5).close()
    except ConnectionRefusedError:
        return False
    return True


def test_each_listener_is_bound_under_its_name(sockets: Sockets) -> None:
    plan = {"proxy": listener(FREE), "upstream:db": listener(FREE, "tcp")}
    bound = sockets.bind(plan)
    assert list(bound) == list(plan)
    assert all(accepts(port_of(sock)) for sock in bound.values())
    assert not any(os.get_inheritable(sock.fileno()) for sock in bound.values())
    whole = default_plan(["true"], "shop")
    whole["ambassador"] = ambassador(plan)
    found = addresses(whole, bound)
    assert found == {name: f"127.0.0.1:{port_of(sock)}" for name, sock in bound.items()}


@pytest.mark.parametrize(
    ("name", "setting"),
    [
        ("upstream:orders", "ambassador.upstreams.orders.listen"),
        ("proxy", "ambassador.proxy.listen"),
        ("inbound", "inbound.listen"),
    ],
)
def test_an_address_that_is_taken_is_told_with_its_holder_and_setting(
    sockets: Sockets, name: str, setting: str
) -> None:
    _, port = sockets.other()
    free = free_port()
    with pytest.raises(Failure) as caught:
        bind({"upstream:a": listener(f"127.0.0.1:{free}"), name: listener(f"127.0.0.1:{port}")})
    said = str(caught.value)
    assert said.startswith(
        f"cannot listen on 127.0.0.1:{port}: already in use by pid {os.getpid()}"
    )
    assert said.endswith(f"; set {setting} or stop it")
    assert setting_of(name) == setting
    assert not accepts(free)


def test_what_stays_keeps_its_socket(sockets: Sockets) -> None:
    plan = {"proxy": listener(FREE), "upstream:db": listener(FREE, "tcp")}
    sockets.bind(plan)
    change = sockets.rebind(plan, plan)
    assert (change.added, change.gone, change.dropped) == ({}, [], [])


def test_a_change_adds_and_drops(sockets: Sockets) -> None:
    old = {"proxy": listener(FREE), "upstream:a": listener(FREE)}
    bound = sockets.bind(old)
    change = sockets.rebind(old, {"proxy": listener(FREE), "upstream:b": listener(FREE)})
    assert list(change.added) == ["upstream:b"]
    assert change.gone == ["upstream:a"]
    assert change.dropped == [bound["upstream:a"]]
    # Whoever still has the port of the one must not come out at the other.
    assert port_of(change.added["upstream:b"]) != port_of(bound["upstream:a"])


def test_another_address_replaces_the_socket_under_its_name(sockets: Sockets) -> None:
    old = {"proxy": listener(FREE)}
    bound = sockets.bind(old)
    port = free_port()
    change = sockets.rebind(old, {"proxy": listener(f"127.0.0.1:{port}")})
    assert port_of(change.added["proxy"]) == port
    assert (change.gone, change.dropped) == ([], [bound["proxy"]])


def test_two_that_exchange_their_ports_keep_their_sockets(sockets: Sockets) -> None:
    one, other = (f"127.0.0.1:{free_port()}" for _ in range(2))
    old = {"upstream:a": listener(one), "upstream:b": listener(other)}
    bound = sockets.bind(old)
    change = sockets.rebind(old, {"upstream:a": listener(other), "upstream:b": listener(one)})
    assert change.added == {"upstream:a": bound["upstream:b"], "upstream:b": bound["upstream:a"]}
    assert (change.gone, change.dropped) == ([], [])


def test_from_one_address_to_all_on_the_same_port(sockets: Sockets) -> None:
    port = free_port()
    old = {"inbound": listener(f"127.0.0.1:{port}")}
    sockets.bind(old)
    change = sockets.rebind(old, {"inbound": listener(f"0.0.0.0:{port}")})
    assert change.added["inbound"].getsockname() == ("0.0.0.0", port)
    assert accepts(port)


def test_what_cannot_be_had_changes_nothing(sockets: Sockets) -> None:
    _, taken = sockets.other()
    port, free = free_port(), free_port()
    old = {"inbound": listener(f"127.0.0.1:{port}")}
    sockets.bind(old)
    with pytest.raises(Failure, match=f"cannot listen on 127.0.0.1:{taken}: already in use"):
        sockets.rebind(
            old,
            {
                "inbound": listener(f"0.0.0.0:{port}"),
                "upstream:a": listener(f"127.0.0.1:{free}"),
                "upstream:b": listener(f"127.0.0.1:{taken}"),
            },
        )
    assert accepts(port)
    assert not accepts(free)


def test_a_change_can_be_undone(sockets: Sockets) -> None:
    port, free = free_port(), free_port()
    old = {"inbound": listener(f"127.0.0.1:{port}")}
    sockets.bind(old)
    change = sockets.rebind(
        old, {"inbound": listener(f"0.0.0.0:{port}"), "proxy": listener(f"127.0.0.1:{free}")}
    )
    change.undo()
    assert accepts(port)
    assert not accepts(free)


def test_a_socket_stops_listening_for_everyone_and_its_address_is_free(sockets: Sockets) -> None:
    address = f"127.0.0.1:{free_port()}"
    bound = sockets.bind({"proxy": listener(address)})["proxy"]
    theirs = socket.socket(fileno=os.dup(bound.fileno()))
    with theirs:
        stop_listening(bound)
        stop_listening(bound)
        assert not accepts(port_of(theirs))
        again = bind({"proxy": listener(address)})["proxy"]
        assert accepts(port_of(again))
        again.close()


def test_the_app_is_told_of_every_way_out(sockets: Sockets) -> None:
    plan = {
        "upstream:orders-v2": listener(FREE),
        "upstream:db.main": listener(FREE, "tcp"),
        "proxy": listener("0.0.0.0:0"),
        "inbound": listener(FREE),
    }
    ports = {name: port_of(sock) for name, sock in sockets.bind(plan).items()}
    env = {"PATH": "/bin", "HTTP_PROXY": "http://theirs:1"}
    announce(env, {}, ambassador(plan), sockets.bound, "t0ken")
    assert env == {
        "PATH": "/bin",
        "HTTP_PROXY": "http://theirs:1",  # no variables are asked for, so none is touched
        "PILLION_UPSTREAM_ORDERS_V2": f"http://127.0.0.1:{ports['upstream:orders-v2']}",
        "PILLION_UPSTREAM_DB_MAIN": f"tcp://127.0.0.1:{ports['upstream:db.main']}",
        "PILLION_PROXY": f"http://pillion:t0ken@127.0.0.1:{ports['proxy']}",
    }


def test_the_proxys_variables_stand_in_both_cases_and_alone(sockets: Sockets) -> None:
    plan = {"proxy": listener(FREE)}
    port = port_of(sockets.bind(plan)["proxy"])
    env = {
        "HTTP_PROXY": "http://theirs:1",
        "all_proxy": "socks5://theirs:2",
        "FTP_PROXY": "http://theirs:3",
        "no_proxy": "10.0.0.0/8, .corp",
        "NO_PROXY": ".corp,localhost",
    }
    announce(env, {}, ambassador(plan, env=True), sockets.bound, "t")
    url = f"http://pillion:t@127.0.0.1:{port}"
    direct = "localhost,127.0.0.1,::1,10.0.0.0/8,.corp"
    assert env == {
        "http_proxy": url, "HTTP_PROXY": url, "https_proxy": url, "HTTPS_PROXY": url, "no_proxy": direct,
        "NO_PROXY": direct, "PILLION_PROXY": url,
    }  # fmt: skip


def test_what_the_user_has_said_for_the_app_stays(sockets: Sockets) -> None:
    plan = {"proxy": listener(FREE), "upstream:db": listener(FREE)}
    port = port_of(sockets.bind(plan)["proxy"])
    said = {"https_proxy": "http://corp:1", "NO_PROXY": "db", "PILLION_UPSTREAM_DB": "http://x"}
    env = {"HTTPS_PROXY": "http://outer:1", **said}
    announce(env, said, ambassador(plan, env=True, credentials=False), sockets.bound, "t")
    assert env["http_proxy"] == env["PILLION_PROXY"] == f"http://127.0.0.1:{port}"
    assert env["https_proxy"] == "http://corp:1"
    assert env["PILLION_UPSTREAM_DB"] == "http://x"
    assert env["NO_PROXY"] == "localhost,127.0.0.1,::1,db"


def test_an_address_of_the_new_protocol_keeps_its_brackets(sockets: Sockets) -> None:
    plan = {"upstream:a": listener("[::1]:0"), "upstream:b": listener("[::]:0")}
    bound = sockets.bind(plan)
    env: dict[str, str] = {}
    announce(env, {}, ambassador(plan), bound, "")
    assert env == {
        "PILLION_UPSTREAM_A": f"http://[::1]:{port_of(bound['upstream:a'])}",
        "PILLION_UPSTREAM_B": f"http://[::1]:{port_of(bound['upstream:b'])}",
    }


def test_names_become_parts_of_variables() -> None:
    assert variable_part("orders-next.v2") == "ORDERS_NEXT_V2"
    assert variable_part("größe") == "GR__E"


@pytest.mark.parametrize("name", ["orders", "orders-next.v2", "UP_1", "a--b"])
def test_the_settings_know_the_variable_by_the_same_name(name: str) -> None:
    assert upstream_variable(name) == f"PILLION_UPSTREAM_{variable_part(name)}"
