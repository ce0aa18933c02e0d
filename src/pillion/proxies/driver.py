"""What a manager needs of a proxy, whichever it is: one interface, and the plain data that its answers are made of.

A driver never decides: it says what the proxy said. A failure is a value here, since every one of them ends in the same way, with the last
good version; only what nobody foresaw is an exception.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import msgspec

if TYPE_CHECKING:
    from pillion.proxies.templating.rendered import Rendered

OUTPUT_BYTES = 4096
"""Of what a proxy says, the beginning."""


class Place(msgspec.Struct, frozen=True):
    """Where something is wrong: `file` is relative to the directory of the configuration when it lies in it, else as the proxy
    names it, empty when it names none; `line` counts from 1, 0 when there is none. `message` is the proxy's own, in one line."""

    file: str
    line: int
    message: str


class Verdict(msgspec.Struct, frozen=True):
    """What came of a check, a load or a proof.

    `reason` is one line, empty when it went well. `output` are the proxy's own words, at most `OUTPUT_BYTES` of them, and `places` what they
    point to. `passing` when the cause may go away by itself (a taken port, a full disk, a process that is slow to answer), so that
    trying again makes sense without any change.
    """

    ok: bool
    reason: str = ""
    output: str = ""
    places: tuple[Place, ...] = ()
    passing: bool = False


GOOD = Verdict(True)
"""It went well, and there is nothing to say about it."""


class ProxyStatus(msgspec.Struct, frozen=True):
    """What runs: `pid` is the master's, `version` what it serves, None when it does not say.

    `workers` are those that accept connections, `old_workers` those of earlier loads that still finish theirs, and `old_loads` how many loads these are:
    one load of an nginx with eight workers leaves up to eight old ones.
    """

    running: bool
    pid: int | None = None
    version: str | None = None
    workers: int = 0
    old_workers: int = 0
    old_loads: int = 0


class Level(msgspec.Struct, frozen=True):
    """What came of a change at run time: `done` when the process now serves what the new rendering says, after so many `changes`.

    When it is not done, `why` says what takes a reload; nothing was changed then, or what was is of no consequence once the reload is done.
    """

    done: bool
    changes: int = 0
    why: str = ""


class Runner(Protocol):
    """Who runs the process: the keeper, or somebody else (`outside.Outside`). Each raises `PillionError` when it cannot."""

    async def start(self) -> None:
        """Start it, or return at once when it runs."""

    async def signal(self, name: str) -> None:
        """Send the master a signal, by its name without SIG: `HUP`."""

    def running(self) -> int | None:
        """The master's pid; None while there is none."""


class Driver(Protocol):
    """One proxy, as its manager sees it. None of these raises on account of the proxy, and each ends within a bound of its own."""

    async def check(self, directory: str) -> Verdict:
        """Have the proxy's own validator look at the configuration in `directory`. What runs and its files do not notice."""

    async def load(self) -> Verdict:
        """Start the proxy, or have it load what is in place. Good says that it was told: what it made of it, `prove` finds out."""

    async def prove(self, version: str, timeout_s: float) -> Verdict:
        """Ask the served process until it names `version`, at most so many seconds; bad as soon as it has said that it cannot load."""

    async def status(self) -> ProxyStatus:
        """What runs at present."""

    async def bring_level(self, old: Rendered, new: Rendered) -> Level:
        """Change the running process from `old` to `new` without a reload, or say why that cannot be done."""
