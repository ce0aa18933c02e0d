"""From a change to a version that serves, turn by turn: what each answer means, and what is left when it is no."""

from __future__ import annotations

import pytest

from pillion.proxies.applying.machine import step
from pillion.proxies.applying.steps import (
    Action,
    Asked,
    Candidate,
    Changed,
    Check,
    Checked,
    Drifted,
    Edited,
    Failed,
    Happening,
    Level,
    Levelled,
    Load,
    Loaded,
    Mend,
    Move,
    Moved,
    NotLevelled,
    Prove,
    Proved,
    Recall,
    Recalled,
    Record,
    Recovered,
    Render,
    Reset,
    Restarted,
    Restore,
    Return,
    Returned,
    Rules,
    State,
    Tell,
    Tick,
    Unlevel,
    Wake,
)

RULES = Rules(wait_min_s=0.2, wait_max_s=2.0, retry_initial_s=1.0, retry_max_s=8.0)
APPLY: tuple[Happening, ...] = (Checked(), Moved(), Loaded(), Proved())


class Proxy:
    """One proxy in virtual time: what it is told, and what it wants done then."""

    def __init__(self, rules: Rules = RULES) -> None:
        self.state = State(rules)
        self.now = 100.0
        self.told: list[Tell] = []
        self.records: list[Record] = []

    def __call__(self, *events: Happening) -> list[Action]:
        """Tell it `events`; what it wants done after the last, but for what it tells and records."""
        actions: list[Action] = []
        for event in events:
            self.state, actions = step(self.state, event, self.now)
            self.told += [one for one in actions if isinstance(one, Tell)]
            self.records += [one for one in actions if isinstance(one, Record)]
            slow = [one for one in actions if not isinstance(one, Tell | Record | Wake)]
            assert len(slow) <= 1, "one thing at a time"
            assert not slow or actions[-1] is slow[0], "what takes time comes last"
        return [one for one in actions if not isinstance(one, Tell | Record)]

    def after(self, seconds: float) -> list[Action]:
        """Let time pass, and wake it."""
        self.now += seconds
        return self(Tick())

    @property
    def last(self) -> Tell:
        """What was told last."""
        return self.told[-1]


def wake_at(at_s: float) -> Wake:
    """To be woken about then."""
    return Wake(pytest.approx(at_s))  # type: ignore[arg-type]


def serving(version: str = "one", rules: Rules = RULES) -> Proxy:
    """A proxy that was found running with `version`, and whose sources still give that."""
    proxy = Proxy(rules)
    proxy(Recovered(live=version, running=True), Proved(), Candidate(version))
    assert proxy.state.phase == "idle"
    assert proxy.state.serving
    return proxy


def rendering(rules: Rules = RULES) -> Proxy:
    """One of whose sources has just changed."""
    proxy = serving(rules=rules)
    proxy(Changed())
    assert proxy.after(0.2) == [Render()]
    return proxy


# From the start.


def test_nothing_on_disk_is_rendered_and_started() -> None:
    proxy = Proxy()
    assert proxy(Recovered()) == [Render()]
    assert proxy(Candidate("one")) == [Check()]
    assert proxy(Checked()) == [Move()]
    assert proxy(Moved()) == [Load()]
    assert proxy(Loaded()) == [Prove("one")]
    assert proxy(Proved()) == [Wake(None)]
    assert (proxy.state.live, proxy.state.serving) == ("one", True)
    [record] = proxy.records
    assert (record.version, record.outcome, record.reason) == ("one", "applied", "serves")
    assert (proxy.last.kind, proxy.last.version) == ("proxy-applied", "one")


def test_the_last_good_version_is_started_before_any_source_is_asked() -> None:
    proxy = Proxy()
    assert proxy(Recovered(live="one")) == [Load()]
    assert proxy(Loaded()) == [Prove("one")]
    assert proxy(Proved()) == [Render()]
    assert proxy(Candidate("one")) == [Wake(None)]


def test_what_runs_already_is_only_proved_and_nothing_is_told() -> None:
    proxy = Proxy()
    assert proxy(Recovered(live="one", running=True)) == [Prove("one")]
    assert proxy(Proved()) == [Render()]
    assert not proxy.told


def test_what_runs_but_is_not_what_is_on_disk_is_loaded() -> None:
    proxy = Proxy()
    assert proxy(Recovered(live="one", running=True), Failed("it serves zero")) == [Render()]
    assert proxy(Candidate("one")) == [Load()]


