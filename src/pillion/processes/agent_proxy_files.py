"""Files that managed proxies depend on: sources of values, templates, and what lies in their own directories. inotify tells of changes; nothing is
read before it has."""

from __future__ import annotations

import asyncio
import os
import stat
from typing import TYPE_CHECKING, TypeAlias

from pillion.proxies.templating.references import ABSENT
from pillion.proxies.templating.sources import SourceError
from pillion.secrets.paths import watched_directories
from pillion.secrets.watching import Watcher

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pillion.base.tasks import RootTasks
    from pillion.proxies.templating.sources import Sources

FILE_BYTES = 1 << 20
MOST_FILES = 4096

# A network file system reports nothing: files are looked at that often besides.
_LOOK_S = 300.0

Signature: TypeAlias = tuple[int, ...]


class FileWatch:
    """Tells which of the paths that it was given have changed. Nothing runs while there are none."""

    def __init__(self, tasks: RootTasks, changed: Callable[[frozenset[str]], None]) -> None:
        self._tasks = tasks
        self._changed = changed
        self._paths: frozenset[str] = frozenset()
        self._watcher = Watcher()
        self._task: asyncio.Task[None] | None = None
        self.refused = 0

    def watch(self, paths: Iterable[str]) -> None:
        """Look at these from now on; those beyond `MOST_FILES` are counted and left out."""
        wanted = sorted(set(paths))
        self.refused = max(0, len(wanted) - MOST_FILES)
        if self._paths == (now := frozenset(wanted[:MOST_FILES])):
            return
        self._paths = now
        if self._task is not None:
            self._watcher.wake()
        elif now:
            self._task = self._tasks.start("proxies: watch files", self._follow(), may_end=True)

    def close(self) -> None:
        """Look at none."""
        self._paths = frozenset()
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def _follow(self) -> None:
        known: dict[str, Signature] = {}
        with self._watcher as watcher:
            while True:
                generation = watcher.generation
                paths = self._paths
                directories = await asyncio.to_thread(_directories, paths)
                watcher.watch(directories)
                # After the watch is there: what changes from now on is reported.
                seen = await asyncio.to_thread(_signatures, paths)
                # One that is new may have changed between its reading and the watch.
                changed = frozenset(path for path in paths if known.get(path) != seen[path])
                known = seen
                if changed:
                    self._changed(changed)
                await watcher.wait(generation, _LOOK_S)


class FileSource:
    """Files by absolute path, as text."""

    def __init__(self, sources: Sources, tasks: RootTasks) -> None:
        self._watch = FileWatch(tasks, lambda paths: sources.changed("file", paths))

    async def fetch(self, name: str) -> object:
        """The text of the file at `name`, at most `FILE_BYTES`."""
        return await asyncio.to_thread(read_text, name)

    def stale_s(self) -> int | None:
        """What is read is current."""
        return None

    def watch(self, names: frozenset[str]) -> None:
        """Tell of changes of these."""
        self._watch.watch(names)

    def close(self) -> None:
        """Tell of nothing."""
        self._watch.close()


def read_text(path: str) -> object:
    """The text of a regular file, `ABSENT` when there is none; `SourceError` for what cannot be used. It may wait for a disk."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (FileNotFoundError, NotADirectoryError):
        return ABSENT
    except (OSError, ValueError) as error:
        raise SourceError(
            f"cannot read file {path}: {getattr(error, 'strerror', None) or error}"
        ) from error
    with open(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise SourceError(f"cannot read file {path}: it is no regular file")
        try:
            data = file.read(FILE_BYTES + 1)
            text = data.decode()
        except UnicodeDecodeError:
            raise SourceError(f"cannot read file {path}: it is no text in UTF-8") from None
        except OSError as error:
            raise SourceError(f"cannot read file {path}: {error.strerror}") from error
    if len(data) > FILE_BYTES:
        raise SourceError(f"cannot read file {path}: it holds more than {FILE_BYTES} bytes")
    return text


def _directories(paths: Iterable[str]) -> set[str]:
    found: set[str] = set()
    for path in paths:
        found |= watched_directories(path)
    return found


def _signatures(paths: Iterable[str]) -> dict[str, Signature]:
    return {path: _signature(path) for path in paths}


def _signature(path: str) -> Signature:
    try:
        now = os.stat(path)
    except (OSError, ValueError):
        return ()
    return (now.st_dev, now.st_ino, now.st_size, now.st_mtime_ns, now.st_ctime_ns)
