"""Watching over living processes: hearts, the app's watchdog, memory where it has to be sampled, the scribe, the manager above us.

One timer serves them all, and it is set to what is due next: who beats in time is never looked at, and an idle instance sleeps.
"""

from __future__ import annotations

import os
import time

from . import heart as hearts
from . import notify, posix, sampling, tree
from .hierarchies import SAMPLING
from .lean import signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .component import Component, Process
    from .heart import Heart
    from .keeper import Keeper
    from .loop import Timer
    from .wire import Json

# Heartbeat intervals of the agent between two pings of the scribe: rare, and when we are awake anyway.
_PING_EVERY = 3
# A ping that is not answered within half an interval, or this, is sent again: so many times.
_ANSWER_S = 1.0
_PINGS = 3
_SAMPLE_EVERY_S = 1.0
# What waits for a heartbeat to wake us waits this much of an interval longer than it would, and is done that much early.
_LATER = 1.25
_SOON = 0.6
_NEVER_S = float("inf")


class Watch:
    """Counts ticks, never elapsed time: what was paused with us is not late."""

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper
        self._timer: Timer | None = None
        self._unanswered = 0
        self._ping_at_s = _NEVER_S
        self._sample_at_s = _NEVER_S
        self._outer_at_s = _NEVER_S
        self.watchdog: Heart | None = None
        self.watchdog_timeout_s = 0.0
        self.watchdog_beats = 0
        # What the app asked for at run time (WATCHDOG_USEC), as it is in force.
        self.asked_s: float | None = None

    # The app's watchdog.

    def arm_watchdog(self) -> None:
        """Expect the app's heartbeats from now on, when its settings or it itself want a watchdog. What we are attached to has none."""
        said_s = self._keeper.notify.watchdog_s
        timeout_s = self._keeper.plan["app"]["watchdog_timeout_s"] if said_s is None else said_s
        if not timeout_s or self._keeper.adopted is not None:
            self.disarm_watchdog()
            return
        self.watchdog_timeout_s = max(timeout_s, hearts.MIN_TIMEOUT_S)
        self.watchdog = hearts.watchdog(timeout_s, time.monotonic())
        self._rearm()

    def disarm_watchdog(self) -> None:
        """Expect nothing more of the app: it ends, or it wants no watchdog."""
        self.watchdog = None
        self.watchdog_timeout_s = 0.0

    def new_app(self) -> None:
        """A new process of the app has said nothing yet."""
        self.disarm_watchdog()
        self.watchdog_beats = 0
        self.asked_s = None

    def fed(self) -> None:
        """The app has shown that it lives."""
        process = self._keeper.app.process
        self.watchdog_beats += 1
        if process is not None:
            process.stats["watchdog_beats_total"] = self.watchdog_beats
        if self.watchdog is not None:
            self.watchdog.beat(time.monotonic())
            self._rearm()

    def extend(self, seconds: float) -> None:
        """The app needs longer for what it is doing: put off its watchdog, and its stop where that is under way."""
        until_s = time.monotonic() + seconds
        if self.watchdog is not None:
            self.watchdog.extend(until_s)
            self._rearm()
        process = self._keeper.app.process
        timers = list(process.timers) if process is not None else []
        if self._keeper.shutdown.deadline is not None:
            timers.append(self._keeper.shutdown.deadline)
        for timer in timers:
            if timer.callback is not None and timer.due_s < until_s:
                self._keeper.loop.move(timer, until_s)

    def facts(self) -> dict[str, Json]:
        """Return how the app is watched: within which time it has to be heard (None: no watchdog), and how often it was."""
        armed = self.watchdog is not None
        return {
            "timeout_s": self.watchdog_timeout_s if armed else None,
            "beats": self.watchdog_beats,
        }

    # Hangs.

    def hang(self, component: Component, process: Process, reason: str) -> bool:
        """Do what is done about a hung process; False when that is under way already, or the process is on its way out."""
        stopping = component is self._keeper.app and (
            self._keeper.shutdown.begun or component.stop_wanted
        )
        if process.hang is not None or stopping:
            return False
        from .hang import Hang

        process.hang = Hang(self._keeper, component, process, reason)
        if component is self._keeper.app:
            self.disarm_watchdog()
            # What hangs serves nobody: it is not to be found any more.
            process.ready = False
        process.hang.begin()
        self._keeper.push_state()
        return True

    # The timer.

    def beat(self, process: Process) -> None:
        """A process of the sidecar has shown that it lives; being awake, do what would soon be due."""
        now_s = time.monotonic()
        process.heart.beat(now_s)
        interval_s = self._interval_s()
        soon_s = now_s + interval_s * _SOON
        if soon_s >= self._ping_at_s:
            self._ping_scribe(now_s)
        if soon_s >= self._sample_at_s and self._sample_every_s() >= interval_s:
            self._sample(now_s)
        self._rearm()

    def begin(self) -> None:
        """Watch from now on."""
        # Now and not above: needed by nobody at the start, and of our own version whatever is installed later.
        from . import hang, proxies, renewal

        del hang, proxies, renewal
        now_s = time.monotonic()
        self._ping_at_s = now_s + self._ping_every_s()
        every_s = self._sample_every_s()
        self._sample_at_s = now_s + every_s
        for _, process, _ in self._hearts():
            # Taken over from the version before us: it has its full time anew.
            process.heart.beat(now_s)
        self._outer_at_s = now_s if outer_interval_s(dict(os.environ), os.getpid()) else _NEVER_S
        self._rearm()

    def look_again(self) -> None:
        """Limits or processes have changed: perhaps memory has to be sampled now."""
        self._sample_at_s = time.monotonic() + self._sample_every_s()
        self._rearm()

    def new_scribe(self) -> None:
        """A scribe has been started."""
        self.scribe_beat()

    def scribe_beat(self) -> None:
        """The scribe has said something: the next ping has time."""
        if self._unanswered:
            self._unanswered = 0
            self._ping_at_s += self._ping_every_s()
            self._rearm()

    def _interval_s(self) -> float:
        return self._keeper.plan["agent"]["heartbeat_s"]

    def _ping_every_s(self) -> float:
        return self._interval_s() * (_PING_EVERY - 1 + _LATER)

    def _hearts(self) -> list[tuple[Component, Process, Heart]]:
        keeper = self._keeper
        found = [
            (component, process, process.heart)
            for component in keeper.sidecars
            for process in component.processes()
            if process.ready and process.hang is None
        ]
        app = keeper.app.process
        if app is not None and app.hang is None and self.watchdog is not None:
            found.append((keeper.app, app, self.watchdog))
        return found

    def _rearm(self) -> None:
        due_s = min(
            (
                self._ping_at_s,
                self._sample_at_s,
                self._outer_at_s,
                *(h.due_s for _, _, h in self._hearts()),
            )
        )
        timer = self._timer
        if timer is None:
            self._timer = self._keeper.loop.at(due_s, self._tick)
        elif timer.due_s != due_s:
            self._keeper.loop.move(timer, due_s)

    def _tick(self) -> None:
        self._timer = None
        now_s = time.monotonic()
        for component, process, heart in self._hearts():
            if now_s >= heart.due_s and heart.tick(now_s):
                self.hang(component, process, self._silence(component, heart))
        if now_s >= self._ping_at_s:
            self._ping_scribe(now_s)
        if now_s >= self._sample_at_s:
            self._sample(now_s)
        if now_s >= self._outer_at_s:
            self._feed_outer(now_s)
        self._rearm()

    def _silence(self, component: Component, heart: Heart) -> str:
        if component is self._keeper.app:
            return f"no heartbeat for {self.watchdog_timeout_s:g} s"
        return f"no heartbeat for {heart.silence_s:g} s"

    # What is due.

    def _ping_scribe(self, now_s: float) -> None:
        """Ask the scribe whether it lives; one that has not answered for several pings is replaced."""
        answer_s = max(_ANSWER_S, self._interval_s() / 2)
        late = now_s - self._ping_at_s > answer_s
        self._ping_at_s = now_s + answer_s
        channel = self._keeper.output.channel
        if channel is None:
            return
        if not late and self._unanswered >= _PINGS:
            self._keeper.event("hung", "scribe", "no answer", {"pid": self._keeper.output.pid})
            self._keeper.kill_pid(self._keeper.output.pid, signal.SIGKILL)
            return
        self._unanswered += not late
        channel.send({"op": "ping"})

    def _sampled(self) -> list[tuple[Component, Process, int]]:
        return [
            (component, component.process, limit)
            for component in self._keeper.components.values()
            if (limit := component.limits.get("memory"))
            and component.process is not None
            and component.process.group.means == SAMPLING
        ]

    def _sample_every_s(self) -> float:
        """Return how often memory is looked at: the app's each second, the sidecar's when it beats; never where a control group counts."""
        sampled = self._sampled()
        if not sampled:
            return _NEVER_S
        interval_s = self._interval_s()
        app = any(component is self._keeper.app for component, _, _ in sampled)
        return min(_SAMPLE_EVERY_S, interval_s) if app else interval_s * _LATER

    def _sample(self, now_s: float) -> None:
        """Where no control group holds a memory limit, compare the tree's resident memory with it."""
        self._sample_at_s = now_s + self._sample_every_s()
        for component, process, limit in self._sampled():
            pids = (
                self._keeper.exits.app_pids(process)
                if component is self._keeper.app
                else [process.pid, *posix.descendants_of(process.pid)]
            )
            resident = sampling.resident_bytes(pids)
            if resident > limit:
                process.killed_because = f"out of memory: {component.name} used {resident} bytes by sampling, its limit is {limit}"
                self._keeper.event(
                    "out-of-memory",
                    component.name,
                    process.killed_because,
                    {"limit": limit, "peak": resident},
                )
                tree.signal_all(pids, signal.SIGKILL)

    def _feed_outer(self, now_s: float) -> None:
        """A service manager above us watches us too: tell it at half its interval that our loop turns (sd_watchdog_enabled(3))."""
        interval_s = outer_interval_s(dict(os.environ), os.getpid())
        self._outer_at_s = now_s + interval_s / 2 if interval_s else _NEVER_S
        if not interval_s:
            return
        try:
            notify.tell(os.environ["NOTIFY_SOCKET"], "WATCHDOG=1")
        except OSError:
            return  # its queue is full, or it is away: it will miss us, and that is what it is there for

    def on_oom(self, component: Component, process: Process) -> None:
        """cgroup v1 has killed, or is about to kill, one process of the group: the component goes as a whole."""
        assert process.oom_fd is not None
        posix.clear(process.oom_fd)
        if component.limits.get("memory"):
            self._keeper.exits.out_of_memory(component, process)
            process.group.kill()


def outer_interval_s(environ: dict[str, str], pid: int) -> float | None:
    """Return the watchdog's interval that a service manager above process `pid` expects, in seconds; None when it expects nothing."""
    usec, whose = environ.get("WATCHDOG_USEC", ""), environ.get("WATCHDOG_PID")
    if not environ.get("NOTIFY_SOCKET") or (whose is not None and whose != str(pid)):
        return None
    if not (usec.isascii() and usec.isdigit() and len(usec) <= 18) or int(usec) == 0:
        return None
    return max(int(usec) / 1e6, hearts.MIN_TIMEOUT_S)