def test_what_a_killed_predecessor_began_is_finished() -> None:
    proxy = Proxy()
    assert proxy(Recovered(live="one", unfinished="two", running=True)) == [Load()]
    assert proxy(Loaded(), Proved()) == [Render()]
    assert proxy.state.live == "two"
    assert proxy.last.previous == "one"


def test_what_a_killed_predecessor_began_and_does_not_serve_is_undone() -> None:
    proxy = Proxy()
    proxy(Recovered(live="one", unfinished="two", running=True), Loaded())
    assert proxy(Failed("it says one")) == [Return("one")]
    assert proxy(Returned(proved=True)) == [Render()]
    assert (proxy.state.live, proxy.state.serving) == ("one", True)


# Gathering.


def test_changes_are_gathered_until_none_comes_for_the_least_wait() -> None:
    proxy = serving()
    assert proxy(Changed()) == [wake_at(proxy.now + 0.2)]
    assert proxy.after(0.1) == [wake_at(proxy.now + 0.1)]
    assert proxy(Changed()) == [wake_at(proxy.now + 0.2)]
    assert proxy.after(0.2) == [Render()]


def test_changes_without_end_are_applied_after_the_most_wait() -> None:
    proxy = serving()
    began = proxy.now
    actions: list[Action] = []
    while Render() not in actions:
        assert proxy.now - began < 2.2
        proxy(Changed())
        actions = proxy.after(0.1)
    assert proxy.now - began >= 2.0 - 1e-6
    assert proxy.state.changes >= 20


def test_changes_while_something_is_under_way_are_for_the_next_time() -> None:
    proxy = rendering()
    proxy(Candidate("two"), Changed(), Checked(), Changed(), Moved(), Loaded())
    assert proxy(Proved()) == [wake_at(proxy.now + 0.2)]
    assert proxy.after(0.2) == [Render()]


def test_the_same_again_is_nothing_to_do() -> None:
    proxy = rendering()
    assert proxy(Candidate("one")) == [Wake(None)]
    assert proxy.state.outcome == "unchanged"
    assert not proxy.told


# What fails.


def test_what_the_check_refuses_touches_nothing_and_is_not_tried_again() -> None:
    proxy = rendering()
    assert proxy(Candidate("two"), Failed('unknown directive "listne"')) == [Wake(None)]
    assert (proxy.state.live, proxy.state.serving) == ("one", True)
    assert proxy.last.kind == "proxy-refused"
    assert proxy.last.reason == 'unknown directive "listne"'
    proxy(Changed())
    assert proxy.after(0.2) == [Render()]
    assert proxy(Candidate("two")) == [Wake(None)], "it has been refused, and nothing is different"
    assert proxy.state.outcome == "refused"
    assert len(proxy.told) == 1


def test_what_was_refused_is_tried_when_somebody_asks() -> None:
    proxy = rendering()
    proxy(Candidate("two"), Failed("no"))
    assert proxy(Asked()) == [Render()]
    assert proxy(Candidate("two")) == [Check()]


def test_a_cause_that_may_pass_is_tried_again_ever_more_seldom_and_told_once() -> None:
    proxy = rendering()
    waits = []
    for _ in range(6):
        [wake] = proxy(Candidate("two"), Failed("no space left on device", passing=True))
        assert isinstance(wake, Wake)
        assert wake.at_s is not None
        waits.append(wake.at_s - proxy.now)
        assert proxy.after(wake.at_s - proxy.now) == [Render()]
    assert waits == pytest.approx([1, 2, 4, 8, 8, 8])
    assert len(proxy.told) == 1
    assert proxy(Candidate("two")) == [Check()]
    proxy(*APPLY)
    assert proxy.state.live == "two"
    assert proxy.state.failures == 0


def test_a_template_that_cannot_be_rendered_is_told_and_waits_for_a_change() -> None:
    proxy = rendering()
    assert proxy(Failed("cannot render edge: line 3: limit is undefined")) == [Wake(None)]
    assert proxy.last.kind == "proxy-refused"
    assert not proxy.records, "there is no version to record"


@pytest.mark.parametrize("where", [1, 2, 3], ids=["move", "load", "proof"])
def test_the_last_good_version_returns_when_the_new_one_does_not_get_to_serve(where: int) -> None:
    proxy = rendering()
    proxy(Candidate("two"), *APPLY[:where])
    assert proxy(Failed('limit_req "one" uses the "$a" key')) == [Return("one")]
    assert proxy(Returned(proved=True))[0] == wake_at(proxy.now + 1.0)
    assert (proxy.state.live, proxy.state.serving) == ("one", True)
    assert proxy.last.kind == "proxy-returned"
    assert "uses the" in proxy.last.reason
    assert proxy.records[-1].outcome == "returned"


