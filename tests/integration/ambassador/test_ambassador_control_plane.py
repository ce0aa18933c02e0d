"""Agent and worker on a real socket: policy reaches workers and the file, whoever comes, goes, stops reading or talks nonsense."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import stat
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import msgspec
import pytest
import uvloop

from pillion.ambassador import snapshot as snapshots
from pillion.ambassador.control_plane import LONGEST_S, ControlPlane, World
from pillion.ambassador.link import PolicyLink
from pillion.ambassador.snapshot import POLICY_FILE, POLICY_SOCKET
from pillion.ambassador.wire import (
    EndpointReport,
    Frames,
    Hello,
    Report,
    UpstreamReport,
    encode,
    to_worker,
)
from pillion.base.tasks import RootTasks
from pillion.discovery.instance import ServiceInstance
from pillion.settings import parse

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Generator
    from pathlib import Path

    from pillion.ambassador.snapshot import EndpointSpec, RawSnapshot, Snapshot
    from pillion.base.tasks import TaskEnd
    from pillion.model.event import Json
    from pillion.settings.upstreams import ActiveCheck, Upstream

ORDERS = """
[ambassador.upstreams.orders]
service = "orders"
"""
BOUND_S = 40.0


def run(work: Coroutine[object, object, None]) -> None:
    uvloop.run(work)


async def until(what: str, look: Callable[[], object]) -> None:
    """Wait until `look` is truthy."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + BOUND_S
    while not look():
        assert loop.time() < deadline, f"not within {BOUND_S:g} s: {what}"
        await asyncio.sleep(0.005)


class Everything:
    """A control plane with the world around it, and workers."""

    def __init__(self, directory: Path, text: str = ORDERS) -> None:
        self.directory = directory
        self.ends: list[TaskEnd] = []
        self.tasks = RootTasks(self.ends.append)
        self.registry: list[ServiceInstance] | None = [instance("a", 3000)]
        self.addresses: dict[str, list[str]] = {}
        self.events: list[tuple[str, str]] = []
        self.sick: set[str] = set()
        self.text = text
        self.planes: list[ControlPlane] = []
        self.links: list[PolicyLink] = []

    def plane(self) -> ControlPlane:
        """An agent, started."""
        plane = ControlPlane(
            str(self.directory),
            "shop",
            parse(self.text),
            self.tasks,
            World(
                lambda _: self.registry,
                lambda: None if self.registry is None else ["orders", "stock"],
                self._event,
                lambda: "token",
                self._attempt,
                self._look_up,
            ),
        )
        self.planes.append(plane)
        plane.start()
        return plane

    def worker(self, name: str = "ambassador") -> Worker:
        """A worker, started."""
        worker = Worker(self, name)
        self.links.append(worker.link)
        worker.loaded = worker.link.start()
        return worker

    def of(self, kind: str) -> list[str]:
        return [reason for one, reason in self.events if one == kind]

    def _event(self, kind: str, reason: str, data: dict[str, Json]) -> None:
        self.events.append((kind, reason))

    def _look_up(self, name: str) -> list[str]:
        if name not in self.addresses:
            raise OSError(-2, "Name or service not known")
        return self.addresses[name]

    async def _attempt(self, upstream: Upstream, spec: EndpointSpec, check: ActiveCheck) -> str:
        return "connection refused" if spec.key in self.sick else ""

    async def close(self) -> None:
        for link in self.links:
            link.close()
        for plane in self.planes:
            plane.close()
        assert await self.tasks.close(2.0) == ()
        assert self.ends == []


class Worker:
    """What a worker makes of it."""

    def __init__(self, world: Everything, name: str) -> None:
        self.snapshots: list[Snapshot] = []
        self.breakers: dict[tuple[str, str], str] = {}
        self.refuses = ""
        self.requests = 0
        self.loaded = False
        self.link = PolicyLink(
            str(world.directory / POLICY_SOCKET),
            str(world.directory / POLICY_FILE),
            name,
            self._snapshot,
            self._breaker,
            self._report,
            world.tasks,
        )

    async def _snapshot(self, snapshot: RawSnapshot) -> str | None:
        if self.refuses:
            return self.refuses
        self.snapshots.append(snapshots.decode(msgspec.json.encode(snapshot)))
        return None

    def _breaker(self, upstream: str, endpoint: str, action: str) -> None:
        self.breakers[upstream, endpoint] = action

    def _report(self) -> Generator[None, None, bytes]:
        endpoint = EndpointReport("127.0.0.1:3000", requests=self.requests)
        yield
        return encode(Report(self.link.revision, (UpstreamReport("orders", (endpoint,)),)))

    @property
    def keys(self) -> list[str]:
        """The endpoints of orders, as far as they are healthy."""
        if not self.snapshots:
            return []
        found = self.snapshots[-1].endpoints("orders").endpoints
        return [one.key for one in found if one.healthy]


