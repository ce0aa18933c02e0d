# cython: annotation_typing=False, auto_pickle=False
"""Who waits for a connection to one endpoint, in the order of their coming: nobody overtakes, and whoever gives up is out at once."""

from collections import OrderedDict
from typing import Protocol


class Waiter(Protocol):
    """Somebody who waits."""

    def room(self) -> None:
        """It is your turn: you are in line no longer."""


class Line:
    """`waiting` are in line now. How many may be is for those to say who let them in."""

    __slots__ = ("_calling", "_line", "waiting")

    def __init__(self) -> None:
        # Not a dict: to find the first of a dict whose first thousands are gone takes a look at each of them.
        self._line: OrderedDict[Waiter, None] | None = None
        self._calling = False
        self.waiting = 0

    def join(self, waiter: Waiter) -> None:
        """Stand at the end; once at most, until called."""
        if self._line is None:
            self._line = OrderedDict()
        self._line[waiter] = None
        self.waiting = len(self._line)

    def leave(self, waiter: Waiter) -> None:
        """Wait no longer. Whoever was called is left alone."""
        if self._line is not None:
            self._line.pop(waiter, None)
            self.waiting = len(self._line)

    def call(self) -> bool:
        """Call the first. False when nobody is there, or one is being called right now: whoever calls goes on with the others."""
        if self._calling or not self._line:
            return False
        waiter, _ = self._line.popitem(last=False)
        self.waiting = len(self._line)
        # Who is called may give back at once what it has got, because its client is gone: the caller's loop goes on
        # for it, so that a thousand of them need no stack.
        self._calling = True
        try:
            waiter.room()
        finally:
            self._calling = False
        return True
