"""Hearts in virtual time: who is silent is hung, who was paused is not."""

from __future__ import annotations

import pytest

from pillion.keeper.heart import MIN_TIMEOUT_S, Heart, sidecar, watchdog


def hung_after(
    heart: Heart, *, start_s: float = 0.0, pauses: dict[float, float] | None = None
) -> float:
    """Seconds from the last beat until the heart is hung; `pauses` maps a time to the length of a pause that begins there."""
    now_s = start_s
    for _ in range(100):
        due_s = heart.due_s
        for at_s, length_s in (pauses or {}).items():
            if now_s <= at_s < due_s:
                due_s = max(due_s, at_s + length_s)
        now_s = due_s
        if heart.tick(now_s):
            return now_s - start_s
    raise AssertionError("never hung")


@pytest.mark.parametrize("timeout_s", [0.1, 1.0, 10.0, 3600.0])
def test_a_watchdog_is_hung_at_its_timeout(timeout_s: float) -> None:
    assert hung_after(watchdog(timeout_s, 100.0), start_s=100.0) == pytest.approx(timeout_s)


def test_a_watchdog_has_a_least_timeout() -> None:
    assert hung_after(watchdog(1e-6, 0.0)) == pytest.approx(MIN_TIMEOUT_S)


def test_a_beat_begins_the_count_anew() -> None:
    heart = watchdog(4.0, 0.0)
    now_s = 0.0
    for _ in range(100):
        for _ in range(3):
            now_s = heart.due_s
            assert not heart.tick(now_s)
        heart.beat(now_s)


@pytest.mark.parametrize("at_s", [0.5, 2.4, 5.0, 7.4, 9.9])
def test_a_pause_leaves_time_to_be_heard(at_s: float) -> None:
    """Whenever an hour's pause comes, the app has at least a tick after it."""
    heart = watchdog(10.0, 0.0)
    assert hung_after(heart, pauses={at_s: 3600.0}) >= at_s + 3600.0 + 2.5 - 1e-6


def test_a_starved_keeper_takes_nobody_for_hung() -> None:
    heart = watchdog(1.0, 0.0)
    now_s = 0.0
    for _ in range(50):
        now_s = heart.due_s + 0.3
        assert not heart.tick(now_s)


@pytest.mark.parametrize(
    ("interval_s", "misses", "silence_s"),
    [(10.0, 2, 15.0), (1.0, 5, 4.5), (0.1, 50, 4.95), (5.0, 1, 7.5)],
)
def test_a_sidecar_is_hung_before_its_misses_are_full(
    interval_s: float, misses: int, silence_s: float
) -> None:
    heart = sidecar(interval_s, misses)
    heart.beat(0.0)
    assert heart.silence_s == pytest.approx(silence_s)
    assert heart.due_s > interval_s, "who beats in time is never ticked"
    assert hung_after(heart) == pytest.approx(silence_s)


def test_an_extension_puts_the_deadline_off_and_never_forward() -> None:
    heart = watchdog(10.0, 0.0)
    heart.extend(5.0)
    assert heart.deadline_s == pytest.approx(10.0)
    heart.extend(30.0)
    assert heart.deadline_s == pytest.approx(30.0)
    assert hung_after(heart) == pytest.approx(30.0)


def test_a_beat_ends_an_extension() -> None:
    heart = watchdog(10.0, 0.0)
    heart.extend(300.0)
    heart.beat(20.0)
    assert heart.deadline_s == pytest.approx(30.0)
