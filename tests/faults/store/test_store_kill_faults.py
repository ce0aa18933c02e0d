"""Writers are killed at any moment, again and again: no update is lost, no value torn, no revision missed by anybody who watches."""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import random
import select
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from pillion.store.sqlite_schema import create_file
from store_host import WHOLE_HISTORY, until, watching

if TYPE_CHECKING:
    from pillion.store.interface import Store
    from store_host import SqliteHost

_WRITERS = 8
_KEYS = ("x", "y", "z")


def acknowledged(child: subprocess.Popen[str]) -> list[tuple[int, str, int]]:
    """What a killed writer had been told; its last line may be cut."""
    assert child.stdout is not None
    lines = child.stdout.read().split("\n")[:-1]
    words = [line.split() for line in lines]
    return [(int(one[0]), one[1], int(one[2])) for one in words]


def has_said_something(child: subprocess.Popen[str]) -> bool:
    assert child.stdout is not None
    return bool(select.select([child.stdout], [], [], 0)[0])


async def pause(seconds: float) -> None:
    """Let others work."""
    await asyncio.wait([asyncio.create_task(asyncio.sleep(seconds))])


async def killing(host: SqliteHost, seconds: float) -> list[tuple[int, str, int]]:
    """Let processes count up keys for a time, each killed and replaced at random; returns what was acknowledged."""
    deadline = time.monotonic() + seconds
    number = 0

    def start() -> subprocess.Popen[str]:
        nonlocal number
        number += 1
        return host.child(f"w{number}", "increment", "0", ",".join(_KEYS))

    running = [start() for _ in range(_WRITERS)]
    ends: dict[int, float] = {}
    while time.monotonic() < deadline or len(ends) < _WRITERS:
        assert time.monotonic() < deadline + 30, "not every writer came to write"
        await pause(0.01)
        for index, child in enumerate(running):
            assert child.poll() is None, "a writer ended by itself"
            if child.pid not in ends and has_said_something(child):
                ends[child.pid] = time.monotonic() + random.uniform(0, 0.7)
            if time.monotonic() >= ends.get(child.pid, math.inf):
                child.kill()
                running[index] = start()
    for child in running:
        child.kill()
    done: list[tuple[int, str, int]] = []
    for child in host.children:
        if "increment" in child.args:  # type: ignore[operator]
            child.wait()
            assert child.returncode == -signal.SIGKILL
            done += acknowledged(child)
    return done


async def whole_history(store: Store, key: str) -> list[tuple[int, int]]:
    """Revision and count of every write of a key, oldest first; each value whole."""
    found: list[tuple[int, int]] = []
    before = None
    while changes := await store.history(key, limit=1000, before=before):
        for change in changes:
            assert change.value is not None
            words = change.value.split()
            assert len(words) == 200
            assert len(set(words)) == 1
            found.append((change.revision, int(words[0])))
        before = changes[-1].revision
    return sorted(found)


async def scenario(host: SqliteHost, seconds: float) -> None:
    async with host.open("here", **WHOLE_HISTORY) as store, watching(store) as here:
        watchers = [host.child(f"watcher{n}", "watch", "0") for n in range(2)]
        done = await killing(host, seconds)
        revision = (await store.range("")).revision
        assert revision >= len(done) > 0
        counted = Counter[str]()
        history: dict[int, str] = {}
        for key in _KEYS:
            writes = await whole_history(store, key)
            # Every write is the one before plus one: none was lost, none was made twice.
            assert [count for _, count in writes] == list(range(1, len(writes) + 1))
            counted[key] = len(writes)
            history |= {at: f"{at} {key} {count}" for at, count in writes}
        assert sorted(history) == list(range(1, revision + 1))
        assert {f"{at} {key} {count}" for at, key, count in done} <= set(history.values())
        await until("all are seen here", lambda: here.revision >= revision)
        assert here.revisions == list(range(1, revision + 1))
        # One more, so that those who watch elsewhere know that it was all.
        await store.put("end", b"0", writer="test")
        for child in watchers:
            lines: list[str] = []
            assert child.stdout is not None
            async with asyncio.timeout(60):
                while len(lines) <= revision:
                    lines.append((await asyncio.to_thread(child.stdout.readline)).rstrip("\n"))
            assert lines[:-1] == [history[at] for at in range(1, revision + 1)]
            assert lines[-1] == f"{revision + 1} end 0"
    with contextlib.closing(sqlite3.connect(host.path)) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_eight_writers_of_the_same_keys_killed_at_random(host: SqliteHost) -> None:
    asyncio.run(scenario(host, 4.0))


