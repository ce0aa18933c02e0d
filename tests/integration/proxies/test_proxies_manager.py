"""A manager with real files and a proxy that does as the test says: what it does in which order, what it tells, and what the next one finds."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Self

import pytest

from pillion.base.tasks import RootTasks
from pillion.errors import RefusedError
from pillion.proxies.applying.world import World
from pillion.proxies.driver import GOOD, Level, Place, ProxyStatus, Verdict
from pillion.proxies.files.site import Site
from pillion.proxies.fleet import Fleet
from pillion.proxies.templating.facts import Facts
from pillion.proxies.templating.references import Member, Reference
from pillion.proxies.templating.rendered import Missing, Rendered, RenderedFile
from pillion.proxies.templating.sources import Sources
from pillion.settings.proxies import ManagedProxy, Wait

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from pathlib import Path

    from pillion.base.tasks import TaskEnd
    from pillion.model.event import Json

GREETING = Reference("config", "greeting")
ORDERS = Reference("service", "orders")
BOUND_S = 40.0


class Proxy:
    """A proxy that serves whatever it was told to load, unless `check`, `load` or `prove` says otherwise."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self.done: list[str] = []
        self.serves = ""
        self.old_loads = 0
        self.verdicts: dict[str, Verdict] = {}
        self.hold = asyncio.Event()
        self.hold.set()

    def _say(self, what: str) -> Verdict:
        self.done.append(what)
        return self.verdicts.get(what, GOOD)

    async def check(self, directory: str) -> Verdict:
        assert text_of(os.path.join(directory, "nginx.conf"))
        return self._say("check")

    async def load(self) -> Verdict:
        verdict = self._say("load")
        await self.hold.wait()
        if verdict.ok:
            self.serves = text_of(self._site.live("nginx.conf"))
        return verdict

    async def prove(self, version: str, timeout_s: float) -> Verdict:
        del timeout_s
        self.done.append("prove")
        return GOOD if version in self.serves else Verdict(False, "it serves another")

    async def status(self) -> ProxyStatus:
        return ProxyStatus(bool(self.serves), 1 if self.serves else None, old_loads=self.old_loads)

    async def bring_level(self, old: Rendered, new: Rendered) -> Level:
        del old, new
        return Level(False, why="never")


class Values:
    """Configuration and members, as the test says."""

    def __init__(self) -> None:
        self.known: dict[str, object] = {"greeting": "hello", "orders": _members(3)}

    async def fetch(self, name: str) -> object:
        return self.known[name]

    def stale_s(self) -> int | None:
        return None


async def until(look: Callable[[], object]) -> None:
    """Wait until `look` is true."""
    async with asyncio.timeout(BOUND_S):
        while not look():  # noqa: ASYNC110 # of what is looked at nobody tells
            await asyncio.sleep(0.005)


def text_of(path: str) -> str:
    """What is in a file; empty when it is not there."""
    try:
        with open(path) as file:
            return file.read()
    except FileNotFoundError:
        return ""


def _members(count: int) -> tuple[Member, ...]:
    return tuple(Member(id=f"m{number}", address="127.0.0.1", port=80) for number in range(count))


def render(values: Mapping[Reference, object], facts: Facts) -> Rendered | Missing:
    """A version that is what it says."""
    del facts
    missing = {GREETING, ORDERS} - values.keys()
    if missing:
        return Missing(frozenset(missing))
    members = values[ORDERS]
    assert isinstance(members, tuple)
    version = f"{values[GREETING]}-{len(members)}"
    return Rendered(
        version=version,
        files=(RenderedFile("nginx.conf", f"version {version}\n", (("edge.j2", 7),)),),
        used=frozenset({GREETING, ORDERS}),
        members={"orders": members},
        holdings={"service orders": frozenset(one.id for one in members)},
        functions=frozenset({"proof"}),
    )