def instance(name: str, port: int, **more: object) -> ServiceInstance:
    made: dict[str, object] = {"id": name, "service": "orders", "address": "127.0.0.1", **more}
    return ServiceInstance(port=port, **made)  # type: ignore[arg-type]


@asynccontextmanager
async def everything(directory: Path, text: str = ORDERS) -> AsyncIterator[Everything]:
    world = Everything(directory, text)
    try:
        yield world
    finally:
        await world.close()


def test_a_change_reaches_every_worker_and_the_file(tmp_path: Path) -> None:
    async def work() -> None:
        async with everything(tmp_path) as world:
            first, second = world.worker(), world.worker("ambassador-2")
            plane = world.plane()
            await until("both have it", lambda: first.keys and second.keys)
            assert first.keys == second.keys == ["127.0.0.1:3000"]
            world.registry = [instance("a", 3000), instance("b", 3001, weight=7)]
            plane.changed()
            await until("the change", lambda: len(first.keys) == len(second.keys) == 2)
            assert [one.name for one in plane.publisher.workers] == ["ambassador", "ambassador-2"]
            path = str(tmp_path / POLICY_FILE)
            await until("the file", lambda: snapshots.read_file(path) == plane.snapshot)
            for name in (POLICY_FILE, POLICY_SOCKET):
                assert stat.S_IMODE(os.stat(tmp_path / name).st_mode) == 0o600

    run(work())


def test_what_changes_nothing_is_not_sent_and_a_burst_is_sent_once(tmp_path: Path) -> None:
    async def work() -> None:
        async with everything(tmp_path) as world:
            worker, plane = world.worker(), world.plane()
            await until("the policy", lambda: worker.keys)
            await plane.settled()
            before, revision = plane.published, worker.link.revision
            plane.changed()
            await asyncio.sleep(3 * LONGEST_S)
            assert (plane.published, worker.link.revision) == (before, revision)
            for at in range(500):
                world.registry = [instance(f"i{one}", 3000 + one) for one in range(at)]
                plane.changed()
            await until("the last of them", lambda: len(worker.keys) == 499)
            assert plane.published - before <= 3

    run(work())


def test_a_worker_begins_with_the_file_while_the_agent_is_away(tmp_path: Path) -> None:
    async def work() -> None:
        async with everything(tmp_path) as world:
            plane = world.plane()
            worker = world.worker()
            await until("the policy", lambda: worker.keys)
            path = str(tmp_path / POLICY_FILE)
            await until("the file", lambda: snapshots.read_file(path) == plane.snapshot)
            revision = worker.link.revision
            plane.close()
            await until("the line is gone", lambda: not worker.link.connected)
            late = world.worker("ambassador-2")
            assert late.loaded
            await until("it has it", lambda: late.keys == ["127.0.0.1:3000"])
            assert late.link.revision == revision
            # The next agent says the same: no worker is told anything new.
            new = world.plane()
            await until("they are back", lambda: len(new.publisher.workers) == 2)
            await new.settled()
            assert new.snapshot is not None
            assert new.snapshot.revision == worker.link.revision == revision
            assert len(worker.snapshots) == len(late.snapshots) == 1

    run(work())


