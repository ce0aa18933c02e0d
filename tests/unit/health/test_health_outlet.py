"""The journal has its rate."""

from __future__ import annotations

from pillion.health.outlet import Outlet


def test_a_flapping_check_does_not_flood_the_journal() -> None:
    written: list[str] = []
    outlet = Outlet(lambda kind, reason, data: written.append(kind))
    for number in range(10_000):
        outlet.transition("flap", "healthy", "", {}, number / 1000)
    assert len(written) <= 20
    assert outlet.dropped == 10_000 - len(written)


def test_one_does_not_cost_another_its_word() -> None:
    written: list[str] = []
    outlet = Outlet(lambda kind, reason, data: written.append(reason))
    for _ in range(100):
        outlet.transition("flap", "healthy", "flap", {}, 0.0)
    outlet.transition("calm", "healthy", "calm", {}, 0.0)
    assert written[-1] == "calm"


def test_checks_that_are_gone_are_forgotten() -> None:
    outlet = Outlet(lambda kind, reason, data: None)
    for number in range(100):
        outlet.transition(f"c{number}", "healthy", "", {}, 0.0)
    outlet.keep(frozenset({"c1"}))
    assert len(outlet._left) == 1
