"""The keeper's one thread: wait for descriptors, signals and times, and call what is due. Nothing else ever waits."""

from __future__ import annotations

import heapq
import os
import select
import time

from .lean import signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


class Timer:
    """A call at a monotonic time; `cancel` makes it never happen."""

    __slots__ = ("callback", "due_s")

    def __init__(self, due_s: float, callback: Callable[[], None]) -> None:
        self.due_s = due_s
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        """Drop the call."""
        self.callback = None

    def __lt__(self, other: Timer) -> bool:
        return self.due_s < other.due_s


class Loop:
    """epoll, a heap of timers, and signals through a wakeup descriptor."""

    def __init__(self, failed: Callable[[Exception], None]) -> None:
        # One thing that goes wrong must not end the keeper, and with it everything: it is told and the loop goes on.
        self._failed = failed
        self._poll = select.epoll()
        self._readers: dict[int, Callable[[], None]] = {}
        self._timers: list[Timer] = []
        self._signals: dict[int, Callable[[int], None]] = {}
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_read, False)
        os.set_blocking(self._wake_write, False)
        signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        self.add(self._wake_read, self._deliver)

    def rewire(self) -> None:
        """Hear signals again after an execve that failed."""
        signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)

    def add(self, fd: int, callback: Callable[[], None], events: int = select.EPOLLIN) -> None:
        """Call `callback` whenever `fd` is ready."""
        self._readers[fd] = callback
        self._poll.register(fd, events)

    def modify(self, fd: int, events: int) -> None:
        """Wait for other events of a descriptor."""
        self._poll.modify(fd, events)

    def remove(self, fd: int) -> None:
        """Stop watching a descriptor, before it is closed."""
        if self._readers.pop(fd, None) is not None:
            self._poll.unregister(fd)

    def at(self, due_s: float, callback: Callable[[], None]) -> Timer:
        """Call once at a monotonic time."""
        timer = Timer(due_s, callback)
        heapq.heappush(self._timers, timer)
        return timer

    def after(self, delay_s: float, callback: Callable[[], None]) -> Timer:
        """Call once after a delay."""
        return self.at(time.monotonic() + delay_s, callback)

    def move(self, timer: Timer, due_s: float) -> None:
        """Give a call that has not been made yet another time, without leaving anything behind: what is moved often stays one timer."""
        timer.due_s = due_s
        heapq.heapify(self._timers)

    def on_signal(self, number: int, callback: Callable[[int], None]) -> None:
        """Call `callback(number)` from the loop when the signal has come."""
        self._signals[number] = callback
        signal.signal(number, _noted)

    def _deliver(self) -> None:
        try:
            numbers = os.read(self._wake_read, 4096)
        except BlockingIOError:
            return
        # SIGCHLD tells nothing by its count, others may matter each time.
        for number in dict.fromkeys(numbers):
            callback = self._signals.get(number)
            if callback is not None:
                # Each for itself: one that fails must not swallow the others that came with it.
                self._call(callback, number)

    def turn(self) -> None:
        """Wait for the next thing and do it."""
        timeout = -1.0
        while self._timers and self._timers[0].callback is None:
            heapq.heappop(self._timers)
        if self._timers:
            timeout = max(0.0, self._timers[0].due_s - time.monotonic())
        for fd, _ in self._poll.poll(timeout):
            callback = self._readers.get(fd)
            if callback is not None:
                self._call(callback)
        now_s = time.monotonic()
        while self._timers and self._timers[0].due_s <= now_s:
            timer = heapq.heappop(self._timers)
            if timer.callback is not None:
                self._call(timer.callback)

    def _call(self, callback: Callable[..., None], *arguments: int) -> None:
        try:
            callback(*arguments)
        except Exception as error:  # noqa: BLE001 # the loop's last line of defence, see __init__
            self._failed(error)

    def close(self) -> None:
        """Give up the loop's own descriptors, in a child or before an execve."""
        signal.set_wakeup_fd(-1)
        self._poll.close()
        os.close(self._wake_read)
        os.close(self._wake_write)


def _noted(number: int, frame: object) -> None:
    """Let the wakeup descriptor do the telling."""
