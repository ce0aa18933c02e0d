"""The app's output on the keeper's own stdout and stderr: one more reader of the spool, which may fall behind and may lose, but never waits."""

from __future__ import annotations

import os
import stat

from .tail import Tail

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

# A line longer than this is passed on in pieces.
_MAX_LINE_BYTES = 64 * 1024
# How far a mirror may fall behind the stream before it skips to the present.
MAX_LAG_BYTES = 4 << 20
# A prompt has no newline: on a terminal what stands alone this long is shown as it is.
_PROMPT_S = 0.1


def open_target(fd: int) -> int | None:
    """Return a non-blocking descriptor for what `fd` writes to, or None when there is nothing to write to.

    O_NONBLOCK belongs to the open file description, which we share with a shell, so a terminal or pipe is opened anew. A regular file
    is not: its offset is shared too, and others write behind us.
    """
    try:
        mode = os.fstat(fd).st_mode
    except OSError:
        return None
    if stat.S_ISREG(mode):
        return os.dup(fd)
    try:
        return os.open(
            f"/proc/self/fd/{fd}", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
        )
    except OSError:
        # A socket cannot be opened anew, and a pipe that another user made may not be: share its description.
        own = os.dup(fd)
        os.set_blocking(own, False)
        return own


class Mirror:
    """One stream's mirror, in whole lines. `mark` is told how far it has come, for a successor to go on there; `lost` counts the bytes that were not handed on, each loss announced in its place."""

    def __init__(
        self,
        name: str,
        directory: str,
        target: int,
        position: int = 0,
        mark: Callable[[int], None] = lambda _: None,
    ) -> None:
        self.name = name
        self.target = target
        self._mark = mark
        self.position = position
        self.lost = 0
        self.handed = 0
        self.closed = False
        self._tail = Tail(directory, position)
        self._terminal = os.isatty(target)
        self._out = memoryview(b"")
        self._partial = b""
        self._partial_since_s = 0.0
        # Bytes of the present loss; while it is not zero, everything up to the next newline belongs to it.
        self._gap = 0

    @property
    def blocked(self) -> bool:
        """Whether bytes wait for the target."""
        return bool(self._out)

    @property
    def unfinished(self) -> bool:
        """Whether a line without its newline, or the word of a loss, is held back."""
        return bool(self._partial or self._gap)

    @property
    def prompt_due_s(self) -> float | None:
        """Monotonic time at which an unfinished line is to be shown, or None."""
        return self._partial_since_s + _PROMPT_S if self._partial and self._terminal else None

    def step(self, end: int, now_s: float, *, last: bool = False) -> bool:
        """Hand on one block; False when there is nothing to do at present. May wait for the disk, never for the target.

        `end` is where the stream stands on disk; with `last` an unfinished line is handed on too.
        """
        if self.closed:
            return False
        if self._out:
            return self._write()
        if end - self.position > MAX_LAG_BYTES:
            self._tail.seek(end - MAX_LAG_BYTES // 4)
        chunk = self._tail.read()
        if chunk is not None:
            self._feed(*chunk, now_s)
            return True
        due_s = self.prompt_due_s
        if self._partial and (last or (due_s is not None and now_s >= due_s)):
            self._out, self._partial = memoryview(self._partial), b""
            return self._write()
        if self._gap and last:
            self._out = memoryview(self._announce())
            return self._write()
        return False

    def _feed(self, offset: int, data: bytes, now_s: float) -> None:
        if offset > self.position:
            self._gap += offset - self.position + len(self._partial)
            self._partial = b""
        # Set last: the drain in another thread takes it to mean that nothing is on its way any more.
        position = offset + len(data)
        out = b""
        if self._gap:
            head, newline, data = data.partition(b"\n")
            self._gap += len(head) + len(newline)
            if not newline:
                self.position = position
                return
            out = self._announce()
        data = self._partial + data
        cut = data.rfind(b"\n") + 1
        if not cut and len(data) > _MAX_LINE_BYTES:
            cut = len(data)
        if not self._partial:
            self._partial_since_s = now_s
        self._partial = data[cut:]
        self._out = memoryview(out + data[:cut])
        self.position = position

    def _announce(self) -> bytes:
        gap, self._gap = self._gap, 0
        self.lost += gap
        return f"[pillion: {gap} bytes of {self.name} not shown here]\n".encode()

    def _write(self) -> bool:
        try:
            written = os.write(self.target, self._out)
        except BlockingIOError:
            return False
        except OSError:
            # Nobody reads any more; the spool goes on without a mirror.
            self.closed = True
            self._out = memoryview(b"")
            return False
        self._out = self._out[written:]
        self.handed += written
        if not self._out and not self._gap:
            self._mark(self.position - len(self._partial))
        return True
