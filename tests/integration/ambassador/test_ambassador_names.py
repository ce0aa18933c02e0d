"""Names are looked up in threads, again and again; a resolver that fails or hangs takes nothing away and holds nobody up."""

from __future__ import annotations

import asyncio
import threading

import uvloop

from ambassador_edges import run, until
from pillion.ambassador.names import MOST_AT_ONCE, MOST_NAMES, Names, look_up
from pillion.ambassador.resolve import Answer


class Resolver:
    """One whose answers the test decides."""

    def __init__(self) -> None:
        self.answers: dict[str, list[str]] = {}
        self.asked: list[str] = []
        self.hanging = threading.Event()
        self.hanging.set()
        self.waiting = 0

    def __call__(self, name: str) -> list[str]:
        self.asked.append(name)
        self.waiting += 1
        self.hanging.wait(30)
        self.waiting -= 1
        if name not in self.answers:
            raise OSError(-2, "Name or service not known")
        return self.answers[name]


def unheard(_name: str, _error: str) -> None:
    """For tests that do not care."""


def test_all_addresses_each_once_in_a_steady_order_and_only_changes_are_told() -> None:
    async def work() -> None:
        resolver, told = Resolver(), []
        resolver.answers["a"] = ["10.0.0.2", "10.0.0.1", "10.0.0.2", "fd00::1"]
        names = Names(lambda: told.append(1), unheard, resolver)
        names.want({"a": 0.02})
        await until(lambda: len(resolver.asked) >= 5, "several look-ups")
        assert names.answer("a") == Answer(("10.0.0.1", "10.0.0.2", "fd00::1"))
        assert len(told) == 1
        resolver.answers["a"] = ["10.0.0.3"]
        await until(lambda: names.answer("a").addresses == ("10.0.0.3",), "the new address")
        names.close()

    run(work())


def test_a_failure_keeps_the_last_addresses_and_says_so() -> None:
    async def work() -> None:
        resolver, failed = Resolver(), []
        resolver.answers["a"] = ["10.0.0.1"]
        names = Names(lambda: None, lambda *one: failed.append(one), resolver)
        names.want({"a": 0.02, "never": 0.02})
        await until(lambda: names.answer("a").addresses, "the address")
        del resolver.answers["a"]
        await until(lambda: names.answer("a").error, "the failure")
        assert names.answer("a") == Answer(
            ("10.0.0.1",), "cannot resolve a: Name or service not known"
        )
        assert names.answer("never").addresses is None
        resolver.answers["a"] = []
        await until(lambda: "no address" in names.answer("a").error, "the empty answer")
        assert names.answer("a").addresses == ("10.0.0.1",)
        assert names.failures >= 3
        resolver.answers["a"] = ["10.0.0.2"]
        await until(lambda: names.answer("a").addresses == ("10.0.0.2",), "the new address")
        assert [one for one in failed if one[0] == "a"] == [
            ("a", "cannot resolve a: Name or service not known"),
            ("a", ""),
        ]
        names.close()

    run(work())


def test_a_resolver_that_hangs_holds_a_few_threads_and_no_loop() -> None:
    async def work() -> None:
        resolver = Resolver()
        resolver.hanging.clear()
        names = Names(lambda: None, unheard, resolver)
        names.want({f"n{at}": 30.0 for at in range(20)})
        await until(lambda: resolver.waiting == MOST_AT_ONCE, "the threads")
        async with asyncio.timeout(1.0):
            await asyncio.sleep(0)
        assert len(resolver.asked) == MOST_AT_ONCE
        # Those that wait are forgotten when nobody wants them any more.
        names.want({"n19": 30.0})
        resolver.answers["n19"] = ["10.0.0.1"]
        resolver.hanging.set()
        await until(lambda: names.answer("n19").addresses, "the one that is wanted")
        assert len(resolver.asked) == MOST_AT_ONCE + 1
        names.close()

    run(work())


def test_what_comes_after_the_end_of_the_loop_goes_nowhere() -> None:
    resolver = Resolver()
    resolver.hanging.clear()

    async def work() -> None:
        names = Names(lambda: None, unheard, resolver)
        names.want({"a": 30.0})
        await until(lambda: resolver.waiting == 1, "the thread")

    uvloop.run(work())
    resolver.hanging.set()
    for thread in threading.enumerate():
        if thread.name.startswith("resolve "):
            thread.join(5.0)
            assert not thread.is_alive()


def test_there_are_not_too_many() -> None:
    async def work() -> None:
        resolver = Resolver()
        names = Names(lambda: None, unheard, resolver)
        names.want({f"n{at:05}": 30.0 for at in range(MOST_NAMES + 5)})
        assert names.overflow == 5
        assert names.answer(f"n{MOST_NAMES + 1:05}").error
        names.close()

    run(work())


def test_the_hosts_own_resolver() -> None:
    assert set(look_up("localhost")) & {"127.0.0.1", "::1"}
