"""What can happen to a proxy on its way to another version, and what can be done: the words that `pillion.proxies.applying.machine` decides in."""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

from pillion.proxies.applying.gathering import NOTHING, Gathering

Phase: TypeAlias = Literal[
    "new",
    "idle",
    "rendering",
    "levelling",
    "checking",
    "moving",
    "loading",
    "proving",
    "returning",
]

Outcome: TypeAlias = Literal[
    "", "unchanged", "applied", "changed", "waiting", "held", "refused", "returned", "failed"
]
"""What became of an attempt. `failed`: neither the new version nor the last good one serves."""


class Rules(msgspec.Struct, frozen=True):
    """What the settings say about waiting, in seconds. `levels`: this kind takes changes at run time. `corrects`: a foreign edit is put right.

    `spread` is what waits for another try are multiplied with: a number near 1 of its own for each instance, so that they do not all try at once.
    """

    wait_min_s: float = 0.2
    wait_max_s: float = 2.0
    retry_initial_s: float = 1.0
    retry_max_s: float = 60.0
    levels: bool = False
    corrects: bool = False
    spread: float = 1.0


class State(msgspec.Struct, frozen=True):
    """Where one proxy stands.

    `live` is the last good version, whose files are in place whenever nothing is under way, `serving` whether it was proved since it was loaded;
    `loaded` the version that the process read when it was loaded last, which is older than `live` after a change at run time. `outcome` is what
    became of the last attempt, `reason` what has been wrong since then and was told, `pinned` the version that was chosen by hand.
    `held` is what the guard said last. `trying`: this attempt is made although the same version was refused before. `since_s` is when the first
    change came that led to it, None when somebody asked for it, `began_s` when work on it began, `levelled_s` when the running process had it.
    """

    rules: Rules
    phase: Phase = "new"
    live: str = ""
    loaded: str = ""
    serving: bool = False
    candidate: str = ""
    levelled: bool = False
    crowded: bool = False
    telling: bool = False
    recalling: str = ""
    trying: bool = False
    gathering: Gathering = NOTHING
    hurried: bool = False
    forced: bool = False
    recall: str = ""
    pinned: str = ""
    failures: int = 0
    tries: int = 0
    again_s: float | None = None
    refused: str = ""
    reason: str = ""
    outcome: Outcome = ""
    held: str = ""
    since_s: float | None = None
    began_s: float = 0.0
    levelled_s: float | None = None
    changes: int = 0

    @property
    def due_s(self) -> float | None:
        """When something is to be done by itself; None when nothing waits."""
        if self.phase != "idle":
            return None
        if self.recall or self.hurried:
            return 0.0
        if self.pinned and self.serving:
            return None
        gathered = self.gathering.due_s(self.rules.wait_min_s, self.rules.wait_max_s)
        times = [one for one in (gathered, self.again_s) if one is not None]
        return min(times, default=None)


# What happens.


class Recovered(msgspec.Struct, frozen=True):
    """What a predecessor left: the last good version, one whose files are in place and that was not proved yet, and whether the proxy runs."""

    live: str = ""
    unfinished: str = ""
    running: bool = False
    pinned: str = ""


class Changed(msgspec.Struct, frozen=True):
    """Something that the rendering used is another."""


class Asked(msgspec.Struct, frozen=True):
    """Somebody asks for it to be applied now; `forced` overrules the guard."""

    forced: bool = False


class Recalled(msgspec.Struct, frozen=True):
    """Somebody asks for an earlier version."""

    version: str


class Reset(msgspec.Struct, frozen=True):
    """Template or settings are others."""

    rules: Rules


class Tick(msgspec.Struct, frozen=True):
    """Time has passed."""


class Candidate(msgspec.Struct, frozen=True):
    """What the sources make of the templates. `held` is why the guard does not believe it, `until_s` when it will, None: never by itself.

    `crowded`: as many old workers as there may be are still there.
    """

    version: str
    held: str = ""
    until_s: float | None = None
    crowded: bool = False


class Levelled(msgspec.Struct, frozen=True):
    """The process was brought level at run time with so many changes."""

    changes: int


