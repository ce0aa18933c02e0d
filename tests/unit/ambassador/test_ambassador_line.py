"""Who waits for a connection gets one in the order of coming, and never more than there is room for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from two_policies import INSTALLED, SOURCE

if TYPE_CHECKING:
    from types import SimpleNamespace

BOTH = {"installed": INSTALLED, "source": SOURCE}
THOUSANDS = 5_000


class Waiter:
    """Takes the room that it is given, unless told otherwise."""

    def __init__(self, crowd: Crowd, name: str, *, gives_back: bool = False) -> None:
        self._crowd = crowd
        self._name = name
        self._gives_back = gives_back

    def room(self) -> None:
        self._crowd.called.append(self._name)
        pool = self._crowd.pool
        assert pool.room()
        if self._gives_back:
            pool.freed()
        else:
            pool.opened += 1


class Crowd:
    """A pool with a bound, and those who wait for it. No socket: its connections are numbers."""

    def __init__(self, policies: SimpleNamespace, most: int, opened: int) -> None:
        self.pool = policies.pool.Pool(4.0, 64, 0, most)
        self.pool.opened = opened
        self.called: list[str] = []
        self.waiters: dict[str, Waiter] = {}

    def come(self, *names: str, gives_back: bool = False) -> None:
        for name in names:
            waiter = self.waiters[name] = Waiter(self, name, gives_back=gives_back)
            self.pool.line.join(waiter)

    def end(self, count: int = 1) -> None:
        """Connections end, one after the other."""
        for _ in range(count):
            self.pool.opened -= 1
            self.pool.freed()


@pytest.fixture(params=sorted(BOTH))
def policies(request: pytest.FixtureRequest) -> SimpleNamespace:
    found: SimpleNamespace = BOTH[request.param]
    return found


def test_each_that_ends_calls_the_first(policies: SimpleNamespace) -> None:
    crowd = Crowd(policies, most=2, opened=2)
    crowd.come("a", "b", "c")
    crowd.pool.freed()
    assert (crowd.called, crowd.pool.room()) == ([], False)
    crowd.end()
    assert (crowd.called, crowd.pool.opened, crowd.pool.line.waiting) == (["a"], 2, 2)
    crowd.end(2)
    assert (crowd.called, crowd.pool.opened, crowd.pool.line.waiting) == (["a", "b", "c"], 2, 0)
    crowd.end(2)
    assert (len(crowd.called), crowd.pool.opened) == (3, 0)


def test_one_that_is_being_made_takes_room(policies: SimpleNamespace) -> None:
    crowd = Crowd(policies, most=2, opened=1)
    crowd.pool.opening = 1
    crowd.come("a")
    crowd.pool.freed()
    assert crowd.called == []
    crowd.pool.opening = 0
    crowd.pool.freed()
    assert crowd.called == ["a"]


def test_who_gives_up_is_passed_over(policies: SimpleNamespace) -> None:
    crowd = Crowd(policies, most=1, opened=1)
    crowd.come("a", "b", "c")
    crowd.pool.line.leave(crowd.waiters["b"])
    crowd.pool.line.leave(crowd.waiters["b"])
    assert crowd.pool.line.waiting == 2
    crowd.end(2)
    assert crowd.called == ["a", "c"]
    crowd.pool.line.leave(crowd.waiters["a"])  # it was called long ago
    assert crowd.pool.line.waiting == 0


def test_thousands_that_give_back_at_once_need_no_stack(policies: SimpleNamespace) -> None:
    crowd = Crowd(policies, most=1, opened=1)
    names = [str(number) for number in range(THOUSANDS)]
    crowd.come(*names, gives_back=True)
    crowd.end()
    assert crowd.called == names


def test_a_wider_bound_is_given_away_at_once(policies: SimpleNamespace) -> None:
    crowd = Crowd(policies, most=1, opened=1)
    crowd.come("a", "b", "c")
    crowd.pool.configure(4.0, 64, 0, 3)
    assert crowd.called == ["a", "b"]
    crowd.pool.configure(4.0, 64, 0, 0)
    assert crowd.called == ["a", "b", "c"]


def test_nobody_waits_for_an_endpoint_that_has_gone(policies: SimpleNamespace) -> None:
    crowd = Crowd(policies, most=1, opened=1)
    crowd.come("a", "b")
    crowd.pool.close()
    assert (crowd.called, crowd.pool.line.waiting) == (["a", "b"], 0)


def test_a_waiter_that_fails_does_not_stop_the_line(policies: SimpleNamespace) -> None:
    class Broken:
        def room(self) -> None:
            raise ValueError("broken")

    crowd = Crowd(policies, most=1, opened=1)
    crowd.pool.line.join(Broken())
    crowd.come("a")
    with pytest.raises(ValueError, match="broken"):
        crowd.end()
    crowd.pool.freed()
    assert crowd.called == ["a"]
