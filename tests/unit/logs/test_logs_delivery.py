"""Batches under way: order of acknowledgement, retries, drops, and what the journal is told. No sockets, no waiting."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

import pytest

from pillion.logs.batch import Batch
from pillion.logs.delivery import Delivery
from pillion.logs.pace import Pace
from pillion.logs.retry import Backoff, Stall
from pillion.logs.sinks import Again, Outcome, Records, Refused, Sent

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from pillion.logs.positions import Key


NOW_NS = 1_795_360_526_000_000_000
AT_ONCE = Backoff(initial_s=0.0, max_s=0.0)


class Scripted:
    """A sink whose answers the test gives, by the batch's body."""

    name = "scripted"
    in_flight = 3

    def __init__(self, answers: Mapping[bytes, list[Outcome | Exception]]) -> None:
        self.answers = {body: deque(outcomes) for body, outcomes in answers.items()}
        self.held: dict[bytes, asyncio.Event] = {}
        self.sent: list[bytes] = []
        self.changed = asyncio.Event()

    async def send(self, body: bytes) -> Outcome:
        self.sent.append(body)
        self.changed.set()
        if body in self.held:
            await self.held[body].wait()
        answer = self.answers[body].popleft() if self.answers.get(body) else Sent()
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def until(self, count: int) -> None:
        """Wait until `count` attempts were made."""
        while len(self.sent) < count:
            self.changed.clear()
            await self.changed.wait()

    def records(self, attributes: Mapping[str, object], stream: str) -> Records:
        raise NotImplementedError

    def seal(self, groups: object) -> bytes:
        raise NotImplementedError

    async def close(self) -> None:
        return None


class Scene:
    def __init__(self, sink: Scripted, **options: object) -> None:
        self.sink = sink
        self.acknowledged: list[int] = []
        self.told: list[tuple[str, str]] = []
        self.delivery = Delivery(
            sink,
            acknowledge=self.acknowledge,
            tell=lambda kind, reason, _data: self.told.append((kind, reason)),
            age_limit_s=3600,
            backoff=AT_ONCE,
            stall=Stall(after_s=0.0),
            pace=Pace(most=3, share=1.0, window=3),
            now_ns=lambda: NOW_NS,
        )

    def acknowledge(self, ends: Mapping[Key, int]) -> None:
        self.acknowledged.append(ends["run", "stdout"])

    async def send(self, *names: str, oldest_ns: int = NOW_NS) -> None:
        for number, name in enumerate(names, start=1):
            await self.delivery.room()
            ends = {("run", "stdout"): number}
            self.delivery.send(Batch(name.encode(), 10, 100, ends, oldest_ns))


def play(scenario: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(10):
            await scenario()

    asyncio.run(bounded())


def test_positions_move_in_order_whatever_overtakes() -> None:
    async def scenario() -> None:
        sink = Scripted({})
        scene = Scene(sink)
        sink.held[b"a"] = asyncio.Event()
        await scene.send("a", "b", "c")
        await sink.until(3)
        assert scene.acknowledged == []
        sink.held[b"a"].set()
        assert await scene.delivery.settle(5)
        assert scene.acknowledged == [1, 2, 3]
        assert scene.delivery.counters.records == 30

    play(scenario)


def test_as_many_are_under_way_as_the_sink_allows() -> None:
    async def scenario() -> None:
        sink = Scripted({})
        scene = Scene(sink)
        for name in (b"a", b"b", b"c"):
            sink.held[name] = asyncio.Event()
        sending = asyncio.create_task(scene.send("a", "b", "c", "d"))
        await sink.until(3)
        assert (scene.delivery.under_way, sending.done()) == (3, False)
        for event in sink.held.values():
            event.set()
        await sending
        assert await scene.delivery.settle(5)
        assert scene.acknowledged == [1, 2, 3, 4]

    play(scenario)


def test_a_failure_is_tried_again_and_told_once_each_way() -> None:
    async def scenario() -> None:
        sink = Scripted({b"a": [Again("down"), Again("down"), Again("down"), Sent()]})
        scene = Scene(sink)
        await scene.send("a")
        assert await scene.delivery.settle(5)
        assert [kind for kind, _ in scene.told] == ["shipping-stalled", "shipping-resumed"]
        assert (sink.sent, scene.acknowledged) == ([b"a"] * 4, [1])
        assert scene.delivery.counters.retries == 3

    play(scenario)


def test_while_it_fails_only_the_oldest_tries() -> None:
    async def scenario() -> None:
        sink = Scripted({b"a": [Again("down")] * 5, b"b": [Again("down")], b"c": [Again("down")]})
        scene = Scene(sink)
        await scene.send("a", "b", "c")
        assert await scene.delivery.settle(5)
        assert scene.acknowledged == [1, 2, 3]
        assert sink.sent[:6] == [b"a"] * 6
        assert set(sink.sent[6:]) == {b"b", b"c"}

    play(scenario)


def test_what_is_refused_is_dropped_counted_told_and_passed() -> None:
    async def scenario() -> None:
        sink = Scripted({b"a": [Refused("400")]})
        scene = Scene(sink)
        await scene.send("a", "b")
        assert await scene.delivery.settle(5)
        assert scene.acknowledged == [1, 2]
        assert scene.delivery.counters.dropped_records == 10
        assert scene.told == [("output-lost", "10 records were not shipped: 400")]

    play(scenario)


def test_what_is_older_than_the_limit_is_dropped_only_when_it_fails() -> None:
    async def scenario() -> None:
        sink = Scripted({b"a": [Sent()], b"b": [Again("down")]})
        scene = Scene(sink)
        await scene.send("a", "b", oldest_ns=NOW_NS - 3601 * 10**9)
        assert await scene.delivery.settle(5)
        assert scene.delivery.counters.dropped_records == 10
        assert scene.delivery.counters.records == 10
        assert scene.acknowledged == [1, 2]

    play(scenario)


def test_a_fault_of_the_sink_loses_nothing() -> None:
    async def scenario() -> None:
        scene = Scene(Scripted({b"a": [RuntimeError("bug"), Sent()]}))
        await scene.send("a")
        assert await scene.delivery.settle(5)
        assert scene.acknowledged == [1]

    play(scenario)


@pytest.mark.parametrize("held", [True, False])
def test_settling_is_bounded_and_closing_leaves_the_position(held: bool) -> None:
    async def scenario() -> None:
        sink = Scripted({b"a": [Again("down", 3600.0)]})
        scene = Scene(sink)
        if held:
            sink.held[b"a"] = asyncio.Event()
        else:
            sink.answers[b"a"].extend([Again("down", 3600.0)] * 1000)
        await scene.send("a")
        assert not await scene.delivery.settle(0.05)
        await scene.delivery.close()
        assert scene.acknowledged == []

    play(scenario)


def test_the_pace_grows_with_fast_answers_and_shrinks_with_slow_ones() -> None:
    pace = Pace(most=3)
    for _ in range(3):
        pace.answered(0.01)
    assert (pace.share, pace.window) == (1.0, 1)
    for _ in range(5):
        pace.answered(0.01)
    assert (pace.share, pace.window) == (1.0, 3)
    pace.answered(0.5)
    assert (pace.share, pace.window) == (1.0, 3)
    for _ in range(9):
        pace.answered(2.0)
    assert (pace.share, pace.window) == (1 / 16, 1)
    pace.answered(0.01)
    pace.failed()
    assert (pace.share, pace.window) == (1 / 8, 1)
