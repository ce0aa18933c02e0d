"""The circuit breaker, edge by edge of its diagram, under a virtual clock."""

from __future__ import annotations

import math

import pytest

from pillion.ambassador.breaker import Breaker
from pillion.settings.policies import NO_BREAKER
from pillion.settings.policies import Breaker as Settings

BY_ROW = Settings(consecutive=3, ratio=None, open_s=10.0, open_max_s=35.0)
BY_RATIO = Settings(consecutive=0, ratio=0.5, requests=4, window_s=10.0)


class Circuit:
    """A breaker, its clock, whether the upstream can spare the endpoint, and what was heard of it."""

    def __init__(self, settings: Settings = BY_ROW) -> None:
        self.now = 1000.0
        self.spare = True
        self.heard: list[tuple[str, str, str]] = []
        self.freed = 0
        self.breaker = Breaker(settings, lambda: self.spare, self._changed)
        self.breaker.freed = self._freed

    def _changed(self, breaker: Breaker, old: str, new: str, why: str) -> None:
        # What is told has happened: the new state is in force when it is heard.
        assert breaker is self.breaker
        assert breaker.state == new
        self.heard.append((old, new, why))

    def _freed(self, breaker: Breaker) -> None:
        assert breaker is self.breaker
        self.freed += 1

    def call(self, outcome: str) -> None:
        """One request from beginning to end: g good, b bad, c cancelled."""
        token = self.breaker.begin(self.now)
        if outcome == "c":
            self.breaker.cancel(token, self.now)
        else:
            self.breaker.end(token, outcome == "g", self.now)

    def calls(self, outcomes: str, every_s: float = 0.0) -> str:
        for outcome in outcomes:
            self.call(outcome)
            self.now += every_s
        return self.breaker.state

    def forced(self) -> bool:
        return self.breaker.forced

    def admits(self) -> bool:
        return self.breaker.admits(self.now)

    def opened(self) -> Circuit:
        """The same, after failures have opened it."""
        assert self.calls("b" * 3) == "open"
        return self

    def half_opened(self) -> Circuit:
        """The same, half-open."""
        self.opened()
        self.now += 10.0
        assert self.admits()
        assert self.breaker.state == "half-open"
        return self


# Closed.


@pytest.mark.parametrize(
    ("outcomes", "state"),
    [
        ("", "closed"),
        ("bb", "closed"),
        ("bbb", "open"),
        ("bbgbb", "closed"),
        ("bbgbbb", "open"),
        ("bbcb", "open"),
        ("ccccccc", "closed"),
        ("gggggg", "closed"),
    ],
)
def test_so_many_failures_in_a_row_open_it(outcomes: str, state: str) -> None:
    assert Circuit().calls(outcomes) == state


@pytest.mark.parametrize(
    ("outcomes", "state"),
    [
        ("bbb", "closed"),
        ("bbbb", "open"),
        ("gggb", "closed"),
        ("gggbbb", "open"),
        ("ggbb", "open"),
        ("bbgg", "closed"),
        ("bbggb", "open"),
        ("gggbggggggggb", "closed"),
        ("ccccbbb", "closed"),
    ],
)
def test_a_share_of_failures_opens_it_once_there_are_enough_requests(
    outcomes: str, state: str
) -> None:
    assert Circuit(BY_RATIO).calls(outcomes) == state


def test_what_is_older_than_the_window_does_not_count() -> None:
    circuit = Circuit(BY_RATIO)
    circuit.calls("bbb")
    circuit.now += 10.0
    assert circuit.calls("b") == "closed"
    assert circuit.calls("bbb") == "open"


def test_the_window_slides() -> None:
    circuit = Circuit(BY_RATIO)
    # One failure every 4 s: there are never four requests within 10 s.
    assert circuit.calls("b" * 50, every_s=4.0) == "closed"
    assert circuit.calls("b" * 5, every_s=2.0) == "open"


def test_a_row_of_failures_has_no_age() -> None:
    assert Circuit().calls("bbb", every_s=3600.0) == "open"


@pytest.mark.parametrize(
    ("settings", "outcomes", "why"),
    [
        (BY_ROW, "bbb", "3 failures in a row"),
        (BY_RATIO, "gbgb", "2 of 4 requests failed"),
        (Settings(consecutive=1), "b", "1 failure in a row"),
    ],
)
def test_it_says_why(settings: Settings, outcomes: str, why: str) -> None:
    circuit = Circuit(settings)
    circuit.calls(outcomes)
    assert circuit.heard == [("closed", "open", why)]


