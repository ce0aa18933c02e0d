"""One proxy's way from a change of its sources to a version that is proved to serve, decided without doing anything: a change is done when it
is proved, and whatever fails on the way leaves the last good version serving.

    phase      event                        becomes     actions
    ---------  ---------------------------  ----------  ------------------------------------------------------------
    any        Changed                      the same    gathered; while idle: Wake at the end of the wait
    any        Asked (apply by hand)        the same    gathered, due at once, no pin any more; forced: no guard
    any        Recalled (rollback by hand)  the same    due at once: that version of the history, then pinned
    any        Reset (other settings)       the same    gathered, due at once, no pin any more
    new        Recovered, unfinished        loading     Load: a predecessor was killed on the way, and its files are in place
    new        Recovered, running           proving     Prove what is on disk, then idle and Render
    new        Recovered, not running       loading     Load what is on disk (it starts), Prove, then idle and Render
    new        Recovered, nothing on disk   idle        Render
    idle       Tick, when due               rendering   Render, or Recall
    rendering  Candidate = live, serving    idle        nothing to do
    rendering  Candidate = live, not so     loading     Load
    rendering  Candidate, held by guard     idle        Tell held; Wake when it is believed
    rendering  Candidate, too many old      idle        Wake a little later
               workers
    rendering  Candidate                    checking    Check; for a kind that can: levelling, Level
    rendering  Failed                       idle        Tell refused; Wake to try again when the cause may pass
    levelling  Levelled                     checking    Check: the file follows what was changed at run time
    levelling  NotLevelled                  checking    Check: a reload it is
    checking   Checked                      moving      Move
    checking   Failed                       idle        Tell refused; after a run-time change: Unlevel
    moving     Moved                        loading     Load; after a run-time change: idle, Record, Tell changed
    loading    Loaded                       proving     Prove
    proving    Proved                       idle        Record, Tell applied
    moving     Failed                       returning   Return: the last good version is moved back, loaded and proved
    loading    Failed                       returning   Return
    proving    Failed                       returning   Return
    returning  Returned, Failed             idle        Record, Tell returned; Wake to try again
    idle       Restarted                    proving     Prove: the keeper has started it anew
    idle       Edited (by somebody else)    idle        Tell edited; when it is to be put right: Restore
    idle       Drifted                      levelling   Mend

While anything is under way, changes are gathered for the next time. A version that was refused for a cause that stays is not tried again
until the rendering gives another one, or somebody asks for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pillion.proxies.applying.endings import (
    again_s,
    go_back,
    good,
    not_serving,
    record_of,
    refused,
    tell_of,
)
from pillion.proxies.applying.gathering import NOTHING
from pillion.proxies.applying.steps import (
    Asked,
    Candidate,
    Changed,
    Check,
    Checked,
    Drifted,
    Edited,
    Failed,
    Level,
    Levelled,
    Load,
    Loaded,
    Mend,
    Move,
    Moved,
    NotLevelled,
    Prove,
    Proved,
    Recall,
    Recalled,
    Recovered,
    Render,
    Reset,
    Restarted,
    Restore,
    Returned,
    State,
    Tell,
    Tick,
    Unlevel,
    Wake,
)

if TYPE_CHECKING:
    from pillion.proxies.applying.steps import Action, Happening, Outcome

# Old workers are asked after again so soon, while a reload waits for them: nobody tells when one has ended.
_CROWDED_S = 0.5

_with = msgspec.structs.replace


def step(state: State, event: Happening, now: float) -> tuple[State, list[Action]]:
    """What `event` makes of `state` at `now` (monotonic seconds), and what is to be done, in that order.

    An answer that does not belong to the phase changes nothing.
    """
    match event:
        case Changed():
            state = _with(state, gathering=state.gathering.add(now))
            return _settle(state, [], now)
        case Asked(forced):
            state = _with(state, hurried=True, forced=state.forced or forced, pinned="", recall="")
            return _settle(state, [], now)
        case Recalled(version):
            return _settle(_with(state, recall=version), [], now)
        case Reset(rules):
            state = _with(state, rules=rules, hurried=True, pinned="", recall="", refused="")
            return _settle(state, [], now)
        case Tick():
            return _settle(state, [], now)
        case Restarted():
            return _restarted(state, now)
        case _:
            pass
    state, actions = _PHASES[state.phase](state, event, now)
    return _settle(state, actions, now)


def _settle(state: State, actions: list[Action], now: float) -> tuple[State, list[Action]]:
    """While nothing is under way: begin what is due, or say when it will be."""
    if state.phase != "idle":
        return state, actions
    due_s = state.due_s
    if due_s is None or due_s > now:
        return state, [*actions, Wake(due_s)]
    return _begin(state, actions, now)


def _begin(state: State, actions: list[Action], now: float) -> tuple[State, list[Action]]:
    again = state.again_s is not None and state.again_s <= now
    version = state.recall or state.pinned
    # A change that was held back, or had to wait for old workers, is still the same.
    kept_s = state.since_s if state.outcome in ("held", "waiting") else None
    begun = _with(
        state,
        phase="rendering",
        candidate="",
        levelled=False,
        crowded=False,
        telling=True,
        recalling=version,
        recall="",
        trying=state.hurried or again or bool(version),
        hurried=False,
        forced=False,
        again_s=None if again else state.again_s,
        gathering=NOTHING,
        changes=state.gathering.count,
        since_s=state.gathering.first_s if kept_s is None else kept_s,
        began_s=now,
        levelled_s=None,
    )
    if version:
        return begun, [*actions, Recall(version)]
    return begun, [*actions, Render(state.forced)]


# One function for each phase: what its own answers make of it.


def _new(state: State, event: Happening, now: float) -> tuple[State, list[Action]]:
    if not isinstance(event, Recovered):
        return state, []
    # Whatever was left, the sources have a say afterwards.
    state = _with(
        state,
        live=event.live,
        pinned=event.pinned,
        recalling=event.pinned,
        hurried=True,
        began_s=now,
    )
    if event.unfinished:
        state = _with(state, phase="loading", candidate=event.unfinished, telling=True)
        return state, [Load()]
    if not event.live:
        return _with(state, phase="idle"), []
    state = _with(state, candidate=event.live)
    if event.running:
        # Nobody has to hear that all is as it was.
        return _with(state, phase="proving", loaded=event.live), [Prove(event.live)]
    return _with(state, phase="loading", telling=True), [Load()]


def _idle(state: State, event: Happening, now: float) -> tuple[State, list[Action]]:
    state = _with(state, recalling=state.pinned)
    match event:
        case Edited(words):
            told: list[Action] = [Tell("proxy-edited", words, state.live)]
            if not (state.rules.corrects and state.live):
                return state, told
            state = _with(state, phase="returning", candidate=state.live, since_s=None, began_s=now)
            return state, [*told, Restore(state.live)]
        case Drifted(words) if state.live:
            state = _with(
                state,
                phase="levelling",
                candidate=state.live,
                telling=True,
                since_s=None,
                began_s=now,
            )
            return state, [Tell("proxy-drift", words, state.live), Mend()]
        case _:
            return state, []


def _rendering(state: State, event: Happening, now: float) -> tuple[State, list[Action]]:
    if isinstance(event, Failed):
        return refused(state, event, now)
    if not isinstance(event, Candidate):
        return state, []
    state = _with(state, candidate=event.version, crowded=event.crowded)
    if event.held:
        return _held(state, event.held, event.until_s)
    state = _with(state, held="")
    if event.version == state.live:
        return _as_before(state)
    if event.version == state.refused and not state.trying:
        # What was wrong with it still is; a timer may be set for another try.
        return _with(state, phase="idle", outcome="refused"), []
    if state.rules.levels and state.serving:
        return _with(state, phase="levelling"), [Level()]
    return _check(state, now)


def _as_before(state: State) -> tuple[State, list[Action]]:
    """The sources give what is in place."""
    if not state.serving:
        return _with(state, phase="loading"), [Load()]
    state = _with(
        state,
        phase="idle",
        outcome="unchanged",
        pinned=state.recalling,
        refused="",
        reason="",
        failures=0,
        again_s=None,
    )
    return state, []


def _held(state: State, why: str, until_s: float | None) -> tuple[State, list[Action]]:
    told: list[Action] = []
    if state.held != why:
        told = [Tell("proxy-held", why, state.candidate, state.live)]
    state = _with(state, phase="idle", outcome="held", held=why, again_s=until_s)
    return state, told


def _check(state: State, now: float) -> tuple[State, list[Action]]:
    """The way of a reload, unless too many workers are still there from the ones before."""
    if not state.crowded:
        return _with(state, phase="checking"), [Check()]
    why = "a reload waits for old workers to end"
    told: list[Action] = []
    if state.reason != why:
        told = [Tell("proxy-held", why, state.candidate, state.live)]
    state = _with(state, phase="idle", outcome="waiting", reason=why, again_s=now + _CROWDED_S)
    return state, told


def _levelling(state: State, event: Happening, now: float) -> tuple[State, list[Action]]:
    mending = state.candidate == state.live
    match event:
        case Levelled(changes) if mending:
            state = _with(state, phase="idle", outcome="changed", reason="")
            return state, [
                tell_of(state, "proxy-changed", "the process agrees with its file", now, changes)
            ]
        case Levelled(changes):
            return _with(state, phase="checking", levelled=True, levelled_s=now, changes=changes), [
                Check()
            ]
        case NotLevelled() if mending:
            return _with(state, phase="loading"), [Load()]
        case NotLevelled(_, crowded):
            return _check(_with(state, crowded=state.crowded or crowded), now)
        case _:
            return state, []


def _checking(state: State, event: Happening, now: float) -> tuple[State, list[Action]]:
    match event:
        case Checked():
            return _with(state, phase="moving"), [Move()]
        case Failed(words) if state.levelled:
            return _with(state, phase="returning", reason=words), [Unlevel()]
        case Failed():
            return refused(state, event, now)
        case _:
            return state, []


def _moving(state: State, event: Happening, now: float) -> tuple[State, list[Action]]:
    match event:
        case Moved() if state.levelled:
            before = state.live
            state = _with(good(state), live=state.candidate)
            changes = "1 change" if state.changes == 1 else f"{state.changes} changes"
            why = f"{changes} at run time"
            told = tell_of(state, "proxy-changed", why, now, state.changes)
            told = _with(told, previous=before)
            return _with(state, outcome="changed"), [record_of(told, "changed"), told]
        case Moved():
            return _with(state, phase="loading"), [Load()]
        case Failed(words, passing):
            return go_back(state, words, now, passing=passing)
        case _:
            return state, []


def _loading(state: State, event: Happening, now: float) -> tuple[State, list[Action]]:
    match event:
        case Loaded():
            state = _with(state, phase="proving", loaded=state.candidate)
            return state, [Prove(state.candidate)]
        case Failed(words, passing):
            return go_back(state, words, now, passing=passing)
        case _:
            return state, []


def _proving(state: State, event: Happening, now: float) -> tuple[State, list[Action]]:
    match event:
        case Proved():
            before = state.live
            quiet = not state.telling
            state = _with(good(state), live=state.candidate, outcome="applied")
            if quiet:
                return state, []
            why = "serves again" if before == state.candidate else "serves"
            told = _with(tell_of(state, "proxy-applied", why, now, state.changes), previous=before)
            return state, [record_of(told, "applied"), told]
        case Failed(words, passing):
            return go_back(state, words, now, passing=passing)
        case _:
            return state, []


def _returning(state: State, event: Happening, now: float) -> tuple[State, list[Action]]:
    if isinstance(event, Failed):
        event = Returned(proved=False, words=event.words)
    if not isinstance(event, Returned):
        return state, []
    if state.candidate == state.live:  # a foreign edit was put right
        if event.proved:
            return _with(good(state), outcome="applied"), [
                tell_of(state, "proxy-applied", "its files are as they were", now, 0)
            ]
        return not_serving(state, event.words, now)
    told: list[Action] = []
    outcome: Outcome = "returned"
    if event.proved:
        why = state.reason
    else:
        why = f"{state.reason}; the version before it does not serve either: {event.words}"
        outcome = "failed"
        state = _with(state, again_s=again_s(state, now))
    if state.refused != state.candidate or state.tries <= 1:
        kind = "proxy-returned" if state.live else "proxy-refused"
        tell = _with(tell_of(state, kind, why, now, 0), previous=state.live)
        told = [record_of(tell, outcome), tell]
    state = _with(
        state,
        phase="idle",
        outcome=outcome,
        reason=why,
        serving=event.proved and bool(state.live),
        loaded=state.live,
        refused=state.candidate,
    )
    return state, told


_PHASES = {
    "new": _new,
    "idle": _idle,
    "rendering": _rendering,
    "levelling": _levelling,
    "checking": _checking,
    "moving": _moving,
    "loading": _loading,
    "proving": _proving,
    "returning": _returning,
}


def _restarted(state: State, now: float) -> tuple[State, list[Action]]:
    if not state.live:
        return state, []
    if state.phase != "idle":
        return state, []  # whatever is under way ends with a proof
    # It has read the files that are in place.
    state = _with(
        state,
        phase="proving",
        candidate=state.live,
        recalling=state.pinned,
        loaded=state.live,
        telling=False,
        serving=False,
        began_s=now,
    )
    return state, [Prove(state.live)]
