"""With a bound on the connections to an endpoint requests wait for one, in their order, within the bounds of `limit`."""

from __future__ import annotations

import asyncio
import contextlib
from functools import partial
from typing import TYPE_CHECKING, Any

from ambassador_edges import listening, run, until
from ambassador_inside import Call, Holding, Inside
from pillion.settings.policies import Breaker, Limit, Retry
from pillion.settings.upstream_links import PoolSettings
from pillion.settings.upstreams import Upstream

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

NAME = "orders"


def settings(connections: int, queue: int, queue_timeout_s: float = 20.0, **more: Any) -> Upstream:
    return Upstream(
        urls=("http://127.0.0.1:1",),
        pool=PoolSettings(connections=connections, **more.pop("pool", {})),
        limit=Limit(queue=queue, queue_timeout_s=queue_timeout_s),
        retry=more.pop("retry", Retry(attempts=0)),
        **more,
    )


@contextlib.asynccontextmanager
async def site(one: Upstream, endpoints: int = 1) -> AsyncIterator[tuple[Inside, list[Holding]]]:
    async with contextlib.AsyncExitStack() as stack:
        held = [await stack.enter_async_context(Holding()) for _ in range(endpoints)]
        inside = await stack.enter_async_context(Inside(NAME))
        await inside.put({NAME: (one, tuple(end.port for end in held))})
        yield inside, held


def _arrived(inside: Inside, count: int) -> bool:
    """Whether so many are under way, each with the endpoint or in the queue."""
    told = inside.told(NAME)
    return inside.hub.active >= count and told.active + told.waiting >= count


async def calls(inside: Inside, *paths: str, waiting: int = 0) -> list[Call]:
    """Requests that arrive in this order; the last of them are in the queue, so many as `waiting`."""
    made = []
    for at, path in enumerate(paths):
        made.append(Call(inside.port(NAME), path))
        await until(partial(_arrived, inside, at + 1), f"{path} has arrived")
    await until(lambda: inside.told(NAME).waiting == waiting, f"{waiting} wait")
    return made


def test_they_wait_in_order_and_never_use_more_connections() -> None:
    async def work() -> None:
        async with site(settings(1, 8)) as (inside, (end,)):
            made = await calls(inside, "/a", "/b", "/c", "/d", waiting=3)
            told = inside.told(NAME)
            # Neither the endpoint nor its breaker knows of those who wait.
            assert (told.active, told.endpoints[0].requests, told.endpoints[0].connections) == (
                1,
                1,
                1,
            )
            for call in made:
                await end.answer()
                assert await call.answer() == (200, "")
            assert end.paths() == ["/a", "/b", "/c", "/d"]
            assert (end.connections, inside.told(NAME).waiting) == (1, 0)
            assert [one["attempts"] for one in inside.records()] == [1, 1, 1, 1]

    run(work())


def test_a_burst_opens_no_more_than_the_bound() -> None:
    async def work() -> None:
        async with site(settings(3, 50)) as (inside, (end,)):
            made = [Call(inside.port(NAME), f"/{at}") for at in range(30)]
            await until(lambda: inside.told(NAME).waiting == 27, "the others wait")
            for _ in made:
                await end.answer()
            for call in made:
                assert await call.answer() == (200, "")
            assert (end.connections, end.most) == (3, 3)

    run(work())


def test_the_next_has_a_new_connection_where_the_last_was_closed() -> None:
    async def work() -> None:
        async with site(settings(1, 8)) as (inside, (end,)):
            made = await calls(inside, "/closes", "/cut", "/whole", waiting=2)
            await end.answer(fields=b"Connection: close\r\n")
            assert await made[0].answer() == (200, "")
            await until(lambda: len(end.asked) == 2, "the second was sent")
            end.cut()
            assert await made[1].answer() == (502, "upstream-reset")
            await end.answer()
            assert await made[2].answer() == (200, "")
            assert (end.connections, end.most) == (3, 1)

    run(work())


def test_without_a_queue_the_answer_comes_at_once() -> None:
    async def work() -> None:
        async with site(settings(1, 0)) as (inside, (end,)):
            (first,) = await calls(inside, "/first")
            assert await Call(inside.port(NAME), "/second").answer() == (503, "overloaded")
            assert inside.told(NAME).refused == 1
            await end.answer()
            assert await first.answer() == (200, "")
            assert end.paths() == ["/first"]

    run(work())


def test_the_queue_is_bounded_over_all_endpoints() -> None:
    async def work() -> None:
        async with site(settings(1, 2), endpoints=2) as (inside, ends):
            made = await calls(inside, "/a", "/b", "/c", "/d", waiting=2)
            assert await Call(inside.port(NAME), "/e").answer() == (503, "overloaded")
            told = inside.told(NAME)
            # Whoever finds one endpoint full goes to the other first.
            assert [one.requests for one in told.endpoints] == [1, 1]
            assert told.refused == 1
            answering = asyncio.get_running_loop().create_task(_answer_all(ends))
            for call in made:
                assert await call.answer() == (200, "")
            answering.cancel()
            await asyncio.wait([answering])
            assert [end.most for end in ends] == [1, 1]

    run(work())


async def _answer_all(ends: list[Holding]) -> None:
    async def each(end: Holding) -> None:
        while True:
            await end.answer()

    await asyncio.gather(*(each(end) for end in ends))


