"""Real instances on one store: its file vanishes and comes back, an agent is killed, and what one writes another sees."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from typing import TYPE_CHECKING, Any

import pytest

from instance import Host, Instance, wait_for
from pillion.http.blocking import BlockingClient, BlockingError

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def hosted() -> Iterator[Host]:
    """Directories of their own; every instance started in them is ended."""
    with Host() as made:
        yield made


def start(host: Host, name: str) -> Instance:
    instance = host.run("sleep", "600", name=name)
    instance.wait_state("app")
    return instance


def ask(instance: Instance, method: str, path: str, body: object = None) -> tuple[int, Any]:
    """Status and body; 0 while nobody answers."""
    client = BlockingClient.unix(os.path.join(instance.runtime, "api.sock"))
    headers = [(b"Content-Type", b"application/json")] if body is not None else []
    content = json.dumps(body).encode() if body is not None else None
    try:
        with client.request(method, path, headers, content) as answer:
            return answer.status, json.loads(answer.read() or b"null")
    except BlockingError:
        return 0, None
    finally:
        client.close()


def known_good(host: Host, name: str) -> bytes:
    try:
        with open(os.path.join(host.state, name, "config.json"), "rb") as file:
            return file.read()
    except FileNotFoundError:
        return b""


def store_dir(host: Host) -> str:
    return os.path.join(host.state, ".store")


def test_the_store_vanishes_and_comes_back(hosted: Host) -> None:
    one, two = start(hosted, "one"), start(hosted, "two")
    wait_for("written", lambda: ask(one, "PUT", "/v1/config/k", {"value": 1})[0] == 201)
    layer = "?layer=instance"
    ask(one, "PUT", f"/v1/config/mine{layer}", {"value": 1})
    away = hosted.state + "/away"
    # What was read is kept on disk first, at most once a second.
    wait_for("kept", lambda: b"/k" in known_good(hosted, "one"))
    os.rename(store_dir(hosted), away)
    status, problem = ask(one, "PUT", "/v1/config/k", {"value": 2})
    assert (status, problem["status"]) == (503, 503)
    assert "no such file" in problem["detail"]
    status, item = ask(one, "GET", "/v1/config/k")
    assert (status, item["value"]) == (200, 1)
    wait_for("it is in the journal", lambda: "store-unavailable" in one.kinds())
    os.rename(away, store_dir(hosted))
    wait_for("it is back", lambda: "store-available" in one.kinds())
    status, _ = ask(one, "PUT", "/v1/config/k", {"value": 2})
    assert status == 200
    wait_for(
        "the other too", lambda: ask(two, "PUT", "/v1/config/j", {"value": 2})[0] in (200, 201)
    )
    assert one.kinds().count("store-unavailable") == 1


def test_an_instance_with_a_past_does_not_begin_an_empty_store(hosted: Host) -> None:
    one = start(hosted, "one")
    wait_for("written", lambda: ask(one, "PUT", "/v1/config/k", {"value": 1})[0] == 201)
    wait_for("kept", lambda: b"/k" in known_good(hosted, "one"))
    one.close()
    shutil.rmtree(store_dir(hosted))
    again = start(hosted, "one")
    wait_for("it says so", lambda: "store-unavailable" in again.kinds())
    assert not os.path.exists(os.path.join(store_dir(hosted), "store.db"))
    assert ask(again, "GET", "/v1/config/k")[1]["value"] == 1
    told = hosted.pillion("store", check=False)
    assert told.returncode == 1
    assert "pillion store create" in told.stdout
    hosted.pillion("store", "create")
    wait_for("it is taken up", lambda: "store-available" in again.kinds())
    assert json.loads(hosted.pillion("store", "--json").stdout)["integrity"] == "ok"


def test_idle_instances_write_nothing_to_the_store(hosted: Host) -> None:
    one, two = start(hosted, "one"), start(hosted, "two")
    wait_for("written", lambda: ask(one, "PUT", "/v1/config/k", {"value": 1})[0] == 201)
    wait_for("seen", lambda: ask(two, "GET", "/v1/config/k?layer=service")[0] in (200, 404))

    def state() -> list[tuple[str, int, int]]:
        found = []
        for name in sorted(os.listdir(store_dir(hosted))):
            if not name.endswith("-shm"):
                its = os.stat(os.path.join(store_dir(hosted), name))
                found.append((name, its.st_size, its.st_mtime_ns))
        return found

    before = state()
    deadline = time.monotonic() + 3
    wait_for("some time has passed", lambda: time.monotonic() > deadline)
    assert state() == before


def test_a_killed_agent_is_followed_by_one_with_the_same_store(hosted: Host) -> None:
    one = start(hosted, "one")
    wait_for("written", lambda: ask(one, "PUT", "/v1/config/k", {"value": 1})[0] == 201)
    pid = one.component("agent")["pid"]
    os.kill(pid, signal.SIGKILL)
    wait_for("another", lambda: one.component("agent").get("pid") not in (None, pid))
    one.wait_state("agent")
    assert ask(one, "GET", "/v1/config/k")[1]["value"] == 1
    assert ask(one, "PUT", "/v1/config/k", {"value": 2})[0] == 200
