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

from pillion.proxies.applying.gathering import NOTHING
from pillion.proxies.applying.phases import PHASES
from pillion.proxies.applying.steps import (
    Asked,
    Changed,
    Prove,
    Recall,
    Recalled,
    Render,
    Reset,
    Restarted,
    State,
    Tick,
    Wake,
)

if TYPE_CHECKING:
    from pillion.proxies.applying.steps import Action, Happening

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
    state, actions = PHASES[state.phase](state, event, now)
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
