"""The store goes away under a running instance, and under one that starts: reads go on, marked; writes say why not; all comes back by itself."""

from __future__ import annotations

import glob
import os
import shutil
import signal
from typing import TYPE_CHECKING

import pytest

from config_http import Stream, ask, get, put
from instance import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from config_http import Answer
    from instance import Host, Instance

SETTINGS = '[service]\nname = "shop"\nregister = false\n'


def start(host: Host, name: str) -> Instance:
    instance = host.run("sleep", "600", name=name, settings=SETTINGS)
    instance.wait_state("app")
    instance.wait_state("agent")
    return instance


def store_dir(host: Host) -> str:
    return os.path.join(host.state, ".store")


def hide(host: Host) -> None:
    os.rename(store_dir(host), store_dir(host) + ".away")


def show(host: Host) -> None:
    shutil.rmtree(store_dir(host), ignore_errors=True)
    os.rename(store_dir(host) + ".away", store_dir(host))


def kept(host: Host, instance: Instance, text: bytes) -> None:
    """Until the last known good holds `text`."""
    path = os.path.join(host.state, instance.name, "config.json")

    def look() -> bool:
        try:
            with open(path, "rb") as file:
                return text in file.read()
        except FileNotFoundError:
            return False

    wait_for(f"{text!r} is kept", look)


def another_agent(instance: Instance, pid: int) -> None:
    wait_for("another agent", lambda: instance.component("agent").get("pid") not in (pid, None))
    instance.wait_state("agent")


def answered(instance: Instance, value: object, status: int) -> Answer:
    """What a write of `k` answers, once it answers with `status`."""
    answers: list[Answer] = []

    def look() -> bool:
        answers.append(put(instance, "k", value))
        return answers[-1].status == status

    wait_for(f"a write is answered with {status}", look)
    return answers[-1]


@pytest.fixture
def streams() -> Iterator[list[Stream]]:
    made: list[Stream] = []
    yield made
    for stream in made:
        stream.close()


def test_away_and_back_under_a_running_instance(host: Host, streams: list[Stream]) -> None:
    one = start(host, "one")
    put(one, "k", 1)
    stream = Stream(one, "/v1/config/k")
    streams.append(stream)
    stream.wait("the snapshot", lambda client: client.seen)
    hide(host)
    refused = answered(one, 2, 503)
    assert "cannot" in refused.body["detail"]
    assert "retry-after" in refused.headers
    read = get(one, "k")
    assert (read.status, read.body["value"]) == (200, 1)
    assert int(read.headers["pillion-stale"]) >= 0
    assert "pillion-stale" in ask(one, "GET", "/v1/config").headers
    assert "pillion-stale" in get(one, "absent").headers
    assert get(one, "k", "?consistent").status == 503
    show(host)
    written = answered(one, 3, 200)
    stream.wait("the change", lambda client: client.seen["k"][2] == 3)
    assert stream.connects == 1
    assert stream.client.resets == 0
    wait_for("reads are not marked", lambda: "pillion-stale" not in get(one, "k").headers)
    assert get(one, "k").etag == written.etag


def test_an_agent_that_starts_without_its_store_serves_what_it_kept(host: Host) -> None:
    one = start(host, "one")
    put(one, "k", "kept-value")
    kept(host, one, b"kept-value")
    pid = one.component("agent")["pid"]
    hide(host)
    os.kill(pid, signal.SIGKILL)
    another_agent(one, pid)
    read = get(one, "k")
    assert (read.status, read.body["value"]) == (200, "kept-value")
    assert "pillion-stale" in read.headers
    assert put(one, "k", 2).status == 503
    assert not glob.glob(os.path.join(store_dir(host), "*.db"))  # no empty one in its place
    show(host)
    wait_for("a write is taken", lambda: put(one, "k", 2).status == 200)
    wait_for("reads are not marked", lambda: "pillion-stale" not in get(one, "k").headers)


def test_a_watcher_that_has_seen_more_than_was_kept_is_not_told_less(
    host: Host, streams: list[Stream]
) -> None:
    one = start(host, "one")
    put(one, "k", 1)
    kept(host, one, b'"config/service/shop/k",1,')
    stream = Stream(one, "/v1/config/k")
    streams.append(stream)
    stream.wait("the snapshot", lambda client: client.seen)
    pid = one.component("agent")["pid"]
    for number in range(2, 6):
        put(one, "k", number)
    stream.wait("the last", lambda client: client.seen["k"][2] == 5)
    os.kill(pid, signal.SIGKILL)
    hide(host)
    another_agent(one, pid)
    wait_for("it is back", lambda: stream.connects >= 2)
    show(host)
    wait_for("a write is taken", lambda: put(one, "k", 6).status == 200)
    stream.wait("the change", lambda client: client.seen["k"][2] == 6)
    values = [data["value"] for kind, data in stream.events if kind == "put"]
    assert values == [1, 2, 3, 4, 5, 6]
    assert stream.client.resets == 0


def test_another_store_in_its_place_is_told_as_such(host: Host, streams: list[Stream]) -> None:
    one = start(host, "one")
    for number in range(5):
        put(one, f"a/{number}", number)
    stream = Stream(one, "/v1/config?prefix=a/")
    streams.append(stream)
    stream.wait("the snapshot", lambda client: len(client.seen) == 5)
    hide(host)
    wait_for("it is noticed", lambda: put(one, "a/x", 1).status == 503)
    two = host.run(
        "sleep",
        "600",
        name="two",
        settings=SETTINGS,
    )
    two.wait_state("app")
    two.wait_state("agent")
    wait_for("it writes", lambda: put(two, "a/new", "n").status == 201)
    stream.wait("the new state", lambda client: list(client.seen) == ["a/new"])
    assert stream.client.resets >= 1
    assert get(one, "a/new", "?consistent").body["value"] == "n"
    assert get(one, "a/0").status == 404


def test_a_last_known_good_that_is_garbage_is_left_alone_and_said(host: Host) -> None:
    one = start(host, "one")
    put(one, "k", "kept-value")
    kept(host, one, b"kept-value")
    path = os.path.join(host.state, "one", "config.json")
    for garbage in (b"", b"{", b"[" * 100_000, b'{"v":2}', b"\xff" * 64):
        with open(path, "wb") as file:
            file.write(garbage)
        pid = one.component("agent")["pid"]
        os.kill(pid, signal.SIGKILL)
        another_agent(one, pid)
        assert get(one, "k").body["value"] == "kept-value"
    assert b"cannot use" in one.spooled("sidecar")
