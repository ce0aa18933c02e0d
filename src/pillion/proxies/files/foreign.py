"""Sees when somebody else has changed a proxy's files: each edit is told once, with what it changed, and nobody looks at them while nothing happens."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

import msgspec

from pillion.base.files import write_atomically
from pillion.base.inotify import CHANGES, Inotify
from pillion.proxies.files.candidate import MOST_BYTES, digest
from pillion.proxies.files.differences import diff
from pillion.proxies.files.history import HIDDEN
from pillion.proxies.files.site import trouble

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from pillion.proxies.files.intent import Intent
    from pillion.proxies.files.site import Site

SHOWN_CHARACTERS = 8 << 10

# An editor takes several steps: what it ends with is looked at, not each of them.
_SETTLE_S = 0.2


class Edit(msgspec.Struct, frozen=True):
    """A file that is not as it was written: `digest` is what it is now, "" when it is gone."""

    name: str
    digest: str


def current(site: Site, names: Iterable[str]) -> dict[str, str]:
    """What is served at present: text by name, of those that are there. Blocks; raises `FilesError`."""
    found: dict[str, str] = {}
    for name in names:
        try:
            with open(site.live(name), "rb") as file:
                found[name] = file.read(MOST_BYTES).decode(errors="replace")
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            raise trouble(f"cannot look at the files of {site.name}", error) from error
    return found


def edits(site: Site, written: Intent) -> tuple[Edit, ...]:
    """The files that are not as they were `written`, sorted by name. Blocks; raises `FilesError`."""
    found: list[Edit] = []
    for name, wanted in sorted(written.digests.items()):
        try:
            with open(site.live(name), "rb") as file:
                now = digest(file.read(MOST_BYTES))
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            now = ""
        except OSError as error:
            raise trouble(f"cannot look at the files of {site.name}", error) from error
        if now != wanted:
            found.append(Edit(name, now))
    return tuple(found)


def shown(site: Site, found: Iterable[Edit], kept: Mapping[str, str]) -> str:
    """What the edits changed, as a unified diff that anybody may see, of at most about `SHOWN_CHARACTERS`.

    `kept` is what was written, from the history and without secrets. A file in which one stands, and one that the history has not, is left out. Blocks;
    raises `FilesError`.
    """
    names = [edit.name for edit in found if edit.name in kept and HIDDEN not in kept[edit.name]]
    before = {name: kept[name] for name in names}
    return diff(before, current(site, names), SHOWN_CHARACTERS)


class Told:
    """Which edits were told already, over the death of an agent: in a file of the state."""

    def __init__(self, site: Site) -> None:
        self._path = site.edited
        self._known: dict[str, str] | None = None

    def news(self, found: tuple[Edit, ...]) -> tuple[Edit, ...]:
        """Those of `found` that nobody was told of yet; from now on they are. Blocks, and never fails: at worst an edit is told again after a restart."""
        known = self._load()
        now = {edit.name: edit.digest for edit in found}
        new = tuple(edit for edit in found if known.get(edit.name) != edit.digest)
        self._known = now
        if now != known:
            self._save(now)
        return new

    def _load(self) -> Mapping[str, str]:
        if self._known is not None:
            return self._known
        try:
            with open(self._path, "rb") as file:
                return msgspec.json.decode(file.read(1 << 20), type=dict[str, str])
        except (OSError, msgspec.DecodeError, UnicodeDecodeError):
            return {}

    def _save(self, now: dict[str, str]) -> None:
        try:
            if now:
                write_atomically(self._path, msgspec.json.encode(now))
            elif os.path.exists(self._path):
                os.unlink(self._path)
        except OSError:
            # It is kept in memory; what is lost with it is that it was told.
            return


class Watch:
    """Calls `changed` some time after something has happened in the directories that the files are in; asleep until then.

    While it is `paused`, as it has to be while our own files are moved, nothing is called; `resumed` then looks once. `blind` says why nothing is seen, when the user's inotify
    quota is used up: then only what is looked at for another reason is found.
    """

    def __init__(self, site: Site, changed: Callable[[], None]) -> None:
        self._site = site
        self._changed = changed
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._paused = False
        self._names: tuple[str, ...] = ()
        self.blind = ""
        self._inotify: Inotify | None = None

    def begin(self, names: Iterable[str]) -> None:
        """Watch the directories of these files; again with others when there are others."""
        self._names = tuple(names)
        if self._inotify is None:
            try:
                self._inotify = Inotify(CHANGES)
            except OSError as error:
                self.blind = f"cannot watch {self._site.directory}: {error.strerror}; raise fs.inotify.max_user_instances"
                return
            self._loop.add_reader(self._inotify.fd, self._happened)
        self._look()

    def pause(self) -> None:
        """Our own files are about to be moved."""
        self._paused = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def resume(self) -> None:
        """Our own files are in place: what somebody else did meanwhile is found now."""
        self._paused = False
        self._happened()

    def close(self) -> None:
        """Watch no more."""
        self.pause()
        if self._inotify is not None:
            self._loop.remove_reader(self._inotify.fd)
            self._inotify.close()
            self._inotify = None

    def _look(self) -> None:
        if self._inotify is None:
            return
        seen = [
            self._inotify.watch(folder)
            for folder in {os.path.dirname(self._site.live(name)) for name in self._names}
        ]
        self.blind = "" if all(seen) else f"cannot watch {self._site.directory}: it is not there"

    def _happened(self) -> None:
        if self._inotify is not None:
            self._inotify.drain()
        if not self._paused and self._timer is None:
            self._timer = self._loop.call_later(_SETTLE_S, self._settled)

    def _settled(self) -> None:
        self._timer = None
        # A directory that was replaced is another one.
        self._look()
        self._changed()
