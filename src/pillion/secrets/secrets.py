"""The secrets of one instance as the API sees them: listed without values, read one at a time, waited for.

No value stays here: it is read when it is asked for, and let go with the answer.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

import msgspec

from pillion.errors import RefusedError, UnreachableError
from pillion.secrets.paths import watched_directories
from pillion.secrets.reading import AbsentError, UnusableError, Value, read_value
from pillion.secrets.watching import Watcher

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from pillion.secrets.catalogue import Catalogue, Place
    from pillion.secrets.versions import Versions

T = TypeVar("T")

READ_TIMEOUT_S = 5.0
# A mount that hangs holds its threads; they are ours alone, so that nothing else waits with it.
_THREADS = 2


class SecretFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What may be known of a secret without knowing it.

    `kind` is file, env, credential or directory; `access` who may read it, app or operator; `version` a keyed hash, None
    where there is no value or not for this reader; `changed` RFC 3339 in UTC; `problem` why it cannot be read.
    """

    name: str
    kind: str
    access: str
    present: bool
    version: str | None = None
    changed: str | None = None
    problem: str | None = None


class Secrets:
    """Create it inside the running loop.

    `variable` gives the value of an environment variable, `time_text` RFC 3339 of seconds since the epoch,
    `started_s` when the environment was fixed.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        versions: Versions,
        variable: Callable[[str], bytes | None],
        time_text: Callable[[float], str],
        started_s: float,
        *,
        use_inotify: bool = True,
    ) -> None:
        self._catalogue = catalogue
        self._versions = versions
        self._variable = variable
        self._time_text = time_text
        self._started_s = started_s
        self._pool: ThreadPoolExecutor | None = None
        self.watcher = Watcher(use_inotify=use_inotify)
        self.reads = 0
        self.failures = 0

    def name_others(self, catalogue: Catalogue) -> None:
        """Take over the secrets of reloaded settings."""
        self._catalogue = catalogue
        self.watcher.wake()

    async def facts(self, *, operator: bool) -> list[SecretFacts]:
        """All of them in the order of names; versions only of what the reader may read."""
        return await self._in_thread(lambda: self._facts(operator=operator))

    def place(self, name: str, *, operator: bool) -> Place:
        """The secret `name` for this reader; `RefusedError` 404 for no such name, 403 for the operator's."""
        place = self._catalogue.find(name)
        if place.operator_only and not operator:
            raise RefusedError(
                403,
                "Forbidden",
                f'cannot give the secret {name} to the app: its access is "operator"; '
                "use the operator's token or the Unix socket as the instance's user",
            )
        return place

    async def read(self, place: Place) -> tuple[Value, str]:
        """The value now, and its version.

        Raises `AbsentError` (404), `UnusableError` (503), `UnreachableError` when its file system hangs.
        """
        self.reads += 1
        value = await self._in_thread(lambda: read_value(place, self._variable))
        return value, self._versions.of(place.name, value.data)

    async def wait(self, place: Place, version: str, wait_s: float) -> None:
        """Return when the value is another than `version`, or after `wait_s` seconds; an absent one has the version ""."""
        loop = asyncio.get_running_loop()
        deadline_s = loop.time() + wait_s
        with self.watcher as watcher:
            while True:
                generation = watcher.generation
                if await self._version(place) != version:
                    return
                await self._watch([place])
                if await self._version(place) != version:
                    return  # it changed before the watch was there
                while True:
                    left_s = deadline_s - loop.time()
                    if left_s <= 0:
                        return
                    if await watcher.wait(generation, left_s):
                        break

    async def changes(
        self, name: str | None, *, operator: bool, look_s: float
    ) -> AsyncGenerator[list[SecretFacts] | None, None]:
        """The facts of all secrets (of `name` alone, if given): first as they are, then those that changed, without end.

        One that has gone is told once more, as not present. Yields None after `look_s` seconds without a change, and
        looks then as well, since a network file system reports nothing.
        """
        with self.watcher as watcher:
            generation = watcher.generation
            places, known = await self._look(name, operator=operator)
            yield list(known.values())
            while True:
                await self._watch(places, directories=name is None)
                places, now = await self._look(name, operator=operator)
                changed = [one for one in now.values() if known.get(one.name) != one]
                gone = [
                    SecretFacts(name=one.name, kind=one.kind, access=one.access, present=False)
                    for one in known.values()
                    if one.name not in now
                ]
                known = now
                if changed or gone:
                    yield changed + gone
                if not await watcher.wait(generation, look_s):
                    yield None
                generation = watcher.generation

    def close(self) -> None:
        """End the waits and let go of the threads; one that hangs in a file system is left to it."""
        self.watcher.wake()
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._pool = None

    async def _version(self, place: Place) -> str:
        try:
            return (await self.read(place))[1]
        except (AbsentError, UnusableError):
            return ""

    async def _watch(self, places: list[Place], *, directories: bool = False) -> None:
        extra = self._catalogue.directories() if directories else []

        def wanted() -> set[str]:
            found: set[str] = set()
            for place in places:
                if place.path:
                    found |= watched_directories(place.path)
            for directory in extra:
                # What comes into a directory appears in it, and the directory itself in its own.
                found |= watched_directories(f"{directory}/.new")
            return found

        self.watcher.watch(await self._in_thread(wanted))

    async def _look(
        self, name: str | None, *, operator: bool
    ) -> tuple[list[Place], dict[str, SecretFacts]]:
        def look() -> tuple[list[Place], list[SecretFacts]]:
            places = (
                self._catalogue.all() if name is None else [self.place(name, operator=operator)]
            )
            return places, [self._facts_of(place, operator=operator) for place in places]

        places, facts = await self._in_thread(look)
        return places, {one.name: one for one in facts}

    def _facts(self, *, operator: bool) -> list[SecretFacts]:
        return [self._facts_of(place, operator=operator) for place in self._catalogue.all()]

    def _facts_of(self, place: Place, *, operator: bool) -> SecretFacts:
        version = changed = problem = None
        present = True
        try:
            value = read_value(place, self._variable)
        except AbsentError:
            present = False
        except UnusableError as error:
            problem = error.detail
        else:
            if operator or not place.operator_only:
                version = self._versions.of(place.name, value.data)
            changed_s = self._started_s if value.changed_s is None else value.changed_s
            changed = self._time_text(changed_s)
        return SecretFacts(
            name=place.name,
            kind=place.kind,
            access="operator" if place.operator_only else "app",
            present=present,
            version=version,
            changed=changed,
            problem=problem,
        )

    async def _in_thread(self, work: Callable[[], T]) -> T:
        if self._pool is None:
            self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="secrets")
        future = asyncio.get_running_loop().run_in_executor(self._pool, work)
        try:
            return await asyncio.wait_for(future, READ_TIMEOUT_S)
        except TimeoutError as error:
            self.failures += 1
            raise UnreachableError(
                f"cannot read secrets: their file system did not answer within {READ_TIMEOUT_S:g} s; "
                "see [secrets] and the mount"
            ) from error
