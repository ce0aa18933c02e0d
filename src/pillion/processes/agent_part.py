"""What the agent is made of: each subject is a part with a life inside the agent's, and the agent itself knows no subject."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from pillion.api.context import Context
    from pillion.base.control import Control
    from pillion.base.neighbours import Neighbours
    from pillion.base.tasks import RootTasks
    from pillion.model.component import Status
    from pillion.model.place import Place
    from pillion.model.stats import Stats
    from pillion.settings import Settings


class Outfit(msgspec.Struct, frozen=True):
    """What every part is given. `settings` are those at the start; `Part.settings` tells of others."""

    place: Place
    settings: Settings
    control: Control
    tasks: RootTasks
    context: Context
    neighbours: Neighbours


class Part:
    """One subject of the agent. A part overrides what it needs; no method may block, and none may raise.

    Until `enable` another agent may be in charge of the same instance: nothing may be written, registered,
    checked or locked before.
    """

    def enable(self) -> None:
        """This agent is the one in charge from now on. Called once."""

    async def prepare(self) -> None:
        """What the app's start waits for, after `enable`; cut off after a bound."""

    def disable(self) -> None:
        """Another agent takes over, or the instance stops. Called once, also when `enable` never was."""

    def drain(self, pid: int) -> float:  # noqa: ARG002 - for those that override it
        """The app's process `pid` is about to be stopped: see to it that nobody finds it any more.

        Returns how many seconds are to pass before it is told. Called before `enable` as well.
        """
        return 0.0

    def state(self, status: Status) -> None:
        """Something about the components has changed."""

    def settings(self, settings: Settings) -> None:
        """The settings were reloaded."""

    def stats(self) -> Stats:
        """What it counts, for heartbeats and `/metrics`."""
        return {}

    async def close(self) -> None:
        """Give everything back; called last, bounded by the caller."""
