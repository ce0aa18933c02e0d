"""One proxy, from its sources to what it serves: a task that takes what happens, has `applying` decide, and has the performer do it, one thing at a
time."""

from __future__ import annotations

import asyncio
import traceback
from collections import deque
from typing import TYPE_CHECKING, TypeVar

from pillion.errors import PillionError, RefusedError
from pillion.proxies.applying.edits import Edits
from pillion.proxies.applying.machine import step
from pillion.proxies.applying.performer import Performer
from pillion.proxies.applying.running import Minding
from pillion.proxies.applying.steps import (
    Asked,
    Changed,
    Drifted,
    Edited,
    Failed,
    Recalled,
    Record,
    Reset,
    Restarted,
    State,
    Tell,
    Tick,
    Wake,
)
from pillion.proxies.applying.telling import Telling
from pillion.proxies.applying.tenure import Tenure
from pillion.proxies.applying.world import rules_of
from pillion.proxies.files.foreign import Watch

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from pillion.base.tasks import RootTasks
    from pillion.proxies.applying.steps import Action, Happening
    from pillion.proxies.applying.telling import Counts, Journal
    from pillion.proxies.applying.world import World


T = TypeVar("T")

MOST_ASKING = 64
"""Those who wait for an outcome at once."""

# A directory that cannot be read or locked is looked at again so often.
_AGAIN_S = 2.0
# Somebody may have changed servers by hand, of which HAProxy tells nobody.
_DRIFT_S = 60.0
_MOST_EVENTS = 1000
_NOT_IN_CHARGE = "this agent is not in charge of {}; ask again"


