# cython: annotation_typing=False, auto_pickle=False
"""The circuit breaker of one endpoint: it keeps requests from an endpoint that fails them, and finds out when it is well again.

                     `consecutive` failures in a row,
                     or `ratio` of at least `requests` in `window`,
                     and the upstream can spare the endpoint
         ┌────────┐ ────────────────────────────────────────> ┌────────┐
    ───> │ closed │                                           │  open  │ <──┐
         └────────┘ <────────┐                   ┌─────────── └────────┘    │
                             │                   │ asked after              │
                  `trials` trials succeeded      │ the open time            │ a trial failed:
                             │                   v                          │ the open time doubles,
                             │              ┌───────────┐ ──────────────────┘ up to `open_max`
                             └───────────── │ half-open │
                                            └───────────┘ ──┐ nothing heard of the trials for
                                                  ^─────────┘ the open time: others are let through

    by hand: any state ──open──> open, whatever happens;  ──closed──> closed, whatever happens;  ──back──> closed, nothing counted

Closed lets everything through, open nothing, half-open at most `trials` requests that have no verdict yet. Nothing
happens by time alone: an open breaker becomes half-open when it is asked, so an idle process sleeps. Every change of
state begins a new generation, and a result that was begun in an older one is ignored: a slow failure from before the
circuit opened says nothing about now. A request that ends without a verdict (the client left) gives its trial back.
Leaving half-open for closed forgets the doubled open time. The ratio is judged when a request fails, never by a success.
"""

from typing import TYPE_CHECKING, Final

from .window import Window

if TYPE_CHECKING:
    from collections.abc import Callable

    from pillion.settings.policies import Breaker as BreakerSettings

CLOSED: Final = "closed"
OPEN: Final = "open"
HALF_OPEN: Final = "half-open"

_CLOSED: Final = 0
_OPEN: Final = 1
_HALF_OPEN: Final = 2
_NAMES: Final = (CLOSED, OPEN, HALF_OPEN)
_NEVER: Final = float("inf")
_SOON_S: Final = 1.0
_NO_TOKEN: Final = -1


