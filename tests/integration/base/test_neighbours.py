"""Neighbours over real locks, sockets and processes: who is there, who has died, and who heard the bell."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

from pillion.base.neighbours import BELL, MESSAGE_BYTES, Neighbours, Session
from pillion.keeper.places import INSTANCE_FILE, LOCK, take_lock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

import pytest

_KEEPER = """
import json, os, sys
from pillion.keeper.places import take_lock, LOCK
directory, run = sys.argv[1:]
os.makedirs(directory, exist_ok=True)
assert take_lock(f"{directory}/{LOCK}") is not None
facts = {"name": os.path.basename(directory), "run": run, "keeper": {"pid": os.getpid(), "start_ticks": 0}}
open(f"{directory}/instance.json", "w").write(json.dumps(facts))
print("up", flush=True)
sys.stdin.read()
"""


class Street:
    """Directories of instances, each with a process that holds its lock."""

    def __init__(self, root: str) -> None:
        self.root = root
        self.keepers: list[subprocess.Popen[bytes]] = []

    def keeper(self, name: str, run: str = "r1") -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, "-c", _KEEPER, f"{self.root}/{name}", run],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self.keepers.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        return process

    def house(self, name: str, run: str = "r1") -> Neighbours:
        """An agent's view; its own keeper is not needed for it."""
        os.makedirs(f"{self.root}/{name}", exist_ok=True)
        return Neighbours(f"{self.root}/{name}", run)

    def close(self) -> None:
        for process in self.keepers:
            process.kill()
            process.wait()
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.close()
            process.stdout.close()


@pytest.fixture
def street(tmp_path: Path) -> Iterator[Street]:
    made = Street(str(tmp_path))
    yield made
    made.close()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 # nothing sets an event in another process
            await asyncio.sleep(0.005)


def test_who_is_there_is_found_and_its_death_is_told(street: Street) -> None:
    async def main() -> None:
        there = street.keeper("a")
        mine = street.house("m")
        gone: list[Session] = []
        arrived: list[Session] = []
        mine.on_gone(gone.append)
        mine.on_arrived(arrived.append)
        mine.start()
        assert arrived == [Session("a", "r1")]
        assert mine.sessions == {Session("a", "r1"), Session("m", "r1")}
        there.send_signal(signal.SIGKILL)
        await until(lambda: bool(gone))
        assert gone == [Session("a", "r1")]
        assert not mine.alive(Session("a", "r1"))
        mine.close()

    asyncio.run(main())


def test_an_arrival_is_told_and_the_bell_is_heard_both_ways(street: Street) -> None:
    async def main() -> None:
        first_keeper, second_keeper = street.keeper("a"), street.keeper("b", "r2")
        assert first_keeper.pid != second_keeper.pid
        one, two = street.house("a"), street.house("b", "r2")
        heard: list[tuple[str, str, str]] = []
        one.listen("store", lambda who, what: heard.append(("a", who, what)))
        two.listen("store", lambda who, what: heard.append(("b", who, what)))
        one.start()
        two.start()
        one.ring("store", "7 config/x")
        two.ring("store", "8 config/y")
        await until(lambda: len(heard) == 2)
        assert sorted(heard) == [("a", "b", "8 config/y"), ("b", "a", "7 config/x")]
        one.close()
        two.close()

    asyncio.run(main())


def test_a_new_run_under_the_same_name_is_another_session(street: Street) -> None:
    async def main() -> None:
        street.keeper("m")
        first = street.keeper("a", "r1")
        mine = street.house("m")
        gone: list[Session] = []
        mine.on_gone(gone.append)
        mine.start()
        first.kill()
        await until(lambda: bool(gone))
        street.keeper("a", "r2")
        newcomer = street.house("a", "r2")
        newcomer.start()
        await until(lambda: mine.alive(Session("a", "r2")))
        assert not mine.alive(Session("a", "r1"))
        newcomer.close()
        mine.close()

    asyncio.run(main())


def test_a_directory_without_a_held_lock_is_nobody(street: Street) -> None:
    os.makedirs(f"{street.root}/dead")
    with open(f"{street.root}/dead/{INSTANCE_FILE}", "w") as file:
        json.dump({"name": "dead", "run": "r", "keeper": {"pid": 1, "start_ticks": 1}}, file)
    os.close(take_lock(f"{street.root}/dead/{LOCK}") or -1)
    os.makedirs(f"{street.root}/garbage")
    with open(f"{street.root}/garbage/{INSTANCE_FILE}", "wb") as garbage:
        garbage.write(b"\xff{")

    async def main() -> None:
        mine = street.house("m")
        mine.start()
        assert mine.sessions == {mine.own}
        mine.close()

    asyncio.run(main())


def test_garbage_at_the_bell_is_counted_and_a_full_queue_does_not_block(street: Street) -> None:
    async def main() -> None:
        street.keeper("a")
        mine, other = street.house("m"), street.house("a")
        other.start()
        mine.start()
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.sendto(b"\xff\xff", f"{street.root}/m/{BELL}")
            sock.sendto(b"x" * (MESSAGE_BYTES + 500), f"{street.root}/m/{BELL}")
        await until(lambda: mine.refused == 2)
        # Nobody reads meanwhile: this loop is busy ringing.
        for number in range(2000):
            mine.ring("store", str(number))
        assert mine.unheard > 0
        mine.close()
        other.close()

    asyncio.run(main())


def test_who_finds_the_queue_full_looks_for_himself(street: Street) -> None:
    async def main() -> None:
        street.keeper("m")
        mine = street.house("m")
        doubts: list[None] = []
        mine.on_doubt(lambda: doubts.append(None))
        mine.start()
        others = [street.house(f"n{n}") for n in range(15)]
        names = {other.own.instance for other in others}
        for name in sorted(names):
            street.keeper(name)
        # Nobody reads meanwhile: the last of these rings find a full queue.
        for other in others:
            other.start()
        assert sum(other.unheard for other in others) > 0
        await until(lambda: {one.instance for one in mine.sessions} == {"m", *names})
        assert doubts
        for house in (mine, *others):
            house.close()

    asyncio.run(main())


def test_a_successor_takes_the_bell_over_without_a_gap(street: Street) -> None:
    async def main() -> None:
        street.keeper("a")
        mine, old, new = street.house("m"), street.house("a"), street.house("a")
        heard: list[str] = []
        new.listen("t", lambda _, detail: heard.append(detail))
        old.start()
        mine.start()
        new.start()
        old.close()
        mine.ring("t", "hello")
        await until(lambda: heard == ["hello"])
        assert mine.unheard == 0
        mine.close()
        new.close()

    asyncio.run(main())


def test_a_long_detail_is_left_out_rather_than_refused(street: Street) -> None:
    async def main() -> None:
        street.keeper("a")
        mine, other = street.house("m"), street.house("a")
        heard: list[str] = []
        other.listen("t", lambda _, detail: heard.append(detail))
        other.start()
        mine.start()
        mine.ring("t", "x" * MESSAGE_BYTES)
        await until(lambda: heard == [""])
        mine.close()
        other.close()

    asyncio.run(main())
