"""Before the app is told to stop, nobody is to find it any more: the agent takes its announcement away, then the signal goes out.

The agent answers in well under a millisecond. One that is away, or hangs, cannot hold the app's stop for longer than a bound: then the keeper
takes the announcement away itself.
"""

from __future__ import annotations

import os

from . import places

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from .component import Process
    from .keeper import Keeper
    from .loop import Timer
    from .wire import Message

_ANSWER_BOUND_S = 1.0
# What an agent may ask to let pass after that, from `service.drain`.
_MOST_WAIT_S = 3600.0


class Drain:
    """At most one at a time, of the app's present process; `under_way` until its stop may begin."""

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper
        self._of: Process | None = None
        self._then: list[Callable[[], None]] = []
        self._timer: Timer | None = None
        self._answered = False

    @property
    def under_way(self) -> bool:
        """Whether something waits for the app to be drained."""
        return bool(self._then)

    def before(self, then: Callable[[], None]) -> None:
        """Call `then` once nobody finds the app any more: at once when that is so already, or when nobody knows how to see to it."""
        app = self._keeper.app.process
        if app is None:
            then()
            return
        if self._of is app and not self._then:
            then()  # drained before, and told to stop once more
            return
        self._then.append(then)
        if self._of is app:
            return
        self._of = app
        self._answered = False
        agent = self._keeper.agent.process
        if (
            agent is None
            or not agent.ready
            or agent.channel is None
            or not agent.channel.send({"op": "drain", "pid": app.pid})
        ):
            self._take_away()
            return
        self._timer = self._keeper.loop.after(_ANSWER_BOUND_S, self._take_away)

    def answered(self, message: Message) -> None:
        """The agent has taken the announcement away, and asks to let some seconds pass."""
        if not self._then or self._answered:
            return
        self._answered = True
        if self._timer is not None:
            self._timer.cancel()
        wait_s = message.get("wait_s")
        if not isinstance(wait_s, (int, float)) or wait_s <= 0:
            self._go_on()
            return
        self._timer = self._keeper.loop.after(min(float(wait_s), _MOST_WAIT_S), self._go_on)

    def over(self) -> None:
        """The app has ended by itself: nobody is left to be told to stop, and its pid may soon be another's."""
        self._then.clear()
        self._of = None
        self._go_on()

    def _take_away(self) -> None:
        try:
            os.unlink(self._keeper.instance.path(places.SERVICE_FILE))
        except FileNotFoundError:
            pass  # it was not announced
        except OSError as error:
            self._keeper.event(
                "failed", "keeper", f"cannot take the announcement away: {error.strerror}"
            )
        self._go_on()

    def _go_on(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        waiting, self._then = self._then, []
        for then in waiting:
            then()
