"""A request that comes back is answered where it does, once, and nobody is taken for broken because of it."""

from __future__ import annotations

import contextlib

import pytest

from ambassador_edges import run
from ambassador_inside import Call, Holding, Inside
from pillion.ambassador.hops import MOST, token_of
from pillion.settings.edges import Proxy
from pillion.settings.policies import Breaker, Retry
from pillion.settings.route_actions import HeaderRules, Target
from pillion.settings.routes import Match, RouteSpec
from pillion.settings.upstreams import Upstream

EAGER = Upstream(
    urls=("http://127.0.0.1:1",),
    retry=Retry(attempts=3, on=("connect", "reset", "timeout", "5xx"), unsafe=True),
    breaker=Breaker(consecutive=1, on=("connect", "reset", "timeout", "5xx")),
)
LOOP = (508, "loop-detected")


def via(run_id: str, name: str) -> str:
    return token_of(run_id, f"upstream:{name}").decode()


def field_of(head: bytes) -> list[str]:
    """The values of the field in a request."""
    lines = head.decode().split("\r\n")[1:]
    return [line.partition(": ")[2] for line in lines if line.lower().startswith("pillion-via:")]


@pytest.mark.parametrize(("method", "fields"), [("GET", ""), ("POST", "Content-Length: 0\r\n")])
def test_an_upstream_that_is_its_own_port(method: str, fields: str) -> None:
    async def work() -> None:
        async with Inside("round") as inside:
            await inside.put({"round": (EAGER, (inside.port("round"),))})
            for _ in range(3):
                call = Call(inside.port("round"), "/", fields, method)
                assert await call.answer() == LOOP
            told = inside.told("round")
            assert [(one.state, one.failures) for one in told.endpoints] == [("closed", 0)]
            assert (told.requests, told.retries) == (3, 0)
            # One for the way out, one for where it came back.
            assert len(inside.records()) == 6
            assert {one["status"] for one in inside.records()} == {508}

    run(work())


def test_two_that_point_at_each_other() -> None:
    async def work() -> None:
        async with Inside("there", run="a") as a, Inside("back", run="b") as b:
            await a.put({"there": (EAGER, (b.port("back"),))})
            await b.put({"back": (EAGER, (a.port("there"),))})
            for _ in range(2):
                assert await Call(a.port("there")).answer() == LOOP
            for one, name in ((a, "there"), (b, "back")):
                told = one.told(name)
                assert [(end.state, end.failures) for end in told.endpoints] == [("closed", 0)]
                assert told.retries == 0

    run(work())


def test_a_way_through_several_is_no_circle() -> None:
    async def work() -> None:
        async with contextlib.AsyncExitStack() as stack:
            end = await stack.enter_async_context(Holding())
            a = await stack.enter_async_context(Inside("one", "two", run="a"))
            b = await stack.enter_async_context(Inside("one", run="b"))
            await a.put({"one": (EAGER, (b.port("one"),)), "two": (EAGER, (end.port,))})
            await b.put({"one": (EAGER, (a.port("two"),))})
            for number in range(2):
                call = Call(a.port("one"), f"/{number}")
                await end.answer()
                assert await call.answer() == (200, "")
            tokens = ", ".join([via("a", "one"), via("b", "one"), via("a", "two")])
            assert [field_of(head) for head in end.asked] == [[tokens], [tokens]]

    run(work())


def test_the_way_is_bounded_and_what_is_none_is_taken_out() -> None:
    async def work() -> None:
        async with Holding() as end, Inside("one", run="a") as a:
            await a.put({"one": (EAGER, (end.port,))})
            full = ", ".join(f"{number:08x}" for number in range(MOST))
            assert await Call(a.port("one"), fields=f"Pillion-Via: {full}\r\n").answer() == LOOP
            for fields, left in (
                ("", []),
                ("Pillion-Via: nonsense\r\n", []),
                ("PILLION-VIA: 00000001\r\npillion-via: 00000002\r\n", ["00000001", "00000002"]),
                ("Pillion-Via: 00000001\r\nConnection: pillion-via\r\n", ["00000001"]),
            ):
                call = Call(a.port("one"), fields=fields)
                await end.answer()
                assert await call.answer() == (200, "")
                assert field_of(end.asked.pop()) == [", ".join([*left, via("a", "one")])]

    run(work())


def test_a_rule_takes_it_out() -> None:
    async def work() -> None:
        rule = RouteSpec(
            listener=("one",),
            match=Match(path="/"),
            to=(Target(upstream="one"),),
            request_headers=HeaderRules(remove=("pillion-via",)),
        )
        async with Holding() as end, Inside("one", run="a") as a:
            await a.put({"one": (EAGER, (end.port,))}, routes=(rule,))
            call = Call(a.port("one"), fields="Pillion-Via: 00000001\r\n")
            await end.answer()
            assert await call.answer() == (200, "")
            assert field_of(end.asked[0]) == []

    run(work())


def test_the_app_hears_nothing_of_it() -> None:
    """What a stranger says ends here, and what the app copies into its own calls is nothing."""

    async def work() -> None:
        async with Holding() as app, Inside("inbound", run="a") as a:
            await a.put({}, app_port=app.port)
            for fields in ("", "Pillion-Via: 00000001\r\n", "Pillion-Via: nonsense\r\n"):
                call = Call(a.port("inbound"), fields=fields)
                await app.answer()
                assert await call.answer() == (200, "")
            assert [field_of(head) for head in app.asked] == [[], [], []]

    run(work())


def test_fronts_that_route_to_each_other() -> None:
    async def work() -> None:
        async with contextlib.AsyncExitStack() as stack:
            app = await stack.enter_async_context(Holding())
            a = await stack.enter_async_context(Inside("inbound", run="a"))
            b = await stack.enter_async_context(Inside("inbound", run="b"))
            on = RouteSpec(
                listener=("inbound",), match=Match(path="/round"), to=(Target(upstream="other"),)
            )
            await a.put({"other": (EAGER, (b.port("inbound"),))}, app_port=app.port, routes=(on,))
            await b.put({"other": (EAGER, (a.port("inbound"),))}, app_port=app.port, routes=(on,))
            assert await Call(a.port("inbound"), "/round").answer() == LOOP
            assert app.asked == []
            call = Call(a.port("inbound"), "/here")
            await app.answer()
            assert await call.answer() == (200, "")

    run(work())


def test_what_leaves_by_the_proxy_does_not_say_where_it_was() -> None:
    async def work() -> None:
        async with Holding() as end, Inside("proxy", run="a") as a:
            await a.put({}, proxy=Proxy(credentials=False))
            there = f"127.0.0.1:{end.port}"
            call = Call(a.port("proxy"), f"http://{there}/", host=there)
            await end.answer()
            assert await call.answer() == (200, "")
            assert field_of(end.asked[0]) == []

    run(work())