def test_a_load_that_fails_for_an_unknown_reason_is_given_up_after_a_few_tries() -> None:
    proxy = rendering()
    tries = 0
    while True:
        tries += 1
        proxy(Candidate("two"), Checked(), Moved(), Failed("it says one"))
        [wake] = proxy(Returned(proved=True))
        assert isinstance(wake, Wake)
        if wake.at_s is None:
            break
        assert tries < 5
        assert proxy.after(wake.at_s - proxy.now) == [Render()]
    assert tries == 3
    assert len(proxy.told) == 1
    proxy(Changed())
    proxy.after(0.2)
    assert proxy(Candidate("two")) == [Wake(None)]
    proxy(Changed())
    proxy.after(0.2)
    assert proxy(Candidate("three")) == [Check()], "another version has its own tries"


def test_a_taken_port_is_tried_for_as_long_as_it_takes() -> None:
    proxy = rendering()
    for _ in range(20):
        proxy(Candidate("two"), Checked(), Moved(), Failed("bind() failed", passing=True))
        [wake] = proxy(Returned(proved=True))
        assert isinstance(wake, Wake)
        assert wake.at_s is not None
        proxy.after(wake.at_s - proxy.now)
    assert len(proxy.told) == 1


def test_when_neither_version_serves_that_is_said_and_tried_again() -> None:
    proxy = rendering()
    proxy(Candidate("two"), Checked(), Moved(), Failed("no proof of two"))
    [wake] = proxy(Returned(proved=False, words="no proof of one"))
    assert isinstance(wake, Wake)
    assert wake.at_s is not None
    assert proxy.state.outcome == "failed"
    assert not proxy.state.serving
    assert "no proof of two" in proxy.last.reason
    assert "no proof of one" in proxy.last.reason


def test_the_first_version_of_all_that_does_not_start_leaves_none() -> None:
    proxy = Proxy()
    proxy(Recovered(), Candidate("one"), Checked(), Moved())
    assert proxy(Failed("bind() failed", passing=True)) == [Return("")]
    proxy(Returned(proved=False, words="there is none"))
    assert proxy.state.live == ""
    assert not proxy.state.serving
    assert proxy.last.kind == "proxy-refused"


def test_a_last_good_version_that_does_not_start_is_tried_until_it_does() -> None:
    proxy = Proxy()
    proxy(Recovered(live="one"))
    [wake] = proxy(Failed("bind() failed", passing=True))
    assert wake == Render(), "the sources may have something better"
    assert proxy(Candidate("one")) == [Load()]
    for _ in range(3):
        [wake] = proxy(Failed("bind() failed", passing=True))
        assert isinstance(wake, Wake)
        assert wake.at_s is not None
        assert proxy.after(wake.at_s - proxy.now) == [Render()]
        assert proxy(Candidate("one")) == [Load()]
    proxy(Loaded(), Proved())
    assert proxy.state.serving
    assert [one.kind for one in proxy.told] == ["proxy-refused", "proxy-applied"]


# Held back.


def test_what_the_guard_holds_is_told_once_and_looked_at_again() -> None:
    proxy = rendering()
    until = proxy.now + 30
    assert proxy(Candidate("none", held="orders lost all", until_s=until)) == [Wake(until)]
    assert proxy.last.kind == "proxy-held"
    proxy(Changed())
    assert proxy.after(0.2) == [Render()]
    proxy(Candidate("none", held="orders lost all", until_s=until))
    assert len(proxy.told) == 1
    assert proxy.after(until - proxy.now) == [Render()]
    assert proxy(Candidate("none")) == [Check()]


def test_by_hand_the_guard_is_overruled() -> None:
    proxy = rendering()
    proxy(Candidate("none", held="orders lost all"))
    assert proxy(Asked(forced=True)) == [Render(forced=True)]


def test_a_reload_waits_for_old_workers_and_what_is_newer_goes_with_it() -> None:
    proxy = rendering()
    assert proxy(Candidate("two", crowded=True)) == [wake_at(proxy.now + 0.5)]
    assert proxy.state.outcome == "waiting"
    assert proxy.after(0.5) == [Render()]
    proxy(Candidate("three", crowded=True))
    proxy.after(0.5)
    assert proxy(Candidate("three")) == [Check()]
    assert len(proxy.told) == 1


# By hand.


