"""Time as a thread of the test had it: what the machine gave to others does not count against what is measured."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import TracebackType

_TICK_S = 0.01
# What one tick counts at most: on a quiet machine it is never that late.
_MOST_S = 2 * _TICK_S


class OwnTime:
    """`seconds` since it was entered; on a machine that lets a thread wait for its turn, as many fewer."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._count, name="own-time", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._end.set()
        self._thread.join()

    def _count(self) -> None:
        before_s = time.monotonic()
        over = False
        while not over:
            over = self._end.wait(_TICK_S)
            now_s = time.monotonic()
            self.seconds += min(now_s - before_s, _MOST_S)
            before_s = now_s
