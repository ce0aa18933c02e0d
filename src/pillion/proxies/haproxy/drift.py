"""Whether a running HAProxy has the servers that its file says, and what would mend it when it has not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pillion.proxies.haproxy.level import Place, Plan, make_plan

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pillion.proxies.haproxy.running import Running
    from pillion.proxies.haproxy.servers import Configuration


class Drift(msgspec.Struct, frozen=True):
    """What differs, in words for people, and the plan that mends it; a plan with a `why` says that it takes a reload.

    Servers that are on their way out differ from the file and are no drift: `leaving` names them.
    """

    differences: tuple[str, ...]
    plan: Plan
    leaving: tuple[Place, ...] = ()

    @property
    def level(self) -> bool:
        """Whether the process serves what the file says."""
        return not self.differences


def find_drift(
    configuration: Configuration,
    running: Mapping[str, Mapping[str, Running]],
    leaving: Mapping[Place, tuple[str, ...]],
) -> Drift:
    """Compare the file with what runs. `leaving` are the options of servers that left the file earlier."""
    plan = make_plan(configuration, configuration, running, leaving)
    gone = tuple(place for place in plan.leaving if _maint(running, place))
    return Drift((plan.why,) if plan.why else plan.changes, plan, gone)


def _maint(running: Mapping[str, Mapping[str, Running]], place: Place) -> bool:
    return running[place[0]][place[1]].maint