def test_without_a_condition_it_never_opens() -> None:
    circuit = Circuit(NO_BREAKER)
    assert circuit.calls("b" * 10_000) == "closed"
    assert circuit.heard == []


def test_it_stays_closed_while_the_upstream_cannot_spare_the_endpoint() -> None:
    circuit = Circuit()
    circuit.spare = False
    assert circuit.calls("b" * 10) == "closed"
    assert circuit.breaker.held == 8
    circuit.spare = True
    assert circuit.calls("b") == "open"


def test_the_upstream_is_asked_for_an_opening_alone() -> None:
    circuit = Circuit().half_opened()
    circuit.spare = False
    # It was out already: a failed trial needs no new leave.
    assert circuit.calls("b") == "open"


# Open.


def test_open_lets_nothing_through_until_its_time_is_over() -> None:
    circuit = Circuit().opened()
    circuit.now += 9.999
    assert not circuit.admits()
    assert circuit.breaker.state == "open"
    circuit.now += 0.001
    assert circuit.breaker.state == "open"  # nobody has asked yet
    assert circuit.admits()
    assert circuit.breaker.state == "half-open"
    assert circuit.heard[-1] == ("open", "half-open", "the open time is over")


def test_beginning_is_asking_too() -> None:
    circuit = Circuit().opened()
    circuit.now += 10.0
    assert circuit.calls("g") == "closed"


def test_a_request_begun_although_it_is_open_counts_for_nothing() -> None:
    circuit = Circuit().opened()
    token = circuit.breaker.begin(circuit.now)
    circuit.now += 10.0
    assert circuit.admits()
    circuit.breaker.end(token, True, circuit.now)
    circuit.breaker.end(token, False, circuit.now)
    circuit.breaker.cancel(token, circuit.now)
    assert circuit.breaker.state == "half-open"
    assert circuit.admits()


def test_results_from_before_it_opened_are_ignored() -> None:
    circuit = Circuit()
    tokens = [circuit.breaker.begin(circuit.now) for _ in range(10)]
    for token in tokens[:3]:
        circuit.breaker.end(token, False, circuit.now)
    assert circuit.breaker.state == "open"
    circuit.breaker.end(tokens[3], True, circuit.now)
    assert circuit.breaker.state == "open"
    circuit.now += 10.0
    assert circuit.admits()
    circuit.breaker.end(tokens[4], False, circuit.now)
    circuit.breaker.end(tokens[5], True, circuit.now)
    circuit.breaker.cancel(tokens[6], circuit.now)
    assert circuit.breaker.state == "half-open"
    circuit.call("g")
    for token in tokens[7:]:
        circuit.breaker.end(token, False, circuit.now)
    assert circuit.breaker.state == "closed"
    assert circuit.breaker.failures == 0


# Half-open.


def test_half_open_lets_one_trial_through() -> None:
    circuit = Circuit().half_opened()
    token = circuit.breaker.begin(circuit.now)
    assert not circuit.admits()
    circuit.breaker.end(token, True, circuit.now)
    assert circuit.breaker.state == "closed"
    assert circuit.heard[-1] == ("half-open", "closed", "1 trial succeeded")


def test_all_of_several_trials_must_succeed() -> None:
    circuit = Circuit(BY_ROW.replace(trials=3)).half_opened()
    tokens = [circuit.breaker.begin(circuit.now) for _ in range(3)]
    assert not circuit.admits()
    circuit.breaker.end(tokens[0], True, circuit.now)
    assert not circuit.admits()  # three are let through, not three at a time for ever
    circuit.breaker.end(tokens[1], True, circuit.now)
    assert circuit.breaker.state == "half-open"
    circuit.breaker.end(tokens[2], True, circuit.now)
    assert circuit.breaker.state == "closed"


def test_one_failed_trial_opens_it_again() -> None:
    circuit = Circuit(BY_ROW.replace(trials=3)).half_opened()
    tokens = [circuit.breaker.begin(circuit.now) for _ in range(3)]
    circuit.breaker.end(tokens[0], True, circuit.now)
    circuit.breaker.end(tokens[1], False, circuit.now)
    assert circuit.breaker.state == "open"
    assert circuit.heard[-1] == ("half-open", "open", "a trial failed")
    circuit.breaker.end(tokens[2], True, circuit.now)
    assert circuit.breaker.state == "open"


