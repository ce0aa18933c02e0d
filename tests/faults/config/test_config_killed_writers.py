"""Writers in several instances add to the same value with compare-and-set while their agents are killed: nothing is lost, and watchers see it all."""

from __future__ import annotations

import http.client
import os
import random
import signal
import threading
from functools import partial
from typing import TYPE_CHECKING, Any

from config_http import Stream, ask, get, put
from instance import wait_for

if TYPE_CHECKING:
    from config_client import Client
    from instance import Host, Instance

SETTINGS = '[service]\nname = "shop"\nregister = false\n'
KEYS = ("a", "b")
WRITERS = 4
ROUNDS = 30


class Writer:
    """Adds words of its own to lists; when it does not know what became of a write, it looks."""

    def __init__(self, number: int, instance: Instance) -> None:
        self.number = number
        self.done: list[tuple[str, str]] = []
        self.errors: list[str] = []
        self._instance = instance
        self._random = random.Random(number)
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def join(self) -> None:
        self._thread.join(90)
        assert not self._thread.is_alive()

    def _run(self) -> None:
        for count in range(ROUNDS):
            key, word = self._random.choice(KEYS), f"{self.number}.{count}"
            wait_for(f"{word} is in {key}", partial(self._add, key, word), 60)
            self.done.append((key, word))

    def _add(self, key: str, word: str) -> bool:
        """Whether the word is there now."""
        try:
            present = get(self._instance, key)
            if present.status == 404:
                answer = put(self._instance, key, [word], if_none_match="*")
            elif present.status != 200:
                return False
            elif word in present.body["value"]:
                return True
            else:
                value = [*present.body["value"], word]
                answer = put(self._instance, key, value, if_match=present.etag)
        except (OSError, http.client.HTTPException):
            return False
        if answer.status not in (200, 201, 412, 503):
            self.errors.append(f"{answer.status} {answer.body}")
        return answer.status in (200, 201)


def test_no_update_is_lost_while_agents_are_killed(host: Host) -> None:
    instances = [host.run("sleep", "600", name=name, settings=SETTINGS) for name in ("one", "two")]
    for instance in instances:
        instance.wait_state("app")
        instance.wait_state("agent")
    streams = [Stream(instance, "/v1/config") for instance in instances]
    for stream in streams:
        stream.wait("an empty snapshot", lambda client: client.last is not None)
    writers = [Writer(number, instances[number % 2]) for number in range(WRITERS)]
    chance = random.Random(7)
    kills = 0
    while any(len(writer.done) < ROUNDS for writer in writers) and kills < 8:
        victim = chance.choice(instances)
        before = sum(len(writer.done) for writer in writers)
        pid = victim.component("agent").get("pid")
        if pid is not None:
            os.kill(pid, signal.SIGKILL)
            kills += 1
        # The next one dies when there has been some progress.
        wanted = min(before + chance.randrange(3, 9), WRITERS * ROUNDS)
        wait_for("progress", partial(_have_done, writers, wanted), 60)
    for writer in writers:
        writer.join()
        assert writer.errors == []
    assert kills >= 3
    for instance in instances:
        instance.wait_state("agent")
    for key in KEYS:
        value = get(instances[0], key, "?consistent").body["value"]
        wanted_words = sorted(w for writer in writers for k, w in writer.done if k == key)
        assert sorted(value) == wanted_words
        _history_is_whole(instances[1], key, value)
        for stream in streams:
            stream.wait("the last", partial(_has_seen, key, value))
    for stream in streams:
        assert stream.client.resets == 0
        for key in KEYS:
            told = [data["value"] for kind, data in stream.events if data.get("key") == key]
            assert told == [told[-1][: i + 1] for i in range(len(told))]
            assert len(told) == len(told[-1])
        stream.close()


def _have_done(writers: list[Writer], wanted: int) -> bool:
    return sum(len(writer.done) for writer in writers) >= wanted


def _has_seen(key: str, value: list[Any], client: Client) -> bool:
    return bool(client.seen[key][2] == value)


def _history_is_whole(instance: Instance, key: str, value: list[Any]) -> None:
    items = ask(instance, "GET", f"/v1/history/{key}?limit=1000").body["items"]
    assert [item["value"] for item in reversed(items)] == [
        value[: i + 1] for i in range(len(value))
    ]
    revisions = [item["revision"] for item in items]
    assert revisions == sorted(set(revisions), reverse=True)
    assert all(item["writer"] for item in items)
