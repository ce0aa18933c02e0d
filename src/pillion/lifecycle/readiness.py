"""Whether an instance can take work, decided from what the keeper told, with the reasons why not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from pillion.model.component import Component, Status

APP = "app"


class Readiness(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to `/readyz`: `ready`, and what is missing when not."""

    ready: bool
    reasons: list[str] = []


def readiness(status: Status | None) -> Readiness:
    """Ready when the app runs and has said that it is ready, where it was asked to say so.

    What concerns only the sidecar's other processes is no reason: the app serves without them.
    """
    if status is None:
        return Readiness(ready=False, reasons=["the keeper has not told anything yet"])
    app = status.component(APP)
    if app is None:
        return Readiness(ready=False, reasons=["there is no app yet"])
    reasons = []
    if app.state != "running":
        reasons.append(_why(app))
    elif not app.ready:
        reasons.append("the app runs, but is not ready yet")
    return Readiness(ready=not reasons, reasons=reasons)


def _why(app: Component) -> str:
    last = app.last_exit
    if last is None:
        return f"the app is {app.state}"
    return f"the app is {app.state}; its last exit: {last}"