class Bench:
    """One proxy under a fleet; a second bench on the same directory is the next agent."""

    def __init__(self, directory: Path, proxy: Proxy | None = None) -> None:
        state = str(directory / "edge")
        self.site = Site("edge", os.path.join(state, "conf"), state)
        self.proxy = proxy or Proxy(self.site)
        self.values = Values()
        self.sources = Sources()
        self.sources.add("config", self.values)
        self.sources.add("service", self.values)
        self.events: list[tuple[str, str]] = []
        self.ends: list[str] = []
        self.tasks = RootTasks(self._ended)
        self.fleet = Fleet(self.tasks, self._journal, self._world)
        self.settings = ManagedProxy(
            name="edge",
            kind="nginx",
            template="edge.j2",
            wait=Wait(min_s=0.0, max_s=0.0),
            retry_initial_s=0.1,
        )

    def _ended(self, end: TaskEnd) -> None:
        self.ends.append(f"{end}")

    def _journal(self, kind: str, name: str, reason: str, data: dict[str, Json]) -> None:
        assert name == "edge"
        del data
        self.events.append((kind, reason))

    async def _stop(self) -> None:
        self.proxy.done.append("stop")

    def _world(self, settings: ManagedProxy) -> World:
        return World(
            settings=settings,
            site=self.site,
            driver=self.proxy,
            sources=self.sources,
            render=render,
            facts=lambda: Facts(
                name="edge",
                kind="nginx",
                directory=self.site.directory,
                runtime_dir="/run",
                state_dir=self.site.state,
                service="shop",
                instance="shop",
                proof_path="/run/proof",
            ),
            stop=self._stop,
            clock=asyncio.get_running_loop().time,
        )

    async def __aenter__(self) -> Self:
        self.fleet.settings([(self.settings, None)])
        self.fleet.begin()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.fleet.close(5)
        await self.tasks.close(5)
        assert not self.ends

    def change(self, name: str, value: object) -> None:
        """A source has changed."""
        self.values.known[name] = value
        kind = "config" if name == "greeting" else "service"
        self.sources.changed(kind, frozenset({name}))  # type: ignore[arg-type]

    async def until(self, look: Callable[[], object]) -> None:
        """Wait until `look` is true, and all is at rest."""
        await until(look)
        async with asyncio.timeout(BOUND_S):
            while (  # noqa: ASYNC110 # of what is looked at nobody tells
                (await self.fleet.view("edge")).state in ("applying", "passive")
            ):
                await asyncio.sleep(0.005)

    async def serves(self, version: str) -> None:
        await self.until(lambda: version in self.proxy.serves)