class Manager:
    """Make it in the loop; it rests until `start`. `state` is where it stands, `good_s` when (monotonic) the present version was found to serve."""

    def __init__(self, world: World, tasks: RootTasks, journal: Journal) -> None:
        self.world = world
        self.performer = Performer(world)
        self.state = State(rules_of(world.settings))
        self.good_s: float | None = None
        # Whether something that was decided is still to be carried out.
        self.busy = False
        self._tasks = tasks
        self._telling = Telling(journal)
        self._loop = asyncio.get_running_loop()
        self._events: deque[Happening] = deque()
        self._wake = asyncio.Event()
        self._ending = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._tenure = Tenure(world.site.state)
        self._watch: Watch | None = None
        self._edits = Edits(world.site)
        self._looking = False
        self._paused = False
        self._minding: asyncio.Task[None] | None = None
        self._drift_timer: asyncio.TimerHandle | None = None
        self._drift_due = False
        # Those who wait: for the next attempt to begin, and for the one under way to end.
        self._asking: list[asyncio.Future[State]] = []
        self._answered: list[asyncio.Future[State]] = []

    @property
    def counts(self) -> Counts:
        """What became of changes, since this agent's start."""
        return self._telling.counts

    @property
    def name(self) -> str:
        """The proxy's name."""
        return self.world.settings.name

    @property
    def age_s(self) -> float | None:
        """Seconds since the present version was found to serve; None while none is."""
        return None if self.good_s is None else round(self.world.clock() - self.good_s, 3)

    @property
    def in_charge(self) -> bool:
        """Whether the proxy is this agent's to change."""
        return self.state.phase != "new" and not self._ending.is_set()

    # Its life.

    def start(self) -> None:
        """Begin: this agent is the one in charge, or will be when the one before it has let go."""
        self._task = self._tasks.start(f"proxy {self.name}", self._run(), may_end=True)

    def end(self) -> None:
        """Come to a safe place and let go; what is under way is finished by whoever comes next."""
        self._ending.set()
        self._wake.set()
        self.world.sources.forget(self.name)

    async def close(self, within_s: float) -> None:
        """Wait for that, at most so many seconds."""
        self.end()
        if self._task is not None:
            await asyncio.wait({self._task}, timeout=within_s)
            self._task.cancel()

    # What happens.

    def changed(self) -> None:
        """Something that it uses is another."""
        self._send(Changed())

    def look_at_facts(self) -> None:
        """The keeper has told something: what the templates know of the app may be another."""
        facts = self.performer.facts
        if facts is not None and facts != self.world.facts():
            self._send(Changed())

    def restarted(self) -> None:
        """The keeper has started its process anew."""
        self._send(Restarted())

    def reset(self, world: World) -> None:
        """The settings are others."""
        self.world = world
        self.performer.renew(world)
        if self._minding is not None:
            self._mind()
        self._send(Reset(rules_of(world.settings, self.state.rules.spread)))

    async def apply(self, *, forced: bool = False) -> State:
        """Apply what the sources say now, and return where that has led; `forced` overrules the guard. Raises `RefusedError`."""
        return await self._outcome(Asked(forced))

    async def roll_back(self, version: str) -> State:
        """Apply an earlier version and stay there; return where that has led. Raises `RefusedError`."""
        return await self._outcome(Recalled(version))

    async def _outcome(self, event: Happening) -> State:
        if not self.in_charge:
            raise RefusedError(
                503, "Not In Charge", f"cannot apply: {_NOT_IN_CHARGE.format(self.name)}"
            )
        if len(self._asking) + len(self._answered) >= MOST_ASKING:
            raise RefusedError(
                503, "Too Many", f"cannot apply: {MOST_ASKING} wait for {self.name} already"
            )
        future: asyncio.Future[State] = self._loop.create_future()
        self._asking.append(future)
        self._send(event)
        return await future

    def _send(self, event: Happening) -> None:
        # A storm of changes while something is under way is no more than a change.
        if len(self._events) < _MOST_EVENTS or not isinstance(event, Changed):
            self._events.append(event)
        self._wake.set()

    # The task.

    async def _run(self) -> None:
        try:
            if not await self._begin():
                return
            while not self._ending.is_set():
                if not self._events:
                    self._wake.clear()
                    await self._wake.wait()
                    continue
                await self._take(self._events.popleft())
        finally:
            self._let_go()

    async def _begin(self) -> bool:
        """Take over what there is; False when told to end before."""
        complaint = ""
        while True:
            try:
                if await self._unless_ending(self._take_over()):
                    break
            except (PillionError, OSError) as error:
                if complaint != (complaint := f"{error}"):
                    self._telling.journal("proxy-refused", complaint, {})
                await self._unless_ending(asyncio.sleep(_AGAIN_S))
            if self._ending.is_set():
                return False
        self._watch = Watch(self.world.site, self._look)
        self._watch_files()
        self._mind()
        return True

    def _mind(self) -> None:
        """Let the driver do what it does beside changes."""
        if self._minding is not None:
            self._minding.cancel()
        driver = self.world.driver
        if isinstance(driver, Minding):
            self._minding = self._tasks.start(
                f"proxy {self.name}: mind", driver.mind(), may_end=True
            )

    async def _take_over(self) -> bool:
        await self._tenure.take()
        try:
            recovered = await self.performer.recover()
        except BaseException:
            self._tenure.give()
            raise
        self._use()
        self._events.appendleft(recovered)
        return True

    async def _take(self, event: Happening) -> None:
        before = self.state
        self.busy = True
        self.state, actions = step(before, event, self.world.clock())
        if self.state.phase == "rendering" != before.phase:
            self._answered, self._asking = self._answered + self._asking, []
        for action in actions:
            await self._carry_out(action)
        if self.state.phase == "idle":
            await self._rest()
        self.busy = False

    async def _carry_out(self, action: Action) -> None:
        match action:
            case Wake(at_s):
                self._set_timer(at_s)
            case Tell():
                self._telling.tell(action, self._edits.diff)
                if action.kind in ("proxy-applied", "proxy-changed"):
                    self.good_s = self.world.clock()
            case Record():
                await self.performer.settle(action, self.state.pinned)
                if action.outcome in ("applied", "changed"):
                    self._watch_files()
            case _:
                self._telling.count(action)
                self._pause()
                # Files are moved to the end once that has begun: threads cannot be stopped, and they are quick.
                done = await self._unless_ending(self._perform(action))
                if done is not None:
                    self._events.append(done)

    async def _perform(self, action: Action) -> Happening:
        try:
            event = await self.performer.perform(action)
        except (PillionError, OSError) as error:
            event = Failed(f"{error}", passing=True)
        except Exception as error:  # noqa: BLE001 # a bug: it is told, and the last good version serves on
            traceback.print_exc()
            event = Failed(f"cannot go on: {type(error).__name__}: {error}; this is a bug")
        self._use()
        return event

    async def _rest(self) -> None:
        """Nothing is under way: those who wait are answered, and edits of others are looked for."""
        if self.state.serving:
            self.good_s = self.good_s if self.good_s is not None else self.world.clock()
        else:
            self.good_s = None
        await self.performer.pin(self.state.pinned)
        for future in self._answered:
            if not future.done():
                future.set_result(self.state)
                self._drift_due = self.state.rules.levels
        self._answered = []
        if self._watch is not None and self._paused:
            self._paused = False
            self._watch.resume()
        if self._looking:
            self._looking = False
            edited = await self._edits.find(self.world.site, self.performer.memory.history)
            if edited:
                # Before anything else begins: an edit is told once, and only at rest.
                self._events.appendleft(Edited(edited))
        await self._mind_drift()

    async def _mind_drift(self) -> None:
        """Now and then, and after each attempt by hand, see whether a process that can be changed at run time is as its file says."""
        if self._drift_due and self.state.serving:
            self._drift_due = False
            words = await self.performer.drift()
            if words:
                self._events.appendleft(Drifted(words))
        if self._drift_timer is None and self.state.rules.levels and self.state.serving:
            self._drift_timer = self._loop.call_later(_DRIFT_S, self._look_for_drift)

    def _look_for_drift(self) -> None:
        self._drift_timer = None
        self._drift_due = True
        self._send(Tick())

    def _let_go(self) -> None:
        for timer in (self._timer, self._drift_timer):
            if timer is not None:
                timer.cancel()
        if self._watch is not None:
            self._watch.close()
        if self._minding is not None:
            self._minding.cancel()
        self.world.sources.forget(self.name)
        self._tenure.give()
        for future in (*self._asking, *self._answered):
            if not future.done():
                future.set_exception(
                    RefusedError(
                        503, "Not In Charge", f"cannot tell: {_NOT_IN_CHARGE.format(self.name)}"
                    )
                )

    async def _unless_ending(self, work: Coroutine[object, object, T]) -> T | None:
        """What `work` returns, or None when told to end before; it is cancelled then, at one of its waits."""
        doing = asyncio.ensure_future(work)
        ending = asyncio.ensure_future(self._ending.wait())
        try:
            await asyncio.wait({doing, ending}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            ending.cancel()
            if not doing.done():
                doing.cancel()
                await asyncio.wait({doing})
        return None if doing.cancelled() else doing.result()

    # Around it.

    def _use(self) -> None:
        if not self._ending.is_set():
            self.world.sources.use(self.name, self.performer.used, self.changed)

    def _set_timer(self, at_s: float | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if at_s is not None:
            delay_s = max(0.0, at_s - self.world.clock())
            self._timer = self._loop.call_later(delay_s, self._send, Tick())

    def _watch_files(self) -> None:
        live = self.performer.live
        if self._watch is not None and live is not None:
            self._watch.begin(one.name for one in live.files)

    def _pause(self) -> None:
        if self._watch is not None:
            self._paused = True
            self._watch.pause()

    def _look(self) -> None:
        """Something has happened where the files are."""
        self._looking = True
        self._send(Tick())
