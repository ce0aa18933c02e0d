"""What an instance's processes and its host use, on demand: whoever asks, and however often, pays for one look a second at most.

Nothing is looked at while nobody asks.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from pillion.base.aside import Aside
from pillion.base.host_files import Files
from pillion.errors import UnreachableError
from pillion.telemetry.sampler import Sampler, Subject

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pillion.model.component import Status
    from pillion.telemetry.measurement import Measurement

APP = "app"
FRESH_S = 1.0
SLOW_EVERY_S = 30.0
READ_S = 5.0

_GROUPED = frozenset(("cgroup-v1", "cgroup-v2"))
# They are in the group that the keeper was started in, and everybody is a child of theirs.
_GUARDS = frozenset(("keeper", "scribe"))


class InstanceSampling:
    """Measurements of one instance."""

    def __init__(
        self, files: Files | None = None, now_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._sampler = Sampler(files or Files())
        self._now_s = now_s
        self._looking: Aside[list[Measurement]] = Aside("sampling")
        self._found: list[Measurement] = []
        self._found_s = self._slow_s = float("-inf")

    async def measurements(self, looked_at: Sequence[Subject]) -> list[Measurement]:
        """What these components and the host use, not older than `FRESH_S`.

        Raises `UnreachableError` when the kernel does not tell in time.
        """
        now_s = self._now_s()
        if now_s - self._found_s < FRESH_S:
            return self._found
        slow = now_s - self._slow_s >= SLOW_EVERY_S
        try:
            found = await self._looking.run(
                lambda: self._sampler.sample(looked_at, slow=slow), READ_S
            )
        except TimeoutError:
            raise UnreachableError(
                f"cannot measure the processes: reading /proc takes longer than {READ_S:g} s"
            ) from None
        self._found, self._found_s = found, now_s
        if slow:
            self._slow_s = now_s
        return found


def subjects(status: Status, app_pids: list[int]) -> list[Subject]:
    """Whom to look at: every component that runs, the app with the processes that are known of it."""
    found = []
    for one in status.components:
        if one.pid is None:
            continue
        others = app_pids if one.name == APP else []
        found.append(
            Subject(
                one.name,
                (one.pid, *(pid for pid in others if pid != one.pid)),
                grouped=one.limits_by in _GROUPED and one.name not in _GUARDS,
                alone=one.name in _GUARDS,
            )
        )
    return found
