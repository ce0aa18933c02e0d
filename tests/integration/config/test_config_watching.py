"""What is set in one instance is seen in the other: long poll and stream, cut anywhere."""

from __future__ import annotations

import os
import signal
import threading
import time
from typing import TYPE_CHECKING

import pytest

from config_http import Stream, ask, get, metric, put
from instance import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from config_http import Answer
    from instance import Instance

Pair = tuple["Instance", "Instance"]


class Poll:
    """A long poll in a thread."""

    def __init__(self, instance: Instance, path: str) -> None:
        self.answers: list[Answer] = []
        self._thread = threading.Thread(
            target=lambda: self.answers.append(ask(instance, "GET", path, timeout=30.0))
        )
        self._thread.start()

    def answer(self) -> Answer:
        self._thread.join(20)
        return self.answers[0]


@pytest.fixture
def streams() -> Iterator[list[Stream]]:
    made: list[Stream] = []
    yield made
    for stream in made:
        stream.close()


def waiting(instance: Instance, count: int) -> None:
    """Until so many watchers wait in the agent."""

    wait_for(f"{count} wait", lambda: metric(instance, "config_watchers") == count)


def test_a_long_poll_sees_what_another_instance_sets(pair: Pair) -> None:
    one, two = pair
    first = put(one, "k", 1)
    assert get(two, "k", "?consistent").body["value"] == 1
    poll = Poll(two, f"/v1/config/k?wait=20s&revision={first.body['revision']}")
    waiting(two, 1)
    put(one, "unrelated", 1)
    put(one, "k", 2)
    answer = poll.answer()
    assert answer.body["value"] == 2
    # The item's own revision and the store's both wait for the next change, and neither spins.
    for known in (answer.body["revision"], answer.revision):
        before = time.monotonic()
        same = get(two, "k", f"?wait=300ms&revision={known}")
        assert time.monotonic() - before >= 0.29
        assert same.body["value"] == 2


def test_a_long_poll_on_a_prefix_and_for_a_key_that_is_not_there(pair: Pair) -> None:
    one, two = pair
    put(one, "x", 1)
    known = ask(two, "GET", "/v1/config?prefix=a/&consistent").body["revision"]
    polls = [
        Poll(two, f"/v1/config?prefix=a/&wait=20s&revision={known}"),
        Poll(two, f"/v1/config/a/b?wait=20s&revision={known}"),
    ]
    waiting(two, 2)
    put(one, "a/b", 1)
    assert [item["key"] for item in polls[0].answer().body["items"]] == ["a/b"]
    assert polls[1].answer().body["value"] == 1


def test_a_long_poll_ahead_of_the_store_answers_at_once(pair: Pair) -> None:
    one, _ = pair
    put(one, "k", 1)
    before = time.monotonic()
    assert get(one, "k", "?wait=20s&revision=999999").status == 200
    assert time.monotonic() - before < 10


def test_a_stream_goes_on_where_it_was_cut(pair: Pair, streams: list[Stream]) -> None:
    one, two = pair
    for number in range(5):
        put(one, f"a/{number}", 0)
    stream = Stream(two, "/v1/config?prefix=a/")
    streams.append(stream)
    stream.wait("the snapshot", lambda client: len(client.seen) == 5 and client.last)
    for number in range(1, 21):
        put(one, "a/0", number)
        put(one, "b", number)
        if number % 5 == 0:
            stream.cut()
    stream.wait("the last", lambda client: client.seen["a/0"][2] == 20)
    told = [data["value"] for kind, data in stream.events if kind == "put" and data["value"]]
    assert told == list(range(1, 21))
    assert stream.client.resets == 0


def test_a_stream_of_a_key_tells_what_shows_beneath(pair: Pair, streams: list[Stream]) -> None:
    one, _ = pair
    stream = Stream(one, "/v1/config/k")
    streams.append(stream)
    stream.wait("an empty snapshot", lambda client: client.last is not None)
    put(one, "k", 1, "?layer=default")
    put(one, "k", 2)
    ask(one, "DELETE", "/v1/config/k")
    ask(one, "DELETE", "/v1/config/k?layer=default")
    stream.wait("all of it", lambda client: len(client.told) == 4)
    assert [(kind, data.get("value")) for kind, data in stream.events[1:]] == [
        ("put", 1),
        ("put", 2),
        ("put", 1),
        ("delete", None),
    ]


def test_the_agent_dies_in_the_middle_of_a_watch(pair: Pair, streams: list[Stream]) -> None:
    one, two = pair
    put(one, "k", 0)
    stream = Stream(two, "/v1/config/k")
    streams.append(stream)
    stream.wait("the snapshot", lambda client: client.last is not None)
    for number in range(1, 41):
        put(one, "k", number)
        if number % 10 == 0:
            pid = two.component("agent").get("pid")
            if pid:
                os.kill(pid, signal.SIGKILL)
    stream.wait("the last", lambda client: client.seen["k"][2] == 40)
    told = [data["value"] for kind, data in stream.events if data.get("value")]
    assert told == list(range(1, 41))
    assert stream.client.resets == 0
    assert stream.connects > 1
    two.wait_state("agent")


def test_an_upgrade_in_the_middle_of_a_watch(pair: Pair, streams: list[Stream]) -> None:
    one, two = pair
    put(one, "k", 0)
    stream = Stream(two, "/v1/config/k")
    streams.append(stream)
    stream.wait("the snapshot", lambda client: client.last is not None)
    put(one, "k", 1)
    one.host.pillion("upgrade", "--instance", "two", timeout=60)
    put(two, "k", 2)
    assert get(two, "k").body["value"] == 2
    put(one, "k", 3)
    stream.wait("the last", lambda client: client.seen["k"][2] == 3)
    assert [data["value"] for kind, data in stream.events if data.get("value")] == [1, 2, 3]
    assert stream.client.resets == 0
    assert stream.connects == 2
