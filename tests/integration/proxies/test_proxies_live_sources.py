"""What a template knows of its surroundings is the real thing, and a change of it is served: environment, health, the app."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

from instance import wait_for
from proxies_edge import NGINX, free_port
from proxies_running import SLEEPER, ask, count, told

if TYPE_CHECKING:
    from instance import Host

SAID = '{{ (environment.host.name ~ " " ~ health.status ~ " " ~ app.ready)|quote }}'


def test_environment_and_health_are_served_as_they_are(host: Host) -> None:
    port, well = free_port(), os.path.join(host.root, "well")
    with open(os.path.join(host.root, "edge.j2"), "w") as file:
        text = NGINX.replace('{{ config("shop/greeting", "hello")|quote }}', SAID)
        file.write(text.replace("PORT", str(port)).replace("LIMIT", "204"))
    instance = host.run(
        *SLEEPER,
        settings=f"""
[[proxies]]
name = "edge"
kind = "nginx"
template = "edge.j2"
[health.checks.well]
exec = ["test", "-e", "{well}"]
interval = "200ms"
timeout = "30s"
fall = 1
""",
    )

    def serves(health: str) -> None:
        wait_for(
            f"health is {health}",
            lambda: ask(port)[1].startswith(f"{socket.gethostname()} {health} "),
            state=lambda: (ask(port), told(instance)),
        )

    serves("critical")
    with open(well, "w"):
        pass
    serves("passing")
    os.unlink(well)
    serves("critical")
    wait_for(
        "each is told",
        lambda: count(instance, "proxy-applied") >= 3,
        state=lambda: told(instance),
    )
