"""Several processes write the same keys by compare-and-set: no update is lost, and all see the same order."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING

from store_host import until, watching

if TYPE_CHECKING:
    from store_host import SqliteHost

_TIMES = 60


def test_no_update_is_lost_among_processes(engine: SqliteHost) -> None:
    async def main() -> None:
        async with engine.open("here") as store, watching(store) as watch:
            children = [engine.child(f"w{n}", "increment", str(_TIMES), "x,y") for n in range(4)]
            said: list[tuple[int, str, int]] = []
            for child in children:
                out, _ = await asyncio.to_thread(child.communicate, timeout=60)
                assert child.returncode == 0
                for line in out.splitlines():
                    words = line.split()
                    said.append((int(words[0]), words[1], int(words[2])))
            assert len(said) == 4 * _TIMES
            said.sort()
            assert [revision for revision, _, _ in said] == list(range(1, 4 * _TIMES + 1))
            counts = Counter[str]()
            for _, key, count in said:
                counts[key] += 1
                assert count == counts[key]
            for entry in (await store.range("")).entries:
                assert set(entry.value.split()) == {b"%d" % counts[entry.key]}
            await until("all are seen", lambda: watch.revision >= len(said))
            assert watch.revisions == [revision for revision, _, _ in said]
            assert watch.keys == [key for _, key, _ in said]

    asyncio.run(main())


def test_a_watcher_in_another_process_sees_every_change(engine: SqliteHost) -> None:
    async def main() -> None:
        async with engine.open("here") as store:
            await store.put("first", b"1", writer="w")
            child = engine.child("there", "watch", "0")
            assert child.stdout is not None
            for number in range(2, 50):
                await store.put(f"k/{number % 4}", b"%d" % number, writer="w")
            lines = []
            for _ in range(49):
                async with asyncio.timeout(20):
                    lines.append(await asyncio.to_thread(child.stdout.readline))
            assert [int(line.split()[0]) for line in lines] == list(range(1, 50))
            child.kill()

    asyncio.run(main())