def test_a_cancelled_trial_is_given_back() -> None:
    circuit = Circuit().half_opened()
    for _ in range(100):
        token = circuit.breaker.begin(circuit.now)
        assert not circuit.admits()
        circuit.breaker.cancel(token, circuit.now)
        assert circuit.admits()
    assert circuit.freed == 100
    assert circuit.breaker.state == "half-open"


def test_a_trial_cancelled_twice_is_one_trial() -> None:
    circuit = Circuit().half_opened()
    token = circuit.breaker.begin(circuit.now)
    circuit.breaker.cancel(token, circuit.now)
    circuit.breaker.cancel(token, circuit.now)
    assert circuit.breaker.begin(circuit.now) == token
    assert not circuit.admits()


def test_a_trial_is_not_given_back_by_a_request_from_before() -> None:
    circuit = Circuit()
    old = circuit.breaker.begin(circuit.now)
    circuit.half_opened()
    circuit.breaker.begin(circuit.now)
    circuit.breaker.cancel(old, circuit.now)
    assert not circuit.admits()
    assert circuit.freed == 0


def test_a_success_is_not_given_back() -> None:
    circuit = Circuit(BY_ROW.replace(trials=2)).half_opened()
    first, second = (circuit.breaker.begin(circuit.now) for _ in range(2))
    circuit.breaker.end(first, True, circuit.now)
    circuit.breaker.cancel(second, circuit.now)
    circuit.breaker.cancel(second, circuit.now)
    assert circuit.calls("g") == "closed"


def test_trials_that_nothing_is_heard_of_make_room_for_others() -> None:
    circuit = Circuit().half_opened()
    lost = circuit.breaker.begin(circuit.now)
    circuit.now += 9.999
    assert not circuit.admits()
    circuit.now += 0.001
    assert circuit.admits()
    assert circuit.breaker.state == "half-open"
    circuit.breaker.end(lost, False, circuit.now)
    assert circuit.breaker.state == "half-open"
    assert circuit.calls("g") == "closed"


def test_a_trial_has_the_open_time_from_its_own_beginning() -> None:
    circuit = Circuit().half_opened()
    circuit.now += 8.0
    token = circuit.breaker.begin(circuit.now)
    circuit.now += 9.0
    assert not circuit.admits()
    circuit.breaker.end(token, True, circuit.now)
    assert circuit.breaker.state == "closed"


def test_each_failed_trial_doubles_the_open_time_up_to_the_longest() -> None:
    circuit = Circuit().opened()
    for open_s in (10.0, 20.0, 35.0, 35.0):
        assert circuit.breaker.retry_after(circuit.now) == open_s
        circuit.now += open_s - 0.001
        assert not circuit.admits()
        circuit.now += 0.001
        assert circuit.calls("b") == "open"
    circuit.now += 35.0
    assert circuit.calls("g") == "closed"
    circuit.opened()
    assert circuit.breaker.retry_after(circuit.now) == 10.0


def test_closed_again_it_counts_from_nothing() -> None:
    circuit = Circuit().half_opened()
    circuit.call("g")
    assert circuit.calls("bb") == "closed"
    assert circuit.calls("b") == "open"
    by_ratio = Circuit(BY_RATIO.replace(open_s=1.0))
    by_ratio.calls("bbbb")
    by_ratio.now += 1.0
    by_ratio.calls("g")
    assert by_ratio.calls("bbb") == "closed"


def test_retry_after() -> None:
    circuit = Circuit()
    assert circuit.breaker.retry_after(circuit.now) == 0.0
    circuit.opened()
    circuit.now += 4.0
    assert circuit.breaker.retry_after(circuit.now) == 6.0
    circuit.now += 60.0
    assert circuit.breaker.retry_after(circuit.now) == 0.0
    assert circuit.admits()
    assert circuit.breaker.retry_after(circuit.now) == 0.0
    circuit.breaker.begin(circuit.now)
    assert circuit.breaker.retry_after(circuit.now) == 1.0


# By hand.


@pytest.mark.parametrize("before", ["closed", "open", "half-open"])
@pytest.mark.parametrize("hand", ["open", "closed"])
def test_by_hand_it_stays_whatever_happens(before: str, hand: str) -> None:
    circuit = Circuit()
    if before == "open":
        circuit.opened()
    elif before == "half-open":
        circuit.half_opened()
    circuit.breaker.force(hand, circuit.now)
    assert circuit.heard[-1] == (before, hand, "by hand")
    heard = list(circuit.heard)
    for every_s in (0.0, 1.0, 100.0):
        circuit.calls("bbbbbggcbbbb", every_s)
        assert circuit.breaker.state == hand
        assert circuit.admits() == (hand == "closed")
    assert circuit.heard == heard
    assert circuit.forced()
    circuit.breaker.force(None, circuit.now)
    assert circuit.heard[-1] == (hand, "closed", "given back")
    assert not circuit.forced()
    assert circuit.calls("bb") == "closed"
    assert circuit.calls("b") == "open"


