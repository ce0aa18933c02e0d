"""What is due when."""

from __future__ import annotations

from pillion.health.agenda import Agenda


def test_in_the_order_of_time() -> None:
    agenda = Agenda()
    for name, due in [("c", 3.0), ("a", 1.0), ("b", 2.0)]:
        agenda.put(name, due)
    assert agenda.next() == 1.0
    assert agenda.take(2.0) == ["a", "b"]
    assert agenda.take(2.0) == []
    assert agenda.next() == 3.0


def test_the_last_word_counts() -> None:
    agenda = Agenda()
    agenda.put("a", 1.0)
    agenda.put("a", 5.0)
    assert agenda.take(4.0) == []
    agenda.put("a", 2.0)
    assert agenda.take(4.0) == ["a"]
    assert agenda.next() is None


def test_what_was_dropped_is_not_due() -> None:
    agenda = Agenda()
    agenda.put("a", 1.0)
    agenda.drop("a")
    agenda.drop("never there")
    assert agenda.next() is None
    assert "a" not in agenda


def test_churn_does_not_make_it_grow() -> None:
    agenda = Agenda()
    for number in range(100_000):
        agenda.put("a", float(number))
    assert len(agenda._heap) < 100
    assert agenda.take(1e9) == ["a"]
