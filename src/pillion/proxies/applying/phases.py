"""What an answer means in each phase of `machine`, and what is to be done then: one function for each phase."""

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
from pillion.proxies.applying.steps import (
    Candidate,
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
    Recovered,
    Restore,
    Returned,
    State,
    Tell,
    Unlevel,
)

if TYPE_CHECKING:
    from pillion.proxies.applying.steps import Action, Happening, Outcome

# Old workers are asked after again so soon, while a reload waits for them: nobody tells when one has ended.
_CROWDED_S = 0.5

_with = msgspec.structs.replace


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


PHASES = {
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
"""By the name of the phase."""
