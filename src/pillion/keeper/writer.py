"""The scribe's second thread: ring to disk. Whatever the disk does, only this thread waits for it."""

from __future__ import annotations

import os
import time

from . import posix
from .spool import SegmentWriter, segment_bytes, spooled_end

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .quota import Quota
    from .ring import Ring

# After a failed write (disk full, read-only) the next try.
_RETRY_S = 0.5
_QUOTA_EVERY_S = 10.0


class StreamWriter:
    """One stream on its way to disk. `spooled` is the offset up to which segments hold it, `failure` the last write error."""

    def __init__(self, name: str, ring: Ring, directory: str, limit_bytes: int) -> None:
        self.name = name
        self.ring = ring
        self.directory = directory
        self.failure: str | None = None
        self.spooled = 0
        self._limit = limit_bytes
        self._recovered_to = 0
        self._writer: SegmentWriter | None = None

    def recover(self) -> None:
        """Find out where the segments of a scribe before us end, and pass over what the ring still holds of it. May wait for the disk."""
        self.spooled = self._recovered_to = spooled_end(self.directory)
        if (batch := self.ring.take(self.spooled)) is not None:
            self.ring.release(batch, 0)

    def step(self) -> bool:
        """Write one batch; False when the ring holds nothing more or the disk refused."""
        batch = self.ring.take(self._recovered_to)
        if batch is None:
            self.failure = None
            return False
        written = 0
        try:
            if self._writer is None:
                self._writer = SegmentWriter(self.directory, self._limit)
            written = self._writer.append(batch.data, batch.first)
            self.failure = None
        except OSError as error:
            self.failure = f"cannot write {self.directory}: {error.strerror}"
        finally:
            self.ring.release(batch, written)
        if written:
            self.spooled = self.ring.written_to
        return written > 0

    def seal(self) -> None:
        """Close the segment being written, so that it can be removed once it is shipped."""
        if self._writer is not None:
            self._writer.close()

    @property
    def path(self) -> str | None:
        """The segment being written."""
        return self._writer.path if self._writer else None


class Spooler:
    """All streams of an instance on their way to disk, with their quotas; `run` is the body of the thread."""

    def __init__(
        self, streams: list[StreamWriter], quotas: list[Quota], run: str, spool_bytes: int
    ) -> None:
        self.streams = streams
        self._quotas = quotas
        self._run = run
        self._limit = segment_bytes(spool_bytes)
        self._since_quota = 0
        self._quota_at_s = 0.0
        self.wake = os.eventfd(0, os.EFD_CLOEXEC)
        # Rises whenever something reached the disk: the mirror and a blocked reader wait for it.
        self.progress: list[int] = []
        # Streams whose quota is passed, and that wait until some of it is shipped.
        self._held: frozenset[str] = frozenset()
        self._failures: list[str | None] = [None] * len(streams)

    @property
    def over_quota(self) -> bool:
        """Whether a quota is passed by what no receiver has yet."""
        return bool(self._held)

    def run(self) -> None:
        """Write for ever. Each round takes a batch of every stream in turn, so that none starves."""
        for stream in self.streams:
            stream.recover()
        while True:
            posix.clear(self.wake)
            while self._round():
                for fd in self.progress:
                    os.eventfd_write(fd, 1)

    def _round(self) -> bool:
        now_s = time.monotonic()
        if now_s >= self._quota_at_s:
            self._enforce(now_s)
        before = sum(s.spooled for s in self.streams)
        busy = False
        failed = False
        for stream in self.streams:
            if stream.name in self._held:
                continue
            busy |= stream.step()
            failed |= stream.failure is not None
        self._since_quota += sum(s.spooled for s in self.streams) - before
        if self._since_quota >= self._limit:
            self._quota_at_s = 0.0
        failures = [s.failure for s in self.streams]
        if failures != self._failures:
            # Nobody else is awake to tell of it, when nothing is written.
            self._failures = failures
            for fd in self.progress[:1]:
                os.eventfd_write(fd, 1)
        if failed or (self._held and not busy):
            time.sleep(_RETRY_S)
            return True
        return busy

    def _enforce(self, now_s: float) -> None:
        self._since_quota = 0
        writing = {s.path for s in self.streams if s.path}
        held: frozenset[str] = frozenset()
        for quota in self._quotas:
            try:
                if not quota.enforce(writing, time.time()):
                    held |= quota.streams
                quota.remove_empty_runs(self._run)
            except OSError as error:
                self.streams[0].failure = f"cannot keep the spool's quota: {error.strerror}"
        self._held = held
        self._quota_at_s = now_s + (_RETRY_S if held else _QUOTA_EVERY_S)
        for stream in self.streams:
            if stream.name in held:
                stream.seal()
