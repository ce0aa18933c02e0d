"""The journal of breakers: all workers as one, and a flood of changes as a trickle that ends in the truth."""

from __future__ import annotations

from pillion.ambassador.transitions import (
    ALL_BURST,
    BURST,
    MOST_ENDPOINTS,
    QUIET_S,
    BreakerJournal,
    Entry,
)
from pillion.ambassador.wire import EndpointReport, Report, Transition, UpstreamReport


def change(new: str, endpoint: str = "a:1", why: str = "5 failures in a row") -> Transition:
    return Transition("orders", endpoint, "", new, why)


class Told:
    """A journal, and the kinds that it entered."""

    def __init__(self) -> None:
        self.journal = BreakerJournal()
        self.entries: list[Entry] = []

    def observe(self, worker: str, what: Transition, now: float) -> Entry | None:
        entry = self.journal.observe(worker, what, now)
        if entry is not None:
            self.entries.append(entry)
        return entry

    def settle(self, now: float) -> float:
        """Let time pass until nothing waits."""
        while (due := self.journal.wake_at(now)) is not None:
            now = max(now, due)
            self.entries += self.journal.tick(now)
        return now

    @property
    def kinds(self) -> list[str]:
        return [one.kind.removeprefix("circuit-") for one in self.entries]


def test_all_workers_are_one() -> None:
    told = Told()
    first = told.observe("ambassador", change("open"), 0.0)
    assert first == Entry(
        "circuit-opened", "orders", "a:1", "5 failures in a row", False, ("ambassador",), 0
    )
    assert told.observe("ambassador-2", change("open"), 0.1) is None
    assert told.observe("ambassador", change("closed"), 5.0) is None
    assert told.observe("ambassador-2", change("closed"), 6.0) is not None
    assert told.kinds == ["opened", "closed"]


def test_trials_are_no_news() -> None:
    told = Told()
    told.observe("w", change("open"), 0.0)
    for at in range(100):
        told.observe("w", change("half-open"), at + 0.1)
        told.observe("w", change("open"), at + 0.2)
    told.observe("w", change("closed"), 200.0)
    assert told.kinds == ["opened", "closed"]


def test_a_flapping_breaker_cannot_flood_it_and_the_last_word_is_right() -> None:
    told = Told()
    for at in range(10_000):
        told.observe("w", change("open" if at % 2 == 0 else "closed"), at * 0.01)
    assert len(told.entries) <= BURST + 100 / QUIET_S + 1
    told.settle(100.0)
    assert told.kinds[-1] == "closed"
    assert sum(one.untold for one in told.entries) > 0
    assert told.journal.wake_at(1e6) is None


def test_neither_can_many_endpoints() -> None:
    told = Told()
    for at in range(1000):
        told.observe("w", change("open", f"e:{at}"), 0.0)
    assert len(told.entries) == ALL_BURST
    end = told.settle(0.0)
    assert len(told.entries) == 1000
    assert end > 900


def test_a_worker_that_is_gone_leaves_no_open_circuit_behind() -> None:
    told = Told()
    told.observe("w", change("open"), 0.0)
    told.journal.gone("w")
    told.settle(0.0)
    assert told.kinds == ["opened", "closed"]


def test_what_changed_while_nobody_listened_is_learnt_from_reports() -> None:
    def report(state: str) -> Report:
        return Report(1, (UpstreamReport("orders", (EndpointReport("a:1", state, reason="r"),)),))

    journal = BreakerJournal()
    (opened,) = journal.sync("w", report("open"), 0.0)
    assert (opened.kind, opened.reason) == ("circuit-opened", "r")
    assert journal.sync("w", report("open"), 1.0) == []
    assert journal.sync("w", report("half-open"), 2.0) == []
    assert journal.sync("w2", report("closed"), 3.0) == []
    # The line broke, and the worker is back before anybody was told.
    journal.gone("w")
    assert journal.sync("w", report("open"), 4.0) == []
    assert journal.tick(5.0) == []
    (closed,) = journal.sync("w", report("closed"), 6.0)
    assert closed.kind == "circuit-closed"


def test_it_is_bounded_and_forgets_what_is_over() -> None:
    told = Told()
    for at in range(MOST_ENDPOINTS + 10):
        told.observe("w", change("open", f"e:{at}"), 0.0)
    assert told.journal.dropped == 10
    told.journal.gone("w")
    now = told.settle(0.0)
    told.journal.tick(now + 10 * QUIET_S)
    told.observe("w", change("open", "another"), now + 100)
    assert told.journal.dropped == 10


def test_a_closed_one_of_which_nobody_heard_is_no_news() -> None:
    assert BreakerJournal().observe("w", change("closed"), 0.0) is None
