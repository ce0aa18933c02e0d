"""How an attempt to apply a version ends: for good, without having touched anything, on the way back, or with nothing that serves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pillion.proxies.applying.backoff import delay_s
from pillion.proxies.applying.steps import Record, Return, Tell, Unlevel

if TYPE_CHECKING:
    from pillion.proxies.applying.steps import Action, Failed, Outcome, State

# A load or a proof that failed for a reason that we do not know is tried so often before we wait for a change.
TRIES = 3

_with = msgspec.structs.replace


def good(state: State) -> State:
    """What serves now is the last good version; a version that was asked for by hand stays."""
    return _with(
        state,
        phase="idle",
        serving=True,
        pinned=state.recalling,
        recalling="",
        failures=0,
        tries=0,
        again_s=None,
        refused="",
        reason="",
    )


def refused(state: State, failed: Failed, now: float) -> tuple[State, list[Action]]:
    """Nothing has been touched yet: the last good version serves on."""
    same = failed.words == state.reason
    state = _with(state, failures=state.failures + 1)
    again = again_s(state, now) if failed.passing and not state.recalling else None
    told: list[Action] = []
    if not same:
        tell = _with(tell_of(state, "proxy-refused", failed.words, now, 0), previous=state.live)
        told = [record_of(tell, "refused"), tell] if state.candidate else [tell]
    state = _with(
        state,
        phase="idle",
        outcome="refused",
        reason=failed.words,
        refused=state.candidate,
        again_s=again,
    )
    return state, told


def go_back(state: State, words: str, now: float, *, passing: bool) -> tuple[State, list[Action]]:
    """Files were moved, or may have been: the last good ones are put back and proved."""
    if state.candidate == state.live:
        return not_serving(state, words, now)
    tries = state.tries + 1 if state.candidate == state.refused else 1
    state = _with(state, failures=state.failures + 1, tries=tries, reason=words, phase="returning")
    again = not state.recalling and (passing or tries < TRIES)
    state = _with(state, again_s=again_s(state, now) if again else None)
    return state, [Unlevel() if state.levelled else Return(state.live)]


def not_serving(state: State, words: str, now: float) -> tuple[State, list[Action]]:
    """The version in place does not serve, and there is none to return to: try until it does."""
    quiet = not state.telling
    told: list[Action] = []
    if words != state.reason and not quiet:
        told = [tell_of(state, "proxy-refused", words, now, 0)]
    state = _with(state, failures=state.failures + 1)
    state = _with(
        state,
        phase="idle",
        outcome="failed",
        serving=False,
        reason=state.reason if quiet else words,
        # One that nobody has told to load yet is told at once.
        again_s=now if quiet else again_s(state, now),
    )
    return state, told


def again_s(state: State, now: float) -> float:
    """When what has failed is tried again."""
    rules = state.rules
    return now + rules.spread * delay_s(state.failures, rules.retry_initial_s, rules.retry_max_s)


def tell_of(state: State, kind: str, why: str, now: float, changes: int) -> Tell:
    """An entry of the journal about the candidate."""
    took_s = max(0.0, now - state.began_s)
    waited_s = 0.0 if state.since_s is None else max(0.0, state.began_s - state.since_s)
    served_s = None if state.levelled_s is None else max(0.0, state.levelled_s - state.began_s)
    return Tell(
        kind,
        why,
        state.candidate,
        took_s=took_s,
        waited_s=waited_s,
        served_s=served_s,
        changes=changes,
    )


def record_of(tell: Tell, outcome: Outcome) -> Record:
    """The same for the history."""
    return Record(
        tell.version,
        outcome,
        tell.reason,
        tell.previous,
        tell.took_s,
        tell.waited_s,
        tell.changes,
    )
