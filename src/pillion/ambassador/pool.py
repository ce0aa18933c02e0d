# cython: annotation_typing=False, auto_pickle=False
"""Kept connections to one endpoint. The one used last is used first, so that what is not needed grows old and goes: before
the server gives it up (Node.js: after 5 s), since a request on a connection that is being closed is lost in between.

With a bound on the connections, who finds none waits in line for the next that comes free, or for room to make one.
"""

from typing import TYPE_CHECKING

from .line import Line

if TYPE_CHECKING:
    from .outward import Outward


class Pool:
    """Idle connections to one endpoint, youngest last.

    `opened` counts all that are there, in use or not, and `opening` those that are being made; with `most` there are no
    more of both, 0 is no bound. `reused` and `stale` count what became of kept ones. `line` are those who wait.
    """

    __slots__ = (
        "closed",
        "idle",
        "idle_s",
        "line",
        "most",
        "most_idle",
        "opened",
        "opening",
        "requests",
        "reused",
        "stale",
    )

    def __init__(self, idle_s: float, most_idle: int, requests: int, most: int = 0) -> None:
        self.idle: list[Outward] = []
        self.idle_s = idle_s
        self.most_idle = most_idle
        self.requests = requests
        self.most = most
        self.line = Line()
        self.opened = 0
        self.opening = 0
        self.reused = 0
        self.stale = 0
        self.closed = False

    def configure(self, idle_s: float, most_idle: int, requests: int, most: int) -> None:
        """Take other bounds from now on. Connections beyond `most` stay until they end; room that is new is given away at once."""
        self.idle_s = idle_s
        self.most_idle = most_idle
        self.requests = requests
        self.most = most
        self.freed()

    def take(self, now: float, within_s: float) -> "Outward | None":
        """The connection that was given back last, unless that is longer ago than `within_s` or the pool's own bound."""
        idle = self.idle
        while idle:
            one = idle.pop()
            since = now - one.idle_since_s
            if since > self.idle_s or one.transport is None:
                one.pooled = False
                one.leave()
                self.stale += 1
                continue
            if since > within_s:
                idle.append(one)
                return None
            one.pooled = False
            self.reused += 1
            return one
        return None

    def room(self) -> bool:
        """Whether another connection may be made. One that is kept and is of no use to whoever asks makes room for it."""
        if not self.most or self.closed or self.opened + self.opening < self.most:
            return True
        if not self.idle:
            return False
        one = self.idle.pop(0)
        one.pooled = False
        one.leave()
        return self.opened + self.opening < self.most

    def freed(self) -> None:
        """There may be a connection, or room for one: the first in line have it."""
        line = self.line
        while line.waiting and (
            self.idle or not self.most or self.closed or self.opened + self.opening < self.most
        ):
            if not line.call():
                return

    def give(self, one: "Outward", now: float) -> bool:
        """Keep a connection for the next request, who waits first; False when there is no room, and the caller is to close it."""
        if self.closed or len(self.idle) >= self.most_idle:
            return False
        if self.requests and one.served >= self.requests:
            return False
        one.idle_since_s = now
        one.pooled = True
        self.idle.append(one)
        if self.line.waiting:
            self.freed()
        return True

    def forget(self, one: "Outward") -> None:
        """A kept connection was closed by its server."""
        if one.pooled:
            one.pooled = False
            self.idle.remove(one)

    def sweep(self, now: float) -> int:
        """Close what has been idle for too long; returns how many are left."""
        idle = self.idle
        fresh = 0
        while fresh < len(idle) and now - idle[fresh].idle_since_s > self.idle_s:
            fresh += 1
        old, self.idle = idle[:fresh], idle[fresh:]
        for one in old:
            one.pooled = False
            one.close()
        return len(self.idle)

    def close(self) -> None:
        """Close what is idle, and keep nothing from now on. Who waits looks for another endpoint."""
        self.closed = True
        idle, self.idle = self.idle, []
        for one in idle:
            one.pooled = False
            one.close()
        self.freed()
