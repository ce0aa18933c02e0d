"""Whether the holder of a lease lives: on one host that is a held lock, and nobody has to renew anything.

A session is only judged where it can be asked for: the store may be shared by containers that do not see each other's runtime
directories. One from before the last boot is gone for certain.
"""

from __future__ import annotations

import os
from collections import deque
from typing import TYPE_CHECKING

import msgspec

from pillion.base.neighbours import Session
from pillion.keeper.places import INSTANCE_FILE, is_running
from pillion.store.rows import Holder

if TYPE_CHECKING:
    from collections.abc import Callable

    from pillion.base.neighbours import Neighbours

_BOOT_ID = "/proc/sys/kernel/random/boot_id"
_REMEMBERED = 4096


class _Facts(msgspec.Struct):
    run: str


class Sessions:
    """What `neighbours` know, in terms of leases."""

    def __init__(self, neighbours: Neighbours, on_gone: Callable[[Holder], None]) -> None:
        self._neighbours = neighbours
        self._on_gone = on_gone
        self._gone: deque[Holder] = deque(maxlen=_REMEMBERED)
        self._boot, self._root = _boot_id(), os.path.dirname(neighbours.runtime_dir("-"))
        self._realm = ""
        neighbours.on_gone(self._has_gone)

    @property
    def realm(self) -> str:
        """Where our sessions can be asked for: this boot of this host, and the directory that their locks are in."""
        if not self._realm:
            try:
                root = os.stat(self._root)
            except OSError:
                return f"{self._boot}/{self._root}"
            self._realm = f"{self._boot}/{root.st_dev}:{root.st_ino}"
        return self._realm

    @property
    def own(self) -> Holder:
        """Our own session."""
        own = self._neighbours.own
        return Holder(own.instance, own.run, self.realm)

    @property
    def count(self) -> int:
        """How many sessions are alive."""
        return len(self._neighbours.sessions)

    def known(self) -> frozenset[Holder]:
        """Those that are alive for certain."""
        realm = self.realm
        return frozenset(Holder(*one, realm) for one in self._neighbours.sessions)

    def dead(self, holder: Holder) -> bool:
        """Whether `holder` is gone for certain."""
        realm = self.realm
        if holder.realm != realm:
            return holder.realm.partition("/")[0] != self._boot
        if self._neighbours.alive(Session(holder.instance, holder.run)):
            return False
        return holder in self._gone or not self._is_locked(holder)

    def _is_locked(self, holder: Holder) -> bool:
        """Whether a session that nobody has told of is there nevertheless: it may have come a moment ago."""
        directory = self._neighbours.runtime_dir(holder.instance)
        try:
            with open(f"{directory}/{INSTANCE_FILE}", "rb") as file:
                facts = msgspec.json.decode(file.read(1 << 16), type=_Facts)
            return facts.run == holder.run and is_running(directory)
        except (OSError, msgspec.DecodeError):
            return False

    def _has_gone(self, session: Session) -> None:
        holder = Holder(*session, self.realm)
        self._gone.append(holder)
        self._on_gone(holder)


def _boot_id() -> str:
    try:
        with open(_BOOT_ID) as file:
            return file.read().strip()
    except OSError:
        return "unknown"