def test_an_agent_that_does_not_know_yet_takes_nothing_away(tmp_path: Path) -> None:
    async def work() -> None:
        text = ORDERS + '[ambassador.upstreams.api]\ndns = "api.internal:80"\n[ambassador.proxy]\n'
        async with everything(tmp_path, text) as world:
            world.addresses["api.internal"] = ["10.2.0.1"]
            plane, worker = world.plane(), world.worker()
            await until(
                "all of it",
                lambda: worker.keys and worker.snapshots[-1].endpoints("api").endpoints,
            )
            path = str(tmp_path / POLICY_FILE)
            await until("the file", lambda: snapshots.read_file(path) == plane.snapshot)
            plane.close()
            before = worker.snapshots[-1]
            assert {one.name for one in before.upstreams} == {"orders", "api", "stock"}
            world.registry = None
            world.addresses.clear()
            new = world.plane()
            await until("its look-up has failed", lambda: world.of("unresolved"))
            await until("that is told", lambda: worker.snapshots[-1].endpoints("api").reason)
            after = worker.snapshots[-1]
            assert after.revision > before.revision
            for name in ("orders", "api", "stock"):
                assert after.endpoints(name).endpoints == before.endpoints(name).endpoints
            world.registry = [instance("b", 3001)]
            new.changed()
            await until("it knows", lambda: worker.keys == ["127.0.0.1:3001"])

    run(work())


def test_breakers_by_hand_hold_for_who_comes_later(tmp_path: Path) -> None:
    async def work() -> None:
        async with everything(tmp_path) as world:
            worker, plane = world.worker(), world.plane()
            await until("the policy", lambda: worker.keys)
            plane.force("orders", "", "open")
            await plane.settled()
            assert worker.breakers == {("orders", "127.0.0.1:3000"): "open"}
            world.registry = [instance("a", 3000), instance("b", 3001)]
            plane.changed()
            await until("the new endpoint too", lambda: len(worker.breakers) == 2)
            path = str(tmp_path / POLICY_FILE)
            await until("the file", lambda: snapshots.read_file(path) == plane.snapshot)
            plane.close()
            late = world.worker("ambassador-2")
            await until("by hand there too", lambda: set(late.breakers.values()) == {"open"})
            new = world.plane()
            await until("the next agent", lambda: len(new.publisher.workers) == 2)
            new.force("orders", "", "auto")
            await new.settled()
            assert set(late.breakers.values()) == set(worker.breakers.values()) == {"auto"}

    run(work())


def test_a_worker_that_refuses_goes_on_and_is_named(tmp_path: Path) -> None:
    async def work() -> None:
        async with everything(tmp_path) as world:
            worker, plane = world.worker(), world.plane()
            await until("the policy", lambda: worker.keys)
            revision = worker.link.revision
            worker.refuses = "cannot compile route #3"
            world.registry = []
            plane.changed()
            await until("it says no", lambda: plane.publisher.workers[0].refusal)
            assert worker.link.revision == revision
            assert plane.stats()["policy_workers_behind"] == 1
            assert world.of("policy-refused") == ["ambassador: cannot compile route #3"]
            worker.refuses = ""
            world.registry = [instance("c", 3002)]
            plane.changed()
            await until("it says yes", lambda: worker.keys == ["127.0.0.1:3002"])
            await plane.settled()
            assert plane.stats()["policy_workers_behind"] == 0

    run(work())


def test_checks_and_configuration_change_the_policy(tmp_path: Path) -> None:
    async def work() -> None:
        text = ORDERS + 'check = { tcp = true, interval = "100ms", rise = 1, fall = 1 }\n'
        async with everything(tmp_path, text) as world:
            world.sick.add("127.0.0.1:3000")
            worker, plane = world.worker(), world.plane()
            await until("it is found unhealthy", lambda: worker.snapshots and not worker.keys)
            assert world.of("unhealthy") == ["orders: 127.0.0.1:3000: connection refused"]
            world.sick.clear()
            await until("it is healthy again", lambda: worker.keys)
            plane.overlay({"ambassador/upstreams/orders/balance": "random"})
            await until("the key", lambda: _balance(worker) == "random")
            plane.overlay({"ambassador/upstreams/orders/balance": "fair"})
            plane.changed()
            await asyncio.sleep(3 * LONGEST_S)
            assert _balance(worker) == "random"
            (problem,) = world.of("policy-refused")
            assert "upstreams.orders.balance" in problem
            plane.overlay({})
            await until("the settings again", lambda: _balance(worker) == "least-request")

    run(work())


def _balance(worker: Worker) -> object:
    upstreams = worker.snapshots[-1].ambassador["upstreams"]
    assert isinstance(upstreams, dict)
    return upstreams["orders"]["balance"]


