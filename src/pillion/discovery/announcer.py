"""Writes what the app is announced as into the runtime directory, and takes it away; nothing is written while nothing changes."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import msgspec

from pillion.base.files import write_atomically
from pillion.discovery.announcements import ANNOUNCEMENT, read_announcement
from pillion.discovery.instance import RECORD_BYTES, decode, encode

if TYPE_CHECKING:
    from collections.abc import Callable

    from pillion.base.neighbours import Session
    from pillion.discovery.instance import ServiceInstance


class Announcer:
    """The announcement of one instance. `changed` is called after each change on disk, with what stands there now.

    The file outlives this agent on purpose: the app is there though its agent is not, and the keeper's lock, not the
    agent's life, says so.
    """

    def __init__(
        self,
        runtime_dir: str,
        session: Session,
        changed: Callable[[ServiceInstance | None], None],
    ) -> None:
        self._directory = runtime_dir
        self._session = session
        self._changed = changed
        self.present: ServiceInstance | None = None

    def take_over(self) -> None:
        """Begin with what an agent before us has announced; what is not of this run is no announcement.

        Called once, when this agent is the one in charge. Raises `OSError` when a bad file cannot be removed.
        """
        try:
            self.present = read_announcement(self._directory, self._session)
        except ValueError:
            self._remove()
        self._changed(self.present)

    def announce(self, instance: ServiceInstance | None) -> bool:
        """Let `instance` stand there, or nothing; False when it does already.

        `since` stays as it is when nothing but the status changes. Raises `ValueError` for an instance that nobody would
        take, `OSError` when it cannot be written; what stood there then still does.
        """
        present = self.present
        if instance is not None and present is not None:
            same = msgspec.structs.replace(instance, since=present.since, status=present.status)
            if same == present:
                instance = msgspec.structs.replace(instance, since=present.since)
        if instance == present:
            return False
        if instance is None:
            self._remove()
        else:
            data = encode(instance)
            if len(data) > RECORD_BYTES:
                raise ValueError(f"it has {len(data)} bytes, more than {RECORD_BYTES}")
            decode(data)
            write_atomically(f"{self._directory}/{ANNOUNCEMENT}", data)
        self.present = instance
        self._changed(instance)
        return True

    def _remove(self) -> None:
        try:
            os.unlink(f"{self._directory}/{ANNOUNCEMENT}")
        except FileNotFoundError:
            return  # what was to be gone is gone
