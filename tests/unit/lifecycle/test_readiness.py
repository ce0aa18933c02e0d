"""When an instance can take work, and what is said when it cannot."""

from __future__ import annotations

import pytest

from pillion.lifecycle.readiness import readiness
from pillion.model.component import Component, Exit, KeeperFacts, Status


def status(*components: Component) -> Status:
    return Status(instance="i", run="r", keeper=KeeperFacts(pid=1), components=[*components])


def test_ready_is_an_app_that_runs_and_said_so() -> None:
    app = Component(name="app", state="running", ready=True)
    shipper = Component(name="shipper", state="failed")
    assert readiness(status(app, shipper)).ready
    assert readiness(status(app, shipper)).reasons == []


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (None, "the keeper has not told anything yet"),
        (status(), "there is no app yet"),
        (
            status(Component(name="app", state="running")),
            "the app runs, but is not ready yet",
        ),
        (
            status(
                Component(
                    name="app",
                    state="backoff",
                    last_exit=Exit(signal="KILL", cause="out of memory"),
                )
            ),
            "the app is backoff; its last exit: signal KILL, out of memory",
        ),
        (
            status(Component(name="app", state="failed", last_exit=Exit(code=3))),
            "the app is failed; its last exit: code 3",
        ),
    ],
)
def test_not_ready(given: Status | None, reason: str) -> None:
    found = readiness(given)
    assert (found.ready, found.reasons) == (False, [reason])
