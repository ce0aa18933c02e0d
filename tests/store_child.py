"""A process that uses a store under test as a session of its own: `increment`, `write`, `watch` or `hold`. It may be killed at any time.

Every line on stdout is one fact, written at once: what was acknowledged, or what was seen.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
from typing import TYPE_CHECKING

from pillion.store.interface import ABSENT, ConflictError, StoreUnavailableError
from store_host import HOSTS, WHOLE_HISTORY, hold_session

if TYPE_CHECKING:
    from pillion.store.interface import Store


def say(*words: object) -> None:
    """One line."""
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


async def increment(store: Store, writer: str, keys: list[str], times: int) -> None:
    """Count up keys by compare-and-set; a lost race is tried again. `times` 0: until killed."""
    done = 0
    while not times or done < times:
        key = random.choice(keys)
        _, entry = await store.read(key)
        count = int(entry.value.split()[0]) if entry else 0
        # Long and repeated, so that a torn value would show.
        value = b" ".join([b"%d" % (count + 1)] * 200)
        try:
            revision = await store.put(
                key, value, writer=writer, expect=entry.revision if entry else ABSENT
            )
        except ConflictError:
            continue
        say(revision, key, count + 1)
        done += 1


async def write(store: Store, writer: str, size: int) -> None:
    """Write new keys until killed."""
    number = 0
    while True:
        number += 1
        revision = await store.put(f"w/{writer}/{number % 50}", bytes(size), writer=writer)
        say(revision)


async def watch(store: Store, after: int) -> None:
    """Say every change."""
    async for step in store.watch(("",), after):
        for change in step.changes:
            value = change.value.split()[0].decode() if change.value else "-"
            say(change.revision, change.key, value)


async def hold(store: Store, key: str, ttl_s: float) -> None:
    """Keep a key by a lease, without renewing it, until killed."""
    lease = await store.grant(ttl_s)
    say(await store.put(key, b"held", writer="holder", lease=lease))
    await asyncio.Event().wait()


async def main() -> None:
    spec = json.loads(sys.argv[1])
    host = HOSTS[spec["engine"]](spec["root"])
    name, (verb, *words) = spec["name"], sys.argv[2:]
    lock = hold_session(host.runtime(name), "r1")
    host._locks[name] = lock
    # Nothing is forgotten while tests look at the whole history: any writer may be the one that compacts.
    async with host.open(name, **WHOLE_HISTORY) as store:
        try:
            if verb == "increment":
                await increment(store, name, words[1].split(","), int(words[0]))
            elif verb == "write":
                await write(store, name, int(words[0]))
            elif verb == "watch":
                await watch(store, int(words[0]))
            else:
                await hold(store, words[0], float(words[1]))
        except StoreUnavailableError as error:
            say("unavailable", error)
            raise


if __name__ == "__main__":
    asyncio.run(main())
