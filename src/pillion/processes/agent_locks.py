"""The agent's part for locks: in charge of what the instance holds from `enable` until another agent is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pillion.locks.claims import State
from pillion.locks.lives import life_of
from pillion.locks.locks import Locks
from pillion.processes.agent_part import Part

if TYPE_CHECKING:
    from pillion.model.component import Status
    from pillion.model.stats import Stats
    from pillion.processes.agent_part import Outfit
    from pillion.store.interface import Store

APP = "app"


class LocksPart(Part):
    """Gives the API its locks."""

    def __init__(self, outfit: Outfit, store: Store) -> None:
        self._control = outfit.control
        self._tasks = outfit.tasks
        self._app_pid: int | None = None
        place = outfit.place
        self._locks = Locks(store, outfit.tasks, place.instance, place.run, self._tell)
        outfit.context.locks = self._locks

    def enable(self) -> None:
        """Look after what an agent before us held."""
        self._tasks.start("take over the locks", self._locks.take_over(), may_end=True)

    def disable(self) -> None:
        """Keep our hands off from now on; who waits is sent to ask again."""
        self._locks.disable()

    def state(self, status: Status) -> None:
        """Follow the app's process: what is bound to it ends with it."""
        app = status.component(APP)
        pid = app.pid if app is not None else None
        if pid != self._app_pid or self._locks.app is None:
            self._app_pid = pid
            self._locks.app_is(life_of(pid))

    def stats(self) -> Stats:
        """What it holds and what was lost."""
        claims = self._locks.claims
        return {
            "locks_held": claims.count(State.HELD),
            "locks_waiting": len(claims) - claims.count(State.HELD),
            "locks_granted_total": self._locks.granted,
            "locks_lost_total": self._locks.lost,
            "lock_waits_over_total": self._locks.waits_over,
        }

    def _tell(self, reason: str, data: dict[str, str | int]) -> None:
        self._control.event("lock-lost", reason, data={**data})
