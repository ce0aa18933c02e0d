"""Looks names up, again and again: all addresses of each, in threads, since the resolver of the C library blocks for as long as it likes.

A name that cannot be found any more keeps the addresses that it had: a resolver that fails is no reason to lose endpoints that answer.
"""

from __future__ import annotations

import asyncio
import random
import socket
import threading
from collections import deque
from typing import TYPE_CHECKING

from pillion.ambassador.resolve import Answer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MOST_NAMES = 1000
MOST_AT_ONCE = 4
"""Threads; a resolver that hangs holds at most these."""
MOST_ADDRESSES = 256
_FIRST_RETRY_S = 1.0


def look_up(name: str) -> list[str]:
    """All IPv4 and IPv6 addresses of `name`, by the host's own rules (getaddrinfo(3)). Blocks; raises `OSError` or `UnicodeError`."""
    found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    return [str(sockaddr[0]) for *_, sockaddr in found]


class Names:
    """Make it inside the running loop. `changed` is called from the loop when an answer differs from the one before.

    `failed` is given the name and why it cannot be found, once when that begins, and with an empty text when it is over.

    `failures` counts look-ups that found nothing, `overflow` names beyond `MOST_NAMES`, which are never found.
    """

    def __init__(
        self,
        changed: Callable[[], None],
        failed: Callable[[str, str], None],
        look: Callable[[str], list[str]] = look_up,
    ) -> None:
        self._changed = changed
        self._failed = failed
        self._look = look
        self._loop = asyncio.get_running_loop()
        self._names: dict[str, _Name] = {}
        self._waiting: deque[_Name] = deque()
        self._running = 0
        self._closed = False
        self.failures = 0
        self.overflow = 0

    def want(self, wanted: Mapping[str, float]) -> None:
        """Look up these names and no others, each at its interval in seconds; new ones at once."""
        for name in [name for name in self._names if name not in wanted]:
            self._names.pop(name).cancel()
        self._waiting = deque(one for one in self._waiting if self._names.get(one.name) is one)
        for name, interval_s in wanted.items():
            known = self._names.get(name)
            if known is not None:
                sooner = interval_s < known.interval_s
                known.interval_s = interval_s
                if sooner and known.timer is not None:
                    self._later(known, interval_s)
            elif len(self._names) < MOST_NAMES:
                known = self._names[name] = _Name(name, interval_s)
                self._begin(known)
            else:
                self.overflow += 1

    def answer(self, name: str) -> Answer:
        """What is known of `name` now."""
        known = self._names.get(name)
        if known is None:
            return Answer(None, f"cannot look up {name}: {MOST_NAMES} names are looked up already")
        return Answer(known.addresses, known.error)

    def close(self) -> None:
        """Look no more; a thread that waits for its resolver ends with the process."""
        self._closed = True
        for known in self._names.values():
            known.cancel()
        self._names.clear()
        self._waiting.clear()

    def _begin(self, known: _Name) -> None:
        known.timer = None
        if self._closed or self._names.get(known.name) is not known:
            return
        if self._running >= MOST_AT_ONCE:
            self._waiting.append(known)
            return
        self._running += 1
        # A daemon: an executor's threads would be waited for at our end, and a resolver takes its time.
        threading.Thread(
            target=self._in_thread, args=(known,), name=f"resolve {known.name}", daemon=True
        ).start()

    def _in_thread(self, known: _Name) -> None:
        try:
            # Sorted, since a server turns them round with every answer.
            addresses = tuple(sorted(set(self._look(known.name))))[:MOST_ADDRESSES]
            error = "" if addresses else f"cannot resolve {known.name}: it has no address"
        except (OSError, UnicodeError) as failure:
            why = getattr(failure, "strerror", None) or str(failure)
            addresses, error = (), f"cannot resolve {known.name}: {why}"
        try:
            self._loop.call_soon_threadsafe(self._looked_up, known, addresses, error)
        except RuntimeError:
            return  # the loop is closed: nobody wants to know any more

    def _looked_up(self, known: _Name, addresses: tuple[str, ...], error: str) -> None:
        self._running -= 1
        if self._closed:
            return
        if self._waiting:
            self._begin(self._waiting.popleft())
        if self._names.get(known.name) is not known:
            return
        before = known.addresses, known.error
        if error:
            self.failures += 1
            known.retry_s = min(max(known.retry_s * 2, _FIRST_RETRY_S), known.interval_s)
        else:
            known.addresses = addresses
            known.retry_s = 0.0
        known.error = error
        self._later(known, known.retry_s or known.interval_s)
        if bool(error) != bool(before[1]):
            self._failed(known.name, error)
        if before != (known.addresses, known.error):
            self._changed()

    def _later(self, known: _Name, in_s: float) -> None:
        known.cancel()
        # Apart from each other: 200 sidecars of one host start at once.
        known.timer = self._loop.call_later(in_s * random.uniform(0.9, 1.1), self._begin, known)


class _Name:
    """One name: `addresses` are the last that were found, None when none ever were; `error` is why the last look-up failed."""

    __slots__ = ("addresses", "error", "interval_s", "name", "retry_s", "timer")

    def __init__(self, name: str, interval_s: float) -> None:
        self.name = name
        self.interval_s = interval_s
        self.addresses: tuple[str, ...] | None = None
        self.error = ""
        self.retry_s = 0.0
        self.timer: asyncio.TimerHandle | None = None

    def cancel(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