def test_opened_by_hand_nobody_knows_until_when() -> None:
    circuit = Circuit()
    circuit.breaker.force("open", circuit.now)
    assert circuit.breaker.until == math.inf
    assert circuit.breaker.retry_after(circuit.now) == 10.0


def test_opening_by_hand_asks_nobody() -> None:
    circuit = Circuit()
    circuit.spare = False
    circuit.breaker.force("open", circuit.now)
    assert not circuit.admits()
    assert circuit.breaker.opened == 0


def test_what_is_not_forced_cannot_be_given_back() -> None:
    circuit = Circuit().opened()
    heard = list(circuit.heard)
    circuit.breaker.force(None, circuit.now)
    assert circuit.breaker.state == "open"
    assert circuit.heard == heard


def test_it_cannot_be_forced_half_open() -> None:
    with pytest.raises(ValueError, match="cannot force a breaker 'half-open': say open or closed"):
        Circuit().breaker.force("half-open", 0.0)


# Other settings.


def test_the_state_survives_other_settings() -> None:
    circuit = Circuit().opened()
    circuit.breaker.configure(BY_ROW.replace(consecutive=100), circuit.now)
    assert not circuit.admits()
    circuit.now += 10.0
    assert circuit.admits()
    circuit.breaker.configure(BY_ROW, circuit.now)
    assert circuit.breaker.state == "half-open"
    assert len(circuit.heard) == 2


def test_a_row_goes_on_under_other_settings() -> None:
    circuit = Circuit()
    circuit.calls("bb")
    circuit.breaker.configure(BY_ROW.replace(consecutive=2), circuit.now)
    assert circuit.breaker.state == "closed"
    assert circuit.calls("b") == "open"


def test_a_shorter_open_time_holds_at_once() -> None:
    circuit = Circuit().opened()
    circuit.breaker.configure(BY_ROW.replace(open_s=1.0, open_max_s=2.0), circuit.now)
    assert circuit.breaker.retry_after(circuit.now) == 2.0


def test_switched_off_nothing_stays_open() -> None:
    circuit = Circuit().opened()
    circuit.breaker.configure(NO_BREAKER, circuit.now)
    assert circuit.admits()
    assert circuit.heard[-1] == ("open", "closed", "switched off")


def test_switched_off_what_was_opened_by_hand_stays_open() -> None:
    circuit = Circuit()
    circuit.breaker.force("open", circuit.now)
    circuit.breaker.configure(NO_BREAKER, circuit.now)
    assert not circuit.admits()


def test_trials_that_are_enough_by_now_close_it() -> None:
    circuit = Circuit(BY_ROW.replace(trials=3)).half_opened()
    circuit.calls("gg")
    assert circuit.breaker.state == "half-open"
    circuit.breaker.configure(BY_ROW.replace(trials=2), circuit.now)
    assert circuit.breaker.state == "closed"


def test_another_window_begins_empty() -> None:
    circuit = Circuit(BY_RATIO)
    circuit.calls("bbb")
    circuit.breaker.configure(BY_RATIO.replace(window_s=20.0), circuit.now)
    assert circuit.calls("b") == "closed"
    circuit.breaker.configure(BY_RATIO.replace(window_s=20.0, requests=5), circuit.now)
    assert circuit.calls("bbbb") == "open"


# Clocks.


@pytest.mark.parametrize("jump_s", [1e3, 1e6, 1e9])
def test_a_clock_that_jumps_ahead_does_no_harm(jump_s: float) -> None:
    closed = Circuit(BY_RATIO)
    closed.calls("bbb")
    closed.now += jump_s
    assert closed.calls("b") == "closed"
    opened = Circuit().opened()
    opened.now += jump_s
    assert opened.calls("g") == "closed"
    trying = Circuit().half_opened()
    trying.breaker.begin(trying.now)
    trying.now += jump_s
    assert trying.calls("g") == "closed"


def test_a_clock_that_goes_back_does_no_harm() -> None:
    circuit = Circuit(BY_RATIO)
    circuit.calls("g")
    circuit.now -= 500.0
    assert circuit.calls("bbb") == "open"
    circuit.now += 10.0
    assert circuit.calls("g") == "closed"
