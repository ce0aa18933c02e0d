# cython: annotation_typing=False, auto_pickle=False
"""How many requests an upstream may have in flight, and how many may wait for a place, in the order of their coming.

Whoever leaves hands the place to the first who waits, so that nobody overtakes. The queue is bounded: a caller who is
told at once that it is full can do something else, one who waits behind thousands cannot.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Ticket:
    """A place in the queue."""

    __slots__ = ("_after", "_before", "_callback", "_queued")

    def __init__(self, callback: "Callable[[], None]") -> None:
        self._callback = callback
        self._before: Ticket | None = None
        self._after: Ticket | None = None
        self._queued = True


class Gate:
    """The places of an upstream. `concurrency` 0: as many as come; `queue`: how many may wait.

    `active` hold a place and `waiting` wait for one; `queued`, `refused` and `cancelled` count those who ever had to
    wait, found the queue full, or gave up.
    """

    __slots__ = (
        "_concurrency",
        "_handing",
        "_head",
        "_queue",
        "_tail",
        "active",
        "cancelled",
        "queued",
        "refused",
        "waiting",
    )

    def __init__(self, concurrency: int, queue: int) -> None:
        self._concurrency = concurrency
        self._queue = queue
        self._head: Ticket | None = None
        self._tail: Ticket | None = None
        self._handing = False
        self.active = 0
        self.waiting = 0
        self.queued = 0
        self.refused = 0
        self.cancelled = 0

    def enter(self) -> bool:
        """Take a place if there is one and nobody waits for it."""
        if self._concurrency and (self.active >= self._concurrency or self.waiting):
            return False
        self.active += 1
        return True

    def wait(self, callback: "Callable[[], None]") -> Ticket | None:
        """Wait for a place: `callback` is called once, when it is yours. None: the queue is full."""
        if self.waiting >= self._queue:
            self.refused += 1
            return None
        ticket = Ticket(callback)
        if self._tail is None:
            self._head = ticket
        else:
            self._tail._after = ticket
            ticket._before = self._tail
        self._tail = ticket
        self.waiting += 1
        self.queued += 1
        return ticket

    def cancel(self, ticket: Ticket) -> None:
        """Stop waiting. A ticket whose place was handed over, or that was cancelled, is left alone."""
        if ticket._queued:
            self._unlink(ticket)
            self.cancelled += 1

    def leave(self) -> None:
        """Give the place back, to the first who waits."""
        self.active -= 1
        self._hand_over()

    def configure(self, concurrency: int, queue: int) -> None:
        """Go on with other bounds. New places are handed out at once; those who are too many stay until they are done."""
        self._concurrency = concurrency
        self._queue = queue
        self._hand_over()

    def _hand_over(self) -> None:
        # A callback may leave at once, because its client is gone: the loop below goes on for it, so that a
        # thousand of them need no stack.
        if self._handing:
            return
        self._handing = True
        try:
            while self._head is not None:
                if self._concurrency and self.active >= self._concurrency:
                    break
                ticket = self._head
                self._unlink(ticket)
                self.active += 1
                ticket._callback()
        finally:
            self._handing = False

    def _unlink(self, ticket: Ticket) -> None:
        before = ticket._before
        after = ticket._after
        if before is None:
            self._head = after
        else:
            before._after = after
        if after is None:
            self._tail = before
        else:
            after._before = before
        ticket._before = None
        ticket._after = None
        ticket._queued = False
        self.waiting -= 1