def run(test: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(3 * BOUND_S):
            await test()

    asyncio.run(bounded())


def test_it_is_checked_moved_loaded_and_proved(tmp_path: Path) -> None:
    async def test() -> None:
        async with Bench(tmp_path) as bench:
            await bench.serves("hello-3")
            assert bench.proxy.done == ["check", "load", "prove"]
            bench.change("greeting", "other")
            await bench.serves("other-3")
            assert bench.events == [("proxy-applied", "serves")] * 2
            history = await bench.fleet.history("edge")
            assert [one.version for one in history.items] == ["other-3", "hello-3"]
            stats = bench.fleet.stats()
            assert stats["proxy_applied_total"] == {"proxy": {"edge": 2.0}}
            assert stats["proxy_serving"] == {"proxy": {"edge": 1.0}}

    run(test)


def test_the_proxys_words_come_with_the_line_of_the_template(tmp_path: Path) -> None:
    async def test() -> None:
        async with Bench(tmp_path) as bench:
            await bench.serves("hello-3")
            bench.proxy.verdicts["check"] = Verdict(
                False, "no", places=(Place("nginx.conf", 1, "unknown word"),)
            )
            bench.change("greeting", "bad")
            await bench.until(lambda: len(bench.events) == 2)
            kind, reason = bench.events[-1]
            assert kind == "proxy-refused"
            assert reason == "edge.j2 line 7 (nginx.conf line 1): unknown word"
            assert "hello-3" in bench.proxy.serves
            assert not text_of(f"{bench.site.directory}.candidate/nginx.conf")

    run(test)


def test_what_does_not_get_to_serve_is_taken_back(tmp_path: Path) -> None:
    async def test() -> None:
        async with Bench(tmp_path) as bench:
            await bench.serves("hello-3")
            bench.proxy.verdicts["load"] = Verdict(False, "zone has another key")
            bench.change("greeting", "bad")
            await bench.until(lambda: len(bench.events) == 2)
            assert bench.events[-1][0] in ("proxy-returned", "proxy-refused")
            assert "another key" in bench.events[-1][1]
            assert "hello-3" in text_of(bench.site.live("nginx.conf"))
            bench.proxy.verdicts.clear()
            attempt = await bench.fleet.apply("edge", forced=False)
            assert attempt.outcome == "applied"
            assert attempt.version == "bad-3"

    run(test)


def test_the_next_agent_waits_for_its_turn_and_knows_what_serves(tmp_path: Path) -> None:
    async def test() -> None:
        first = Bench(tmp_path)
        async with first:
            await first.serves("hello-3")
            second = Bench(tmp_path, first.proxy)
            second.values.known["greeting"] = "second"
            async with second:
                view = await second.fleet.view("edge")
                assert view.state == "passive"
                with pytest.raises(RefusedError):
                    await second.fleet.apply("edge", forced=False)
                first.fleet.end()
                await second.serves("second-3")
                assert "load" in first.proxy.done

    run(test)


def test_a_change_that_is_cut_off_in_the_middle_is_finished_by_the_next(tmp_path: Path) -> None:
    async def test() -> None:
        first = Bench(tmp_path)
        async with first:
            await first.serves("hello-3")
            first.proxy.hold.clear()
            loads = first.proxy.done.count("load")
            first.change("greeting", "second")
            await until(lambda: first.proxy.done.count("load") > loads)
        first.proxy.hold.set()
        assert "hello-3" in first.proxy.serves
        second = Bench(tmp_path, first.proxy)
        second.values.known["greeting"] = "second"
        async with second:
            await second.serves("second-3")
            assert second.events == [("proxy-applied", "serves")]
            assert not text_of(second.site.intent)

    run(test)


def test_who_asks_is_answered_when_the_agent_goes(tmp_path: Path) -> None:
    async def test() -> None:
        async with Bench(tmp_path) as bench:
            await bench.serves("hello-3")
            bench.proxy.hold.clear()
            bench.values.known["greeting"] = "second"
            asking = asyncio.ensure_future(bench.fleet.apply("edge", forced=False))
            await until(lambda: bench.proxy.done.count("load") >= 2)
            bench.fleet.end()
            with pytest.raises(RefusedError, match="not in charge"):
                await asking

    run(test)


def test_the_guard_knows_the_members_of_the_agent_before(tmp_path: Path) -> None:
    async def test() -> None:
        first = Bench(tmp_path)
        async with first:
            await first.serves("hello-3")
        second = Bench(tmp_path, first.proxy)
        second.values.known["orders"] = ()
        async with second:
            await second.until(lambda: second.events)
            assert second.events[0][0] == "proxy-held"
            assert "hello-3" in second.proxy.serves
            attempt = await second.fleet.apply("edge", forced=False)
            assert attempt.outcome == "held"
            assert "orders" in attempt.reason
            assert (await second.fleet.apply("edge", forced=True)).version == "hello-0"

    run(test)


def test_a_rollback_is_pinned_for_the_next_agent_too(tmp_path: Path) -> None:
    async def test() -> None:
        first = Bench(tmp_path)
        async with first:
            await first.serves("hello-3")
            first.change("greeting", "second")
            await first.serves("second-3")
            attempt = await first.fleet.roll_back("edge", "")
            assert (attempt.outcome, attempt.version) == ("applied", "hello-3")
        second = Bench(tmp_path, first.proxy)
        second.values.known["greeting"] = "third"
        async with second:
            await second.until(lambda: True)
            view = await second.fleet.view("edge")
            assert view.pinned == "hello-3"
            second.change("greeting", "fourth")
            assert (await second.fleet.view("edge")).version == "hello-3"
            assert (await second.fleet.apply("edge", forced=False)).version == "fourth-3"

    run(test)


def test_too_many_old_workers_put_a_reload_off(tmp_path: Path) -> None:
    async def test() -> None:
        async with Bench(tmp_path) as bench:
            await bench.serves("hello-3")
            bench.proxy.old_loads = 4
            bench.change("greeting", "second")
            await bench.until(lambda: len(bench.events) == 2)
            assert bench.events[-1][0] == "proxy-held"
            bench.proxy.old_loads = 3
            await bench.serves("second-3")

    run(test)


def test_a_thousand_changes_at_once_are_a_few_loads(tmp_path: Path) -> None:
    async def test() -> None:
        async with Bench(tmp_path) as bench:
            await bench.serves("hello-3")
            for number in range(10_000):
                bench.change("greeting", f"value{number}")
            await bench.serves("value9999-3")
            assert bench.proxy.done.count("load") <= 4

    run(test)


def test_those_who_ask_are_bounded(tmp_path: Path) -> None:
    async def test() -> None:
        async with Bench(tmp_path) as bench:
            await bench.serves("hello-3")
            bench.proxy.hold.clear()
            bench.values.known["greeting"] = "second"
            asking = [
                asyncio.ensure_future(bench.fleet.apply("edge", forced=False)) for _ in range(100)
            ]
            done, _ = await asyncio.wait(
                asking, timeout=BOUND_S, return_when=asyncio.FIRST_EXCEPTION
            )
            assert any(isinstance(one.exception(), RefusedError) for one in done)
            bench.proxy.hold.set()
            results = await asyncio.gather(*asking, return_exceptions=True)
            assert sum(isinstance(one, RefusedError) for one in results) == 36

    run(test)


def test_no_proxy_of_that_name(tmp_path: Path) -> None:
    async def test() -> None:
        async with Bench(tmp_path) as bench:
            with pytest.raises(RefusedError, match="there is edge") as caught:
                await bench.fleet.view("nobody")
            assert caught.value.status == 404

    run(test)
