"""Servers of a real HAProxy come, go and change under live requests, with no failed request and without a reload."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import itertools
import time
from typing import TYPE_CHECKING

import pytest

from haproxy_real import Driven, driven, make_driver
from steady_load import steady_load
from steady_members import members

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from pillion.proxies.templating.rendered import Rendered

_CHECK = "check inter 200ms"


async def eventually(what: str, look: Callable[[], Awaitable[bool]], bound_s: float = 40.0) -> None:
    end = time.monotonic() + bound_s
    while not await look():
        assert time.monotonic() < end, f"not within {bound_s} s: {what}"
        await asyncio.sleep(0.02)


async def change(edge: Driven, old: Rendered, new: Rendered) -> int:
    level = await edge.driver.bring_level(old, new)
    assert level.done, level
    edge.real.write(new)
    assert (await edge.driver.prove(new.version, 2)).ok
    assert await edge.driver.drift(new) == ""
    return level.changes


async def states(edge: Driven) -> dict[str, list[str]]:
    """The fields of `show servers state` by server."""
    [answer] = await edge.say("show servers state shop")
    rows = [line.split() for line in answer.splitlines()[2:]]
    return {row[3]: row for row in rows}


def test_no_request_fails_while_servers_come_go_and_change() -> None:
    async def scenario() -> None:
        with members(4) as serving:
            ports = list(serving.ports.values())
            one, two, three, four = (f"127.0.0.1:{port}" for port in ports)
            versions: list[Sequence[str]] = [
                [f"a {one} {_CHECK}", f"b {two} {_CHECK}"],
                [f"a {one} {_CHECK}", f"b {two} {_CHECK}", f"c {three} {_CHECK} weight 10"],
                [f"a {one} {_CHECK} weight 0", f"b {two} {_CHECK}", f"c {three} {_CHECK} weight 5"],
                [f"a {one} {_CHECK} disabled", f"b {two} {_CHECK}", f"c {three} {_CHECK}"],
                [f"a {one} {_CHECK}", f"c {three} {_CHECK}"],
                [f"d {four} {_CHECK}"],
                [f"d {one} {_CHECK}"],
                [f"d {one} {_CHECK}", f"a {two}"],
                [f"d {one} {_CHECK}", f"a {two} {_CHECK} maxconn 100"],
                [f"b {two} {_CHECK}", f"a {one} {_CHECK} maxconn 100"],
            ]
            async with driven() as edge:
                rendered = [edge.real.rendered(one) for one in versions]
                await edge.serve(rendered[0])
                workers = await edge.worker_pids()
                with contextlib.ExitStack() as stack:
                    load = await asyncio.to_thread(
                        stack.enter_context, steady_load(edge.real.port, pause_s=0.01)
                    )
                    changes = 0
                    for old, new in itertools.pairwise(rendered):
                        changes += await change(edge, old, new)
                        await asyncio.sleep(0.1)
                    seen = await asyncio.to_thread(load.stop)
                assert seen.failed == {}
                assert seen.requests > 100
                assert changes >= 13
                assert await edge.worker_pids() == workers
                assert edge.real.signals == []
                await eventually("the old ones are gone", lambda: _only(edge, {"a", "b"}))
                # And a reload agrees with what was changed.
                await edge.serve(rendered[-1])
                assert set(await states(edge)) == {"a", "b"}

    asyncio.run(scenario())


async def _only(edge: Driven, names: set[str]) -> bool:
    return set(await states(edge)) == names


def test_two_hundred_changes_in_a_row_need_no_reload_and_leave_nothing_behind() -> None:
    async def scenario() -> None:
        with members(3) as serving:
            addresses = [f"127.0.0.1:{port}" for port in serving.ports.values()]
            async with driven() as edge:
                last = edge.real.rendered([f"s0 {addresses[0]} {_CHECK}"])
                await edge.serve(last)
                workers = await edge.worker_pids()
                with contextlib.ExitStack() as stack:
                    load = await asyncio.to_thread(
                        stack.enter_context, steady_load(edge.real.port, kept=4, fresh=2)
                    )
                    for turn in range(1, 201):
                        servers = [
                            f"s{number} {addresses[number % 3]} {_CHECK} weight {1 + turn % 7}"
                            for number in range(turn % 5 + 1)
                        ]
                        new = edge.real.rendered(servers)
                        level = await edge.driver.bring_level(last, new)
                        assert level.done, (turn, level)
                        last = new
                    edge.real.write(last)
                    seen = await asyncio.to_thread(load.stop)
                assert seen.failed == {}
                assert await edge.worker_pids() == workers
                assert (await edge.driver.prove(last.version, 2)).ok
                await eventually("who left is gone", lambda: _only(edge, {"s0"}))

    asyncio.run(scenario())


def test_an_added_server_keeps_its_connections_as_one_of_the_file_does() -> None:
    async def scenario() -> None:
        with members(2) as serving:
            one, two = (f"127.0.0.1:{port}" for port in serving.ports.values())
            async with driven() as edge:
                old = edge.real.rendered([f"a {one}"])
                new = edge.real.rendered([f"b {two}"])
                await edge.serve(old)
                await change(edge, old, new)
                assert await asyncio.to_thread(_ask, edge.real.port, 10) == {b"one-01"}
                [stat] = await edge.say("show stat shop 4 -1 typed")
                [opened] = [line for line in stat.splitlines() if ".connect.1:" in line]
                assert opened.endswith(":1"), "ten requests went over one connection"

    asyncio.run(scenario())


def test_sessions_of_a_removed_server_end_by_themselves_or_at_the_bound() -> None:
    async def scenario() -> None:
        slow = await asyncio.start_server(_answer_never, "127.0.0.1", 0)
        port = slow.sockets[0].getsockname()[1]
        async with driven(leaving_s=0.5) as edge:
            old = edge.real.rendered([f"a 127.0.0.1:{port}"])
            new = edge.real.rendered([f"b 127.0.0.1:{port}"])
            await edge.serve(old)
            reader, writer = await asyncio.open_connection("127.0.0.1", edge.real.port)
            writer.write(b"GET / HTTP/1.1\r\nHost: shop\r\n\r\n")
            await eventually("the request is there", _busy(edge))
            await change(edge, old, new)
            assert edge.driver.runtime is not None
            assert edge.driver.runtime.leaving == (("shop", "a"),)
            assert set(await states(edge)) == {"a", "b"}
            await eventually("it was shut down", lambda: _only(edge, {"b"}))
            assert (await asyncio.wait_for(reader.read(20), 5)).startswith(b"HTTP/1.1 50")
            writer.close()
            await eventually("nothing waits any more", _idle(edge))
        slow.close()

    asyncio.run(scenario())


def test_a_server_that_comes_back_while_it_leaves_serves_again_with_its_session() -> None:
    async def scenario() -> None:
        slow = await asyncio.start_server(_answer_never, "127.0.0.1", 0)
        port = slow.sockets[0].getsockname()[1]
        async with driven(leaving_s=30) as edge:
            both = edge.real.rendered([f"a 127.0.0.1:{port}", f"b 127.0.0.1:{port}"])
            one = edge.real.rendered([f"b 127.0.0.1:{port} weight 2"])
            other = edge.real.rendered([f"a 127.0.0.1:{port} maxconn 7", f"b 127.0.0.1:{port}"])
            await edge.serve(both)
            writers = []
            for _ in range(4):
                _, writer = await asyncio.open_connection("127.0.0.1", edge.real.port)
                writer.write(b"GET / HTTP/1.1\r\nHost: shop\r\n\r\n")
                writers.append(writer)
            await eventually("the requests are there", _busy(edge, 4))
            await change(edge, both, one)
            assert edge.driver.runtime is not None
            assert edge.driver.runtime.leaving == (("shop", "a"),)
            await change(edge, one, both)
            assert not len(edge.driver.runtime.leaving)
            assert (await states(edge))["a"][6] == "0"
            # With other options it would have to go first, which would cut its sessions.
            level = await edge.driver.bring_level(both, other)
            assert not level.done
            assert "still has sessions" in level.why
            # The load that follows cuts none either.
            workers = await edge.worker_pids()
            await edge.serve(other)
            assert await edge.worker_pids() != workers
            status = await edge.driver.status()
            assert (status.workers, status.old_workers) == (1, 1)
            for writer in writers:
                writer.close()
        slow.close()

    asyncio.run(scenario())


def test_drift_is_seen_and_mended() -> None:
    async def scenario() -> None:
        with members(3) as serving:
            one, two, three = (f"127.0.0.1:{port}" for port in serving.ports.values())
            async with driven() as edge:
                version = edge.real.rendered([f"a {one} {_CHECK}", f"b {two} {_CHECK} weight 3"])
                await edge.serve(version)
                workers = await edge.worker_pids()
                assert await edge.driver.drift(version) == ""
                await edge.say(
                    "set server shop/a state drain",
                    "set server shop/b weight 9",
                    f"set server shop/b addr 127.0.0.1 port {three.rpartition(':')[2]}",
                    f"add server shop/z {three}",
                    "set server shop/z state ready",
                )
                words = await edge.driver.drift(version)
                for part in ("shop/a no longer drained", "shop/b weight 9 to 3", "shop/z removed"):
                    assert part in words
                assert f"shop/b moved to 127.0.0.1 port {two.rpartition(':')[2]}" in words
                level = await edge.driver.bring_level(version, version)
                assert level.done
                assert level.changes == 4
                assert await edge.driver.drift(version) == ""
                await eventually("the stranger is gone", lambda: _only(edge, {"a", "b"}))
                await edge.say("set server shop/a state maint", "del server shop/a")
                assert "shop/a added" in await edge.driver.drift(version)
                assert (await edge.driver.bring_level(version, version)).done
                assert set(await states(edge)) == {"a", "b"}
                assert await edge.worker_pids() == workers

    asyncio.run(scenario())


def test_the_next_agent_knows_what_the_process_is_level_with() -> None:
    async def scenario() -> None:
        with members(2) as serving:
            one, two = (f"127.0.0.1:{port}" for port in serving.ports.values())
            async with driven() as edge:
                old = edge.real.rendered([f"a {one}"])
                new = edge.real.rendered([f"a {one}", f"b {two}"])
                await edge.serve(old)
                await change(edge, old, new)
                following = make_driver(edge.real, edge.tasks)
                assert (await following.prove(new.version, 2)).ok
                assert (await following.status()).version == new.version
                stale = await following.prove(old.version, 0.2)
                assert not stale.ok, "it is not level with the old one any more"
                # A new worker has read the file, and says so itself.
                await edge.serve(new)
                assert (await following.status()).version == new.version

    asyncio.run(scenario())


def test_five_hundred_servers_are_brought_level_at_once() -> None:
    async def scenario() -> None:
        with members(1) as serving:
            port = next(iter(serving.ports.values()))
            async with driven() as edge:
                few = edge.real.rendered([f"s0 127.0.0.1:{port}"])
                many = edge.real.rendered([f"s{n} 127.0.0.1:{port}" for n in range(500)])
                others = edge.real.rendered(
                    [f"s{n} 127.0.0.1:{port} weight {n % 200 + 1}" for n in range(250, 750)]
                )
                await edge.serve(few)
                workers = await edge.worker_pids()
                assert await change(edge, few, many) == 499
                await change(edge, many, others)
                expected = {f"s{n}" for n in range(250, 750)}
                await eventually("the first half is gone", lambda: _only(edge, expected))
                assert await edge.worker_pids() == workers

    asyncio.run(scenario())


@pytest.mark.parametrize("balance", ["static-rr", "source", "uri", "rdp-cookie", "url_param id"])
def test_what_haproxy_would_refuse_is_known_before_it_is_tried(balance: str) -> None:
    async def scenario() -> None:
        with members(2) as serving:
            one, two = (f"127.0.0.1:{port}" for port in serving.ports.values())
            async with driven() as edge:
                old = edge.real.rendered([f"a {one}"], balance=balance)
                new = edge.real.rendered([f"a {one}", f"b {two}"], balance=balance)
                await edge.serve(old)
                level = await edge.driver.bring_level(old, new)
                assert not level.done
                assert "takes no other servers at run time" in level.why
                # HAProxy agrees.
                [answer] = await edge.say(f"add server shop/b {two}")
                assert "must use a dynamic load balancing" in answer
                moved = edge.real.rendered([f"a {two} disabled"], balance=balance)
                assert (await edge.driver.bring_level(old, moved)).done

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "balance", ["leastconn", "random", "roundrobin", "source\n    hash-type consistent"]
)
def test_every_balance_that_takes_servers_is_given_them(balance: str) -> None:
    async def scenario() -> None:
        with members(2) as serving:
            one, two = (f"127.0.0.1:{port}" for port in serving.ports.values())
            async with driven() as edge:
                old = edge.real.rendered([f"a {one}"], balance=balance)
                new = edge.real.rendered([f"b {two} weight 20"], balance=balance)
                await edge.serve(old)
                await change(edge, old, new)
                with steady_load(edge.real.port, kept=1, fresh=1) as load:
                    seen = await asyncio.to_thread(load.stop)
                assert seen.failed == {}
                assert set(seen.bodies) == {"one-01"}

    asyncio.run(scenario())


def _ask(port: int, count: int) -> set[bytes]:
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    found = set()
    for _ in range(count):
        client.request("GET", "/")
        found.add(client.getresponse().read())
    client.close()
    return found


def _busy(edge: Driven, count: int = 1) -> Callable[[], Awaitable[bool]]:
    async def look() -> bool:
        [answer] = await edge.say("show stat shop 4 -1 typed")
        return (
            sum(int(line.rpartition(":")[2]) for line in answer.splitlines() if ".scur.1:" in line)
            >= count
        )

    return look


def _idle(edge: Driven) -> Callable[[], Awaitable[bool]]:
    async def look() -> bool:
        assert edge.driver.runtime is not None
        return not edge.driver.runtime.leaving and not len(edge.tasks)

    return look


async def _answer_never(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while await reader.read(1024):
            pass
    writer.close()
