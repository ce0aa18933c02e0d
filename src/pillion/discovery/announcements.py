"""What the other sidecars of this host announce: one file each, believed as long as the keeper's lock holds it.

A file is read when its owner rings, when a sidecar arrives, and rarely in doubt; there is nothing to renew and nothing to
poll. Whose lock is free is gone at once, whatever file it has left.
"""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING, NamedTuple

from pillion.discovery.instance import RECORD_BYTES, decode
from pillion.keeper.places import SERVICE_FILE

if TYPE_CHECKING:
    from collections.abc import Callable

    from pillion.base.neighbours import Neighbours, Session
    from pillion.discovery.instance import ServiceInstance

ANNOUNCEMENT = SERVICE_FILE
TOPIC = "service"


class _Mark(NamedTuple):
    """By which a file is known to be the same as before, without opening it."""

    inode: int
    mtime_ns: int
    size: int


class Announcements:
    """Follows the neighbours' announcements and tells `changed(session, instance or None)` of each.

    `refused` counts files that were garbage, of another user or of another run.
    """

    def __init__(
        self, neighbours: Neighbours, changed: Callable[[str, ServiceInstance | None], None]
    ) -> None:
        self._neighbours = neighbours
        self._changed = changed
        self._seen: dict[str, tuple[Session, _Mark | None]] = {}
        self.refused = 0
        neighbours.listen(TOPIC, lambda instance, _: self._look_again(instance))
        neighbours.on_arrived(self.look)
        neighbours.on_gone(self._gone)
        neighbours.on_doubt(self.look_at_all)

    def ring(self) -> None:
        """Tell all others that our own announcement has changed."""
        self._neighbours.ring(TOPIC, self._neighbours.own.instance)

    def look_at_all(self) -> None:
        """Look at every neighbour; a file that is as before is not opened."""
        for session in self._neighbours.sessions:
            self.look(session)

    def look(self, session: Session) -> None:
        """Look at what `session` announces."""
        if session == self._neighbours.own:
            return  # we know best
        directory = self._neighbours.runtime_dir(session.instance)
        mark = _mark_of(f"{directory}/{ANNOUNCEMENT}")
        if self._seen.get(session.instance) == (session, mark):
            return
        self._seen[session.instance] = (session, mark)
        instance = None
        if mark is not None:
            try:
                instance = read_announcement(directory, session)
            except ValueError:
                self.refused += 1
            except OSError:
                # Unreadable at this moment (descriptors, memory): what we know stays until the next look.
                del self._seen[session.instance]
                return
        self._changed(session.instance, instance)

    def _look_again(self, instance: str) -> None:
        known = self._seen.get(instance)
        if known is not None and self._neighbours.alive(known[0]):
            self.look(known[0])

    def _gone(self, session: Session) -> None:
        self._seen.pop(session.instance, None)
        self._changed(session.instance, None)


def read_announcement(directory: str, session: Session) -> ServiceInstance | None:
    """What the instance with the runtime directory `directory` announces in its life `session`; None for nothing.

    Raises `ValueError` for a file that is none of ours, not whole, or of another life of the instance; `OSError` when
    it cannot be read for other reasons.
    """
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        descriptor = os.open(f"{directory}/{ANNOUNCEMENT}", flags)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):
            raise ValueError("cannot take it: it is a link or a socket") from error
        raise
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_uid not in (os.geteuid(), 0):
            raise ValueError("cannot take it: it is no file of ours")
        data = os.read(descriptor, RECORD_BYTES + 1)
    finally:
        os.close(descriptor)
    instance = decode(data)
    if (instance.instance, instance.run) != session or instance.id != session.instance:
        raise ValueError("cannot take it: it speaks for another than its directory's instance")
    return instance


def _mark_of(path: str) -> _Mark | None:
    try:
        found = os.lstat(path)
    except OSError:
        return None
    return _Mark(found.st_ino, found.st_mtime_ns, found.st_size)
