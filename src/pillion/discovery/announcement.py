"""Whether and as what the app of this instance is announced: decided from settings, components and health, without I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pillion.discovery.instance import USABLE, ServiceInstance

if TYPE_CHECKING:
    from pillion.base.neighbours import Session
    from pillion.model.component import Status
    from pillion.settings import Settings

_APP = "app"


class Standing(msgspec.Struct, frozen=True):
    """What is known of the app at a moment.

    `health` is one of passing, warning and critical. `drained` is the pid of a process of the app that was about to
    be stopped: it is not announced again, whatever it still says of itself.
    """

    status: Status | None = None
    health: str = "passing"
    drained: int | None = None

    @property
    def can_serve(self) -> bool:
        """Whether the app runs, has said that it is ready, is healthy, and nobody is about to stop it."""
        if self.status is None or self.health not in USABLE:
            return False
        if self.status.stopping or self.status.app.stopping:
            return False
        app = self.status.component(_APP)
        return (
            app is not None
            and app.state == "running"
            and app.ready
            and app.pid is not None
            and app.pid != self.drained
        )


def service_name(settings: Settings, session: Session) -> str:
    """Under which name others find the app: that of the service, of the app, else of the instance."""
    return settings.service.name or settings.app.name or session.instance


def announcement(
    settings: Settings, session: Session, standing: Standing, address: str | None, now: str
) -> ServiceInstance | None:
    """What is to be announced, None for nothing. `address` is None when there is none yet; `now` is RFC 3339.

    An app without a port is announced with port 0: it is there, though it listens nowhere that we know of.
    """
    service = settings.service
    if not service.register or address is None or not standing.can_serve:
        return None
    return ServiceInstance(
        id=session.instance,
        service=service_name(settings, session),
        address=address,
        port=service.port or settings.app.port or 0,
        status="warning" if standing.health == "warning" else "passing",
        weight=service.weight,
        tags=service.tags,
        zone=service.zone,
        meta=dict(service.meta),
        instance=session.instance,
        run=session.run,
        since=now,
    )
