"""A host of its own for stores under test: sessions with real locks and bells, engines in this process, and in others.

A session is mortal when a process of its own holds its lock, so that it can be killed.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any, Protocol, Self

from pillion.base.neighbours import Neighbours
from pillion.base.tasks import RootTasks
from pillion.keeper.places import INSTANCE_FILE, LOCK, take_lock
from pillion.store.sqlite import Options, SqliteStore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from pillion.store.interface import Change, Changes, Store

CHILD = os.path.join(os.path.dirname(os.path.abspath(__file__)), "store_child.py")
BOUND_S = 40.0
WHOLE_HISTORY = {"revisions": 1_000_000, "size_bytes": 1 << 30}
_KEEPER = """
import sys
sys.path[:0] = sys.argv[3:]
from store_host import hold_session
lock = hold_session(sys.argv[1], sys.argv[2])
print("up", flush=True)
sys.stdin.read()
"""


def hold_session(directory: str, run: str) -> int:
    """Be the keeper of a session from now on; returns the descriptor of the lock."""
    os.makedirs(directory, exist_ok=True)
    lock = take_lock(f"{directory}/{LOCK}")
    assert lock is not None
    facts = {
        "name": os.path.basename(directory),
        "run": run,
        "keeper": {"pid": os.getpid(), "start_ticks": 0},
    }
    with open(f"{directory}/{INSTANCE_FILE}.new", "w") as file:
        json.dump(facts, file)
    os.rename(f"{directory}/{INSTANCE_FILE}.new", f"{directory}/{INSTANCE_FILE}")
    return lock


class Host(Protocol):
    """What an engine under the contract offers: several engines on one store, in this process and in others."""

    root: str

    def open(self, name: str = "a", **bounds: Any) -> contextlib.AbstractAsyncContextManager[Store]:
        """An engine of the session `name`, started, and closed at the end."""

    def spec(self, name: str) -> str:
        """What `store_child.py` needs to open the store as the session `name`."""

    def kill(self, name: str) -> None:
        """End the (mortal) session `name` the hard way."""

    def mortal(self, name: str) -> None:
        """Let a process of its own hold the session `name` from now on."""


class SqliteHost:
    """Engines on one SQLite file."""

    def __init__(self, root: str) -> None:
        self.root = root
        self.path = f"{root}/state/.store/store.db"
        self._locks: dict[str, int] = {}
        self._keepers: dict[str, subprocess.Popen[bytes]] = {}
        self.children: list[subprocess.Popen[str]] = []

    def runtime(self, name: str) -> str:
        return f"{self.root}/run/{name}"

    def mortal(self, name: str, run: str = "r1") -> None:
        keeper = subprocess.Popen(
            [sys.executable, "-c", _KEEPER, self.runtime(name), run, *sys.path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert keeper.stdout is not None
        assert keeper.stdout.readline() == b"up\n"
        self._keepers[name] = keeper

    def kill(self, name: str) -> None:
        keeper = self._keepers.pop(name)
        keeper.kill()
        keeper.wait()
        _close_pipes(keeper)

    @contextlib.asynccontextmanager
    async def open(
        self, name: str = "a", *, run: str = "r1", path: str | None = None, **bounds: Any
    ) -> AsyncIterator[SqliteStore]:
        if name not in self._keepers and name not in self._locks:
            self._locks[name] = hold_session(self.runtime(name), run)
        ends: list[object] = []
        tasks = RootTasks(ends.append)
        neighbours = Neighbours(self.runtime(name), run)
        neighbours.start()
        store = SqliteStore(Options(path=path or self.path, **bounds), neighbours, tasks)
        await store.start()
        try:
            yield store
        finally:
            neighbours.close()
            await store.close()
            await tasks.close(5.0)
            assert [str(end) for end in ends] == []

    def spec(self, name: str) -> str:
        return json.dumps({"engine": "sqlite", "root": self.root, "name": name})

    def child(self, name: str, *words: str) -> subprocess.Popen[str]:
        """Start `store_child.py` as a session of its own."""
        child = subprocess.Popen(
            [sys.executable, CHILD, self.spec(name), *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        self.children.append(child)
        return child

    def close(self) -> None:
        for name in list(self._keepers):
            self.kill(name)
        for child in self.children:
            if child.poll() is None:
                child.kill()
            child.wait()
            if child.stdout is not None:
                child.stdout.close()
        for lock in self._locks.values():
            os.close(lock)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


HOSTS: dict[str, Callable[[str], SqliteHost]] = {"sqlite": SqliteHost}
"""The engines that the contract is held against."""


async def until(what: str, condition: Callable[[], bool], bound_s: float = BOUND_S) -> None:
    """Wait until `condition` holds; fails with `what`."""
    try:
        async with asyncio.timeout(bound_s):
            while not condition():  # noqa: ASYNC110 # nothing sets an event in another process
                await asyncio.sleep(0.005)
    except TimeoutError:
        raise AssertionError(f"not within {bound_s:g} s: {what}") from None


class Watching:
    """A watch in the background: everything it has yielded, and how it ended."""

    def __init__(self, store: Store, prefixes: tuple[str, ...], after: int) -> None:
        self.seen: list[Changes] = []
        self.error: BaseException | None = None
        self._watch = store.watch(prefixes, after)
        self._task = asyncio.create_task(self._run())

    @property
    def revisions(self) -> list[int]:
        return [change.revision for step in self.seen for change in step.changes]

    @property
    def changes(self) -> list[Change]:
        return [change for step in self.seen for change in step.changes]

    @property
    def keys(self) -> list[str]:
        return [change.key for step in self.seen for change in step.changes]

    @property
    def revision(self) -> int:
        return self.seen[-1].revision if self.seen else 0

    async def _run(self) -> None:
        try:
            async for step in self._watch:
                self.seen.append(step)
        except Exception as error:  # noqa: BLE001 # the test looks at it
            self.error = error

    async def close(self) -> None:
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        await self._watch.aclose()


@contextlib.asynccontextmanager
async def watching(
    store: Store, prefixes: tuple[str, ...] = ("",), after: int = 0
) -> AsyncIterator[Watching]:
    """Watch for as long as the block lasts."""
    made = Watching(store, prefixes, after)
    try:
        yield made
    finally:
        await made.close()


def _close_pipes(process: subprocess.Popen[bytes]) -> None:
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            stream.close()
