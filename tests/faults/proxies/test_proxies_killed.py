"""An agent killed at any step of applying: whoever comes next ends at one of the two versions, and knows which.

The steps are run in a child that kills itself before its n-th call of the operating system, for every n there is.
"""

from __future__ import annotations

import itertools
import os
import shutil
import tempfile
from typing import TYPE_CHECKING

import pytest

from pillion.proxies.files.candidate import write_candidate
from pillion.proxies.files.history import History
from pillion.proxies.files.moving import Standing, applied, finish, move, recover
from proxies_steps import (
    MAIN,
    ONE,
    TWO,
    Steps,
    apply_two,
    fail_with_two,
    record_two,
    recover_it,
    site_in,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pillion.proxies.files.site import Site

_MOST = 1000


@pytest.fixture(scope="module")
def forks() -> Iterator[Steps]:
    with Steps() as made:
        yield made


@pytest.fixture
def memory() -> Iterator[str]:
    """A directory on no disk: hundreds of beginnings are written, and who is killed is not a matter of what the disk has."""
    with tempfile.TemporaryDirectory(prefix="pillion-", dir="/dev/shm") as root:
        yield root


@pytest.fixture
def site(memory: str) -> Site:
    site = site_in(memory)
    move(site, write_candidate(site, MAIN, ONE), "one", "", 1.0)
    finish(site)
    return site


def served(site: Site) -> dict[str, str]:
    found: dict[str, str] = {}
    for name in os.listdir(site.directory):
        with open(site.live(name)) as file:
            found[name] = file.read()
    return found


def check_one_of_both(site: Site, standing: Standing) -> str:
    """The version that is in place, whole; fails when it is another than `standing` says, or when something else is left over."""
    wanted = standing.unfinished or standing.live
    assert served(site) == {"one": ONE, "two": TWO}[wanted]
    there = {*os.listdir(os.path.dirname(site.directory)), *os.listdir(site.state)}
    if standing.unfinished:
        finish(site)
        there = {*os.listdir(os.path.dirname(site.directory)), *os.listdir(site.state)}
    assert there == {"conf", "state", "applied.json"}
    now = applied(site)
    assert now is not None
    assert now.version == wanted
    return wanted


class Ground:
    """The same beginning, again and again."""

    def __init__(self, site: Site) -> None:
        self.root = os.path.dirname(site.directory)
        self.copy = f"{self.root}.copy"
        shutil.copytree(self.root, self.copy)

    def again(self) -> None:
        shutil.rmtree(self.root)
        shutil.copytree(self.copy, self.root)


@pytest.mark.parametrize("steps", [apply_two, fail_with_two])
def test_killed_at_any_step(
    forks: Steps, memory: str, site: Site, steps: Callable[[str], None]
) -> None:
    ground = Ground(site)
    ends: list[str] = []
    for number in range(1, _MOST):
        ground.again()
        if not forks.killed_before(number, steps, memory):
            break
        # The main file names the others: it is there only when they are.
        now = served(site)
        if now.get(MAIN) == "two":
            assert (now["new.conf"], now["same.conf"]) == (TWO["new.conf"], TWO["same.conf"])
        ends.append(check_one_of_both(site, recover(site)))
    else:
        raise AssertionError("it never ended")
    assert len(ends) > 50
    assert set(ends) == {"one", "two"}
    # From one version to the other once, and back once.
    turns = sum(before != after for before, after in itertools.pairwise(ends))
    assert turns == (1 if steps is apply_two else 2)


@pytest.mark.parametrize("steps", [apply_two, fail_with_two])
def test_the_next_agent_killed_too(
    forks: Steps, memory: str, site: Site, steps: Callable[[str], None]
) -> None:
    ground = Ground(site)
    tried = 0
    for first in range(5, _MOST, 24):
        for second in range(1, _MOST, 5):
            ground.again()
            if not forks.killed_before(first, steps, memory):
                assert tried > 20
                return
            if not forks.killed_before(second, recover_it, memory):
                break
            tried += 1
            check_one_of_both(site, recover(site))


def test_killed_while_an_outcome_is_recorded(forks: Steps, memory: str) -> None:
    place = f"{memory}/history"
    counts: set[int] = set()
    for number in range(1, _MOST):
        shutil.rmtree(place, ignore_errors=True)
        for at_s in (1.0, 2.0):
            History(place, 2).record("one", "a key", "applied", ONE, at_s=at_s)
        if not forks.killed_before(number, record_two, memory):
            break
        history = History(place, 2)
        for entry in history.entries():
            assert history.read(entry.version) == {"one": ONE, "two": TWO}[entry.version]
        assert not history.damaged
        counts.add(len(history.entries()))
        # Whoever records next leaves no more than there may be.
        record_two(memory)
        assert len(os.listdir(place)) == 2
    assert number > 20
    # Also with the new one there and the oldest not yet gone.
    assert counts == {2, 3}