class NotLevelled(msgspec.Struct, frozen=True):
    """A reload is needed. `crowded` as in `Candidate`."""

    why: str = ""
    crowded: bool = False


class Checked(msgspec.Struct, frozen=True):
    """The proxy's own check has passed."""


class Moved(msgspec.Struct, frozen=True):
    """The files are in their places."""


class Loaded(msgspec.Struct, frozen=True):
    """The proxy was told, and says that it has loaded them."""


class Proved(msgspec.Struct, frozen=True):
    """The served process has named the version."""


class Returned(msgspec.Struct, frozen=True):
    """The last good version is in its place; `proved` when it serves."""

    proved: bool
    words: str = ""


class Failed(msgspec.Struct, frozen=True):
    """What was under way did not succeed; `words` are the proxy's own, `passing` when the cause may go away by itself."""

    words: str
    passing: bool = False


class Restarted(msgspec.Struct, frozen=True):
    """The keeper has started the process anew."""


class Edited(msgspec.Struct, frozen=True):
    """Somebody else has changed the files."""

    words: str


class Drifted(msgspec.Struct, frozen=True):
    """The process serves something other than its file says."""

    words: str


Happening: TypeAlias = (
    Recovered
    | Changed
    | Asked
    | Recalled
    | Reset
    | Tick
    | Candidate
    | Levelled
    | NotLevelled
    | Checked
    | Moved
    | Loaded
    | Proved
    | Returned
    | Failed
    | Restarted
    | Edited
    | Drifted
)

# What is to be done. Of those that take time there is one at most among the actions of a step, and it is the last.


class Render(msgspec.Struct, frozen=True):
    """Fetch, render, ask the guard, unless it is `forced`; answered by `Candidate` or `Failed`."""

    forced: bool = False


class Recall(msgspec.Struct, frozen=True):
    """Take a version out of the history; answered by `Candidate` or `Failed`."""

    version: str


class Level(msgspec.Struct, frozen=True):
    """Bring the process level at run time; answered by `Levelled` or `NotLevelled`."""


class Unlevel(msgspec.Struct, frozen=True):
    """Take the run-time change back, since its file was refused; answered by `Returned`."""


class Mend(msgspec.Struct, frozen=True):
    """Bring the process level with its file; answered by `Levelled` or `NotLevelled`."""


class Check(msgspec.Struct, frozen=True):
    """Write the files beside the old ones and have the proxy check them; answered by `Checked` or `Failed`."""


class Move(msgspec.Struct, frozen=True):
    """Put the checked files in place; answered by `Moved` or `Failed`."""


class Load(msgspec.Struct, frozen=True):
    """Start the proxy, or tell it to load; answered by `Loaded` or `Failed`."""


class Prove(msgspec.Struct, frozen=True):
    """Ask the served process for its version; answered by `Proved` or `Failed`."""

    version: str


class Return(msgspec.Struct, frozen=True):
    """Move the last good version back, load and prove it; answered by `Returned`. `version` is empty when there is none."""

    version: str


class Restore(msgspec.Struct, frozen=True):
    """Put the last good version in the place of what somebody else wrote, and load it; answered by `Returned`."""

    version: str


class Record(msgspec.Struct, frozen=True):
    """Into the history: what became of a version; times as in `Tell`."""

    version: str
    outcome: Outcome
    reason: str
    previous: str = ""
    took_s: float = 0.0
    waited_s: float = 0.0
    changes: int = 0


class Tell(msgspec.Struct, frozen=True):
    """Into the journal. `took_s` is the work alone, `waited_s` how long its first change had waited before. `served_s` is the part of the work after
    which the running process had what was changed in it, None for a load; its file follows.
    """

    kind: str
    reason: str
    version: str = ""
    previous: str = ""
    took_s: float = 0.0
    waited_s: float = 0.0
    changes: int = 0
    served_s: float | None = None


class Wake(msgspec.Struct, frozen=True):
    """Send `Tick` at this time; None: at none."""

    at_s: float | None


Action: TypeAlias = (
    Render
    | Recall
    | Level
    | Unlevel
    | Mend
    | Check
    | Move
    | Load
    | Prove
    | Return
    | Restore
    | Record
    | Tell
    | Wake
)