def test_a_worker_that_does_not_read_costs_nothing_and_gets_the_newest(tmp_path: Path) -> None:
    async def work() -> None:
        async with everything(tmp_path) as world:
            plane, healthy = world.plane(), world.worker()
            await until("the policy", lambda: healthy.keys)
            silent = socket.socket(socket.AF_UNIX)
            silent.setblocking(False)
            loop = asyncio.get_running_loop()
            await loop.sock_connect(silent, str(tmp_path / POLICY_SOCKET))
            await loop.sock_sendall(silent, encode(Hello("ambassador-9", 1)))
            await until("hello", lambda: len(plane.publisher.workers) == 2)
            for at in range(20):
                world.registry = [
                    instance(f"{at}-{one}", 3000 + one, zone="z" * 100) for one in range(900)
                ]
                plane.changed()
                await until("it was sent", lambda: _first(healthy) == f"{at}-0")  # noqa: B023
            (worker,) = [one for one in plane.publisher.workers if one.name == "ambassador-9"]
            assert worker.unsent_bytes < 2 * len(plane.publisher.message)
            frames = snapshots_of(await drain(silent, len(plane.publisher.message)))
            assert frames[-1] == plane.snapshot
            assert len(frames) <= 4
            silent.close()

    run(work())


def _first(worker: Worker) -> str:
    return worker.snapshots[-1].endpoints("orders").endpoints[0].id


async def drain(sock: socket.socket, least: int) -> bytes:
    """Everything that comes until nothing more does."""
    loop = asyncio.get_running_loop()
    data = b""
    while True:
        try:
            async with asyncio.timeout(0.5 if len(data) > least else BOUND_S):
                piece = await loop.sock_recv(sock, 1 << 20)
        except TimeoutError:
            return data
        assert piece
        data += piece


def snapshots_of(data: bytes) -> list[Snapshot]:
    found = []
    for one in Frames().feed(data):
        message = to_worker(one)
        assert message is not None
        found.append(snapshots.decode(msgspec.json.encode(message.snapshot)))
    return found


@pytest.mark.parametrize(
    "said",
    [b"GET / HTTP/1.1\r\n\r\n", b"\0\0\0\2{}", b"\xff" * 64, b'\0\0\0\x1e{"op":"hello","v":9,"worker":1}'],
    ids=["http", "empty", "bytes", "version"],
)  # fmt: skip
def test_nonsense_is_hung_up_on_and_counted(tmp_path: Path, said: bytes) -> None:
    async def work() -> None:
        async with everything(tmp_path) as world:
            plane = world.plane()
            loop = asyncio.get_running_loop()
            sock = socket.socket(socket.AF_UNIX)
            sock.setblocking(False)
            await until("it serves", lambda: os.path.exists(tmp_path / POLICY_SOCKET))
            await loop.sock_connect(sock, str(tmp_path / POLICY_SOCKET))
            await loop.sock_sendall(sock, said)
            if said == b"\0\0\0\2{}":
                assert (
                    plane.publisher.malformed == 0
                )  # a message of a later version, for all we know
            else:
                await until("it is counted", lambda: plane.publisher.malformed == 1)
            sock.close()

    run(work())


