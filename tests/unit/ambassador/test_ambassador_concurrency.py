"""Places, and the queue for them."""

from __future__ import annotations

import gc
from functools import partial

from pillion.ambassador.concurrency import Gate, Ticket


class Crowd:
    """Requests at a gate, by name; `inside` are those who were let in, in that order."""

    def __init__(self, concurrency: int, queue: int) -> None:
        self.gate = Gate(concurrency, queue)
        self.inside: list[str] = []
        self.tickets: dict[str, Ticket] = {}

    def come(self, name: str) -> str:
        if self.gate.enter():
            self.inside.append(name)
            return "in"
        ticket = self.gate.wait(partial(self.inside.append, name))
        if ticket is None:
            return "full"
        self.tickets[name] = ticket
        return "waits"

    def give_up(self, name: str) -> None:
        self.gate.cancel(self.tickets[name])


def test_as_many_as_there_are_places() -> None:
    crowd = Crowd(2, 2)
    assert [crowd.come(name) for name in "abcde"] == ["in", "in", "waits", "waits", "full"]
    gate = crowd.gate
    assert (gate.active, gate.waiting, gate.queued, gate.refused) == (2, 2, 2, 1)


def test_who_leaves_hands_the_place_to_the_first() -> None:
    crowd = Crowd(1, 9)
    for name in "abcd":
        crowd.come(name)
    crowd.gate.leave()
    assert crowd.inside == ["a", "b"]
    # Nobody overtakes those who wait.
    assert crowd.come("e") == "waits"
    for _ in range(4):
        crowd.gate.leave()
    assert crowd.inside == ["a", "b", "c", "d", "e"]
    assert (crowd.gate.active, crowd.gate.waiting) == (0, 0)
    assert crowd.come("f") == "in"


def test_who_gives_up_is_passed_over() -> None:
    crowd = Crowd(1, 3)
    for name in "abcd":
        crowd.come(name)
    for name in "cbb":
        crowd.give_up(name)
    assert crowd.gate.cancelled == 2
    assert crowd.come("e") == "waits"
    crowd.gate.leave()
    crowd.gate.leave()
    assert crowd.inside == ["a", "d", "e"]
    crowd.give_up("d")
    assert (crowd.gate.active, crowd.gate.cancelled) == (1, 2)


def test_the_last_in_the_queue_gives_up() -> None:
    crowd = Crowd(1, 3)
    for name in "abc":
        crowd.come(name)
    crowd.give_up("c")
    assert crowd.come("d") == "waits"
    crowd.gate.leave()
    crowd.gate.leave()
    assert crowd.inside == ["a", "b", "d"]


def tickets() -> int:
    # By type: isinstance would ask a dead weak proxy of another test for its class, and that raises.
    return sum(type(one) is Ticket for one in gc.get_objects())


def test_giving_up_again_and_again_leaves_nothing_behind() -> None:
    crowd = Crowd(1, 1)
    crowd.come("a")
    before = tickets()
    for _ in range(10_000):
        assert crowd.come("b") == "waits"
        crowd.give_up("b")
    assert crowd.gate.waiting == 0
    assert tickets() <= before + 1


def test_without_a_bound_all_come_in() -> None:
    crowd = Crowd(0, 0)
    assert all(crowd.come(str(number)) == "in" for number in range(1000))
    assert crowd.gate.active == 1000


def test_without_a_queue_nobody_waits() -> None:
    crowd = Crowd(1, 0)
    assert [crowd.come(name) for name in "ab"] == ["in", "full"]


def test_ten_thousand_who_leave_as_soon_as_they_are_in() -> None:
    gate = Gate(1, 10_000)
    assert gate.enter()
    served: list[int] = []

    def come_and_go(number: int) -> None:
        served.append(number)
        gate.leave()

    for number in range(10_000):
        assert gate.wait(partial(come_and_go, number)) is not None
    gate.leave()
    assert served == list(range(10_000))
    assert (gate.active, gate.waiting) == (0, 0)


def test_more_places_are_handed_out_at_once() -> None:
    crowd = Crowd(1, 9)
    for name in "abcd":
        crowd.come(name)
    crowd.gate.configure(3, 9)
    assert crowd.inside == ["a", "b", "c"]
    crowd.gate.configure(0, 9)
    assert crowd.inside == ["a", "b", "c", "d"]


def test_fewer_places_send_nobody_away() -> None:
    crowd = Crowd(3, 9)
    for name in "abcd":
        crowd.come(name)
    crowd.gate.configure(1, 0)
    assert crowd.come("e") == "full"
    crowd.gate.leave()
    crowd.gate.leave()
    assert crowd.inside == ["a", "b", "c"]
    crowd.gate.leave()
    assert crowd.inside == ["a", "b", "c", "d"]
    assert crowd.gate.active == 1