class Breaker:
    """One breaker. `now` is always seconds of one monotonic clock.

    `permit` is asked before an automatic opening; `changed(breaker, old, new, why)` is called after
    every change of state, `freed(breaker)` when a half-open breaker that was full lets a request
    through again without a change of state. `opened` counts openings, `held` those that `permit`
    refused. `owner` is whatever the endpoint's group keeps there.
    """

    __slots__ = (
        "_changed",
        "_consecutive",
        "_forced",
        "_generation",
        "_level_s",
        "_open_max_s",
        "_open_s",
        "_passed",
        "_permit",
        "_ratio",
        "_requests",
        "_row",
        "_state",
        "_taken",
        "_trials",
        "_until",
        "_window",
        "_window_s",
        "freed",
        "held",
        "opened",
        "owner",
    )

    def __init__(
        self,
        settings: "BreakerSettings",
        permit: "Callable[[], bool]",
        changed: "Callable[[Breaker, str, str, str], None]",
    ) -> None:
        self._permit = permit
        self._changed = changed
        self.freed: Callable[[Breaker], None] | None = None
        self.owner: object | None = None
        self.opened = 0
        self.held = 0
        self._state = _CLOSED
        self._forced = False
        self._generation = 0
        self._row = 0  # failures in a row
        self._until = 0.0  # open: when it ends; half-open: when unheard trials are given up
        self._level_s = 0.0  # the open time in force, doubled with each failed trial
        self._taken = 0  # trials let through and not given back
        self._passed = 0  # those that succeeded
        self._window: Window | None = None
        self._window_s = 0.0
        self._read(settings)

    def _read(self, settings: "BreakerSettings") -> None:
        self._consecutive = settings.consecutive
        self._ratio = settings.ratio if settings.ratio is not None else 0.0
        self._requests = settings.requests
        self._open_s = settings.open_s
        self._open_max_s = max(settings.open_s, settings.open_max_s)
        self._trials = max(1, settings.trials)
        if settings.ratio is None:
            self._window = None
        elif self._window is None or self._window_s != settings.window_s:
            self._window = Window(settings.window_s)
            self._window_s = settings.window_s

    @property
    def state(self) -> str:
        """`closed`, `open` or `half-open`."""
        return _NAMES[self._state]

    @property
    def forced(self) -> bool:
        """Whether it was opened or closed by hand."""
        return self._forced

    @property
    def closed(self) -> bool:
        """Whether everything is let through."""
        return self._state == _CLOSED

    @property
    def waits_for_trial(self) -> bool:
        """Whether it is half-open with a trial left."""
        return self._state == _HALF_OPEN and self._taken < self._trials

    @property
    def until(self) -> float:
        """When an answer of `admits` may change by time alone; infinite if never."""
        return _NEVER if self._state == _CLOSED else self._until

    @property
    def failures(self) -> int:
        """The failures in a row, as far as counted."""
        return self._row

    def admits(self, now: float) -> bool:
        """Whether a request may begin. An open breaker whose time is over becomes half-open by this."""
        if self._state == _CLOSED:
            return True
        if self._state == _OPEN:
            if now < self._until:
                return False
            self._begin_trials(now)
            return True
        if self._taken < self._trials:
            return True
        if now < self._until:
            return False
        # Whatever became of those trials, no verdict may come from them any more.
        self._generation += 1
        self._taken = self._passed
        self._until = now + self._level_s
        return True

    def begin(self, now: float) -> int:
        """Begin a request, and return the token that `end` or `cancel` wants. When half-open it takes a trial.

        Where nothing is admitted the token is one whose result counts for nothing.
        """
        if self._state == _CLOSED:
            return self._generation
        if not self.admits(now):
            return _NO_TOKEN
        self._taken += 1
        self._until = now + self._level_s
        return self._generation

    def end(self, token: int, ok: bool, now: float) -> None:
        """The verdict on a request."""
        if token != self._generation or self._forced:
            return
        if self._state == _CLOSED:
            if not ok:
                self._fail(now)
                return
            self._row = 0
            if self._window is not None:
                self._window.add(now, 1, 0)
        elif self._state == _HALF_OPEN:
            if not ok:
                self._open(now, min(2 * self._level_s, self._open_max_s), "a trial failed")
                return
            self._passed += 1
            if self._passed >= self._trials:
                self._close(f"{_count(self._passed, 'trial')} succeeded")

    # Every event has its time, whether this state needs it or not.
    def cancel(self, token: int, now: float) -> None:  # noqa: ARG002
        """A request ended without a verdict: a trial is given back."""
        if token != self._generation or self._state != _HALF_OPEN:
            return
        if self._taken > self._passed:
            full = self._taken >= self._trials
            self._taken -= 1
            if full and self._taken < self._trials and self.freed is not None:
                self.freed(self)

    def retry_after(self, now: float) -> float:
        """In how many seconds it is worth asking again; 0 when requests are let through.

        While trials are under way that is a second at most, and the open time when opened by hand.
        """
        if self._state == _CLOSED:
            return 0.0
        if self._state == _OPEN:
            if self._until == _NEVER:
                return self._open_s
            return max(0.0, self._until - now)
        if self._taken < self._trials:
            return 0.0
        return min(_SOON_S, max(0.0, self._until - now))

    def force(self, state: str | None, now: float) -> None:  # noqa: ARG002
        """Open or close it by hand, until further notice; None gives it back, closed and with nothing counted.

        Raise ValueError for any other state.
        """
        if state == OPEN:
            self._forced = True
            self._enter(_OPEN, "by hand", _NEVER)
        elif state == CLOSED:
            self._forced = True
            self._enter(_CLOSED, "by hand", 0.0)
        elif state is not None:
            raise ValueError(f"cannot force a breaker {state!r}: say open or closed")
        elif self._forced:
            self._forced = False
            self._enter(_CLOSED, "given back", 0.0)

    def configure(self, settings: "BreakerSettings", now: float) -> None:
        """Go on under other settings. The state stays, as far as they know it.

        An open time that is now longer than the longest ends earlier; trials that are now enough
        close it; without any condition nothing stays open. A window of another length begins empty.
        """
        self._read(settings)
        if self._state == _CLOSED or self._forced:
            return
        if self._consecutive == 0 and self._window is None:
            self._close("switched off")
            return
        self._level_s = min(max(self._level_s, self._open_s), self._open_max_s)
        self._until = min(self._until, now + self._level_s)
        if self._state == _HALF_OPEN and self._passed >= self._trials:
            self._close(f"{_count(self._passed, 'trial')} succeeded")

    def _fail(self, now: float) -> None:
        self._row += 1
        window = self._window
        if window is not None:
            window.add(now, 1, 1)
        if self._consecutive and self._row >= self._consecutive:
            why = f"{_count(self._row, 'failure')} in a row"
        elif (
            window is not None
            and window.first >= self._requests
            and window.second >= self._ratio * window.first
        ):
            why = f"{window.second} of {_count(window.first, 'request')} failed"
        else:
            return
        if self._permit():
            self._open(now, self._open_s, why)
        else:
            self.held += 1

    def _open(self, now: float, level_s: float, why: str) -> None:
        self.opened += 1
        self._level_s = level_s
        self._enter(_OPEN, why, now + level_s)

    def _begin_trials(self, now: float) -> None:
        self._enter(_HALF_OPEN, "the open time is over", now + self._level_s)

    def _close(self, why: str) -> None:
        self._level_s = 0.0
        self._enter(_CLOSED, why, 0.0)

    def _enter(self, state: int, why: str, until: float) -> None:
        old = self._state
        self._state = state
        self._generation += 1
        self._until = until
        self._row = 0
        self._taken = 0
        self._passed = 0
        if self._window is not None:
            self._window.clear()
        self._changed(self, _NAMES[old], _NAMES[state], why)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