def test_a_rollback_pins_the_version_until_somebody_applies() -> None:
    proxy = rendering()
    proxy(Candidate("two"), *APPLY)
    assert proxy(Recalled("one")) == [Recall("one")]
    proxy(Candidate("one"), *APPLY)
    assert (proxy.state.live, proxy.state.pinned) == ("one", "one")
    assert proxy(Changed()) == [Wake(None)]
    assert proxy.after(10) == [Wake(None)]
    assert proxy(Asked()) == [Render()]
    proxy(Candidate("two"), *APPLY)
    assert proxy.state.pinned == ""


def test_other_settings_take_the_pin_away() -> None:
    proxy = serving()
    proxy(Recalled("zero"), Candidate("zero"), *APPLY)
    assert proxy.state.pinned == "zero"
    assert proxy(Reset(RULES)) == [Render()]
    assert proxy.state.pinned == ""


def test_a_pinned_version_that_died_is_started_again_as_it_was() -> None:
    proxy = serving()
    proxy(Recalled("zero"), Candidate("zero"), *APPLY, Restarted())
    assert proxy(Failed("nobody answers")) == [Recall("zero")]
    assert proxy(Candidate("zero")) == [Load()]
    proxy(Loaded(), Proved())
    assert proxy.state.pinned == "zero"


@pytest.mark.parametrize(
    ("happens", "answer"),
    [
        (Restarted(), Proved()),
        (Edited("e"), Returned(proved=True)),
        (Drifted("d"), Levelled(1)),
    ],
    ids=["restarted", "edited", "drifted"],
)
def test_what_happens_to_a_pinned_version_leaves_it_pinned(
    happens: Happening, answer: Happening
) -> None:
    proxy = serving(rules=Rules(levels=True, corrects=True))
    proxy(Recalled("zero"), Candidate("zero"), Levelled(1), Checked(), Moved())
    assert proxy.state.pinned == "zero"
    assert proxy(happens, answer) == [Wake(None)]
    assert (proxy.state.pinned, proxy.state.serving) == ("zero", True)


def test_the_next_agent_keeps_the_pin() -> None:
    proxy = Proxy()
    assert proxy(Recovered(live="zero", running=True, pinned="zero"), Proved()) == [Recall("zero")]
    assert proxy(Candidate("zero")) == [Wake(None)]
    assert proxy.state.pinned == "zero"


def test_a_rollback_that_fails_leaves_no_pin_and_is_not_tried_again() -> None:
    proxy = serving()
    proxy(Recalled("zero"), Candidate("zero"), Checked(), Moved(), Failed("no"))
    assert proxy(Returned(proved=True)) == [Wake(None)]
    assert (proxy.state.live, proxy.state.pinned) == ("one", "")


def test_asked_while_under_way_it_is_done_once_more() -> None:
    proxy = rendering()
    proxy(Candidate("two"), Asked(), Checked(), Moved(), Loaded())
    assert proxy(Proved()) == [Render()]


# Without a reload.

_LEVELS = Rules(levels=True)


def test_a_change_at_run_time_is_followed_by_its_file() -> None:
    proxy = rendering(_LEVELS)
    assert proxy(Candidate("two")) == [Level()]
    assert proxy(Levelled(3)) == [Check()]
    assert proxy(Checked()) == [Move()]
    assert proxy(Moved()) == [Wake(None)]
    assert (proxy.state.live, proxy.state.loaded) == ("two", "one")
    assert (proxy.last.kind, proxy.last.changes) == ("proxy-changed", 3)


def test_what_cannot_be_changed_at_run_time_is_loaded() -> None:
    proxy = rendering(_LEVELS)
    proxy(Candidate("two"))
    assert proxy(NotLevelled("another backend")) == [Check()]
    assert proxy(Checked(), Moved()) == [Load()]
    proxy(Loaded(), Proved())
    assert proxy.state.loaded == "two"


def test_a_change_at_run_time_whose_file_is_refused_is_taken_back() -> None:
    proxy = rendering(_LEVELS)
    proxy(Candidate("two"), Levelled(1))
    assert proxy(Failed("bad weight")) == [Unlevel()]
    assert proxy(Returned(proved=True)) == [Wake(None)]
    assert proxy.state.live == "one"
    assert proxy.last.kind == "proxy-returned"


def test_old_workers_do_not_keep_from_changes_at_run_time() -> None:
    proxy = rendering(_LEVELS)
    assert proxy(Candidate("two", crowded=True)) == [Level()]
    assert proxy(Levelled(1)) == [Check()]