@pytest.mark.soak
def test_eight_writers_of_the_same_keys_killed_at_random_for_a_minute(host: SqliteHost) -> None:
    asyncio.run(scenario(host, 60.0))


def test_killed_at_any_point_of_a_write(host: SqliteHost) -> None:
    """Each time the only user: nobody else's log repairs what it leaves. All that was acknowledged is there."""

    async def main() -> None:
        last = 0
        for round_ in range(15):
            child = host.child(f"w{round_}", "write", str(random.choice([10, 5000, 200_000])))
            assert child.stdout is not None
            await asyncio.to_thread(child.stdout.readline)
            await pause(random.uniform(0, 0.08))
            child.kill()
            child.wait()
            revisions = [int(line) for line in child.stdout.read().split("\n")[:-1]]
            last = max([last, *revisions])
            if round_ % 3 == 2:
                async with host.open(f"look{round_}") as store:
                    snapshot = await store.range("")
                    assert snapshot.revision >= last
                    assert store.health.writable
                    last = snapshot.revision
                with contextlib.closing(sqlite3.connect(host.path)) as db:
                    assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
                    live = db.execute(
                        "SELECT sum(length(CAST(c.key AS BLOB)) + length(c.value)) "
                        "FROM entries e JOIN changes c ON c.revision = e.revision"
                    ).fetchone()
                    sums = db.execute(
                        "SELECT live_bytes FROM changes ORDER BY revision DESC LIMIT 1"
                    ).fetchone()
                    assert live == sums

    asyncio.run(main())


def test_a_store_whose_making_is_killed_is_whole_or_not_there(host: SqliteHost) -> None:
    code = (
        "import sys; from pillion.store.sqlite_schema import create_file; create_file(sys.argv[1])"
    )
    for round_ in range(12):
        path = f"{host.root}/{round_}/store.db"
        # Another interpreter start takes longer than the making: stop it right there, by its first file.
        child = subprocess.Popen([sys.executable, "-c", code, path])
        deadline = time.monotonic() + 10
        while not os.path.isdir(os.path.dirname(path)) and time.monotonic() < deadline:
            time.sleep(0.0005)
        time.sleep(random.uniform(0, 0.02))
        child.kill()
        child.wait()
        assert create_file(path) or os.path.exists(path)
        with contextlib.closing(sqlite3.connect(path)) as db:
            assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            assert db.execute("SELECT count(*) FROM meta").fetchone() == (4,)


def stop_between_transactions(child: subprocess.Popen[str], path: str) -> None:
    """Stop a process where it holds no lock of the database."""
    for _ in range(200):
        child.send_signal(signal.SIGSTOP)
        # Sent is not stopped: its store's thread may run on, and lock, after we have looked. All threads stand when this returns.
        os.waitid(os.P_PID, child.pid, os.WSTOPPED)
        with contextlib.closing(sqlite3.connect(path, timeout=0.1)) as db:
            try:
                db.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError:
                child.send_signal(signal.SIGCONT)
                continue
            db.rollback()
            return
    raise AssertionError("it holds the lock all the time")


def test_a_writer_killed_between_commit_and_bell_is_noticed(host: SqliteHost) -> None:
    """Nobody rang for its last write: its death makes the others look."""

    async def main() -> None:
        async with host.open("here") as store, watching(store) as watch:
            child = host.child("dies", "hold", "held", "3600")
            assert child.stdout is not None
            assert int(await asyncio.to_thread(child.stdout.readline)) == 1
            stop_between_transactions(child, host.path)
            with contextlib.closing(sqlite3.connect(host.path)) as db, db:
                # As if the child had committed and not rung.
                db.execute(
                    "INSERT INTO changes SELECT 2, 'silent', 2, time_ns, 'dies', NULL, live_bytes, total_bytes, x'00' "
                    "FROM changes WHERE revision = 1"
                )
                db.execute("INSERT INTO entries VALUES ('silent', 2, NULL)")
            child.kill()
            await until("it is seen", lambda: "silent" in watch.keys, 5)
            await until("what it held has ended", lambda: watch.keys == ["held", "silent", "held"])

    asyncio.run(main())
