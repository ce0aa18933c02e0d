"""All checks of one app, in virtual time."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import msgspec
import pytest

from pillion.health.board import Board, Change, Run
from pillion.health.check import (
    CRITICAL,
    KINDS,
    LIVENESS,
    PASSING,
    READINESS,
    STARTUP,
    WARNING,
    Check,
    Tcp,
    Ttl,
)
from pillion.health.result import Result, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable

GOOD, WARN, BAD = (Result(one, one.value) for one in (Verdict.PASS, Verdict.WARN, Verdict.FAIL))
TCP = Tcp("127.0.0.1", 1)


class World:
    """A board, a clock and what the checks will say."""

    def __init__(self, at_once: int = 16) -> None:
        self.now = 0.0
        stamps = itertools.count()
        self.board = Board(lambda: 0.5, lambda: f"t{next(stamps)}", at_once)
        self.says: Callable[[Check], Result | None] = lambda check: GOOD
        self.changes: list[Change] = []
        self.runs: list[tuple[float, str]] = []
        self.flying: list[Run] = []
        self.most_flying = 0
        self.wakes = 0

    def add(self, name: str, **changes: object) -> Check:
        check = Check(**{"name": name, "probe": TCP, **changes})  # type: ignore[arg-type]
        self.board.put(check, self.now)
        self.turn()
        return check

    def begin(self) -> None:
        self.board.begin(self.now)
        self.turn()

    def turn(self) -> None:
        """Everything that is due now; what `says` has nothing to say of stays under way."""
        while True:
            runs, changes = self.board.due(self.now)
            self.changes += changes
            if not runs:
                return
            for run in runs:
                self.runs.append((self.now, run.check.name))
                self.flying.append(run)
            self.most_flying = max(self.most_flying, self.board.under_way)
            for run in list(self.flying):
                if (said := self.says(run.check)) is not None:
                    self.land(run, said)

    def land(self, run: Run, result: Result) -> None:
        self.flying.remove(run)
        self.changes += self.board.finished(run.token, result, self.now)

    def pass_time(self, seconds: float) -> None:
        end = self.now + seconds
        while (due := self.board.wake_at()) is not None and due <= end:
            self.now = max(self.now, due)
            self.wakes += 1
            self.turn()
        self.now = end

    def tell(self, name: str, result: Result) -> None:
        self.changes += self.board.tell(name, result, self.now)
        self.turn()

    def status(self, *kinds: str) -> str:
        return self.board.status(kinds or KINDS)

    def took(self) -> list[tuple[str, str]]:
        found = [(change.check.name, change.after) for change in self.changes]
        self.changes.clear()
        return found


def test_without_checks_it_is_passing_and_nothing_wakes() -> None:
    world = World()
    world.begin()
    assert world.status() == PASSING
    assert world.board.wake_at() is None


def test_nothing_is_checked_while_the_app_does_not_run() -> None:
    world = World()
    world.add("db")
    assert world.board.wake_at() is None
    world.begin()
    assert world.took() == [("db", PASSING)]
    world.board.stop()
    assert world.board.wake_at() is None
    assert world.status() == PASSING


def test_at_its_interval() -> None:
    world = World()
    world.add("db", interval_s=10.0)
    world.begin()
    world.pass_time(35.0)
    assert [at for at, _ in world.runs] == [0.0, 10.0, 20.0, 30.0]


def test_a_failed_check_is_critical_within_its_fall_count() -> None:
    world = World()
    world.add("db", interval_s=10.0, fall=3)
    world.begin()
    world.took()
    world.says = lambda check: BAD
    world.pass_time(29.9)
    assert world.status() == PASSING
    world.pass_time(0.2)
    assert world.took() == [("db", CRITICAL)]
    world.says = lambda check: GOOD
    world.pass_time(10.0)
    assert world.took() == [("db", PASSING)]


def test_an_app_that_comes_up_is_seen_soon_and_its_coming_up_does_not_count() -> None:
    world = World()
    world.add("web", interval_s=10.0, fall=1)
    world.says = lambda check: GOOD if world.now >= 1.0 else BAD
    world.begin()
    world.pass_time(2.0)
    assert [at for at, _ in world.runs] == [0.0, 0.25, 0.75, 1.75]
    assert world.took() == [("web", PASSING)]
    world.pass_time(30.0)
    assert [at for at, _ in world.runs][4:] == [11.75, 21.75, 31.75]


def test_an_app_that_never_comes_up_is_told_once() -> None:
    world = World()
    world.add("web", interval_s=1.0, fall=3)
    world.says = lambda check: BAD
    world.begin()
    world.pass_time(100.0)
    assert world.took() == [("web", CRITICAL)]


def test_liveness_is_not_asked_sooner() -> None:
    world = World()
    world.add("live", kind=LIVENESS, interval_s=10.0)
    world.says = lambda check: BAD
    world.begin()
    assert world.status() == PASSING
    world.pass_time(19.9)
    assert [at for at, _ in world.runs] == [0.0, 10.0]
    world.pass_time(0.2)
    assert world.took() == [("live", CRITICAL)]


def test_until_the_start_up_checks_have_passed_the_others_do_not_count() -> None:
    world = World()
    world.add("boot", kind=STARTUP)
    world.add("boot2", kind=STARTUP)
    world.add("live", kind=LIVENESS)
    world.add("db")
    world.says = lambda check: GOOD if check.name == "boot" else BAD
    world.begin()
    world.pass_time(100.0)
    assert {name for _, name in world.runs} == {"boot", "boot2"}
    assert world.status() == CRITICAL
    assert world.status(LIVENESS) == PASSING
    assert world.status(READINESS, STARTUP) == CRITICAL
    world.took()
    world.says = lambda check: GOOD
    world.pass_time(10.0)
    assert dict(world.took()) == {"boot2": PASSING, "live": PASSING, "db": PASSING}
    assert world.status() == PASSING


def test_start_up_checks_rest_when_they_have_passed() -> None:
    world = World()
    world.add("boot", kind=STARTUP, interval_s=1.0)
    world.begin()
    world.says = lambda check: BAD
    world.pass_time(100.0)
    assert len(world.runs) == 1
    assert world.board.wake_at() is None
    assert world.status() == PASSING


def test_a_new_process_is_found_out_anew() -> None:
    world = World()
    world.add("boot", kind=STARTUP)
    world.add("db")
    world.begin()
    assert world.status() == PASSING
    world.says = lambda check: None
    world.board.stop()
    world.begin()
    assert world.status() == CRITICAL
    assert [run.check.name for run in world.flying] == ["boot"]


def test_a_result_of_the_former_process_says_nothing() -> None:
    world = World()
    world.says = lambda check: None
    world.add("db", rise=1)
    world.begin()
    (old,) = world.flying
    world.board.stop()
    world.begin()
    world.land(old, GOOD)
    assert world.status() == CRITICAL
    world.land(world.flying[0], GOOD)
    assert world.status() == PASSING


def test_an_unknown_token_is_no_error() -> None:
    world = World()
    assert world.board.finished(4711, GOOD, 0.0) == []


def test_a_check_that_is_the_same_is_left_alone() -> None:
    world = World()
    check = world.add("db", interval_s=10.0)
    world.begin()
    world.pass_time(5.0)
    world.board.put(check, world.now)
    world.turn()
    assert len(world.runs) == 1
    assert world.board.wake_at() == 10.0


def test_a_changed_check_keeps_its_status_and_is_asked_at_once() -> None:
    world = World()
    check = world.add("db")
    world.begin()
    world.pass_time(5.0)
    world.says = lambda check: BAD
    world.board.put(msgspec.structs.replace(check, probe=Tcp("127.0.0.1", 2), fall=2), world.now)
    world.turn()
    assert world.runs[-1] == (5.0, "db")
    assert world.status() == PASSING
    world.pass_time(10.0)
    assert world.status() == CRITICAL


def test_what_a_reload_adds_counts_when_it_has_been_decided() -> None:
    world = World()
    world.add("db")
    world.begin()
    world.says = lambda check: BAD
    world.board.put(Check(name="new", probe=TCP, interval_s=1.0), world.now, quiet=True)
    world.turn()
    assert world.status() == PASSING
    world.pass_time(5.0)
    assert world.board.entries["new"].state.decided
    assert world.status() == CRITICAL


def test_what_is_registered_counts_at_once() -> None:
    world = World()
    world.begin()
    world.says = lambda check: None
    world.add("db")
    assert world.status() == CRITICAL


def test_a_removed_check_counts_no_more() -> None:
    world = World()
    world.says = lambda check: BAD
    world.add("db")
    world.begin()
    assert world.status() == CRITICAL
    world.board.remove("db", world.now)
    world.board.remove("never there", world.now)
    assert world.status() == PASSING
    assert world.board.wake_at() is None


def test_with_the_last_start_up_check_the_gate_goes() -> None:
    world = World()
    world.says = lambda check: BAD if check.kind == STARTUP else GOOD
    world.add("boot", kind=STARTUP)
    world.add("db")
    world.begin()
    assert world.status() == CRITICAL
    world.board.remove("boot", world.now)
    world.turn()
    assert world.status() == PASSING


def test_removed_while_it_is_under_way() -> None:
    world = World()
    world.says = lambda check: None
    world.add("db")
    world.begin()
    (run,) = world.flying
    world.board.remove("db", world.now)
    world.land(run, BAD)
    assert world.board.under_way == 0
    assert world.board.wake_at() is None


class TestTtl:
    def test_fed_in_time(self) -> None:
        world = World()
        world.add("beat", probe=Ttl(10.0))
        world.begin()
        assert world.status() == CRITICAL
        for _ in range(20):
            world.tell("beat", GOOD)
            world.pass_time(9.9)
        assert world.took() == [("beat", PASSING)]
        assert world.runs == []

    def test_not_fed_in_time(self) -> None:
        world = World()
        world.add("beat", probe=Ttl(10.0))
        world.begin()
        world.tell("beat", WARN)
        world.pass_time(9.9)
        assert world.status() == WARNING
        world.pass_time(0.2)
        assert world.took() == [("beat", WARNING), ("beat", CRITICAL)]
        world.pass_time(1000.0)
        assert world.took() == []

    def test_a_word_that_comes_late_is_heard(self) -> None:
        world = World()
        world.add("beat", probe=Ttl(10.0))
        world.begin()
        world.pass_time(100.0)
        world.tell("beat", GOOD)
        assert world.status() == PASSING
        world.pass_time(10.1)
        assert world.status() == CRITICAL

    def test_who_feeds_often_makes_no_work(self) -> None:
        world = World()
        world.add("beat", probe=Ttl(10.0))
        world.begin()
        for _ in range(10_000):
            world.tell("beat", GOOD)
            world.pass_time(0.01)
        assert world.wakes <= 50

    def test_a_liveness_beat_has_its_time_and_its_grace(self) -> None:
        world = World()
        world.add("beat", probe=Ttl(10.0), kind=LIVENESS, grace_s=30.0)
        world.begin()
        world.pass_time(29.9)
        assert world.status() == PASSING
        world.pass_time(0.2)
        assert world.status() == CRITICAL

    def test_as_start_up_check_it_is_told_once(self) -> None:
        world = World()
        world.add("warm", probe=Ttl(10.0), kind=STARTUP)
        world.add("db")
        world.begin()
        world.pass_time(30.0)
        assert world.status() == CRITICAL
        world.tell("warm", GOOD)
        assert world.status() == PASSING
        world.pass_time(100.0)
        world.tell("warm", BAD)
        assert world.status() == PASSING

    def test_before_the_start_up_checks_have_passed_its_time_does_not_run(self) -> None:
        world = World()
        world.says = lambda check: BAD
        world.add("boot", kind=STARTUP, interval_s=1.0)
        world.add("beat", probe=Ttl(10.0), kind=LIVENESS)
        world.begin()
        world.tell("beat", GOOD)
        world.pass_time(100.0)
        world.says = lambda check: GOOD
        world.took()
        world.pass_time(9.9)
        assert world.took() == [("boot", PASSING)]
        world.pass_time(2.0)
        assert world.took() == [("beat", CRITICAL)]


class TestHeldUp:
    LATE = Result(Verdict.FAIL, "not within 1 s", 600.0)

    def test_a_failure_that_took_far_too_long_is_ours_and_asked_again(self) -> None:
        world = World()
        world.says = lambda check: None
        world.add("db", fall=1, rise=1)
        world.begin()
        world.land(world.flying[0], GOOD)
        world.took()
        world.pass_time(10.0)
        world.land(world.flying[0], self.LATE)
        world.turn()
        assert world.status() == PASSING
        assert world.board.counters.held_up == 1
        world.land(world.flying[0], GOOD)
        assert world.took() == []

    def test_but_not_for_ever(self) -> None:
        world = World()
        world.says = lambda check: None
        world.add("live", kind=LIVENESS, fall=1)
        world.begin()
        for status in (PASSING, CRITICAL):
            world.land(world.flying[0], self.LATE)
            world.turn()
            assert world.status() == status


def test_so_many_at_once_and_no_more() -> None:
    world = World(at_once=4)
    world.says = lambda check: None
    for number in range(10):
        world.add(f"c{number}")
    world.begin()
    assert len(world.flying) == 4
    for _ in range(10):
        world.land(world.flying[0], GOOD)
        world.turn()
    assert world.most_flying == 4
    assert len(world.runs) == 10
    assert world.board.under_way == 0


def test_churn_while_there_is_no_room_does_not_pile_up() -> None:
    world = World(at_once=1)
    world.says = lambda check: None
    world.add("blocks")
    world.begin()
    for _ in range(1000):
        world.add("db")
        world.board.remove("db", world.now)
    assert len(world.board._queue) == 0
    assert len(world.flying) == 1


def test_a_thousand_checks_for_ten_minutes() -> None:
    world = World()
    for number in range(1000):
        world.add(f"c{number:03}", interval_s=10.0 + number % 7, fall=2)
    bad = {f"c{number:03}" for number in range(0, 1000, 10)}
    world.begin()
    world.pass_time(300.0)
    assert world.status() == PASSING
    world.took()
    world.says = lambda check: BAD if check.name in bad else GOOD
    world.pass_time(300.0)
    assert dict(world.took()) == dict.fromkeys(bad, CRITICAL)
    expected = sum(600 / (10 + number % 7) for number in range(1000))
    assert len(world.runs) == pytest.approx(expected, rel=0.02)
    assert world.most_flying <= 16
    assert len(world.board._agenda._heap) <= 2 * 1000 + 64


def test_another_agent_goes_on_from_what_is_known() -> None:
    world = World()
    world.add("boot", kind=STARTUP)
    world.add("db")
    world.begin()
    successor = World()
    successor.add("boot", kind=STARTUP)
    successor.add("db")
    for name, entry in successor.board.entries.items():
        entry.state = world.board.entries[name].state
    successor.says = lambda check: None
    successor.board.resume(0.0, started=True)
    successor.turn()
    assert successor.status() == PASSING
    assert {run.check.name for run in successor.flying} >= {"db"}
    assert successor.took() == []
