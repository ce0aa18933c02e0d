"""How long the API is away when the agent dies, and whether anybody is turned away meanwhile."""

from __future__ import annotations

import os
import signal
import threading
import time
from dataclasses import dataclass, field

from bench import api
from bench.figure import PILLION, Figure, Row, Target
from bench.instance import Instance
from bench.workbench import Bench, wait_for

_ROUTE = "/v1/components"
# Longer than the run after which the keeper begins its backoff anew.
_BETWEEN_S = 0.9


@dataclass(slots=True)
class _Client:
    """Asks again and again, on a new connection each time; notes when each answered question was asked and answered."""

    path: str
    answered: list[tuple[float, float]] = field(default_factory=list)
    refused: int = 0
    cut: int = 0
    over: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Ask until it is over."""
        while not self.over.is_set():
            asked = time.monotonic()
            try:
                api.ask(self.path, _ROUTE)
            except ConnectionRefusedError:
                self.refused += 1
            except OSError:
                # It had been accepted by the process that died.
                self.cut += 1
            else:
                self.answered.append((asked, time.monotonic()))

    def away_s(self, since: float) -> float | None:
        """How long after `since` the first question asked later was answered; None: not yet."""
        for asked, answered in reversed(self.answered):
            if asked < since:
                break
            found = answered
        else:
            return None
        return found - since if self.answered[-1][0] >= since else None


def run(bench: Bench) -> list[Row]:
    """Kill the agent time and again under a client."""
    instance = Instance(bench, [bench.programs.first_act])
    instance.wait_ready()
    app = instance.pid("app")
    client = _Client(instance.socket)
    thread = threading.Thread(target=client.run, name="client")
    thread.start()
    away: list[float] = []
    try:
        for _ in range(bench.runs(15, 3)):
            time.sleep(_BETWEEN_S)
            pid = instance.pid("agent")
            killed = time.monotonic()
            os.kill(pid, signal.SIGKILL)
            wait_for(lambda since=killed: client.away_s(since) is not None, "the API answers again")  # type: ignore[misc]
            found = client.away_s(killed)
            assert found is not None
            away.append(found * 1e3)
    finally:
        client.over.set()
        thread.join()
    assert instance.pid("app") == app
    return [
        Row("SIGKILL of the agent to the API's next answer", PILLION, "ms", away, Target(400)),
        Row("connections refused", PILLION, "connections", [client.refused], Target(0)),
        Row(
            "accepted connections cut by the kill",
            PILLION,
            "connections",
            [client.cut],
            note=f"of {len(client.answered):,} requests and {len(away)} kills; nothing can change that",
        ),
    ]


FIGURE = Figure(
    name="agent-kill",
    says="Time from SIGKILL of the agent to the API's answer to a request made after it, with a new connection for each request.",
    target="API answers again within 400 ms; no connection refused within the backlog",
    run=run,
    caveats=(
        f"The request is GET {_ROUTE} over the Unix socket, which the agent takes to the keeper and back.",
    ),
)