def test_who_waits_too_long_is_told_and_counted() -> None:
    async def work() -> None:
        async with site(settings(1, 8, 0.05)) as (inside, (end,)):
            (first,) = await calls(inside, "/first")
            assert await Call(inside.port(NAME), "/late").answer() == (503, "queue-timeout")
            told = inside.told(NAME)
            assert (told.waiting, told.refused, told.endpoints[0].requests) == (0, 1, 1)
            await end.answer()
            assert await first.answer() == (200, "")
            assert end.paths() == ["/first"]
            late = [one for one in inside.records() if one["path"] == "/late"]
            assert [(one["reason"], one["attempts"]) for one in late] == [("queue-timeout", 0)]

    run(work())


def test_a_client_that_leaves_gives_up_its_place() -> None:
    async def work() -> None:
        async with site(settings(1, 1)) as (inside, (end,)):
            made = await calls(inside, "/a", "/gone", waiting=1)
            await made[1].leave()
            await until(lambda: inside.told(NAME).waiting == 0, "it is out of the queue")
            last = Call(inside.port(NAME), "/c")
            await until(lambda: inside.told(NAME).waiting == 1, "another has its place")
            await end.answer()
            await end.answer()
            assert [await one.answer() for one in (made[0], last)] == [(200, ""), (200, "")]
            assert end.paths() == ["/a", "/c"]

    run(work())


def test_a_breaker_that_opens_meanwhile_answers_those_who_wait() -> None:
    async def work() -> None:
        one = settings(1, 8, breaker=Breaker(consecutive=1, ratio=None, on=("5xx",)))
        async with site(one) as (inside, (end,)):
            made = await calls(inside, "/a", "/b", "/c", waiting=2)
            await end.answer(status=b"500 Broken")
            assert await made[0].answer() == (500, "")
            for call in made[1:]:
                assert await call.answer() == (503, "circuit-open")
            assert end.paths() == ["/a"]

    run(work())


def test_an_endpoint_that_goes_sends_those_who_wait_elsewhere() -> None:
    async def work() -> None:
        one = settings(1, 8)
        async with site(one) as (inside, (end,)), Holding() as other:
            made = await calls(inside, "/a", "/b", waiting=1)
            await inside.put({NAME: (one, (other.port,))})
            await other.answer()
            assert await made[1].answer() == (200, "")
            await end.answer()
            assert await made[0].answer() == (200, "")
            assert (end.paths(), other.paths()) == (["/a"], ["/b"])

    run(work())


def test_a_wider_bound_lets_them_in_at_once() -> None:
    async def work() -> None:
        async with site(settings(1, 8)) as (inside, (end,)):
            made = await calls(inside, "/a", "/b", waiting=1)
            await inside.put({NAME: (settings(2, 8), (end.port,))})
            await end.answer()
            await end.answer()
            assert [await one.answer() for one in made] == [(200, ""), (200, "")]
            assert end.most == 2

    run(work())


def test_an_upgrade_leaves_its_room_to_others() -> None:
    async def work() -> None:
        async with site(settings(1, 8)) as (inside, (end,)):
            upgrade = Call(
                inside.port(NAME), "/socket", "Connection: upgrade\r\nUpgrade: other\r\n"
            )
            await until(lambda: len(end.asked) == 1, "it was sent")
            second = Call(inside.port(NAME), "/second")
            await until(lambda: inside.told(NAME).waiting == 1, "the second waits")
            await end.answer(
                status=b"101 Switching Protocols",
                fields=b"Connection: upgrade\r\nUpgrade: other\r\n",
            )
            await end.answer()
            assert await second.answer() == (200, "")
            await upgrade.leave()

    run(work())


def test_a_connection_that_is_of_no_use_makes_room() -> None:
    """A request that must not be repeated does not go out on a connection that has been idle for a while."""

    async def work() -> None:
        async with site(settings(1, 0)) as (inside, (end,)):
            (first,) = await calls(inside, "/first")
            await end.answer()
            assert await first.answer() == (200, "")
            (endpoint,) = inside.runtime.upstreams.live[NAME].group.endpoints
            pool = endpoint.pool
            assert pool is not None
            await until(lambda: pool.idle, "the connection is kept")
            pool.idle[0].idle_since_s -= 2.0
            post = Call(inside.port(NAME), "/post", "Content-Length: 0\r\n", "POST")
            await end.answer()
            assert await post.answer() == (200, "")
            assert (end.connections, pool.opened, pool.opening) == (2, 1, 0)

    run(work())


def test_a_try_that_failed_waits_like_the_others() -> None:
    async def work() -> None:
        retry = Retry(attempts=1, initial_s=0.0, max_s=0.0, on=("reset",))
        async with site(settings(1, 8, retry=retry)) as (inside, (end,)):
            made = await calls(inside, "/a", "/b", waiting=1)
            await until(lambda: end.asked, "the first was sent")
            end.cut()
            await end.answer()
            assert await made[1].answer() == (200, "")
            await end.answer()
            assert await made[0].answer() == (200, "")
            assert (end.paths(), end.most) == (["/a", "/b", "/a"], 1)

    run(work())


def test_who_cannot_connect_lets_the_next_one_try() -> None:
    async def work() -> None:
        with listening() as sock:
            port = sock.getsockname()[1]
        async with Inside(NAME) as inside:
            one = settings(1, 8, breaker=Breaker(consecutive=0, ratio=None))
            await inside.put({NAME: (one, (port,))})
            made = [Call(inside.port(NAME), f"/{at}") for at in range(5)]
            for call in made:
                assert await call.answer() == (502, "connect-failed")
            (endpoint,) = inside.runtime.upstreams.live[NAME].group.endpoints
            pool = endpoint.pool
            assert pool is not None
            assert (pool.opened, pool.opening) == (0, 0)
            assert inside.told(NAME).waiting == 0

    run(work())
