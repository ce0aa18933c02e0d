"""The app's answers that nginx keeps for a moment, and those that it never does."""

from __future__ import annotations

import itertools
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from instance import wait_for
from offload_running import Offloaded, answer

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator

    from offload_running import Seen

LONG_S = 60.0
_paths = (f"/answer/{number}" for number in itertools.count())


@pytest.fixture(scope="module")
def front() -> Iterator[Offloaded]:
    """Every answer of its app is another one, and kept for long."""
    with Offloaded(microcache_s=LONG_S) as made:
        yield made.start()


@pytest.fixture
def path(front: Offloaded) -> str:
    """One that nobody has asked for, to which the app answers with a number that counts up."""
    answering(front)
    return next(_paths)


def answering(front: Offloaded, status: int = 200, **headers: str) -> None:
    numbers = itertools.count(1)
    front.app.answer = lambda _seen, peer: peer.sendall(
        answer(status, b"%d" % next(numbers), **headers)
    )


def test_what_is_nobodys_own_is_asked_for_once(front: Offloaded, path: str) -> None:
    before = len(front.app.seen)
    assert [front.ask(path).body for _ in range(5)] == [b"1"] * 5
    assert front.ask(path, "HEAD").status == 200
    assert len(front.app.seen) <= before + 2  # a HEAD may be an answer of its own
    # Another query, another host: another answer.
    assert front.ask(f"{path}?a=b").body != b"1"
    assert front.ask(path, headers={"Host": "other.example"}).body != b"1"


@pytest.mark.parametrize(
    "own", [{"Cookie": "session=1"}, {"Authorization": "Basic eA=="}, {"Range": "bytes=0-"}]
)
def test_who_says_who_they_are_gets_an_answer_of_their_own(
    front: Offloaded, path: str, own: dict[str, str]
) -> None:
    # Before there is one for everybody, and after.
    assert [front.ask(path, headers=own).body for _ in range(2)] == [b"1", b"2"]
    assert [front.ask(path).body for _ in range(2)] == [b"3", b"3"]
    assert front.ask(path, headers=own).body == b"4"
    assert front.ask(path).body == b"3"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Set_Cookie", "session=1"),
        ("Cache_Control", "private"),
        ("Cache_Control", "no-store"),
        ("Cache_Control", "public, no-cache"),
        ("Cache_Control", "max-age=0"),
        ("Cache_Control", "public, s-maxage=0"),
        ("Vary", "*"),
    ],
)
def test_an_answer_that_is_somebodys_own_is_not_kept(
    front: Offloaded, path: str, name: str, value: str
) -> None:
    answering(front, 200, **{name: value})
    assert [front.ask(path).body for _ in range(3)] == [b"1", b"2", b"3"]


@pytest.mark.parametrize(
    ("status", "kept"),
    [(200, True), (301, True), (302, True), (404, True), (403, False), (500, False), (503, False)],
)
def test_which_statuses_are_kept(front: Offloaded, path: str, status: int, kept: bool) -> None:
    answering(front, status)
    assert [front.ask(path).body for _ in range(2)] == [b"1", b"1" if kept else b"2"]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_no_other_method_is_kept(front: Offloaded, path: str, method: str) -> None:
    assert [front.ask(path, method, b"x").body for _ in range(2)] == [b"1", b"2"]
    assert front.ask(path).body == b"3"


def test_one_at_a_time_goes_to_the_app(front: Offloaded, path: str) -> None:
    before, step = len(front.app.seen), threading.Event()

    def slowly(_seen: Seen, peer: socket.socket) -> None:
        assert step.wait(10)
        peer.sendall(answer(200, b"slow"))

    front.app.answer = slowly
    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(front.ask, path) for _ in range(8)]
        wait_for("one has come to the app", lambda: len(front.app.seen) > before)
        step.set()
        assert {one.result(15).body for one in asked} == {b"slow"}
    assert len(front.app.seen) == before + 1


def test_the_old_answer_is_served_while_it_is_renewed() -> None:
    with Offloaded(microcache_s=1.0) as front:
        front.start()
        answering(front)
        assert front.ask("/").body == b"1"
        step = threading.Event()

        def renewed(_seen: Seen, peer: socket.socket) -> None:
            assert step.wait(15)
            peer.sendall(answer(200, b"new"))

        front.app.answer = renewed
        served = set()

        def is_renewed() -> bool:
            served.add(front.ask("/").body)
            return len(front.app.seen) == 2

        wait_for("it is asked for anew", is_renewed)
        # The app takes its time: nobody waits for it, and it is asked no second time.
        served.update(front.ask("/").body for _ in range(10))
        assert (served, len(front.app.seen)) == ({b"1"}, 2)
        step.set()
        wait_for("the new one is served", lambda: front.ask("/").body == b"new")
