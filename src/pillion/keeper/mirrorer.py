"""The scribe's third thread: spool to terminal. Whatever the terminal does, only this thread waits for it."""

from __future__ import annotations

import os
import select
import time

from . import posix

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .mirror import Mirror
    from .writer import StreamWriter


class Mirrorer:
    """Hands on what is on disk, for all mirrored streams in turn."""

    def __init__(self, mirrors: list[Mirror], writers: dict[str, StreamWriter]) -> None:
        self.mirrors = mirrors
        self._writers = writers
        self.wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        # Rises when something was lost, for whoever tells of it.
        self.told = -1
        self._lost = 0
        self._last = False
        self._idle = False

    def run(self) -> None:
        """Hand on for ever."""
        poll = select.poll()
        poll.register(self.wake, select.POLLIN)
        while True:
            now_s = time.monotonic()
            busy = False
            for mirror in self.mirrors:
                busy |= mirror.step(self._writers[mirror.name].spooled, now_s, last=self._last)
            self._tell_of_losses()
            if busy:
                continue
            self._idle = True
            timeout_ms = self._prepare(poll, now_s)
            for fd, _ in poll.poll(timeout_ms):
                if fd == self.wake:
                    posix.clear(self.wake)
            self._idle = False

    def _tell_of_losses(self) -> None:
        lost = sum(m.lost for m in self.mirrors)
        if lost != self._lost and self.told >= 0:
            self._lost = lost
            os.eventfd_write(self.told, 1)

    def _prepare(self, poll: select.poll, now_s: float) -> float | None:
        due = [m.prompt_due_s for m in self.mirrors if m.prompt_due_s is not None]
        for mirror in self.mirrors:
            if mirror.blocked:
                poll.register(mirror.target, select.POLLOUT)
            else:
                try:
                    poll.unregister(mirror.target)
                except KeyError:
                    continue
        return max(0.0, (min(due) - now_s) * 1000) if due else None

    def finish(self) -> None:
        """From now on show unfinished lines too."""
        self._last = True
        os.eventfd_write(self.wake, 1)

    @property
    def handed(self) -> int:
        """Bytes handed on so far."""
        return sum(m.handed for m in self.mirrors)

    def is_drained(self) -> bool:
        """Whether every mirror has handed on what is on disk (or cannot)."""
        return all(
            m.closed
            or (m.position >= self._writers[m.name].spooled and not m.blocked and not m.unfinished)
            for m in self.mirrors
        )