def test_a_file_that_cannot_be_used_is_told_and_survived(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def work() -> None:
        (tmp_path / POLICY_FILE).write_bytes(b"garbage")
        async with everything(tmp_path) as world:
            worker = world.worker()
            assert not worker.loaded
            plane = world.plane()
            await until("the policy all the same", lambda: worker.keys)
            await until("a good file", lambda: _usable(tmp_path, plane))

    run(work())
    assert "cannot use" in capsys.readouterr().err


def _usable(directory: Path, plane: ControlPlane) -> bool:
    try:
        return snapshots.read_file(str(directory / POLICY_FILE)) == plane.snapshot
    except ValueError:
        return False


def test_a_file_that_cannot_be_written_stops_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def work() -> None:
        (tmp_path / POLICY_FILE).mkdir()
        async with everything(tmp_path) as world:
            worker, plane = world.worker(), world.plane()
            await until("the policy all the same", lambda: worker.keys)
            await until("it is counted", lambda: plane.stats()["policy_file_failures_total"])

    run(work())
    assert "cannot write" in capsys.readouterr().err


def test_reports_come_within_a_second_and_not_oftener(tmp_path: Path) -> None:
    async def work() -> None:
        async with everything(tmp_path) as world:
            worker, plane = world.worker(), world.plane()
            await until("the policy", lambda: worker.keys)
            seen: list[Report] = []
            loop = asyncio.get_running_loop()
            began = loop.time()
            while loop.time() < began + 2.5:
                worker.requests += 1
                worker.link.changed()
                await asyncio.sleep(0.01)
                (known,) = plane.publisher.workers
                if known.report is not None and known.report not in seen[-1:]:
                    seen.append(known.report)
            assert 2 <= len(seen) <= 5

    run(work())


def test_an_agent_that_does_not_read_is_not_saved_up_for(tmp_path: Path) -> None:
    async def work() -> None:
        listening = socket.socket(socket.AF_UNIX)
        listening.bind(str(tmp_path / POLICY_SOCKET))
        listening.listen()
        listening.setblocking(False)
        async with everything(tmp_path) as world:
            worker = world.worker()
            stopped, _ = await asyncio.get_running_loop().sock_accept(listening)
            await until("it has connected", lambda: worker.link.connected)
            for at in range(60_000):
                worker.link.transition("orders", f"10.0.0.{at}:80", "closed", "open", "x" * 50)
            assert worker.link.dropped > 10_000
            # When it reads again, the report says how things stand.
            frames = Frames()
            seen: list[str] = []
            loop = asyncio.get_running_loop()
            while "report" not in seen:
                async with asyncio.timeout(BOUND_S):
                    data = await loop.sock_recv(stopped, 1 << 20)
                seen += [json.loads(one)["op"] for one in frames.feed(data)]
            assert len(seen) < 60_000
            stopped.close()
        listening.close()

    run(work())


def test_a_clock_that_goes_back_does_not_take_revisions_back(tmp_path: Path) -> None:
    async def work() -> None:
        async with everything(tmp_path) as world:
            plane = world.plane()
            await until("a policy", lambda: plane.snapshot)
            assert plane.snapshot is not None
            path = tmp_path / POLICY_FILE
            await until("the file", lambda: snapshots.read_file(str(path)) == plane.snapshot)
            plane.close()
            future = msgspec.structs.replace(plane.snapshot, revision=1 << 52)
            path.write_bytes(snapshots.encode(future))
            worker = world.worker()
            await until("it goes by the file", lambda: worker.link.revision == 1 << 52)
            world.registry = [instance("b", 3001)]
            world.plane()
            await until("the newer one", lambda: worker.keys == ["127.0.0.1:3001"])
            assert worker.link.revision == (1 << 52) + 1

    run(work())


def test_ten_thousand_instances_are_a_policy_like_any_other(tmp_path: Path) -> None:
    async def work() -> None:
        async with everything(tmp_path) as world:
            worker, plane = world.worker(), world.plane()
            world.registry = [instance(f"i{at:05}", at + 1) for at in range(10_000)]
            plane.changed()
            await until("the first thousand", lambda: len(worker.keys) == 1000)
            assert "only the first 1000" in worker.snapshots[-1].endpoints("orders").reason
            plane.force("orders", "", "open")
            await until("every breaker", lambda: len(worker.breakers) == 1000)

    run(work())


def test_a_check_that_flaps_everywhere_cannot_flood_the_journal(tmp_path: Path) -> None:
    async def work() -> None:
        text = ORDERS + 'check = { tcp = true, interval = "100ms", rise = 1, fall = 1 }\n'
        async with everything(tmp_path, text) as world:
            world.registry = [instance(f"i{at}", 3000 + at) for at in range(300)]
            worker = world.worker()
            plane = world.plane()
            await until("all are there", lambda: len(worker.keys) == 300)
            for _ in range(2):
                world.sick = {f"127.0.0.1:{3000 + at}" for at in range(300)}
                await until("all are sick", lambda: worker.keys == [])
                world.sick = set()
                await until("all are well", lambda: len(worker.keys) == 300)
            told = len(world.of("healthy")) + len(world.of("unhealthy"))
            assert told < 150
            assert plane.stats()["policy_checks"] == 300

    run(work())
