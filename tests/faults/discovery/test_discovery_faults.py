"""What others leave in the runtime directories: garbage, stale files, files of other lives, and ten thousand of them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest

from instance import wait_for
from own_time import OwnTime
from pillion.base.neighbours import Neighbours, Session
from pillion.discovery.announcements import ANNOUNCEMENT, TOPIC, Announcements
from pillion.discovery.instance import ServiceInstance, encode
from pillion.discovery.registry import MOST_INSTANCES, Registry
from pillion.http.blocking import BlockingClient
from store_host import hold_session, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from instance import Host, Instance

SLEEPER = ("sleep", "300")


def announced(instance: str, run: str = "r1") -> ServiceInstance:
    return ServiceInstance(
        id=instance, service="orders", address="127.0.0.1", instance=instance, run=run
    )


def write(root: Path, instance: str, data: bytes) -> Path:
    path = root / instance / ANNOUNCEMENT
    path.write_bytes(data)
    return path


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    """A runtime root in which the lives of a, b and c go on, as far as their locks say."""
    locks = [hold_session(str(tmp_path / name), "r1") for name in "abc"]
    yield tmp_path
    for lock in locks:
        os.close(lock)


@contextlib.contextmanager
def listening(root: Path, name: str = "a") -> Iterator[tuple[Neighbours, Announcements, Registry]]:
    neighbours = Neighbours(str(root / name), "r1")
    registry = Registry(1)
    announcements = Announcements(
        neighbours, lambda instance, found: registry.announce(instance, found, 0.0)
    )
    neighbours.start()
    try:
        yield neighbours, announcements, registry
    finally:
        neighbours.close()


def ids(registry: Registry) -> list[str]:
    return sorted(one.id for one in registry.instances("orders"))


def test_garbage_is_refused_counted_and_looked_at_once(root: Path) -> None:
    async def scenario() -> None:
        write(root, "b", random.Random(1).randbytes(500))
        write(root, "c", encode(announced("c")))
        with listening(root) as (neighbours, announcements, registry):
            assert (ids(registry), announcements.refused) == (["c"], 1)
            announcements.look_at_all()
            assert announcements.refused == 1
            # Torn, of another life, for another: none of them is believed, and each takes away what was.
            for data in (encode(announced("c"))[:-10], encode(announced("c", "r0")), b""):
                write(root, "c", encode(announced("c")))
                announcements.look_at_all()
                assert ids(registry) == ["c"]
                before = announcements.refused
                write(root, "c", data + b" ")
                announcements.look_at_all()
                assert (ids(registry), announcements.refused) == ([], before + 1)
            del neighbours

    asyncio.run(scenario())


def test_a_file_whose_lock_is_free_is_nothing(root: Path) -> None:
    async def scenario() -> None:
        (root / "dead").mkdir()
        (root / "dead" / "lock").touch()
        facts = {"name": "dead", "run": "r1", "keeper": {"pid": os.getpid(), "start_ticks": 0}}
        (root / "dead" / "instance.json").write_bytes(msgspec.json.encode(facts))
        write(root, "dead", encode(announced("dead")))
        write(root, "b", encode(announced("b")))
        with listening(root) as (_, announcements, registry):
            assert ids(registry) == ["b"]
            announcements.look_at_all()
            assert ids(registry) == ["b"]

    asyncio.run(scenario())


def test_a_bell_is_heard_and_a_stranger_s_is_not(root: Path) -> None:
    async def scenario() -> None:
        with listening(root) as (_, announcements, registry), listening(root, "b") as (ringer, *_):
            write(root, "b", encode(announced("b")))
            ringer.ring(TOPIC, "b")
            await until("heard", lambda: ids(registry) == ["b"])
            os.unlink(root / "b" / ANNOUNCEMENT)
            for instance in ("../b", "", "nobody", "a", "/"):
                announcements._look_again(instance)
            assert ids(registry) == ["b"]
            ringer.ring(TOPIC, "b")
            await until("gone", lambda: ids(registry) == [])

    asyncio.run(scenario())


class Crowd:
    """As many neighbours as no host can start for a test: each is there, and has a directory."""

    def __init__(self, root: Path, count: int) -> None:
        self.own = Session("own", "r1")
        self.sessions = frozenset(Session(f"i{n}", "r1") for n in range(count))
        self._root = root
        self.arrived: Callable[[Session], None] = lambda _: None
        self.gone: Callable[[Session], None] = lambda _: None

    def listen(self, topic: str, callback: Callable[[str, str], None]) -> None:
        del topic, callback

    def on_arrived(self, callback: Callable[[Session], None]) -> None:
        self.arrived = callback

    def on_gone(self, callback: Callable[[Session], None]) -> None:
        self.gone = callback

    def on_doubt(self, callback: Callable[[], None]) -> None:
        del callback

    def alive(self, session: Session) -> bool:
        return session in self.sessions

    def runtime_dir(self, instance: str) -> str:
        return f"{self._root}/{instance}"


def test_ten_thousand_announcements(tmp_path: Path) -> None:
    count = MOST_INSTANCES + 10
    crowd = Crowd(tmp_path, count)
    for session in crowd.sessions:
        (tmp_path / session.instance).mkdir()
        write(tmp_path, session.instance, encode(announced(session.instance)))
    registry = Registry(1)
    announcements = Announcements(
        crowd,  # type: ignore[arg-type] # as far as announcements need it
        lambda instance, found: registry.announce(instance, found, 0.0),
    )
    announcements.look_at_all()
    assert (len(registry), registry.refused) == (MOST_INSTANCES, 10)
    before = registry.revision
    # In doubt nothing is opened that has not changed.
    announcements.look_at_all()
    assert registry.revision == before
    for session in crowd.sessions:
        crowd.gone(session)
    assert len(registry) == 0


def ask(instance: Instance, path: str) -> list[str]:
    with (
        BlockingClient.unix(f"{instance.runtime}/api.sock", 20.0) as client,
        client.request("GET", path) as answer,
    ):
        return [one["id"] for one in msgspec.json.decode(answer.read())["instances"]]


def content(path: str) -> bytes:
    """What is in a file that comes and goes."""
    try:
        return Path(path).read_bytes()
    except FileNotFoundError:
        return b""


def started(host: Host, name: str) -> Instance:
    text = '[app]\nname = "orders"\nport = 3000\n'
    instance = host.run(*SLEEPER, name=name, settings=text)
    instance.wait_state("agent")
    instance.wait_state("app")
    wait_for("it knows itself", lambda: name in ask(instance, "/v1/services/orders"))
    return instance


def test_a_file_that_was_made_garbage_by_hand_is_written_anew(host: Host) -> None:
    """The agent that comes next refuses what it finds, and says again what is so."""
    one = started(host, "orders-1")
    file = f"{one.runtime}/{ANNOUNCEMENT}"
    with open(file, "wb") as garbage:
        garbage.write(b"\xff" * 100)
    agent = one.component("agent")["pid"]
    os.kill(agent, signal.SIGKILL)
    wait_for("another agent", lambda: one.component("agent").get("pid") not in (agent, None))
    wait_for("written anew", lambda: b'"orders-1"' in content(file))
    wait_for("it knows itself", lambda: ask(one, "/v1/services/orders") == ["orders-1"])


def test_keeper_and_agent_killed_together_leave_nothing(host: Host) -> None:
    one, two = started(host, "orders-1"), started(host, "orders-2")
    wait_for("both", lambda: len(ask(two, "/v1/services/orders")) == 2)
    os.kill(one.component("agent")["pid"], signal.SIGKILL)
    with OwnTime() as took:
        one.process.kill()
        wait_for("gone", lambda: ask(two, "/v1/services/orders") == ["orders-2"])
    assert took.seconds < 1.0
    # What it has left is of another life for the one that comes next.
    again = started(host, "orders-1")
    wait_for("both again", lambda: len(ask(two, "/v1/services/orders")) == 2)
    run = again.call("status")["result"]["run"]
    assert run.encode() in Path(f"{again.runtime}/{ANNOUNCEMENT}").read_bytes()


def test_a_stop_while_the_agent_is_away(host: Host) -> None:
    """The keeper takes the announcement away itself: the app is told to stop, and nobody finds it."""
    one = started(host, "orders-1")
    one.call("stop", name="agent")
    assert os.path.exists(f"{one.runtime}/{ANNOUNCEMENT}")
    one.call("stop", name="app")
    assert not os.path.exists(f"{one.runtime}/{ANNOUNCEMENT}")