def test_a_full_disk_after_a_change_at_run_time_takes_it_back() -> None:
    proxy = rendering(_LEVELS)
    proxy(Candidate("two"), Levelled(1), Checked())
    assert proxy(Failed("no space left on device", passing=True)) == [Unlevel()]
    [wake] = proxy(Returned(proved=True))
    assert isinstance(wake, Wake)
    assert wake.at_s is not None


# What happens to it from outside.


def test_a_process_that_was_started_anew_is_proved() -> None:
    proxy = serving()
    assert proxy(Restarted()) == [Prove("one")]
    assert proxy(Proved()) == [Wake(None)]
    assert not proxy.told


def test_a_process_started_anew_in_the_middle_of_it_is_left_to_the_proof() -> None:
    proxy = rendering()
    proxy(Candidate("two"), Checked(), Moved(), Restarted())
    assert proxy(Loaded()) == [Prove("two")]


def test_a_foreign_edit_is_told_and_left() -> None:
    proxy = serving()
    assert proxy(Edited("nginx.conf has been changed")) == [Wake(None)]
    assert proxy.last.kind == "proxy-edited"


def test_a_foreign_edit_is_put_right_when_that_is_asked_for() -> None:
    proxy = serving(rules=Rules(corrects=True))
    assert proxy(Edited("nginx.conf has been changed")) == [Restore("one")]
    assert proxy(Returned(proved=True)) == [Wake(None)]
    assert [one.kind for one in proxy.told] == ["proxy-edited", "proxy-applied"]


def test_drift_is_told_and_mended() -> None:
    proxy = serving(rules=_LEVELS)
    assert proxy(Drifted("orders/a has weight 3, not 1")) == [Mend()]
    assert proxy(Levelled(1)) == [Wake(None)]
    assert [one.kind for one in proxy.told] == ["proxy-drift", "proxy-changed"]


def test_drift_that_cannot_be_mended_takes_a_reload() -> None:
    proxy = serving(rules=_LEVELS)
    proxy(Drifted("a backend is gone"))
    assert proxy(NotLevelled("no such backend")) == [Load()]
    proxy(Loaded(), Proved())
    assert proxy.state.serving


_EVENTS: tuple[Happening, ...] = (
    Changed(),
    Asked(),
    Recalled("zero"),
    Tick(),
    Candidate("one"),
    Candidate("two"),
    Candidate("two", held="lost"),
    Candidate("two", crowded=True),
    Levelled(1),
    NotLevelled(),
    Checked(),
    Moved(),
    Loaded(),
    Proved(),
    Returned(proved=True),
    Returned(proved=False),
    Failed("no"),
    Failed("taken", passing=True),
    Restarted(),
    Edited("e"),
    Drifted("d"),
    Reset(_LEVELS),
)


@pytest.mark.parametrize("late", _EVENTS, ids=repr)
def test_an_answer_that_nobody_waits_for_does_no_harm(late: Happening) -> None:
    """Whatever comes between two steps, the one under way can still be finished."""
    proxy = rendering()
    proxy(Candidate("two"), Checked())
    if isinstance(late, Moved | Failed):
        return  # the very answer that is waited for
    actions = proxy(late)
    assert actions == []
    assert proxy(Moved()) == [Load()]


# How long it took.


def test_the_work_and_the_wait_before_it_are_told_apart() -> None:
    proxy = serving(rules=Rules(wait_min_s=0.2, wait_max_s=2.0, levels=True))
    proxy(Changed())
    proxy.now += 0.15
    proxy(Changed())
    assert proxy.after(0.2) == [Render()]
    proxy.now += 0.004
    proxy(Candidate("two"), Levelled(1))
    proxy.now += 0.05
    proxy(Checked(), Moved())
    assert proxy.last.kind == "proxy-changed"
    assert proxy.last.served_s == pytest.approx(0.004)
    [record] = proxy.records
    for one in (proxy.last, record):
        assert (one.took_s, one.waited_s) == pytest.approx((0.054, 0.35))


def test_what_was_asked_for_by_hand_has_not_waited() -> None:
    proxy = serving()
    assert proxy(Asked()) == [Render()]
    proxy(Candidate("two"), *APPLY)
    assert proxy.last.waited_s == 0.0


def test_a_change_that_waits_for_old_workers_is_still_the_same() -> None:
    proxy = rendering()
    proxy(Candidate("two", crowded=True))
    assert proxy.state.outcome == "waiting"
    assert proxy.after(0.5) == [Render()]
    proxy(Candidate("two"), *APPLY)
    assert proxy.last.waited_s == pytest.approx(0.7)
